"""Donors of a cohort as they are counted: those with cells, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.io.tables import read_table
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema.fields import DONOR_FACTS
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SINGLE = (*DONOR_FACTS, "stratum")
"""Properties by which donors are counted."""
NOT_ASSIGNED = "not assigned"


def described_donors(facts: Facts, cohort: Cohort) -> pd.DataFrame:
    """`donors_with_cells`, with the stratum of each where strata are published."""
    donors = donors_with_cells(cohort)
    if facts.has_strata:
        donors["stratum"] = _strata_of(facts, donors)
    return donors


def donors_with_cells(cohort: Cohort) -> pd.DataFrame:
    """Registered donors of a cohort (index donor_id) with cells that passed QC."""
    used = cohort.sample_counts.query("n_cells > 0")["donor_id"].unique()
    donors = read_table(cohort.folder / "donors.parquet").set_index("donor_id")
    return donors.loc[sorted(used)]


def _strata_of(facts: Facts, donors: pd.DataFrame) -> np.ndarray:
    """The stratum of each donor's first visit that has one."""
    placed = read_table(facts.results / "strata" / "assignments.parquet")
    placed = placed.dropna(subset=["stratum"]).drop_duplicates("donor_id").set_index("donor_id")
    found = placed["stratum"].reindex(donors.index)
    labels: np.ndarray = text_array(found, missing=NOT_ASSIGNED)
    return labels
