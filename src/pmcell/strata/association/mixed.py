"""Clinical numbers of repeated visits against strata: a random intercept for each donor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import DataError, UsageError
from pmcell.schema import VISIT_DAY
from pmcell.schema.text import as_text
from pmcell.spelling import plural
from pmcell.strata.association.exposure import Exposure, exposure
from pmcell.strata.association.outcomes import MIXED, Refused, as_frame, refused_row, row
from pmcell.strata.statistics.covariates import Design, design

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_REPEATED = 5
"""Donors with two values or more, below which a donor's own level cannot be told from noise."""
DAY = VISIT_DAY.name
N_SHARES = 100
"""Where the likelihood is looked at first: shares of the variance that lie between donors."""


def mixed_models(
    donors: AnnData,
    *,
    visits: pd.DataFrame,
    outcomes: tuple[str, ...],
    covariates: tuple[str, ...] = ("age", "sex"),
) -> pd.DataFrame:
    """Fit outcome ~ stratum + covariates + day of the visit + (1 | donor) for each outcome.

    `visits` has donor_id, the outcomes (numbers) and the covariates, one row a
    visit; visits need no cells. Donors have the stratum of their discovery
    visit; where labels are withheld, the first axes take its place. REML;
    p and 95 % intervals from t and F with the donors less the parameters that
    vary between donors as degrees of freedom, as strata do (Pinheiro & Bates
    2000, section 2.4.2). Rows with any unknown value are left out.

    Returns the columns of schema.OUTCOMES, q values within 'outcomes' (the whole
    comparison) and 'contrasts' (each stratum or axis). An outcome that cannot be
    tested has one row with the reason in `refused`: fewer than 5 donors with two
    values, a constant outcome, a stratum with fewer than 5 donors, a covariate
    that the strata already tell, visits of a donor that do not differ.

    Raises UsageError for a name that is no column or no number, DataError for
    visits of donors who are not in `donors`.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_visits=2, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> visits = donors.obs[["donor_id"]].assign(score=1.0)
    >>> mixed_models(donors, visits=visits, outcomes=("score",), covariates=())["refused"].item()
    'the outcome is the same in every visit'
    """
    known = check_people(donors, visits)
    groups = exposure(donors)
    place = {name: index for index, name in enumerate(groups.donor)}
    donor = as_text(visits["donor_id"]).map(lambda name: place.get(name, -1)).to_numpy(int)
    adjust = _adjustment(visits, covariates)
    rows: list[dict[str, Any]] = []
    for name in outcomes:
        values = number(visits, name, known)
        usable = np.isfinite(values) & (donor >= 0) & adjust.known
        try:
            rows += _fit(name, values[usable], donor[usable], groups, adjust, usable)
        except Refused as reason:
            rows.append(refused_row(name, MIXED, groups.whole, str(reason), adjust.used))
    return as_frame(rows)


def check_people(donors: AnnData, table: pd.DataFrame) -> set[str]:
    """The donors' ids; DataError naming rows of `table` about nobody among them."""
    if "donor_id" not in table:
        raise UsageError(
            f"the clinical table must have a column donor_id; it has {list(table.columns)}"
        )
    known = set(as_text(donors.obs["donor_id"]))
    strangers = sorted(set(as_text(table["donor_id"])) - known)
    if strangers:
        raise DataError(
            f"every row must be about a donor of the study; {len(strangers)} ids are not: "
            f"{', '.join(strangers[:5])}{' …' if len(strangers) > 5 else ''}. Ids are "
            "'<cohort>:<donor>' as in tables/donors. Correct them or leave the rows out.",
            reason="unknown_donor",
        )
    return known


def number(table: pd.DataFrame, name: str, known: set[str] | None = None) -> Floats:
    """A column of numbers, NaN where unknown; UsageError where it is missing or is text."""
    import pandas as pd

    if name not in table:
        raise UsageError(
            f"outcomes must be columns of the clinical table; {name!r} is none of "
            f"{sorted(map(str, table.columns))}"
        )
    values = pd.to_numeric(table[name].replace({"": None, "unknown": None}), errors="coerce")
    text = table[name].notna() & values.isna() & ~as_text(table[name]).isin(["", "unknown"])
    if text.any():
        where = int(np.flatnonzero(text.to_numpy())[0])
        raise UsageError(
            f"{name!r} must hold numbers; row {where + 1} has {table[name].iloc[where]!r}"
        )
    return np.asarray(values, np.float64)


def _adjustment(visits: pd.DataFrame, covariates: tuple[str, ...]) -> Design:
    """The covariates, and the day of the visit where every visit has one."""
    names = covariates
    if DAY in visits and DAY not in names and visits[DAY].notna().all() and len(visits):
        names = (*covariates, DAY)
    return design(visits, names)


