"""What is followed: shares of cell types and clinical variables, one number a donor and visit.

Shares are followed as log2 odds, whose sampling variance follows from the cells; variables as
they are, or as log2 where their programme says that changes are ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.settings.programme import Variable

CELL_TYPE, MEASUREMENT, PROFILE = "cell type", "measurement", "profile"
LOG_ODDS, DIFFERENCE, LOG_RATIO = "log2 odds ratio", "difference", "log2 ratio"
COLUMNS = (
    *("donor_id", "visit", "place", "day", "kind", "quantity", "unit", "change_unit"),
    *("value", "x", "sampling", "batch_id"),
)
"""`place` orders the visits of a donor; `x` is the value on the scale of its changes."""
PSEUDO = 0.5
LN2 = float(np.log(2))


def share_values(donors: AnnData) -> pd.DataFrame:
    """Shares of every cell type at each visit with enough cells."""
    import pandas as pd

    rows = np.flatnonzero(donors.obs[slots.ENOUGH].to_numpy(bool))
    counts = np.asarray(donors.X, np.float64)[rows]
    obs = donors.obs.iloc[rows]
    x, sampling = log_odds(counts)
    types = as_text(donors.var_names).to_numpy(object)
    kept = np.flatnonzero(types != UNKNOWN)
    day = obs["visit_day"].to_numpy(float) if "visit_day" in obs else np.full(len(obs), np.nan)
    n_types = kept.size
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    frame = pd.DataFrame(
        {
            "donor_id": np.repeat(as_text(obs["donor_id"]).to_numpy(object), n_types),
            "visit": np.repeat(as_text(obs["visit"]).to_numpy(object), n_types),
            "place": np.repeat(place_of(as_text(obs["donor_id"]).to_numpy(object), day), n_types),
            "day": np.repeat(day, n_types),
            "kind": CELL_TYPE,
            "quantity": np.tile(types[kept], len(rows)),
            "unit": "1",
            "change_unit": LOG_ODDS,
            "value": share[:, kept].ravel(),
            "x": x[:, kept].ravel(),
            "sampling": sampling[:, kept].ravel(),
            "batch_id": np.repeat(as_text(obs["batch_id"]).to_numpy(object), n_types),
        }
    )
    return frame[list(COLUMNS)]


def log_odds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log2 odds of each type's share (rows × types), and their sampling variance.

    Half a cell is added on each side, and the variance is 1/(x + ½) + 1/(n - x + ½) in squared
    nats: Gart & Zweifel 1967, doi:10.1093/biomet/54.1-2.181.
    """
    own = counts + PSEUDO
    rest = counts.sum(axis=1, keepdims=True) - counts + PSEUDO
    return np.log2(own / rest), (1 / own + 1 / rest) / LN2**2


def place_of(donor: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Place of each visit among its donor's: by day where all are known, else as they stand."""
    place = np.empty(donor.size)
    for name in dict.fromkeys(donor):
        own = np.flatnonzero(donor == name)
        known = np.isfinite(day[own]).all()
        order = np.argsort(day[own], kind="stable") if known else np.arange(own.size)
        place[own[order]] = np.arange(own.size)
    return place


def timed(measurements: pd.DataFrame, visits: pd.DataFrame, *, window: float) -> pd.DataFrame:
    """The measurements with the visit each belongs to, or a time point of its own.

    Parameters
    ----------
    measurements
        Rows of `schema.MEASUREMENTS`. Values that are only a limit of the method are left out.
    visits
        `donor_id`, `visit`, `visit_day` of every visit with cells.
    window
        A value without a visit belongs to the nearest visit at most so many days away.

    Returns
    -------
    The rows with `visit` filled (else 'day N'), and `day` where the visit's is known.
    """
    table = measurements[as_text(measurements["comparator"], missing="") == ""].copy()
    known = visits.dropna(subset=["visit_day"])
    days: dict[str, list[tuple[float, str]]] = {}
    day_of: dict[tuple[str, str], float] = {}
    for donor, visit, day in known[["donor_id", "visit", "visit_day"]].itertuples(index=False):
        days.setdefault(str(donor), []).append((float(day), str(visit)))
        day_of[str(donor), str(visit)] = float(day)
    names, moments = [], []
    for donor, visit, day in table[["donor_id", "visit", "day"]].itertuples(index=False):
        given = isinstance(visit, str) and visit not in ("", UNKNOWN)
        if given:
            names.append(str(visit))
            own = day_of.get((str(donor), str(visit)), np.nan)
            moments.append(own if np.isnan(day) else float(day))
            continue
        near = min(
            ((abs(float(day) - at), name) for at, name in days.get(str(donor), [])),
            default=(np.inf, ""),
        )
        names.append(near[1] if near[0] <= window else f"day {int(np.floor(day))}")
        moments.append(float(day))
    return table.assign(visit=names, day=moments)


def measured_values(
    table: pd.DataFrame,
    variables: Mapping[str, Variable],
    order: Mapping[tuple[str, str], float],
) -> pd.DataFrame:
    """Means of the values of each donor, quantity and time point of a `timed` table.

    `order` has the place of visits of which no day is known.
    """
    import pandas as pd

    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    table = table.assign(quantity=quantity_names(table))
    keys = ["donor_id", "quantity", "visit"]
    grouped = table.groupby(keys, sort=True, as_index=False).agg(
        value=("value", "mean"), day=("day", "mean"), unit=("unit", "first")
    )
    ratio = [name in variables and variables[name].scale == "ratio" for name in grouped["quantity"]]
    value = grouped["value"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(ratio, np.log2(value), value)
    place = np.full(len(grouped), np.nan)
    for _, own in grouped.groupby(["donor_id", "quantity"], sort=False):
        at = own.index.to_numpy()
        day = own["day"].to_numpy(float)
        if not np.isfinite(day).all():
            day = np.array(
                [order.get((r.donor_id, r.visit), np.nan) for r in own.itertuples()], float
            )
        # Time points whose order nobody knows have no place, and no change is told of them.
        if np.isfinite(day).all():
            place[at[np.argsort(day, kind="stable")]] = np.arange(at.size)
    frame = grouped.assign(
        place=place,
        kind=MEASUREMENT,
        change_unit=np.where(ratio, LOG_RATIO, DIFFERENCE),
        x=x,
        sampling=0.0,
        batch_id="",
    )
    return frame[np.isfinite(frame["x"])].reset_index(drop=True)[list(COLUMNS)]


def quantity_names(table: pd.DataFrame) -> Sequence[str]:
    """The programme's name of each value, or its LOINC code where no programme has one."""
    variable = as_text(table["variable"], missing="")
    code = as_text(table["loinc"])
    return [name or f"LOINC {other}" for name, other in zip(variable, code, strict=True)]
