"""What strata and other groups of donors differ in, as published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.io.tables import empty_table, read_table
from pmcell.publish.facts import Facts
from pmcell.schema import table as schema_table

if TYPE_CHECKING:
    import pandas as pd

STRATUM = "stratum"


def explanation_frame(facts: Facts, name: str) -> pd.DataFrame:
    """A table of what groups differ in; no rows where donors of any cohort are withheld.

    Effects in thousands of genes tell whether a person was among the donors, at
    any number of donors that a cohort has, so no threshold on donors would do. Rows that
    name strata need published strata.
    """
    table = schema_table(name)
    if facts.withheld:
        return empty_table(table)
    frame = read_table(facts.results / "strata" / f"{name}.parquet")[
        [item.name for item in table.fields]
    ]
    if facts.has_strata:
        return frame
    if STRATUM in frame:
        return frame.iloc[:0]
    told = frame["contrast"] != STRATUM
    # That strata were not compared, and why, names none of them.
    return frame[told | (frame["level"] == "all")]
