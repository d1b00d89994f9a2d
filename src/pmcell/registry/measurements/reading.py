"""One value as a file of a clinic or a phone gives it, and what reading such files shares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.measurements.units import SeenUnits
from pmcell.schema import UNKNOWN

CLINIC, PERSON, DEVICE = "clinic", "person", "device"
SOURCES = (CLINIC, PERSON, DEVICE)
"""Who made a value: a clinic or laboratory, the person, or a device that measures by itself."""

COMPARATORS = ("<", "<=", ">=", ">")
"""What stands before a value beyond what the method can tell."""


@dataclass(frozen=True)
class Reading:
    """One value: whose, when (as the clock showed where it was taken), what, how much.

    `subject` is '' where the file names nobody; `has_time` tells a time from a date alone;
    `file` and `path` say where it stands.
    """

    subject: str
    when: datetime
    has_time: bool
    loinc: str
    value: float
    unit: str
    source: str
    comparator: str
    file: str
    path: str


MAX_FAULTS = 500
"""Faults after which a file is not read further: it is another kind of file."""


@dataclass
class Found:
    """What files hold: readings, everything that is wrong, and what was left out and why.

    `n_before` is the number of faults of the files before the one that is read.
    """

    readings: list[Reading] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    n_before: int = 0
    units: SeenUnits = field(default_factory=SeenUnits)
    entries: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def is_again(self, subject: str, name: Any, node: Mapping[str, Any], place: Place) -> bool:
        """Whether an entry of this id was read already; a fault where that was another version.

        Exports overlap, and a server may send all versions of one entry: a value that stands twice
        would pass for a repeat, without any noise.
        """
        if not isinstance(name, str) or not name:
            return False
        content = {key: value for key, value in node.items() if key != "meta"}
        known = self.entries.setdefault((subject, name), content)
        if known is content:
            return False
        if known == content:
            self.left_out["an entry that is there already, by its id"] += 1
        else:
            must, seen = "an entry must be there in one version", f"two of {name!r}"
            fix = "Export the present version alone, or remove the older one."
            self.faults.append(place.at("id").fault(must, seen, fix))
        return True

    @property
    def is_hopeless(self) -> bool:
        """Whether the file that is read has more faults than anybody would correct."""
        return len(self.faults) - self.n_before > MAX_FAULTS


@dataclass(frozen=True)
class Place:
    """Where in a file something stands; `line` is that of an entry of one line (NDJSON)."""

    file: str
    path: str = ""
    line: int | None = None

    def at(self, *keys: str | int) -> Place:
        """Return a place below this one."""
        path = self.path
        for key in keys:
            path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
        return Place(self.file, path, self.line)

    def fault(self, must: str, found: str, fix: str, reason: str = "measurement") -> Fault:
        """Return the fault of this place."""
        return Fault(
            self.file,
            must,
            found[:120],
            fix,
            row=self.line,
            column=self.path or None,
            reason=reason,
        )


def number_at(node: Mapping[str, Any], key: str) -> float | None:
    """Return a finite number; None for anything else, texts and booleans among it."""
    value = node.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def mapping_at(node: Any, key: str) -> dict[str, Any]:
    """Return the mapping under a key; an empty one where there is none."""
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}


def list_at(node: Any, key: str) -> list[Any]:
    """Return the list under a key; an empty one where there is none."""
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, list) else []


_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def moment_of(text: Any) -> tuple[datetime, bool] | None:
    """Return the moment that a text gives, by the clock of its own place, and if it has a time.

    The offset to UTC is left aside: a day of a person's life is the day that their clock showed.

    Examples
    --------
    >>> moment_of("2024-03-31T23:30:00+02:00")
    (datetime.datetime(2024, 3, 31, 23, 30), True)
    >>> moment_of("2024-03") is None
    True
    """
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day), False
        if not _DATE.match(text) or "T" not in text:
            return None
        return datetime.fromisoformat(text).replace(tzinfo=None), True
    except ValueError:
        return None


NO_SOURCE = UNKNOWN
"""The source of a reading of which the file does not tell who made it."""
