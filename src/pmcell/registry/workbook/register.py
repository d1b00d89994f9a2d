"""Register a submitted file as a workbook: drafted like a folder, filled in as sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pmcell.errors import UsageError
from pmcell.registry.cohorts.cohort import programmes_folder
from pmcell.registry.cohorts.programmes import load_programmes
from pmcell.registry.draft.register import Registered, read_draft
from pmcell.registry.workbook.write import write_workbook


def register_workbook(
    file: Path | str,
    cohort_id: str,
    cohorts_dir: Path | str,
    workbook: Path,
    *,
    fmt: str | None = None,
    orientation: str = "auto",
    given: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    tables: Mapping[str, Path] | None = None,
) -> Registered:
    """Draft the registration of `file` into a new `workbook`, in place of the cohort's folder.

    The options, and what is raised, are those of `register_file`. `n_todo` of the result is the
    number of lines of the workbook in which something is still to be decided.
    """
    if workbook.suffix.lower() != ".xlsx":
        raise UsageError(f"--workbook must end in .xlsx; got {workbook.name!r}")
    if workbook.exists():
        raise UsageError(
            f"--workbook must name a new file; {workbook} is there, with what was typed into it. "
            f"Check it with `pmcell check --workbook {workbook}`, or name another."
        )
    if "cells" in (tables or {}):
        raise UsageError(
            "--cells goes into the cohort's folder, which a workbook replaces; register without "
            "--workbook"
        )
    registered, draft = read_draft(
        "draft_parts",
        Path(file),
        cohort_id,
        Path(cohorts_dir),
        fmt=fmt,
        orientation=orientation,
        given=given,
        keep=keep,
        tables=tables,
    )
    names = [one.programme_id for one in load_programmes(programmes_folder(registered.folder))]
    return replace(registered, n_todo=write_workbook(workbook, draft, names))
