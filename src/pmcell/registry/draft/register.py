"""Register a submitted file: draft its cohort folder. Copies nothing, overwrites nothing."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_text, write_texts
from pmcell.io.outputs import require_input
from pmcell.io.submitted import sandbox
from pmcell.io.submitted.readers import FORMATS, detect_format, inspect
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.cohort import programmes_folder
from pmcell.registry.cohorts.keys import (
    CELLS_FILE,
    COHORT_FILE,
    DONORS_FILE,
    MEASUREMENTS_FILE,
    SAMPLES_FILE,
    TODO,
)
from pmcell.registry.cohorts.programmes import load_programmes, programme_of
from pmcell.registry.cohorts.registered import matrix_outside
from pmcell.registry.draft.code_book import read_code_book
from pmcell.registry.draft.draft import Draft, draft_registration
from pmcell.registry.draft.measured_codes import coded
from pmcell.registry.draft.measured_columns import Measured, rows_of_columns
from pmcell.registry.draft.options import with_options
from pmcell.registry.draft.side_tables import cells_text, contradictions, join_table
from pmcell.registry.draft.text import cohort_yaml, sheet
from pmcell.registry.intake.cell_table import join_cells
from pmcell.registry.terms.genes import share_known
from pmcell.registry.terms.ontology import resolve
from pmcell.schema import NO_PROGRAMME
from pmcell.schema.ids import ID_PATTERN

CODE_BOOK = "code-book"
"""Kind of a table that is no one's, but says what values stand for."""


@dataclass(frozen=True)
class Registered:
    """The folder that was written, what was seen in the file, and what is left to a person.

    `outside` are the file, and what links in it lead to, where they are not in the folder: the
    operator's configuration must allow them (`matrix_paths`). Relative within the working folder.
    """

    folder: Path
    seen: dict[str, Any]
    notes: tuple[str, ...]
    n_todo: int
    outside: tuple[str, ...] = ()


def register_file(
    file: Path | str,
    cohort_id: str,
    cohorts_dir: Path | str,
    *,
    fmt: str | None = None,
    orientation: str = "auto",
    given: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    tables: Mapping[str, Path] | None = None,
    measured: Sequence[Measured] = (),
    is_again: bool = False,
) -> Registered:
    """Draft `cohorts_dir/cohort_id` for `file`, which is read in a sandbox and stays where it is.

    `fmt` and `orientation` are those of cohort.yaml, told from the file by default. `given` are
    columns by meaning (`donor_id`, `sample_id`, `batch_id`, …), else guessed; `keep` are columns
    that stay in the tables under their own names, `tables` files with more of `donors`,
    `samples` or `cells` (see `side_tables`), or with the meaning of values (`code-book`);
    `measured` are columns that become rows of measurements.tsv in place of a column of their table.
    With `is_again` a folder is drafted anew in which nothing was decided or changed yet.
    Raises `UsageError` for a bad id, a missing file or a folder that is
    registered already, and `DataError` when the file cannot be read.
    """
    columns = [item.column for item in measured]

    def read(keep: Sequence[str], tables: Mapping[str, Path]) -> tuple[Registered, dict[str, Any]]:
        return read_draft(
            "draft_files",
            Path(file),
            cohort_id,
            Path(cohorts_dir),
            fmt=fmt,
            orientation=orientation,
            given=given,
            keep=keep,
            tables=tables,
            is_again=is_again,
        )

    if is_again:
        _require_untouched(Path(cohorts_dir) / cohort_id, partial(read, ()), tables or {})
    registered, answer = read(
        [*(name for name in keep if name not in columns), *columns], tables or {}
    )
    files = answer["files"]
    donors, samples = answer["donors"], answer["samples"]
    if measured:
        files[MEASUREMENTS_FILE] = sheet(rows_of_columns(measured, donors, samples))
    for name, rows in ((DONORS_FILE, donors), (SAMPLES_FILE, samples)):
        files[name] = sheet([{c: v for c, v in row.items() if c not in columns} for row in rows])
    write_texts(registered.folder, files, last=COHORT_FILE)
    n_todo = sum(
        line.partition("#")[0].count(TODO) if name == COHORT_FILE else line.count(TODO)
        for name, content in answer["files"].items()
        if name != CELLS_FILE
        for line in content.split("\n")
    )
    return replace(registered, n_todo=n_todo)


