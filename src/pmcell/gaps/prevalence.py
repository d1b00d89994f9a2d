"""A table of how many people there are, against which the donors are held."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.gaps.groups import DIMENSIONS
from pmcell.io.textfile import open_text
from pmcell.registry.terms.vocabulary import SEXES, region_problem
from pmcell.schema import UNKNOWN
from pmcell.spelling import did_you_mean

PEOPLE = "n_people"
MAX_ROWS = 100_000
EXAMPLE = "programme,sex_ontology_term_id,n_people"
_SEX = {label: term for term, label in SEXES.items()}


@dataclass(frozen=True)
class Prevalence:
    """People in groups that do not overlap; `groups` gives for each the values of `by`."""

    by: tuple[str, ...]
    groups: Mapping[tuple[str, ...], float]

    @property
    def total(self) -> float:
        """People in all groups."""
        return sum(self.groups.values())


def read_prevalence(path: Path | str) -> Prevalence:
    """Read a CSV or TSV table with some of `DIMENSIONS` as columns, and `n_people`.

    Parameters
    ----------
    path
        UTF-8 text; columns are separated by commas, semicolons or tabs, as the header is.
        Sex may be a PATO term, `female` or `male`.

    Raises
    ------
    UsageError
        There is no such file.
    FaultsError
        Every fault of the table at once, with row, column, value and fix.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"--prevalence must be a file; there is none at {path}")
    with open_text(path) as stream:
        head = stream.readline()
        sign = max(",;\t", key=head.count)
        rows = [*csv.reader([head], delimiter=sign), *csv.reader(stream, delimiter=sign)]
    header = [name.strip() for name in rows[0]] if rows else []
    faults = [*_header_faults(path.name, header)]
    if faults:
        raise FaultsError(faults)
    groups: dict[tuple[str, ...], float] = {}
    seen: dict[tuple[str, ...], int] = {}
    by = tuple(name for name in DIMENSIONS if name in header)
    if len(rows) > MAX_ROWS:
        must, found = f"must have at most {MAX_ROWS} rows", f"{len(rows) - 1}"
        raise FaultsError([Fault(path.name, must, found, "Add groups together.")])
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            must, found = f"must have {len(header)} cells, as the header", f"{len(cells)}"
            fix = "Put a value that holds the separator in quotes; write unknown for no value."
            faults.append(Fault(path.name, must, found, fix, row=number))
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        faults.extend(_value_faults(path.name, number, row, by))
        key = tuple(
            _SEX.get(row[name].lower(), row[name]) if "sex" in name else row[name] for name in by
        )
        if key in seen:
            fix = "Remove it, or add the two together."
            must = "each group must stand once"
            found = f"the group of row {seen[key]} again"
            faults.append(Fault(path.name, must, found, fix, row=number, reason="duplicate"))
        seen.setdefault(key, number)
        groups[key] = _number(row[PEOPLE]) or 0.0
    if not faults and not sum(groups.values()):
        must = "must count people in at least one group"
        faults.append(
            Fault(path.name, must, "none", "Give the people in each group.", column=PEOPLE)
        )
    if faults:
        raise FaultsError(faults)
    return Prevalence(by, groups)


def _header_faults(file: str, header: Sequence[str]) -> Iterator[Fault]:
    known = (*DIMENSIONS, PEOPLE)
    for name in header:
        if name not in known:
            fix = f"{did_you_mean(name, known)} Columns are {', '.join(known)}."
            yield Fault(file, "must have known columns only", repr(name), fix, row=1, column=name)
        elif header.count(name) > 1 and header.index(name) >= 0:
            yield Fault(file, "must name each column once", repr(name), "Remove one.", row=1)
    for needed, found in (
        (PEOPLE, PEOPLE in header),
        ("a column to group by", bool(set(header) & set(DIMENSIONS))),
    ):
        if not found:
            fix = f"A header looks like: {EXAMPLE}"
            yield Fault(
                file, f"must have {needed}", ", ".join(map(repr, header)) or "no header", fix, row=1
            )


def _value_faults(
    file: str, number: int, row: Mapping[str, str], by: Sequence[str]
) -> Iterator[Fault]:
    if _number(row[PEOPLE]) is None:
        fix = "Give a number of people without separators of thousands."
        yield Fault(file, "must be a number of at least 0", repr(row[PEOPLE]), fix, number, PEOPLE)
    for name in by:
        value = row[name]
        if not value:
            fix = f"Write {UNKNOWN} where the source does not tell."
            yield Fault(file, "must have a value", "an empty cell", fix, number, name)
        elif name == "region" and value != UNKNOWN and (problem := region_problem(value)):
            yield Fault(
                file,
                "must be a code of a region",
                f"{value!r}: {problem}",
                "Correct it.",
                number,
                name,
            )
        elif (
            name == "sex_ontology_term_id"
            and value.lower() not in (*_SEX, UNKNOWN)
            and value not in SEXES
        ):
            fix = f"Use {', '.join(_SEX)}, a term of PATO, or {UNKNOWN}."
            yield Fault(file, "must be a sex", repr(value), fix, number, name)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 and "_" not in text else None
