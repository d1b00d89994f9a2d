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
    rows: dict[tuple[str | None, ...], list[int]] = {}
    first: list[Fault] = []
    for fault in faults:
        said = (fault.found, fault.fix)
        same = (fault.file, fault.column, fault.must, fault.severity, fault.reason, *said)
        own = rows.get(same)
        if own is None:
            own = rows[same] = []
            first.append(fault)
        if fault.row is not None and fault.row not in own[-1:]:
            own.append(fault.row)
    kinds: dict[tuple[str | None, ...], list[tuple[Fault, list[int]]]] = {}
    for fault, (alike, lines) in zip(first, rows.items(), strict=True):
        kinds.setdefault(alike[:5], []).append((fault, lines))
    return [fault for kind in kinds.values() for fault in _few(kind)]


def _at_rows(fault: Fault, lines: list[int]) -> Fault:
    if not lines:
        return fault
    found = fault.found
    if len(lines) > 1:
        named = ", ".join(map(str, lines[:MAX_ROWS_NAMED]))
        more = ", …" if len(lines) > MAX_ROWS_NAMED else ""
        found = f"{found} in {len(lines):,} rows ({named}{more})"
    return replace(fault, found=found, row=lines[0])


def _few(alike: list[tuple[Fault, list[int]]]) -> list[Fault]:
    """The first faults of a kind, and one for all others: of these nothing else is made."""
    named = alike[:MAX_OF_A_KIND] if len(alike) > MAX_OF_A_KIND else alike
    shown = [_at_rows(fault, lines) for fault, lines in named]
    if len(alike) > len(named):
        fault, lines = alike[len(named)]
        found = f"{len(alike) - len(named):,} more like these, such as {fault.found}"
        shown.append(replace(fault, found=found, row=lines[0] if lines else None))
    return shown
