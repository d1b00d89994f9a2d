"""Attack the published counts of withheld donors with nothing but the published tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell import schema
from pmcell.errors import Fault
from pmcell.io.tables import read_table
from pmcell.publish.disclosure.bounds import bounds
from pmcell.publish.disclosure.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

FILE = "tables/cohort_counts.parquet"
CELL_TYPE = schema.CELL_TYPE.name
TIMES = " × "
N_ALL = ("n_donors", "n_cells")

Intervals = dict[tuple[str, str], tuple[float, float]]
"""Grouping and group of a withheld number → least and greatest value."""

FIX = "Withhold more groups of the table, or merge them."


@dataclass(frozen=True)
class Attacked:
    """What the attacker got: faults, counts of withheld numbers, and a summary."""

    faults: list[Fault]
    suppressed: dict[str, int]
    summary: dict[str, Any]


def attack_counts(tables: Path, rules: Rules) -> Attacked:
    """Least and greatest value of every withheld number, from all totals that are published."""
    counts = read_table(tables / "cohort_counts.parquet")
    cohorts = read_table(tables / "cohorts.parquet").set_index("cohort_id")
    faults: list[Fault] = []
    widths: list[float] = []
    suppressed: dict[str, int] = {}
    for cohort_id, own in counts.groupby("cohort_id", sort=True):
        least = rules.of(str(cohort_id))
        n_donors, n_cells = (_number(cohorts.at[cohort_id, name]) for name in N_ALL)
        found = _intervals(own, n_donors, n_cells)
        for (grouping, group), (low, high) in found.items():
            key = f"{cohort_id}: {grouping}"
            suppressed[key] = suppressed.get(key, 0) + 1
            widths.append(high - low)
            if high - low < least:
                faults.append(
                    Fault(
                        FILE,
                        "a withheld number must not follow from published totals more closely "
                        f"than {least}",
                        f"{cohort_id}, {grouping}, {group}: between {low:.0f} and {high:.0f}",
                        FIX,
                        reason="recovered",
                    )
                )
    summary = {
        "method": "linear programs on all published totals (HiGHS)",
        "n_withheld_numbers": len(widths),
        "n_recovered": len(faults),
        "narrowest_interval": min(widths) if widths and np.isfinite(min(widths)) else None,
    }
    return Attacked(faults, suppressed, summary)


def small_group_faults(tables: Path, rules: Rules) -> Iterator[Fault]:
    """Shown groups of too few donors."""
    counts = read_table(tables / "cohort_counts.parquet")
    for row in counts.itertuples():
        least = rules.of(row.cohort_id)
        if not np.isnan(_number(row.n_donors)) and _number(row.n_donors) < least:
            must = f"a shown group must have at least {least} donors"
            found = f"{row.cohort_id}, {row.grouping}, {row.group}: {row.n_donors}"
            yield Fault(FILE, must, found, FIX, column="n_donors", reason="few_donors")


def small_cohort_faults(tables: Path, rules: Rules) -> Iterator[Fault]:
    """Cohorts without open access that are counted although they are too small."""
    cohorts = read_table(tables / "cohorts.parquet")
    for row in cohorts[cohorts["access"] != "open"].itertuples():
        least = rules.of(row.cohort_id)
        if 0 < np.nan_to_num(_number(row.n_donors)) < least:
            must = f"a withheld cohort must have at least {least} donors to be counted"
            found = f"{row.cohort_id}: {row.n_donors}"
            yield Fault("tables/cohorts.parquet", must, found, FIX, reason="few_donors")


def _intervals(own: pd.DataFrame, n_donors: float, n_cells: float) -> Intervals:
    """Interval of each withheld number of a cohort."""
    found: Intervals = {}
    for grouping, rows in own.groupby("grouping", sort=True):
        if grouping == CELL_TYPE:
            found |= _of_list(rows, "n_cells", n_cells)
        elif TIMES not in str(grouping):
            found |= _of_list(rows, "n_donors", n_donors)
    return found | _of_pairs(own)


def _of_list(rows: pd.DataFrame, column: str, total: float) -> Intervals:
    values = rows[column].astype("Float64").to_numpy(float, na_value=np.nan)
    hidden = np.flatnonzero(np.isnan(values))
    if not hidden.size:
        return {}
    sums = [] if np.isnan(total) else [(range(hidden.size), total - np.nansum(values))]
    ends = bounds(hidden.size, sums)
    keys = rows[["grouping", "group"]].to_numpy(str)[hidden]
    return {(key[0], key[1]): (low, high) for key, (low, high) in zip(keys, ends, strict=True)}


def _of_pairs(own: pd.DataFrame) -> Intervals:
    """All pairs at once: the unknowns are the groups of all properties that enter one.

    Tables that share properties are one system: what each keeps to itself may
    follow from all of them.
    """
    pairs = own[own["grouping"].str.contains(TIMES, regex=False)]
    if pairs.empty or pairs["n_donors"].notna().all():
        return {}
    names = sorted({name for pair in pairs["grouping"].unique() for name in pair.split(TIMES)})
    singles = own[own["grouping"].isin(names)]
    groups = {name: list(singles.loc[singles["grouping"] == name, "group"]) for name in names}
    shape = tuple(len(groups[name]) for name in names)
    positions = np.arange(int(np.prod(shape))).reshape(shape)

    def members(grouping: str, group: str) -> list[int]:
        told = dict(zip(grouping.split(TIMES), group.split(TIMES), strict=True))
        place = tuple(
            groups[name].index(told[name]) if name in told else slice(None) for name in names
        )
        cells: list[int] = np.atleast_1d(positions[place]).ravel().tolist()
        return cells

    counted = own[own["grouping"].isin({*names, *pairs["grouping"]})]
    numbers = [
        (str(row.grouping), str(row.group), _number(row.n_donors)) for row in counted.itertuples()
    ]
    sums = [(members(one, two), number) for one, two, number in numbers if not np.isnan(number)]
    asked = [(one, two) for one, two, number in numbers if np.isnan(number) and TIMES in one]
    ends = bounds(positions.size, sums, [members(*key) for key in asked])
    return {key: (low, high) for key, (low, high) in zip(asked, ends, strict=True)}


def _number(value: Any) -> float:
    import pandas as pd

    return np.nan if value is None or pd.isna(value) else float(value)
