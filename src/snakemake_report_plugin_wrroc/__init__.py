"""Snakemake report plugin: a finished workflow as a Provenance Run RO-Crate.

Snakemake finds the module by its name:

    snakemake --reporter wrroc --report-wrroc-path crate

writes the folder `crate`: the workflow's sources, and `ro-crate-metadata.json`
with every job, its inputs, outputs and parameters, times and digests. Result
files stay where they are; with `--report-wrroc-path .` the working directory
itself becomes the crate, and they are its parts. Paths outside the working
directory are cut to file names; names, parameters and digests are told as they
are, so a crate of data that is not open stays where the data may be. (A release
of pmcell has a crate of its own, which hides what is not open.)

Snakemake imports every report plugin at its start, so the work is done in
`crate`, which is imported when a report is asked for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from snakemake_interface_report_plugins.reporter import ReporterBase
from snakemake_interface_report_plugins.settings import ReportSettingsBase


def _option(text: str) -> dict[str, Any]:
    return {"help": text, "env_var": False, "required": False}


@dataclass
class ReportSettings(ReportSettingsBase):
    """What a crate must say that Snakemake does not know.

    Snakemake makes options of these annotations, which therefore must not be strings.
    """

    path: Optional[Path] = field(
        default=Path("ro-crate"),
        metadata=_option("Folder of the crate; . makes the working directory the crate."),
    )
    name: Optional[str] = field(default=None, metadata=_option("Title of the run."))
    description: Optional[str] = field(default=None, metadata=_option("What was run, and why."))
    license: Optional[str] = field(
        default=None,
        metadata=_option("SPDX identifier of the licence of the crate, such as CC-BY-4.0."),
    )
    author: Optional[str] = field(default=None, metadata=_option("Who answers for the run."))
    author_id: Optional[str] = field(
        default=None, metadata=_option("Address of the author, such as an ORCID iD.")
    )
    affiliation: Optional[str] = field(
        default=None, metadata=_option("Organisation of the author; it publishes the crate.")
    )
    affiliation_id: Optional[str] = field(
        default=None, metadata=_option("Address of the organisation, such as its ROR id.")
    )


class Reporter(ReporterBase):
    """Called by Snakemake with the jobs of the finished workflow."""

    def render(self) -> None:
        """Write the crate; `WorkflowError` where it cannot be."""
        from snakemake_interface_common.exceptions import WorkflowError

        from pmcell.errors import PmcellError
        from snakemake_report_plugin_wrroc.crate import write_run_crate

        try:
            write_run_crate(self.jobs, self.dag, self.settings)
        except (PmcellError, OSError) as error:
            raise WorkflowError(f"the RO-Crate was not written: {error}") from error