def _require_untouched(
    folder: Path,
    read: Callable[[Mapping[str, Path]], tuple[Registered, dict[str, Any]]],
    tables: Mapping[str, Path],
) -> None:
    """Raise `UsageError` unless a cohort's folder is as `read` drafts it with the same tables.

    A code book may be new.
    """
    names = (COHORT_FILE, DONORS_FILE, SAMPLES_FILE, MEASUREMENTS_FILE, CELLS_FILE)
    found = {
        name: (folder / name).read_text(encoding="utf-8")
        for name in names
        if (folder / name).is_file()
    }
    without = {kind: table for kind, table in tables.items() if kind != CODE_BOOK}
    for given in (tables, without):
        _, answer = read(given)
        files = answer["files"]
        files |= {DONORS_FILE: sheet(answer["donors"]), SAMPLES_FILE: sheet(answer["samples"])}
        if files == found:
            return
    raise UsageError(
        f"--keep, --measure and --code-book are for a draft in which nothing was decided yet; in "
        f"{folder} something was. Move it away and register again, or write what they say into "
        "its tables."
    )


def read_draft(
    target: str,
    file: Path,
    cohort_id: str,
    cohorts_dir: Path,
    *,
    fmt: str | None,
    orientation: str,
    given: Mapping[str, str] | None,
    keep: Sequence[str],
    tables: Mapping[str, Path] | None,
    is_again: bool = False,
) -> tuple[Registered, dict[str, Any]]:
    """What `target` of this module (draft_files, draft_parts) says of a file, read in a sandbox.

    Nothing is written; the errors are those of `register_file`.
    """
    folder = cohorts_dir / cohort_id
    programmes = programmes_folder(folder)
    if not re.fullmatch(ID_PATTERN, cohort_id) or ".." in cohort_id:
        raise UsageError(
            "--id must be 1 to 64 letters, digits, '_', '.' or '-', "
            "starting with a letter or digit; "
            f"got {cohort_id!r}"
        )
    require_input(file)
    if fmt is not None and fmt not in FORMATS:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}, got {fmt!r}")
    for kind, table in (tables or {}).items():
        if not table.is_file():
            raise UsageError(f"--{kind} must name a file; there is no {str(table)!r}")
    for name in (COHORT_FILE, DONORS_FILE, SAMPLES_FILE):
        if (folder / name).exists() and not is_again:
            raise UsageError(
                f"{folder / name} exists already: choose another --id, or move the folder away"
            )
    try:
        answer: dict[str, Any] = sandbox.run(
            f"pmcell.registry.draft.register:{target}",
            {
                "file": str(file.absolute()),
                "fmt": fmt or detect_format(file),
                "cohort_id": cohort_id,
                "matrix_path": _matrix_path(file, folder),
                "programmes_dir": str(programmes) if programmes.is_dir() else None,
                "orientation": orientation,
                "given": dict(given or {}),
                "keep": list(keep),
                "tables": {kind: str(table.absolute()) for kind, table in (tables or {}).items()},
            },
        )
    except DataError as error:
        raise with_options(error) from error
    outside = tuple(_outside(file, folder))
    return Registered(folder, answer["seen"], tuple(answer["notes"]), 0, outside), answer


@dataclass(frozen=True)
class _Wanted:
    """What is drafted, as JSON values: it goes into the sandbox."""

    file: str
    fmt: str
    cohort_id: str
    matrix_path: str
    programmes_dir: str | None
    orientation: str
    given: Mapping[str, str]
    keep: Sequence[str]
    tables: Mapping[str, str]


def draft_files(**wanted: Any) -> dict[str, Any]:
    """Inspect the file and draft its texts; what runs inside the sandbox."""
    one = _Wanted(**wanted)
    submission, cells, notes = _opened(one)
    draft = _draft(submission, one, one.keep)
    if cells:
        draft.settings["matrix.cells"] = CELLS_FILE
    return {
        "files": {
            **({CELLS_FILE: cells} if cells else {}),
            COHORT_FILE: cohort_yaml(draft),
        },
        "donors": draft.donors,
        "samples": draft.samples,
        "notes": [*notes, *draft.notes],
        "seen": _seen(submission, draft),
    }


def draft_parts(**wanted: Any) -> dict[str, Any]:
    """Inspect the file and draft its registration as JSON values, with all columns worth keeping.

    What runs inside the sandbox for a workbook, in which a person says what becomes of them.
    """
    one = _Wanted(**wanted)
    submission, _, notes = _opened(one)
    first = _draft(submission, one, one.keep)
    draft = _draft(submission, one, [*one.keep, *first.keepable])
    codes = {one.column: one for one in first.measurable}
    levels = {name: "donor" if name in draft.donors[0] else "sample" for name in first.keepable}
    rows_of = {"donor": draft.donors, "sample": draft.samples}
    return {
        "cohort_id": one.cohort_id,
        "settings": draft.settings,
        "comments": draft.comments,
        "cell_types": draft.cell_types,
        "sample_names": draft.sample_names,
        "donors": draft.donors,
        "samples": draft.samples,
        "exclude": [asdict(item) for item, _ in draft.exclude],
        "keepable": [
            {
                "column": name,
                "level": level,
                "values": list(dict.fromkeys(row[name] for row in rows_of[level] if row[name]))[:4],
                "loinc": codes[name].loinc if name in codes else "",
                "unit": codes[name].unit if name in codes else "",
            }
            for name, level in levels.items()
        ],
        "notes": [*notes, *draft.notes],
        "seen": _seen(submission, draft),
    }


