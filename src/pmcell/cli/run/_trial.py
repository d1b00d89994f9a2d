"""The two study folders of a trial: one to be finished by a person, one that only the trial uses.

The study is what `pmcell init` and `pmcell register` make, with all that a person must decide
left open, so that nothing of it can be published by mistake. Its copy in `trial/` has stand-ins
for what is open, says so in its title, and is what the workflow runs on.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, UsageError
from pmcell.version import __version__

TRIAL = "trial"
"""Folder of the trial's own study within the study."""
RECORD = "trial.json"
"""File in it that says what the trial is of, so that one that was interrupted goes on."""
STAND_INS = {
    "access": "open",
    "data_use": "unknown",
    "steward.name": "nobody: this is a trial",
    "programme": "none",
    "hdab.name": "None: this is a trial",
}
"""What stands for decisions that `unknown` does not answer, in the trial alone."""


@dataclass(frozen=True)
class Trial:
    """What was made of one file: the cohort's id, what was seen, what was guessed and why."""

    file: Path
    cohort_id: str
    seen: Mapping[str, Any]
    notes: tuple[str, ...]
    stand_ins: Mapping[str, str]

    def guesses(self) -> Iterator[tuple[str, str]]:
        """What each meaning was taken from, and what was assumed where nothing told it."""
        yield "cells", f"{self.seen['n_cells']:,} cells × {self.seen['n_features']:,} features"
        yield "raw counts", f"{self.seen['counts']} ({self.seen['counts_are']})"
        yield "genes", f"var {self.seen['genes']}"
        for meaning, column in self.seen["columns"].items():
            if meaning != "barcode":
                yield meaning, str(column)
        if "donor_id" in self.stand_ins:
            n = self.seen["n_samples"]
            one = "the one sample is taken as one person"
            many = f"each of the {n} samples is taken as a person of its own"
            yield "donors", f"{one if n == 1 else many}; else give --donor COL"


