"""Errors of unregistered files: an option of the command in place of a key of cohort.yaml."""

from __future__ import annotations

import re
from dataclasses import replace

from pmcell.errors import DataError, FaultsError

OPTIONS = {"matrix.format": "--format", "matrix.orientation": "--orientation"}
"""What stands for a key of cohort.yaml before there is one."""
_GENE_NAMES = re.compile(
    r"Set matrix\.gene_column and matrix\.gene_namespace in\s+cohort\.yaml[^.]*\."
)
_IN_THE_INDEX = "Put the gene names into the index: adata.var_names = adata.var['COLUMN']."


def with_options(error: DataError) -> DataError:
    """The error with options of the command in place of keys of a file that is not written.

    >>> str(with_options(DataError("No. Set matrix.format in cohort.yaml to csv.", reason="x")))
    'No. Give --format csv.'
    """
    if isinstance(error, FaultsError):
        return FaultsError([replace(fault, fix=reworded(fault.fix)) for fault in error.faults])
    return DataError(reworded(str(error)), reason=error.reason)


def reworded(text: str) -> str:
    """The text of a fix with options of the command in place of keys."""
    text = _GENE_NAMES.sub(_IN_THE_INDEX, text)
    for key, option in OPTIONS.items():
        text = re.sub(rf"Set {re.escape(key)} in\s+cohort\.yaml(?: to)?", f"Give {option}", text)
    return text
