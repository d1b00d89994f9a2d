"""Which donors of cohorts without open access are behind each published aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmcell.io.tables import read_table
from pmcell.publish.disclosure.donors import donors_with_cells
from pmcell.publish.disclosure.rules import Rules, rules_of
from pmcell.publish.facts import Facts
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

TOO_FEW_CELLS = "too_few_cells"


@dataclass(frozen=True)
class Hidden:
    """Withheld donors: registered facts of those with cells by cohort; those placed among the
    strata, of them those with enough cells to be used, and those of each published stratum."""

    of_cohort: Mapping[str, pd.DataFrame]
    placed: frozenset[str]
    used: frozenset[str]
    strata: Mapping[str, frozenset[str]]
    rules: Rules

    @property
    def donors(self) -> frozenset[str]:
        """All withheld donors with cells."""
        return frozenset(donor for frame in self.of_cohort.values() for donor in frame.index)

    def is_few(self, n_donors: int) -> bool:
        """Whether a group of so many withheld donors is too small to be told of."""
        return 0 < n_donors < self.rules.strictest

    def known(self, column: str) -> frozenset[str] | None:
        """The used withheld donors with a known value; None for what is no fact of donors."""
        known: set[str] = set()
        for frame in self.of_cohort.values():
            if column not in frame:
                return None
            values = frame[column][[donor in self.used for donor in frame.index]]
            known |= set(values.index[values.notna() & ~values.isin([UNKNOWN, ""])])
        return frozenset(known)

    def sets(self) -> dict[str, frozenset[str]]:
        """Aggregate → withheld donors behind it, for the register."""
        found = {
            f"cohort {name}": frozenset(frame.index)
            for name, frame in self.of_cohort.items()
            if len(frame) >= self.rules.of(name)
        }
        if not self.is_few(len(self.donors)) and self.donors:
            found["atlas"] = self.donors
        if not self.is_few(len(self.placed)) and self.placed:
            found["strata"] = self.placed
            for name, donors in self.strata.items():
                if not self.is_few(len(donors)):
                    found[f"stratum {name}"] = donors
        return found

    def least(self) -> dict[str, int]:
        """The least difference of each aggregate's donors to those of an earlier release."""
        return {
            name: self.rules.of(name.removeprefix("cohort "))
            if name.startswith("cohort ")
            else self.rules.strictest
            for name in self.sets()
        }


def hidden_donors(facts: Facts) -> Hidden:
    """Read who is withheld and where they enter."""
    rows = read_table(
        facts.results / "strata" / "assignments.parquet", ["donor_id", "stratum", "status"]
    )
    prefixes = tuple(cohort.prefix for cohort in facts.withheld)
    rows = rows[
        [str(donor).startswith(prefixes) for donor in rows["donor_id"]] if len(rows) else []
    ]
    used = rows[rows["status"] != TOO_FEW_CELLS]
    labelled = rows.dropna(subset=["stratum"])
    return Hidden(
        of_cohort={cohort.cohort_id: donors_with_cells(cohort) for cohort in facts.withheld},
        placed=frozenset(rows["donor_id"]),
        used=frozenset(used["donor_id"]),
        strata={
            str(name): frozenset(group["donor_id"])
            for name, group in (labelled.groupby("stratum") if facts.has_strata else ())
        },
        rules=rules_of(facts),
    )
