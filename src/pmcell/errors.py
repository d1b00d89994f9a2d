"""Errors that a person can act on.

Every fault that a user can cause is raised as one of these classes: it says
what must hold, what was found and where, and what to do. The command line
prints the sentence without a traceback and exits with the class's code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


class PmcellError(Exception):
    """Base of all errors shown to users without a traceback."""

    exit_code = 1


class UsageError(PmcellError):
    """The user's own call or configuration is wrong; exit code 2."""

    exit_code = 2


class DataError(PmcellError):
    """Data break the contract; exit code 3.

    `reason` is a short stable code (`not_counts`, `duplicate_barcodes`, …)
    that ends in a cohort's `status.json` when the cohort is quarantined.
    """

    exit_code = 3

    def __init__(self, message: str, *, reason: str = "data_contract") -> None:
        super().__init__(message)
        self.reason = reason

    def fault(self, file: str) -> Fault:
        """The sentence as a fault of a file, which its first clause names already.

        >>> str(DataError("a.csv, row 2, column 'x': must be 1, found '2'. Do it.").fault("a.csv"))
        "a.csv, row 2, column 'x': must be 1; found '2'. Do it."
        """
        place = re.match(rf"{re.escape(file)}(?:, row (\d+))?(?:, column '(.+?)')?: ", str(self))
        text = str(self)[place.end() if place else 0 :]
        row, column = place.groups() if place else (None, None)
        line = int(row) if row else None
        parts = re.match(r"(.*?)(?:; (?:found )?|, found )(.*?)(?:\. (.*)|\.?$)", text, re.DOTALL)
        must, found, fix = parts.groups("") if parts else ("must be readable", text.rstrip("."), "")
        return Fault(file, must, found, fix, line, column, reason=self.reason)


MAX_SHOWN = 500
"""Faults that a message lists: nobody reads a million, and a terminal takes minutes for them."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where it is, what must hold, what was found, what to do."""

    file: str
    must: str
    found: str
    fix: str
    row: int | None = None
    column: str | None = None
    severity: str = "error"
    reason: str = "invalid"

    def __str__(self) -> str:
        place = self.file
        is_yaml = self.file.endswith((".yaml", ".yml"))
        if self.row is not None:
            place += f", {'line' if is_yaml else 'row'} {self.row}"
        if self.column is not None:
            place += f", {self.column}" if is_yaml else f", column {self.column!r}"
        return f"{place}: {self.must}; found {self.found}. {self.fix}"


class FaultsError(DataError):
    """All faults of one file or cohort, collected and raised once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  - {fault}" for fault in self.faults[:MAX_SHOWN])
        if len(self.faults) > MAX_SHOWN:
            lines += f"\n  … and {len(self.faults) - MAX_SHOWN:,} more: correct these first"
        noun = "fault" if len(self.faults) == 1 else "faults"
        reason = self.faults[0].reason if self.faults else "data_contract"
        super().__init__(f"{len(self.faults)} {noun}:\n{lines}", reason=reason)
