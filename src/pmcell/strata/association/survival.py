"""Time to an event against strata: curves, log-rank, and Cox regression with its checks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import DataError
from pmcell.schema.text import as_text, text_array
from pmcell.strata.association.exposure import Exposure, exposure
from pmcell.strata.association.mixed import check_people, number
from pmcell.strata.association.outcomes import (
    COX,
    LOG_RANK,
    NAN,
    Refused,
    as_frame,
    refused_row,
    row,
)
from pmcell.strata.statistics.covariates import Design, design

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EVENTS_PER_PARAMETER = 10
MAX_COEFFICIENT = 10.0
"""A log hazard ratio (of a group or one standard deviation) beyond this has no maximum."""
NOT_PROPORTIONAL = 0.05
CURVE = {
    "stratum": "object",
    "time": "float64",
    "survival": "float64",
    "low": "float64",
    "high": "float64",
    "n_at_risk": "int64",
    "n_events": "int64",
}


def survival(
    donors: AnnData,
    *,
    people: pd.DataFrame,
    time: str,
    event: str,
    covariates: tuple[str, ...] = ("age", "sex"),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the time to an event between strata: log-rank, and Cox with covariates.

    `people` has one row a donor: donor_id, `time` (above 0, in any unit),
    `event` (1 where it happened, 0 where observation ended) and covariates.
    Ties by Efron. Cox is fitted only with at least 10 events for each
    parameter; else curves and log-rank remain, and `refused` says why. Where
    strata are withheld the axes enter Cox, and there are no curves. `ph_p` is
    the test of proportional hazards on scaled Schoenfeld residuals against the
    rank of time (Grambsch & Therneau 1994, doi:10.1093/biomet/81.3.515); at or
    below 0.05 `note` warns that the ratio is an average over time.

    Returns the columns of schema.OUTCOMES, and of schema.SURVIVAL: the
    Kaplan-Meier curve of each stratum with 95 % log-log intervals.

    Raises UsageError for a name that is no column or no number, DataError for
    times that are not above 0, events other than 0 and 1, rows of strangers,
    or two rows for a donor.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> people = donors.obs[["donor_id"]].assign(days=5.0, died=1)
    >>> survival(donors, people=people, time="days", event="died", covariates=())[0]["refused"][1]
    '8 events for 2 parameters, 20 are needed'
    """
    _check(donors, people, time, event)
    groups = exposure(donors)
    place = {name: index for index, name in enumerate(as_text(people["donor_id"]))}
    order = np.array([place.get(str(name), -1) for name in groups.donor], np.int64)
    own = people.iloc[np.maximum(order, 0)].reset_index(drop=True)
    times, events = number(own, time), number(own, event)
    known = np.isfinite(times) & np.isfinite(events) & (order >= 0)
    adjust = design(own.where(np.broadcast_to(known[:, None], own.shape)), covariates)
    rows = [_log_rank(event, times, events, groups, known)]
    rows += _cox(event, times, events, groups, adjust, known)
    return as_frame(rows), _curves(times, events, groups, known)


def _check(donors: AnnData, people: pd.DataFrame, time: str, event: str) -> None:
    check_people(donors, people)
    twice = as_text(people["donor_id"]).duplicated()
    if twice.any():
        name = people["donor_id"][twice.to_numpy()].iloc[0]
        raise DataError(
            f"survival needs one row a donor; {name} has several. Keep one.",
            reason="duplicate_donor",
        )
    times, events = number(people, time), number(people, event)
    for column, wrong, must in (
        (time, times <= 0, "be above 0"),
        (event, np.isfinite(events) & (events != 0) & (events != 1), "be 0 or 1"),
    ):
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{column!r} must {must}; {people['donor_id'].iloc[index]} has "
                f"{people[column].iloc[index]!r}. Correct it or leave it empty.",
                reason="survival",
            )


