"""Programs that run inside the environment of one validator; they import nothing of pmcell.

Each has `check(release, options)`, which returns `{"checks": […], "raw": …}`: for every target
and level the findings, and what the tool itself said. `run_driver.py` calls it.
"""
