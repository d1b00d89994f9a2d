"""What changed since the visit before, and how much of that counting cells alone can make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pmcell.dossier.model import Change, Interval, Movement, Repeats
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
CELL_TYPE = "cell type"
"""Kind of the rows of `followup` that are about a share."""


def in_order(visits: pd.DataFrame) -> list[str]:
    """The person's visits: by day where every day is known, else as the table has them."""
    if visits["visit_day"].notna().all():
        visits = visits.sort_values("visit_day", kind="stable")
    return [str(name) for name in visits["visit"]]


def changes(
    before: pd.DataFrame, now: pd.DataFrame, *, repeats: Mapping[str, Repeats] | None = None
) -> tuple[Change, ...]:
    """Difference of each share between two visits, the largest first.

    Parameters
    ----------
    before, now
        Rows of `composition` of the two visits.
    repeats
        The change of each type against the noise of repeats, where that is known.

    Returns
    -------
    tuple of Change
        Of the types that were looked for at both. The interval is Newcombe's hybrid score
        interval of a difference of proportions (doi:10.1002/(SICI)1097-0258(19980430)17:8<873,
        method 10): of counting cells only, not of days, handling or the laboratory.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    first, second = (
        dict(zip(as_text(rows["cell_type"]), rows["n_cells"].astype(int), strict=True))
        for rows in (before, now)
    )
    n_first, n_second = sum(first.values()), sum(second.values())
    if not n_first or not n_second:
        return ()
    found = []
    for name in sorted({*first} & {*second}):
        low, high = confint_proportions_2indep(
            *(second[name], n_second, first[name], n_first),
            method="newcomb",
            compare="diff",
            alpha=1 - CONFIDENCE,
        )
        was, is_ = first[name] / n_first, second[name] / n_second
        interval = Interval(float(low), float(high))
        is_more = interval.low > 0 or interval.high < 0
        against = (repeats or {}).get(name)
        found.append(Change(name, was, is_, is_ - was, interval, is_more, against))
    return tuple(sorted(found, key=lambda item: (-abs(item.difference), item.cell_type)))


def repeats_of(rows: pd.DataFrame, visit: str, previous_visit: str) -> dict[str, Repeats]:
    """The change of each cell type against the noise of repeats, from the table `followup`."""
    is_step = (rows["visit"] == visit) & (rows["previous_visit"] == previous_visit)
    chosen = rows[is_step & (rows["kind"] == CELL_TYPE)]
    return {
        str(row.quantity): Repeats(
            str(row.verdict),
            float(row.change),
            _number(row.change_limit),
            str(row.change_unit),
            str(row.noise_source),
            None if (n := _number(row.noise_donors)) is None else int(n),
        )
        for row in chosen.itertuples()
    }


def movement_of(rows: pd.DataFrame, visit: str) -> Movement | None:
    """The row of the table `movement` that tells of the step to this visit."""
    own = rows[rows["visit"] == visit]
    if own.empty:
        return None
    row = own.iloc[0]
    return Movement(
        str(row["previous_visit"]),
        float(row["moved"]),
        _number(row["moved_by_chance"]),
        _number(row["p_value"]),
        bool(row["same_batch"]),
        _text(row["stratum"]),
        _text(row["previous_stratum"]),
    )


def _number(value: object) -> float | None:
    import pandas as pd

    return None if pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload]


def _text(value: object) -> str:
    import pandas as pd

    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]
