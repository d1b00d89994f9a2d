"""Every option of the configuration, defined once: its type, range, default, unit and meaning.

`table.SETTINGS` maps each section to its model. From the models come the check of a
configuration (`load`), the options and help of the step commands, the JSON schema that
Snakemake reads, and the tables of config/README.md (`documents`). Modules are imported
where they are needed: the models take a third of a second to load.
"""