def _fit(
    name: str, values: Floats, donor: NDArray[np.int64], groups: Exposure, adjust: Design, of: Bools
) -> list[dict[str, Any]]:
    counts = np.bincount(donor, minlength=groups.donor.size)
    repeated = int((counts >= 2).sum())
    if repeated < MIN_REPEATED:
        raise Refused(
            f"{plural(repeated, 'donor has', 'donors have')} two visits or more with all values, "
            f"{MIN_REPEATED} are needed"
        )
    if np.ptp(values) == 0:
        raise Refused("the outcome is the same in every visit")
    why = groups.too_small(counts > 0)
    if why:
        raise Refused(why)
    extra = adjust.of(of)
    x = np.column_stack([np.ones(values.size), groups.columns[donor], extra])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise Refused("the strata and the covariates tell the same: their effects cannot be parted")
    n_donors = int((counts > 0).sum())
    between = 1 + len(groups.terms) + sum(_is_between(column, donor) for column in extra.T)
    freedom = n_donors - between
    if freedom < MIN_REPEATED:
        raise Refused(
            f"{plural(n_donors, 'donor is', 'donors are')} too few for {between} "
            "parameters between donors"
        )
    effects, covariance = random_intercept(values, x, donor)
    common: dict[str, Any] = {
        "outcome": name,
        "model": MIXED,
        "n_donors": n_donors,
        "n_visits": int(values.size),
        "adjusted_for": adjust.used,
        "note": "; ".join(adjust.notes),
    }
    return _tests(effects, covariance, groups, freedom, common)


def _is_between(column: Floats, donor: NDArray[np.int64]) -> bool:
    """Whether a covariate has one value for each donor."""
    return all(np.ptp(column[donor == code]) == 0 for code in np.unique(donor))


def random_intercept(values: Floats, x: Floats, donor: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Fixed effects and their covariance, with a random intercept for each donor (REML).

    The likelihood is a function of one number, the ratio r of the variance between donors to
    that within (Bates et al. 2015, doi 10.18637/jss.v067.i01, eq. 41 with one term): it is looked
    through for 0 <= r / (1 + r) < 1, so the answer does not hang on whether a general optimiser
    converges. Where donors do not differ beyond what their visits do, r is 0, as it may well be,
    and the effects are those of least squares.

    Raises Refused where no donor's visits differ beyond what `x` tells.
    """
    from scipy.optimize import minimize_scalar

    basis, triangle = np.linalg.qr(x)
    rest = values - basis @ (basis.T @ values)
    codes = np.unique(donor, return_inverse=True)[1]
    size = np.asarray(np.bincount(codes), np.float64)
    parts = [np.bincount(codes, column) for column in (*basis.T, rest)]
    sums: Floats = np.column_stack(parts).astype(np.float64)
    columns = np.column_stack([basis, rest])
    _require_noise(columns - (sums / size[:, None])[codes], float(np.abs(rest).max()))
    squares = columns.T @ columns

    def deviance(share: float) -> float:
        own, residual = _at(share, squares, sums, size)
        logs = np.log1p(size * share / (1 - share)).sum() + np.linalg.slogdet(own[:-1, :-1])[1]
        return float(logs + (values.size - x.shape[1]) * np.log(residual))

    grid = np.linspace(0.0, 1.0, N_SHARES, endpoint=False)
    best = int(np.argmin([deviance(share) for share in grid]))
    around = (grid[max(best - 1, 0)], min(grid[best] + grid[1], 1 - 1e-9))
    found = minimize_scalar(deviance, bounds=around, method="bounded", options={"xatol": 1e-10})
    share = 0.0 if deviance(0.0) <= found.fun else float(found.x)
    own, residual = _at(share, squares, sums, size)
    inverse = np.linalg.inv(triangle)
    effects = inverse @ (basis.T @ values + np.linalg.solve(own[:-1, :-1], own[:-1, -1]))
    covariance = inverse @ np.linalg.inv(own[:-1, :-1]) @ inverse.T
    return effects, covariance * residual / (values.size - x.shape[1])


def _at(share: float, squares: Floats, sums: Floats, size: Floats) -> tuple[Floats, float]:
    """Cross products weighted by the visits' covariance, and the residual sum of squares."""
    ratio = share / (1 - share)
    own = squares - (sums * (ratio / (1 + ratio * size))[:, None]).T @ sums
    told = own[:-1, -1] @ np.linalg.solve(own[:-1, :-1], own[:-1, -1])
    return own, float(own[-1, -1] - told)


def _require_noise(within: Floats, largest: float) -> None:
    """Refuse where visits of a donor differ by nothing but what the columns before the last tell.

    `largest` is the largest residual, of all visits, beside which the differences must count.
    """
    told = np.linalg.lstsq(within[:, :-1], within[:, -1], rcond=None)[0]
    left = within[:, -1] - within[:, :-1] @ told
    if not np.abs(left).max() > 1e-9 * largest:
        raise Refused("no visits of a donor differ: compare one visit a donor instead")


def _tests(
    effects: Floats, covariance: Floats, groups: Exposure, freedom: int, common: dict[str, Any]
) -> list[dict[str, Any]]:
    from scipy.stats import f, t

    q = len(groups.terms)
    own = slice(1, 1 + q)
    wald = float(effects[own] @ np.linalg.solve(covariance[own, own], effects[own]))
    out = [row(term=groups.whole, p_value=float(f.sf(wald / q, q, freedom)), **common)]
    unit = "difference" if groups.whole == "strata" else "difference for one standard deviation"
    reach = float(t.ppf(0.975, freedom))
    for index, term in enumerate(groups.terms, start=1):
        error = float(np.sqrt(covariance[index, index]))
        effect = float(effects[index])
        p = 2 * float(t.sf(abs(effect) / error, freedom))
        interval = (effect, effect - reach * error, effect + reach * error)
        out.append(row(term=term, p_value=p, effect_name=unit, interval=interval, **common))
    return out