def _log_rank(
    name: str, times: Floats, events: Floats, groups: Exposure, known: Bools
) -> dict[str, Any]:
    from statsmodels.duration.survfunc import survdiff

    if groups.whole != "strata":
        why = "no strata are published: there are no groups to compare"
        return refused_row(name, LOG_RANK, "strata", why)
    why = groups.too_small(known) or ("" if events[known].any() else "nobody had the event")
    if why:
        return refused_row(name, LOG_RANK, "strata", why)
    try:
        _, p = survdiff(times[known], events[known], text_array(groups.label[known]))
    except np.linalg.LinAlgError:
        why = "no event is at a time when others of several strata were still observed"
        return refused_row(name, LOG_RANK, "strata", why)
    return row(
        outcome=name,
        model=LOG_RANK,
        term="strata",
        p_value=float(p),
        n_donors=int(known.sum()),
        n_events=int(events[known].sum()),
    )


def _cox(
    name: str, times: Floats, events: Floats, groups: Exposure, adjust: Design, known: Bools
) -> list[dict[str, Any]]:
    both = known & adjust.known
    x = np.column_stack([groups.columns[both], adjust.of(both)])
    try:
        why = groups.too_small(both)
        if why:
            raise Refused(why)
        n_events = int(events[both].sum())
        if n_events < EVENTS_PER_PARAMETER * x.shape[1]:
            raise Refused(
                f"{n_events} events for {x.shape[1]} parameters, "
                f"{EVENTS_PER_PARAMETER * x.shape[1]} are needed"
            )
        if np.unique(times[both]).size < 2:
            raise Refused("everybody has the same time")
        if np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), x])) <= x.shape[1]:
            raise Refused(
                "the strata and the covariates tell the same: their effects cannot be parted"
            )
        return _fit(name, times[both], events[both], x, groups, adjust)
    except Refused as reason:
        return [refused_row(name, COX, groups.whole, str(reason), adjust.used)]


def _fit(
    name: str, times: Floats, events: Floats, x: Floats, groups: Exposure, adjust: Design
) -> list[dict[str, Any]]:
    from scipy.stats import chi2, norm

    q = len(groups.terms)
    beta, covariance, full = cox(times, events, x)
    reduced = cox(times, events, x[:, q:])[2] if x.shape[1] > q else cox_null(times, events)
    p_each, p_all = proportional_hazards(times, events, x, beta, covariance, q)
    warning = "hazards are not proportional: the ratio is an average over time"
    noted = [warning] if min(p_all, *p_each) <= NOT_PROPORTIONAL else []
    common: dict[str, Any] = {
        "outcome": name,
        "model": COX,
        "n_donors": int(times.size),
        "n_events": int(events.sum()),
        "adjusted_for": adjust.used,
        "note": "; ".join([*noted, *adjust.notes]),
    }
    p = float(chi2.sf(max(2 * (full - reduced), 0.0), q))
    out = [row(term=groups.whole, p_value=p, ph_p=p_all, **common)]
    scale = "" if groups.whole == "strata" else " for one standard deviation"
    for index, term in enumerate(groups.terms):
        error = float(np.sqrt(covariance[index, index]))
        limits = np.exp(beta[index] + np.array([0.0, -1.0, 1.0]) * norm.ppf(0.975) * error)
        out.append(
            row(
                term=term,
                p_value=2 * float(norm.sf(abs(beta[index]) / error)),
                effect_name=f"hazard ratio{scale}",
                interval=(float(limits[0]), float(limits[1]), float(limits[2])),
                ph_p=p_each[index],
                **common,
            )
        )
    return out


