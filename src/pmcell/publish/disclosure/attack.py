"""Attack the published counts of withheld donors with nothing but the published tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import Fault
from pmcell.io.tables import read_table
from pmcell.publish.disclosure.bounds import bounds, table_sums
from pmcell.publish.disclosure.counts import CELL_TYPE, TIMES
from pmcell.publish.disclosure.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

FILE = "tables/cohort_counts.parquet"
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
    for (cohort_id, grouping), rows in counts.groupby(["cohort_id", "grouping"], sort=True):
        least = rules.of(str(cohort_id))
        found = _intervals(counts, rows, str(cohort_id), str(grouping), cohorts)
        for group, (low, high) in found.items():
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
        if found:
            suppressed[f"{cohort_id}: {grouping}"] = len(found)
    summary = {
        "method": "linear programs on all published totals (HiGHS)",
        "n_withheld_numbers": len(widths),
        "n_recovered": len(faults),
        "narrowest_interval": min(widths) if widths and np.isfinite(min(widths)) else None,
    }
    return Attacked(faults, suppressed, summary)


def group_faults(tables: Path, rules: Rules) -> Iterator[Fault]:
    """Shown groups of too few donors, and cohorts counted although they are too small."""
    counts = read_table(tables / "cohort_counts.parquet")
    for row in counts.itertuples():
        least = rules.of(row.cohort_id)
        if not np.isnan(_number(row.n_donors)) and _number(row.n_donors) < least:
            must = f"a shown group must have at least {least} donors"
            found = f"{row.cohort_id}, {row.grouping}, {row.group}: {row.n_donors}"
            yield Fault(FILE, must, found, FIX, column="n_donors", reason="few_donors")
    cohorts = read_table(tables / "cohorts.parquet")
    for row in cohorts[cohorts["access"] != "open"].itertuples():
        least = rules.of(row.cohort_id)
        if 0 < np.nan_to_num(_number(row.n_donors)) < least:
            must = f"a withheld cohort must have at least {least} donors to be counted"
            found = f"{row.cohort_id}: {row.n_donors}"
            yield Fault("tables/cohorts.parquet", must, found, FIX, reason="few_donors")


def _intervals(
    counts: pd.DataFrame,
    rows: pd.DataFrame,
    cohort_id: str,
    grouping: str,
    cohorts: pd.DataFrame,
) -> dict[str, tuple[float, float]]:
    """Interval of each withheld number of one grouping of a cohort."""
    if grouping == CELL_TYPE:
        return _of_list(rows, "n_cells", _number(cohorts.at[cohort_id, "n_cells"]))
    if TIMES not in grouping:
        return _of_list(rows, "n_donors", _number(cohorts.at[cohort_id, "n_donors"]))
    own = counts[counts["cohort_id"] == cohort_id]
    first, second = (_totals(own, name) for name in grouping.split(TIMES))
    return _of_table(rows, first, second)


def _of_list(rows: pd.DataFrame, column: str, total: float) -> dict[str, tuple[float, float]]:
    values = rows[column].astype("Float64").to_numpy(float, na_value=np.nan)
    hidden = np.flatnonzero(np.isnan(values))
    if not hidden.size:
        return {}
    sums = [] if np.isnan(total) else [(range(hidden.size), total - np.nansum(values))]
    found = bounds(hidden.size, sums)
    groups = rows["group"].to_numpy(object)[hidden]
    return {str(name): (low, high) for name, (low, high) in zip(groups, found, strict=True)}


def _of_table(
    rows: pd.DataFrame, first: Mapping[str, float], second: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    shape = (len(first), len(second))
    values = np.full(shape, np.nan)
    names = [(one, two) for one in first for two in second]
    place = {TIMES.join(pair): np.unravel_index(n, shape) for n, pair in enumerate(names)}
    for group, number in zip(rows["group"], rows["n_donors"], strict=True):
        values[place[group]] = _number(number)
    withheld = np.isnan(values)
    if not withheld.any():
        return {}
    totals = [*first.values(), *second.values()]
    shown = np.nan_to_num(values)
    known = [*shown.sum(axis=1), *shown.sum(axis=0)]
    members = [members for members, _ in table_sums(withheld, shown)]
    sums = [
        (positions, total - told)
        for positions, total, told in zip(members, totals, known, strict=True)
    ]
    found = bounds(int(withheld.sum()), sums)
    hidden = [TIMES.join(pair) for pair, gone in zip(names, withheld.ravel(), strict=True) if gone]
    return {name: (low, high) for name, (low, high) in zip(hidden, found, strict=True)}


def _totals(own: pd.DataFrame, column: str) -> dict[str, float]:
    rows = own[own["grouping"] == column]
    return {str(row.group): _number(row.n_donors) for row in rows.itertuples()}


def _number(value: Any) -> float:
    import pandas as pd

    return np.nan if value is None or pd.isna(value) else float(value)
