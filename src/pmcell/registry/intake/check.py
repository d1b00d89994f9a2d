"""Check registered cohorts: the tables first, then the header of the submitted file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault
from pmcell.io.submitted import sandbox
from pmcell.registry.cohorts.catalogue import lookup, missing_metadata
from pmcell.registry.cohorts.cohort import programmes_folder, read_matrix, read_registration
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.registry.cohorts.gathered import gather
from pmcell.registry.cohorts.keys import COHORT_FILE, DONORS_FILE, SAMPLES_FILE
from pmcell.registry.cohorts.programmes import read_programme
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.intake.copies import shared_cells
from pmcell.registry.intake.matrix_check import faults_of
from pmcell.registry.intake.place import place_faults
from pmcell.registry.terms.rules import TERM_RULES
from pmcell.schema import UNKNOWN

WORKERS = 4
"""Cohorts that are checked at the same time."""
TIME_SECONDS = 600


@dataclass(frozen=True)
class CohortCheck:
    """What is wrong with a cohort; `metrics` holds what its file was seen to be.

    `sketch` stands for its cells when they are compared with other cohorts'.
    """

    cohort_id: str
    faults: tuple[Fault, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sketch: tuple[int, ...] = ()

    @property
    def errors(self) -> list[Fault]:
        """The faults that keep the cohort out."""
        return [fault for fault in self.faults if fault.severity == "error"]

    @property
    def warnings(self) -> list[Fault]:
        """The faults that do not."""
        return [fault for fault in self.faults if fault.severity != "error"]


def check_cohort(
    folder: Path | str,
    *,
    with_matrix: bool = True,
    allowed: Sequence[Path] = (),
) -> CohortCheck:
    """Everything that is wrong with a cohort folder, found from tables and headers; never raises.

    The submitted file is opened in a sandbox, where it lies in the folder or in one of the
    `allowed` places. Its cells are compared with the tables only when these have no error.
    """
    folder = Path(folder)
    registration, faults = read_registration(folder)
    if registration is not None:
        faults += _unknowns(registration)
        path = programmes_folder(folder) / f"{registration.programme}.yaml"
        faults += read_programme(path, look_up=True)[1] if path.is_file() else []
    # Read from the text, so that these faults are named with all others, not after them.
    text = read_yaml(folder / COHORT_FILE, [])
    faults += missing_metadata(text.tree, meaning, text.lines)
    matrix = read_matrix(folder) if with_matrix else None
    if matrix is None:
        return CohortCheck(folder.name, tuple(faults))
    outside = place_faults(folder, matrix, allowed, row=text.lines.get("matrix.path"))
    if outside:
        return CohortCheck(folder.name, (*faults, *outside))
    if not _is_there(matrix.path):
        must = "must name the submitted file"
        written = str(lookup(text.tree, "matrix.path") or "")
        fix = "Correct matrix.path: it is relative to the cohort's folder."
        found = f"no file {matrix.path.name!r} there"
        if re.match(r"[A-Za-z][\w+.-]+://", written):
            fix = "It is an address: download the file, and write its path."
        elif written.startswith("~") or "$" in written:
            fix = "Write the path in full: ~ and $ stand for nothing here."
        elif re.match(r"[A-Za-z]:[\\/]", written):
            fix = "It is a path of Windows: write the one that this machine has for it (/mnt/c/…)."
        where = "matrix.path"
        faults.append(Fault(COHORT_FILE, must, found, fix, column=where, reason="file_missing"))
        return CohortCheck(folder.name, tuple(faults))
    try:
        report = sandbox.run(
            "pmcell.registry.intake.matrix_check:matrix_report",
            {"folder": str(folder.absolute())},
            time_seconds=TIME_SECONDS,
        )
    except DataError as error:
        faults.append(error.fault(matrix.path.name))
        return CohortCheck(folder.name, tuple(faults))
    metrics = report["metrics"]
    sketch = tuple(metrics.pop("sketch", ()))
    return CohortCheck(folder.name, tuple(gather([*faults, *faults_of(report)])), metrics, sketch)


def _is_there(path: Path) -> bool:
    """Whether there is something at a path that may be looked at."""
    try:
        return path.exists()
    except OSError:
        return False


def check_cohorts(
    folders: Sequence[Path],
    *,
    with_matrix: bool = True,
    allowed: Mapping[str, Sequence[Path]] | None = None,
) -> list[CohortCheck]:
    """Check several cohorts, some at the same time; results in the order of `folders`.

    `allowed` holds, by cohort, what its matrix may be read from besides its own folder.
    """
    places = allowed or {}

    def check_one(folder: Path) -> CohortCheck:
        own = places.get(folder.name, ())
        return check_cohort(folder, with_matrix=with_matrix, allowed=own)

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        checks = list(pool.map(check_one, folders))
    shared = _shared_batches(folders)
    for name, faults in _shared_cells(checks).items():
        shared.setdefault(name, []).extend(faults)
    return [
        replace(check, faults=(*check.faults, *shared.get(check.cohort_id, ()))) for check in checks
    ]


def _shared_cells(checks: Sequence[CohortCheck]) -> dict[str, list[Fault]]:
    """A warning for each cohort some of whose cells are another cohort's, too."""
    found: dict[str, list[Fault]] = {}
    for pair in shared_cells({check.cohort_id: check.sketch for check in checks}):
        about = "" if pair.is_exact else "about "
        for name, other in ((pair.one, pair.other), (pair.other, pair.one)):
            found.setdefault(name, []).append(
                Fault(
                    COHORT_FILE,
                    "a cell should be in one cohort only",
                    f"{about}{pair.share:.0%} of the smaller cohort's cells are in {other}, too, "
                    "count by count",
                    "Remove one of the cohorts, or leave the copies out of one with exclude.",
                    column="matrix.path",
                    severity="warning",
                    reason="copies",
                )
            )
    return found


