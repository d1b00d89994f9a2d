"""Who is shown one by one: the people of open cohorts, by what their rows say.

The register keeps it of each release, because an open cohort may be closed later: its rows are out
then, and what is counted of it afterwards can be held against them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.io.tables import read_table
from pmcell.publish.disclosure.counted import (
    PLACED,
    STRATUM,
    TOTALS,
    USED,
    Groups,
    known_value,
    of_labels,
)
from pmcell.publish.disclosure.donors import SINGLE, described_donors
from pmcell.publish.disclosure.hidden import TOO_FEW_CELLS
from pmcell.publish.facts import Facts
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd


def shown_people(facts: Facts) -> dict[str, dict[str, Groups]]:
    """The donors of each open cohort by every grouping that counts people of a closed one."""
    rows = read_table(
        facts.results / "strata" / "assignments.parquet", ["donor_id", "stratum", "status"]
    )
    found: dict[str, dict[str, Groups]] = {}
    for cohort in facts.published:
        donors = described_donors(facts, cohort)
        donors.index = as_text(donors.index)
        own = rows[as_text(rows["donor_id"], missing="").str.startswith(cohort.prefix)]
        labelled = own.dropna(subset=["stratum"])
        columns = [str(name) for name in donors.columns]
        found[cohort.cohort_id] = {
            TOTALS: {"": frozenset(donors.index)},
            PLACED: {"": _donors_of(own, donors)},
            USED: {"": _donors_of(own[own["status"] != TOO_FEW_CELLS], donors)},
            STRATUM: {
                str(name): _donors_of(group, donors)
                for name, group in (labelled.groupby("stratum") if facts.has_strata else ())
            },
            **{name: of_labels(donors[name]) for name in SINGLE if name in columns},
            **{known_value(name): {"": _known(donors[name])} for name in columns},
        }
    return found


def _donors_of(rows: pd.DataFrame, donors: pd.DataFrame) -> frozenset[str]:
    return frozenset(map(str, rows["donor_id"])) & frozenset(donors.index)


def _known(values: pd.Series) -> frozenset[str]:
    return frozenset(values.index[values.notna() & ~values.isin([UNKNOWN, ""])])
