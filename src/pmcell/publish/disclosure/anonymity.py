"""How well the published donors hide in the join of all that is published about them.

k: the smallest number of donors who look alike. l: the fewest diagnoses among
donors who look alike in everything else. Donors of open cohorts are shown as
their source published them, so k and l are reported, not altered; of other
cohorts no donor is shown, so there is nothing to join.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.tables import read_table
from pmcell.schema import DISEASE
from pmcell.schema.fields import DONOR_FACTS
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

SENSITIVE = DISEASE.name
OF_DONOR = ("region", *DONOR_FACTS)
JOINED = {
    "visits": ("visit_day", "condition"),
    "samples": ("tissue_ontology_term_id", "tissue_type"),
}
"""Columns of other tables that a stranger may know of a person; counts and scores are not."""


def anonymity(tables: Path) -> dict[str, dict[str, int]]:
    """k, l and the number of donors who stand alone, for each cohort with published donors."""
    joined = joined_columns(tables)
    return {
        str(cohort_id): _measured(group.drop(columns="cohort_id"))
        for cohort_id, group in joined.groupby("cohort_id", sort=True)
    }


def joined_columns(tables: Path) -> pd.DataFrame:
    """One row a published donor: cohort_id, columns of the donor, those of visits and samples.

    Values of several visits or samples are joined in sorted order.
    """
    donors = read_table(tables / "donors.parquet").set_index("donor_id")
    joined = as_text(donors[["cohort_id", *OF_DONOR]])
    for name, columns in JOINED.items():
        rows = read_table(tables / f"{name}.parquet").set_index("donor_id")
        for column in columns:
            values = (
                as_text(rows[column]).groupby(level=0).agg(lambda items: "|".join(sorted(items)))
            )
            joined[f"{name}.{column}"] = values.reindex(joined.index).fillna("")
    return joined


def smallest_class(frame: pd.DataFrame) -> int:
    """The fewest rows that are equal in all columns; 0 without rows."""
    return int(frame.value_counts(dropna=False).min()) if len(frame) else 0


def _measured(frame: pd.DataFrame) -> dict[str, int]:
    alone = frame.value_counts(dropna=False)
    rest = [column for column in frame.columns if column != SENSITIVE]
    diversity = frame.groupby(rest, dropna=False)[SENSITIVE].nunique()
    return {
        "n_donors": len(frame),
        "k": smallest_class(frame),
        "n_alone": int((alone == 1).sum()),
        "l": int(diversity.min()),
    }
