"""Numbers that are published again: whom a release and earlier ones tell apart by them.

Beside the groups of `cohort_counts` a release says how many cells and samples a cohort has, and how
many donors of all cohorts entered a test. Each is subtracted from that of an earlier release: a
donor whose value was corrected is one more in a test, and the cells of those who left may be
those of one of them.
"""

from __future__ import annotations

from pathlib import Path

from pmcell.io.tables import read_table
from pmcell.io.verdict import read_verdict
from pmcell.publish.disclosure.counted import (
    ALL,
    TOTALS,
    USED,
    Counted,
    Groups,
    counted_people,
)
from pmcell.publish.disclosure.counts import known_before
from pmcell.publish.disclosure.donors import described_donors, donors_with_cells
from pmcell.publish.disclosure.hidden import Hidden
from pmcell.publish.facts import Cohort, Facts


def told_again(facts: Facts, hidden: Hidden) -> dict[str, frozenset[str]]:
    """What may not be told again of each cohort, and of `ALL` of them, beside earlier releases."""
    known = known_before(facts)
    if known is None:
        return {}
    now: dict[str, Counted] = {
        cohort.cohort_id: {TOTALS: _everyone(cohort)} for cohort in facts.withheld
    }
    now[ALL] = _tested(hidden, _columns(hidden))
    return {
        name: frozenset(
            grouping
            for grouping, _ in known.told(
                name, counted, hidden.rules.strictest if name == ALL else hidden.rules.of(name)
            )
        )
        for name, counted in now.items()
    }


def published_people(facts: Facts, folder: Path, hidden: Hidden) -> dict[str, dict[str, Groups]]:
    """The withheld donors behind each number of a release, as it was written.

    Parameters
    ----------
    facts
        What is released.
    folder
        The release.
    hidden
        Who is withheld.
    """
    tables = folder / "tables"
    counts = read_table(tables / "cohort_counts.parquet")
    cohorts = read_table(tables / "cohorts.parquet").set_index("cohort_id")
    found: dict[str, dict[str, Groups]] = {}
    for cohort in facts.withheld:
        name = cohort.cohort_id
        rows = counts[counts["cohort_id"] == name]
        found[name] = counted_people(rows, described_donors(facts, cohort))
        if cohorts.loc[name, ["n_cells", "n_samples", "n_cells_submitted"]].notna().any():
            found[name][TOTALS] = _everyone(cohort)
    tested = set(read_table(tables / "associations.parquet", ["covariate"])["covariate"])
    told = read_verdict(folder / "strata.json")
    if told.n_donors or (told.existence and told.existence.n_donors):
        tested.add(USED)
    if len(read_table(tables / "outcomes.parquet", ["n_donors"])):
        tested.add(USED)
    return {**found, ALL: _tested(hidden, tested)} if tested else found


def _everyone(cohort: Cohort) -> Groups:
    return {"": frozenset(map(str, donors_with_cells(cohort).index))}


def _columns(hidden: Hidden) -> set[str]:
    return {USED, *(str(name) for frame in hidden.of_cohort.values() for name in frame.columns)}


def _tested(hidden: Hidden, names: set[str]) -> dict[str, Groups]:
    """The donors in a test by each column: those with a value, or all who were used."""
    if hidden.is_few(len(hidden.used)) or not hidden.used:
        return {}
    found: dict[str, Groups] = {}
    for name in sorted(names):
        known = None if name == USED else hidden.known(name)
        found[USED if known is None else name] = {"": hidden.used if known is None else known}
    return found
