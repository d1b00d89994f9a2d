"""Gather faults: each is named once, equal ones together, and no kind hides the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pmcell.errors import Fault

MAX_OF_A_KIND = 20
MAX_ROWS_NAMED = 5


def gather(faults: Iterable[Fault]) -> list[Fault]:
    """Faults without repeats, in the order of the first of each.

    Faults that differ in nothing but the row become one that counts the rows
    and names the first; of faults that differ only in what was found, the
    first 20 stay, and one more says how many there are.
    """
    rows: dict[Fault, list[int]] = {}
    for fault in faults:
        own = rows.setdefault(replace(fault, row=None), [])
        if fault.row is not None and fault.row not in own[-1:]:
            own.append(fault.row)
    kinds: dict[tuple[str, ...], list[Fault]] = {}
    for fault, lines in rows.items():
        alike = (fault.file, fault.column or "", fault.must, fault.severity, fault.reason)
        kinds.setdefault(alike, []).append(_at_rows(fault, lines))
    return [fault for alike in kinds.values() for fault in _few(alike)]


def _at_rows(fault: Fault, lines: list[int]) -> Fault:
    if not lines:
        return fault
    found = fault.found
    if len(lines) > 1:
        named = ", ".join(map(str, lines[:MAX_ROWS_NAMED]))
        more = ", …" if len(lines) > MAX_ROWS_NAMED else ""
        found = f"{found} in {len(lines):,} rows ({named}{more})"
    return replace(fault, found=found, row=lines[0])


def _few(alike: list[Fault]) -> list[Fault]:
    if len(alike) <= MAX_OF_A_KIND:
        return alike
    rest = alike[MAX_OF_A_KIND:]
    found = f"{len(rest):,} more like these, such as {rest[0].found}"
    return [*alike[:MAX_OF_A_KIND], replace(rest[0], found=found)]
