"""Where a cohort's matrix may lie: in its own folder, or where the operator lets it be read from.

A cohort.yaml is written by others: without this rule its `matrix.path`, or a link in the folder,
could have another cohort's counts or a file of the system read under the sender's own terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.matrix_paths import CONFIG_FILE, as_line
from pmcell.registry.cohorts.registered import matrix_outside
from pmcell.registry.cohorts.registration import Matrix

KEY = "matrix.path"


def place_faults(
    folder: Path, matrix: Matrix, allowed: Sequence[Path], *, row: int | None = None
) -> list[Fault]:
    """Return the fault of a matrix that leads out of the cohort's folder, and the way to allow it.

    Parameters
    ----------
    folder
        The cohort's folder.
    matrix
        What cohort.yaml says of the submitted file.
    allowed
        Files and folders of the operator from which this cohort's matrix may be read.
    row
        The line of `matrix.path` in cohort.yaml, where it is known.
    """
    found = _outside(folder, matrix, allowed)
    if found is None:
        return []
    item, place = found
    is_part = item != matrix.path
    shown = f"link {item.name!r} in {matrix.path.name!r}" if is_part else _as_written(item, folder)
    line = as_line(folder.name, [str(place)])
    fix = (
        "Move the file into the cohort's folder. Where you know the file, and this cohort may "
        f"have it, write into {CONFIG_FILE}, below matrix_paths: {line}"
    )
    return [_fault(f"{shown}, which is {place}", fix, row)]


def intake_place_faults(folder: Path, matrix: Matrix, allowed: Sequence[Path]) -> list[Fault]:
    """Return the same fault without a place of this machine: reports of open cohorts travel."""
    if _outside(folder, matrix, allowed) is None:
        return []
    fix = f"Run `pmcell check {folder.name}` where the study is: it names the place, and the way."
    return [_fault("a path or link that leads out of it", fix, None)]


def _outside(folder: Path, matrix: Matrix, allowed: Sequence[Path]) -> tuple[Path, Path] | None:
    try:
        return matrix_outside(matrix.path, [folder, *allowed])
    except OSError:  # A folder that may not be listed: reading it says so.
        return None


def _as_written(path: Path, folder: Path) -> str:
    return repr(str(path.relative_to(folder) if path.is_relative_to(folder) else path))


def _fault(found: str, fix: str, row: int | None) -> Fault:
    must = "must lead to a file in the cohort's own folder, or in one of its matrix_paths"
    return Fault(COHORT_FILE, must, found, fix, row=row, column=KEY, reason="outside")