def _opened(wanted: _Wanted) -> tuple[Submission, str, list[str]]:
    """The submission, with what tables beside it say; the text of the table of its cells; notes."""
    submission = inspect(
        wanted.file, wanted.fmt, orientation=wanted.orientation, looks_like_genes=share_known
    )
    cells, notes, paths = "", list[str](), dict(wanted.tables)
    if "cells" in paths:
        cells = cells_text(submission, Path(paths.pop("cells")))
        with tempfile.TemporaryDirectory() as scratch:
            write_text(Path(scratch) / CELLS_FILE, cells)
            told = join_cells(submission, Path(scratch) / CELLS_FILE)
        notes += contradictions(submission.obs, told.obs, Path(wanted.tables["cells"]))
        submission = told
    paths.pop(CODE_BOOK, None)
    for kind, table in paths.items():
        submission, found = join_table(submission, Path(table), kind, wanted.given)
        notes += found
    return submission, cells, notes


def _draft(submission: Submission, wanted: _Wanted, keep: Sequence[str]) -> Draft:
    """The draft of a submission, with the programme that its diseases fall under."""
    path = wanted.tables.get(CODE_BOOK)
    draft = draft_registration(
        submission,
        wanted.cohort_id,
        given={**submission.told, **wanted.given},
        keep=keep,
        code_book=read_code_book(Path(path)) if path else {},
    )
    draft.settings |= {"matrix.path": wanted.matrix_path, "matrix.format": submission.format}
    if submission.by_visit:
        draft.notes.append(
            f"{', '.join(submission.by_visit)}: donors have a value at each visit, so these were "
            "not taken; clinical values by visit go to measurements.tsv (donor_id, visit or day, "
            "LOINC code, value, unit)"
        )
    diseases = {row["disease_ontology_term_id"] for row in draft.donors}
    terms = {part for value in diseases for part in value.split(" || ") if ":" in part}
    if wanted.programmes_dir is not None:
        programmes = load_programmes(wanted.programmes_dir)
        found = programme_of({term for term in terms if TODO not in term}, programmes)
        if found == "healthy" and any(TODO in value for value in diseases):
            # Those who have another word in place of healthy may well be patients.
            found = None
        own_first = sorted(programmes, key=lambda item: item.programme_id != found)
        codes = [coded(column, own_first) for column in draft.keepable]
        draft.measurable = [one for one in codes if one is not None]
        if found:
            draft.settings["programme"] = found
            theme = next(item.health_theme for item in programmes if item.programme_id == found)
            if theme:
                draft.settings["health_themes"] = theme
                draft.comments["health_themes"] = "from the programme"
        names = ", ".join(programme.programme_id for programme in programmes)
        draft.comments["programme"] = (
            "from the diseases" if found else f"there are {names}; {NO_PROGRAMME} is none of them"
        )
    for column in ("assay_ontology_term_id", "tissue_ontology_term_id"):
        value = draft.settings[f"defaults.{column}"]
        if ":" in value and TODO not in value:
            draft.comments[f"defaults.{column}"] = str(resolve(value))
    return draft


def _seen(submission: Submission, draft: Draft) -> dict[str, Any]:
    """What was seen in the file, for whoever registers it."""
    return {
        "n_cells": submission.n_cells,
        "n_features": submission.n_genes,
        "donors": [row["donor_id"] for row in draft.donors],
        "n_samples": len(draft.samples),
        "n_mixed": draft.n_mixed,
        "unused": draft.unused,
        "keepable": draft.keepable,
        "measurable": [str(one) for one in draft.measurable],
        "counts": draft.settings["matrix.counts"],
        "counts_are": draft.comments["matrix.counts"],
        "genes": draft.settings["matrix.gene_column"],
        "columns": {
            path.removeprefix("columns."): value
            for path, value in draft.settings.items()
            if path.startswith("columns.")
        },
    }


def _outside(file: Path, folder: Path) -> list[str]:
    """The file, and where links in it lead to, as far as they are not in the cohort's folder."""
    here, homes, paths = Path.cwd(), [folder], []
    while (found := matrix_outside(file.absolute(), homes)) is not None:
        item, place = found
        # Of the file itself the operator's own name is kept: it may be a link that moves on.
        path = place if len(homes) > 1 else item
        homes.append(path)
        is_here = path.is_relative_to(here)
        paths.append(os.path.relpath(path, here) if is_here else str(path))
    return paths


def _matrix_path(file: Path, folder: Path) -> str:
    """Relative where file and folder lie in one study (the working folder), else absolute."""
    here = Path.cwd()
    target = file.absolute()
    if target.is_relative_to(here) and folder.absolute().is_relative_to(here):
        return os.path.relpath(target, folder.absolute())
    return str(target)
