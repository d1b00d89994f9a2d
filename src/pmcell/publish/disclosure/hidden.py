"""Which donors of cohorts without open access are behind each published aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.io.tables import read_table
from pmcell.publish.disclosure.counts import donors_with_cells
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

    def n_known(self, column: str) -> int | None:
        """How many used withheld donors have a known value; None for what is no fact of donors."""
        known = 0
        for frame in self.of_cohort.values():
            if column not in frame:
                return None
            values = frame[column][[donor in self.used for donor in frame.index]]
            known += int((values.notna() & ~values.isin([UNKNOWN, ""])).sum())
        return known

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


def shown_verdict(facts: Facts, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The strata step's verdict without numbers from which a small withheld group follows.

    Reasons in words that count donors go, as do counts of visits. Numbers of
    donors stay only when the withheld donors who were not placed or not used
    are none or enough.
    """
    if not facts.withheld:
        return dict(verdict)
    hidden = hidden_donors(facts)
    left_out = (len(hidden.donors - hidden.used), len(hidden.placed - hidden.used))
    drop = {"visits", "n_visits", "n_donors_used", "consensus_histogram", "stability"}
    if any(hidden.is_few(number) for number in left_out):
        drop.add("n_donors")
    kept = {key: value for key, value in verdict.items() if key != "generalisation"}
    shown: dict[str, Any] = _without(kept, drop)
    if "not_tested" in shown:
        shown["not_tested"] = dict.fromkeys(shown["not_tested"], "not shown")
    if shown.get("adjusted"):
        shown["adjusted"] = _adjusted(shown["adjusted"], verdict["adjusted"], verdict)
    if "generalisation" in verdict:
        shown["generalisation"] = _generalisation(facts, hidden, verdict["generalisation"])
    return shown


def shown_associations(facts: Facts, frame: pd.DataFrame) -> pd.DataFrame:
    """Tests whose number of donors does not tell of a few withheld ones, in them or left out."""
    if not facts.withheld or frame.empty:
        return frame
    hidden = hidden_donors(facts)
    n_used = len(hidden.used)
    if any(hidden.is_few(number) for number in (n_used, len(hidden.donors) - n_used)):
        return frame.iloc[:0]
    n_all = frame["n_donors"].max()
    shown = []
    for covariate, n_donors in zip(frame["covariate"], frame["n_donors"], strict=True):
        n_known = hidden.n_known(str(covariate))
        if n_known is None:
            shown.append(n_donors == n_all)
        else:
            shown.append(not (hidden.is_few(n_known) or hidden.is_few(n_used - n_known)))
    return frame[shown]


def shown_outcomes(facts: Facts, frame: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of clinical outcomes; with withheld donors only those that all donors are in.

    Who has a value is known to the study alone: a comparison that leaves some
    donors out could tell that of a few.
    """
    if not facts.withheld or frame.empty:
        return frame
    hidden = hidden_donors(facts)
    n_used = len(hidden.used)
    if any(hidden.is_few(number) for number in (n_used, len(hidden.donors) - n_used)):
        return frame.iloc[:0]
    assigned = read_table(facts.results / "strata" / "assignments.parquet", ["donor_id", "status"])
    used = assigned[assigned["status"] != TOO_FEW_CELLS]
    kept = frame[frame["n_donors"] == used["donor_id"].nunique()]
    # Numbers of visits and events of withheld donors are not known to be large.
    notes = kept["note"].map(_without_numbers)
    return kept.assign(n_visits=None, n_events=None, refused="", note=notes)


def _without_numbers(note: str) -> str:
    """The parts of a note that count nobody."""
    return "; ".join(part for part in note.split("; ") if not any(c.isdigit() for c in part))


def _adjusted(
    shown: Mapping[str, Any], found: Mapping[str, Any], verdict: Mapping[str, Any]
) -> dict[str, Any]:
    """Adjusted strata where all used donors are in them, without their sizes.

    Who has the covariates is known to the study alone: strata of fewer donors, or why
    there are none, could tell of a few.
    """
    if found.get("n_donors") != verdict.get("n_donors_used") or found.get("refused"):
        why = "not shown: withheld donors took part"
        return {"adjust_for": list(found["adjust_for"]), "refused": why}
    return {key: value for key, value in shown.items() if key != "sizes"}


def _generalisation(facts: Facts, hidden: Hidden, found: Mapping[str, Any]) -> dict[str, Any]:
    """The check of strata in each batch or region, unless a few withheld donors are in one."""
    unit = str(found.get("unit"))
    by_group: dict[str, set[str]] = {}
    for cohort in facts.withheld:
        samples = read_table(cohort.folder / "samples.parquet").merge(
            read_table(cohort.folder / "donors.parquet").drop(columns="cohort_id", errors="ignore"),
            on="donor_id",
        )
        samples["cohort_id"] = cohort.cohort_id
        if unit not in samples:
            return {"unit": unit, "why": "not shown: withheld donors took part"}
        for group, rows in samples[samples["donor_id"].isin(hidden.used)].groupby(unit):
            by_group.setdefault(str(group), set()).update(rows["donor_id"])
    if any(hidden.is_few(len(donors)) for donors in by_group.values()):
        return {"unit": unit, "why": "not shown: too few withheld donors in a group"}
    return dict(found)


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return value