def make_trial(
    files: Sequence[Path], folder: Path, *, given: Mapping[str, str], fmt: str | None
) -> list[Trial]:
    """Make the study and the trial's copy; `UsageError` or `DataError` leaves neither behind.

    Where they were made for the same files and options, they are taken as they are.
    """
    from pmcell.cli.init import make_study
    from pmcell.io.atomic import write_text

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        begun = _begun(folder, files, given, fmt)
        if begun is None:
            raise UsageError(
                "--out must be a new or empty folder, or that of a trial of the same files, "
                f"unchanged, with the same options; {folder} is not. Name another one, or remove "
                "it."
            )
        return begun
    was_there = folder.is_dir()
    try:
        make_study(folder, cohorts=())
        make_study(folder / TRIAL, cohorts=())
        _only_look(folder / TRIAL, files)
        trials = [
            _add(file, name, folder, given, fmt)
            for file, name in zip(files, cohort_ids(files), strict=True)
        ]
        # A folder is looked through once it is known to be one of counts: another may have no end.
        asked = _asked(files, given, fmt)
        told = {"asked": asked, "trials": [vars(one) | {"file": str(one.file)} for one in trials]}
        write_text(folder / TRIAL / RECORD, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return trials
    except BaseException:
        # A folder that was there stays, empty as it was: it may be the one this runs in.
        for made in list(folder.iterdir()) if was_there else [folder]:
            shutil.rmtree(made, ignore_errors=True)
        raise


def _asked(files: Sequence[Path], given: Mapping[str, str], fmt: str | None) -> dict[str, Any]:
    """What a trial is of: options, and files by place, size and time of their last change."""
    told = [
        (str(part.absolute()), found.st_size, found.st_mtime_ns)
        for file in files
        for part in (file, *(sorted(file.rglob("*")) if file.is_dir() else ()))
        for found in [part.stat() if part.exists() else part.lstat()]
    ]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return {"files": digest, "columns": dict(given), "format": fmt, "pmcell": __version__}


def _begun(
    folder: Path, files: Sequence[Path], given: Mapping[str, str], fmt: str | None
) -> list[Trial] | None:
    """What was made before for the same trial; None where the folder is not one of it."""
    from pmcell.io.atomic import read_json

    try:
        found = read_json(folder / TRIAL / RECORD)
        if found["asked"] != _asked(files, given, fmt):
            return None
        return [
            Trial(**{**one, "file": Path(one["file"]), "notes": tuple(one["notes"])})
            for one in found["trials"]
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _only_look(study: Path, files: Sequence[Path]) -> None:
    """Say that it is a trial, and leave out what only publishing needs.

    That are validators, the counts gene after gene for SQL, and the model onto which people are
    mapped.
    """
    from pmcell.io.atomic import write_text

    path = study / "config" / "config.yaml"
    text = path.read_text(encoding="utf-8").rstrip("\n")
    chosen = f"""\
release:   # a first look: nothing is published
  title: {json.dumps(_title(files), ensure_ascii=False)}
  validators: none
  expression: none
reference:
  freeze: false"""
    write_text(path, f"{text}\n\n{chosen}\n")


def _title(files: Sequence[Path]) -> str:
    names = ", ".join(" ".join(file.name.split()) for file in files)
    return f"Trial of {names}, not for publication"


def cohort_ids(files: Sequence[Path]) -> list[str]:
    """An id for each file, made of its name.

    >>> cohort_ids([Path("a b.h5ad"), Path("x/a_b.csv.gz")])
    ['a_b', 'a_b_2']
    """
    ids: list[str] = []
    for file in files:
        name = re.sub(r"(\.(h5ad|h5|zarr|csv|tsv|txt|tab|gz|zip))+$", "", file.resolve().name)
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:50] or "cohort"
        n, unique = 2, plain
        while unique in ids:
            unique, n = f"{plain}_{n}", n + 1
        ids.append(unique)
    return ids


def _add(
    file: Path, cohort_id: str, folder: Path, given: Mapping[str, str], fmt: str | None
) -> Trial:
    from pmcell.io.atomic import write_text
    from pmcell.registry.cohorts.keys import TODO
    from pmcell.registry.cohorts.matrix_paths import add_matrix_paths
    from pmcell.registry.draft.register import register_file

    file = file.absolute()
    registered = register_file(file, cohort_id, folder / "config" / "cohorts", fmt=fmt, given=given)
    if registered.seen["counts"].startswith(TODO):
        raise DataError(
            f"{file.name}: there must be raw counts; {registered.seen['counts_are']}. "
            "Nothing is rounded or un-logged: ask the source for the counts.",
            reason="not_counts",
        )
    if registered.seen["n_mixed"]:
        raise UsageError(
            f"{file.name}: a sample must be of one person; {registered.seen['n_mixed']} hold cells "
            "of several. Name with --sample a column with one person a sample."
        )
    places = [str(Path(place).absolute()) for place in registered.outside]
    draft = registered.folder
    copy = folder / TRIAL / "config" / "cohorts" / cohort_id
    for part in sorted(draft.iterdir()):
        write_text(copy / part.name, part.read_text(encoding="utf-8"))
    for study in (folder, folder / TRIAL):
        add_matrix_paths(study / "config" / "config.yaml", cohort_id, places or [str(file)])
    _set_path(draft / "cohort.yaml", file)
    _set_path(copy / "cohort.yaml", file)
    return Trial(file, cohort_id, registered.seen, registered.notes, _stand_in(copy, file))


def _set_path(cohort_file: Path, file: Path) -> None:
    """Write the file's full path: the two folders do not lie at the same depth."""
    from pmcell.io.atomic import write_text
    from pmcell.registry.draft.text import scalar

    text = cohort_file.read_text(encoding="utf-8")
    write_text(
        cohort_file,
        re.sub(r"(?m)^  path: .*$", lambda _: f"  path: {scalar(str(file))}", text, count=1),
    )


def _stand_in(folder: Path, file: Path) -> dict[str, str]:
    """Answer what is open in the trial's copy; return what was written."""
    from pmcell.registry.draft.answers import apply_answers
    from pmcell.registry.draft.decisions import EACH, open_decisions
    from pmcell.schema import UNKNOWN

    fixed = {**STAND_INS, "title": _title([file]), "donor_id": EACH}
    answers = {one.key: fixed.get(one.path, UNKNOWN) for one in open_decisions(folder)}
    still = apply_answers(folder, answers)
    if still:
        shown = ", ".join(one.key for one in still)
        raise DataError(
            f"{file.name}: a trial must be able to go on with unknowns; it cannot for {shown}. "
            "Register the file with `pmcell register`, and decide them.",
            reason="todo",
        )
    return answers
