"""Clinical values of published cohorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.io.tables import join_tables, read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.schema import MEASUREMENTS

if TYPE_CHECKING:
    import pandas as pd


def measurements_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """Clinical values of published cohorts; none of a cohort that was taken in without any."""
    paths = (cohort.folder / "measurements.parquet" for cohort in facts.published)
    return join_tables((read_table(path) for path in paths if path.is_file()), MEASUREMENTS)
