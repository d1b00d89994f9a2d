"""Check ids of donors and samples: one person or sample each, no date, and spelt alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import DONORS_FILE, SAMPLES_FILE
from pmcell.registry.cohorts.not_people import is_missing, not_people
from pmcell.registry.cohorts.same_number import SameNumbers, as_written
from pmcell.registry.cohorts.sheets import Row
from pmcell.registry.sheets.dates import TEXT, find_date
from pmcell.schema.ids import ID_PATTERN
from pmcell.spelling import as_seen, folded, nearest

_FULL_NAME = re.compile(r"[^\W\d_a-z][^\W\d_A-Z]+(?:[ _.-][^\W\d_a-z][^\W\d_A-Z]+)+")
MAX_HINTS = 20
"""Unknown ids for which the nearest known one is looked for: it takes long among many."""


def is_open(tree: Mapping[str, Any]) -> bool:
    """Whether ids are published as they are, not as pseudonyms."""
    return tree.get("access") not in ("registered", "controlled")


def check_ids(
    file: str, column: str, rows: Sequence[Row], faults: list[Fault], *, is_open: bool
) -> None:
    """Append a fault for each id that is no person or sample, or (if open) holds a date.

    Ids of donors that differ in their spelling only are warned of.
    """
    labels = not_people(row.get(column, "") for row in rows if row.get(column, ""))
    if column != "donor_id":
        # A library may be called NA; a person of whom nothing is known is no person.
        labels = {name: why for name, why in labels.items() if not is_missing(name)}
    what = "person" if column == "donor_id" else "sample of one person"
    for row in rows:
        name = row.get(column, "")
        if name in labels:
            fix = (
                "Remove the row (or give the person another id), and leave its cells out in "
                "cohort.yaml: "
                "exclude: [{column: <column of the file>, values: ["
                f"'{name}'], reason: {labels[name]}}}]."
            )
            found = f"{name!r}: {labels[name]}"
            faults.append(
                Fault(file, f"must be one {what}", found, fix, row.line, column, reason="no_person")
            )
        elif is_open and find_date(name, TEXT):
            must = (
                "must not hold a date, which identifies people: ids of open cohorts are published"
            )
            fix = (
                "Give another id here and in samples.tsv, and remove columns.donor_id."
                if column == "donor_id"
                else "Give another id here, and name it in cohort.yaml: "
                f"values: {{sample_id: {{'{name}': <the new id>}}}}."
            )
            faults.append(Fault(file, must, repr(name), fix, row.line, column, reason="date"))
    if column == "donor_id" and is_open:
        faults += names_of_people([row.get(column, "") for row in rows], file, column)
    if column == "donor_id":
        lines = {row.get(column, ""): row.line for row in rows}
        faults += alike_people(filter(None, lines), file, column, lines)


def names_of_people(ids: Sequence[str], file: str, column: str) -> list[Fault]:
    """A warning where most ids are two words or more, each with a capital: Ana_Garcia."""
    found = [name for name in dict.fromkeys(ids) if _FULL_NAME.fullmatch(name)]
    first = {re.split(r"[ _.-]", name)[0] for name in found}
    # Words that many ids begin with, such as Healthy_Control, name groups.
    if len(found) < 3 or 2 * len(found) <= len(set(ids)) or len(first) < len(found):
        return []
    return [
        Fault(
            file,
            "must not hold names of people: ids of open cohorts are published",
            f"{len(found)} of {len(set(ids))} ids look like names",
            "Give other ids where the file came from, and keep the list of who is who apart.",
            column=column,
            severity="warning",
            reason="names_of_people",
        )
    ]


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in case, accents, punctuation, zeros or unseen signs only.

    >>> alike(["P1", "p-01", "P2", "P1-1", "P11"])
    [['P1', 'p-01']]
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        plain = re.sub(r"(?<=\d)[\W_]+(?=\d)", "-", folded(as_seen(name)))
        plain = re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[^\w-]|_|(?<!\d)-|-(?!\d)", "", plain))
        groups.setdefault(plain or name, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def alike_people(
    names: Iterable[str], file: str, column: str, lines: Mapping[str, int] | None = None
) -> list[Fault]:
    """A warning for each group of donors' ids that are probably one person's."""
    return [
        Fault(
            file,
            "each person must have one id",
            f"{', '.join(map(repr, group[:4]))} differ in their spelling only",
            "Write the same person the same way; if they are two people, give clearer ids.",
            row=lines[group[1]] if lines else None,
            column=column,
            severity="warning",
            reason="alike",
        )
        for group in alike(names)
    ]


def check_labels(file: str, columns: Sequence[str], rows: Sequence[Row]) -> list[Fault]:
    """A warning for labels of groups that differ in capitals, spaces or unseen signs only."""
    faults = []
    for column in columns:
        spelt: dict[str, dict[str, int]] = {}
        for row in rows:
            label = row.get(column, "")
            plain = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", folded(as_seen(label)))
            spelt.setdefault(plain, {}).setdefault(label, row.line)
        for labels in spelt.values():
            if len(labels) > 1:
                must = f"each {column} must be written in one way"
                found = f"{', '.join(map(repr, list(labels)[:4]))} differ in their spelling only"
                fix = "Write the same one the same way: else it is several groups."
                line = list(labels.values())[1]
                faults.append(
                    Fault(file, must, found, fix, line, column, severity="warning", reason="alike")
                )
    return faults


def check_references(
    rows: Sequence[Row], donor_rows: Sequence[Row], faults: list[Fault]
) -> set[str]:
    """Append a fault for each donor of samples.tsv that donors.tsv lacks; return those it has."""
    lines = {row.get("donor_id", ""): row.line for row in donor_rows}
    same = SameNumbers(name for name in lines if name)
    # An id that only looks like another has its own fault, which names the right one.
    by_look = {as_seen(name): name for name in lines if as_seen(name) != name}
    used: set[str] = set()
    n_hints = 0
    for row in rows:
        name = row.get("donor_id", "")
        if name in lines:
            used.add(name)
        elif as_seen(name) in by_look or as_seen(name) in lines:
            used.add(by_look.get(as_seen(name), as_seen(name)))
        elif donor_rows and name:
            twin = same.find(name)
            if twin is not None:
                used.add(twin)
                faults.append(_changed(row, name, lines[twin], twin))
                continue
            n_hints += 1
            near = nearest(name, lines) if n_hints <= MAX_HINTS else None
            must, fix = "must be a donor of donors.tsv", "Add the donor to donors.tsv."
            if near is not None:
                is_id = re.match(ID_PATTERN, near)
                fix = f"Did you mean {near!r}?" if is_id else f"Rename {near!r} there to it."
            faults.append(
                Fault(SAMPLES_FILE, must, repr(name), fix, row.line, "donor_id", reason="reference")
            )
    return used


def _changed(row: Row, name: str, twin_line: int, twin: str) -> Fault:
    """The fault of an id that a spreadsheet changed, in the table where it is changed."""
    first, changed = as_written(name, twin)
    here = changed == name
    file, line = (SAMPLES_FILE, row.line) if here else (DONORS_FILE, twin_line)
    other = DONORS_FILE if here else SAMPLES_FILE
    lost = "its zeros are lost" if changed.isdigit() else "it was changed to a number"
    return Fault(
        file,
        f"must be written as in {other}",
        f"{changed!r}, which is {first!r} in {other}: {lost}",
        f"Write {first} here; a spreadsheet keeps it in a column of the format text.",
        line,
        "donor_id",
        reason="lost_zeros",
    )