def cox(times: Floats, events: Floats, x: Floats) -> tuple[Floats, Floats, float]:
    """Log hazard ratios, their covariance, and the log likelihood; ties by Efron."""
    from statsmodels.duration.hazard_regression import PHReg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = PHReg(times, x, status=events, ties="efron").fit(disp=0)
        except (np.linalg.LinAlgError, ValueError) as error:
            raise Refused(f"the model could not be fitted: {error}") from error
    beta, covariance = np.asarray(found.params, float), np.asarray(found.cov_params(), float)
    if not (np.isfinite(beta).all() and np.isfinite(covariance).all()) or (
        np.abs(beta).max() > MAX_COEFFICIENT or np.diag(covariance).max() > MAX_COEFFICIENT**2
    ):
        raise Refused("the fit has no maximum: a stratum or level has no event, or all of them")
    return beta, covariance, float(found.llf)


def cox_null(times: Floats, events: Floats) -> float:
    """Log likelihood without covariates, ties by Efron."""
    total = 0.0
    for when in np.unique(times[events == 1]):
        tied, at_risk = int(((times == when) & (events == 1)).sum()), int((times >= when).sum())
        total -= float(np.log(at_risk - np.arange(tied)).sum())
    return total


def proportional_hazards(
    times: Floats, events: Floats, x: Floats, beta: Floats, covariance: Floats, q: int
) -> tuple[list[float], float]:
    """p of each of the first q columns, and of all of them, for a ratio that changes with time."""
    from scipy.stats import chi2, rankdata

    residuals, when = _schoenfeld(times, events, x, beta)
    g = rankdata(when)
    g = g - g.mean()
    n, spread = when.size, float((g**2).sum())
    if spread == 0:
        return [NAN] * q, NAN
    scaled = n * residuals @ covariance
    drift = g @ scaled
    each = drift[:q] ** 2 / (n * np.diag(covariance)[:q] * spread)
    own = covariance[:q, :q]
    whole = float(drift[:q] @ np.linalg.solve(own, drift[:q])) / (n * spread)
    return [float(chi2.sf(value, 1)) for value in each], float(chi2.sf(whole, q))


def _schoenfeld(times: Floats, events: Floats, x: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Covariates of each event less their mean over those at risk, and the events' times."""
    weight = np.exp(x @ beta - (x @ beta).max())
    happened = np.flatnonzero(events == 1)
    happened = happened[np.argsort(times[happened], kind="stable")]
    at_risk = (times[None, :] >= times[happened][:, None]) * weight[None, :]
    mean = (at_risk @ x) / at_risk.sum(axis=1, keepdims=True)
    return x[happened] - mean, times[happened]


def kaplan_meier(times: Floats, events: Floats) -> dict[str, Floats]:
    """Curve at each event time: time, survival, low, high (95 %, log-log), n_at_risk, n_events."""
    from scipy.stats import norm
    from statsmodels.duration.survfunc import SurvfuncRight

    found = SurvfuncRight(times, events)
    s, error = np.asarray(found.surv_prob, float), np.asarray(found.surv_prob_se, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = norm.ppf(0.975) * error / (s * np.log(s))
        low, high = s ** np.exp(-reach), s ** np.exp(reach)
    inside = (s > 0) & (s < 1)
    return {
        "time": np.asarray(found.surv_times, float),
        "survival": s,
        "low": np.where(inside, low, s),
        "high": np.where(inside, high, s),
        "n_at_risk": np.asarray(found.n_risk, float),
        "n_events": np.asarray(found.n_events, float),
    }


def no_curves() -> pd.DataFrame:
    """schema.SURVIVAL without rows."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in CURVE.items()})


def _curves(times: Floats, events: Floats, groups: Exposure, known: Bools) -> pd.DataFrame:
    import pandas as pd

    parts = []
    if groups.whole == "strata" and not groups.too_small(known):
        for name in sorted(set(groups.label)):
            own = known & (groups.label == name)
            curve = kaplan_meier(times[own], events[own])
            parts.append(pd.DataFrame(curve).assign(stratum=name)[list(CURVE)])
    return pd.concat(parts, ignore_index=True).astype(CURVE) if parts else no_curves()