def _shared_batches(folders: Sequence[Path]) -> dict[str, list[Fault]]:
    """A warning for each batch label that several cohorts use: it counts as one batch."""
    cohorts_of: dict[str, set[str]] = {}
    for folder in folders:
        registration, _ = read_registration(folder)
        for sample in registration.samples if registration else ():
            cohorts_of.setdefault(sample.batch_id, set()).add(folder.name)
    found: dict[str, list[Fault]] = {}
    for batch, names in sorted(cohorts_of.items()):
        for name in sorted(names) if len(names) > 1 else ():
            found.setdefault(name, []).append(
                Fault(
                    SAMPLES_FILE,
                    "should name a batch that no other cohort has, unless it is the same batch",
                    f"{batch!r}, also in {', '.join(sorted(names - {name}))}",
                    f"Write {name}.{batch} where the batches were processed apart.",
                    column="batch_id",
                    severity="warning",
                    reason="shared_batch",
                )
            )
    return found


def _unknowns(registration: Registration) -> list[Fault]:
    """One warning for each column where `unknown` keeps cells out of the CELLxGENE schema."""
    faults = []
    rows: tuple[tuple[str, tuple[Any, ...], Callable[[Any], str]], ...] = (
        (SAMPLES_FILE, registration.samples, lambda row: str(row.sample_id)),
        (DONORS_FILE, registration.donors, lambda row: str(row.donor_id)),
    )
    for file, entries, name in rows:
        for column, rule in TERM_RULES.items():
            if not rule.strict or not entries or not hasattr(entries[0], column):
                continue
            unknown = [name(entry) for entry in entries if getattr(entry, column) == UNKNOWN]
            if unknown:
                shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
                faults.append(
                    Fault(
                        file,
                        "should be known: the CELLxGENE schema does not accept unknown here",
                        f"unknown in {len(unknown)} of {len(entries)} rows ({shown})",
                        f"Give the term where it is known, such as {rule.example}.",
                        column=column,
                        severity="warning",
                        reason="unknown",
                    )
                )
    return faults
