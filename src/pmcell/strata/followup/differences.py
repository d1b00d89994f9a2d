"""Declared contrasts: groups of donors at their first visit, and treated against untreated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.permanova import dummies
from pmcell.schema.text import text_array
from pmcell.spelling import plural
from pmcell.strata.followup.effects import CHANGE, GROUPS, effect_row
from pmcell.strata.followup.reference import has_value

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.settings.programme import Contrast

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_ARM = 3
"""Donors that each side of a contrast needs."""
POWER, ALPHA = 0.8, 0.05
MAX_NEEDED = 100_000


def contrast_row(
    values: pd.DataFrame,
    people: pd.DataFrame,
    contrast: Contrast,
    *,
    programme: str,
    name: str,
    minimal: float | None = None,
) -> dict[str, Any]:
    """One declared contrast of a quantity, tested or refused with the reason.

    `groups` compares donors at the first visit that has a value, within batch where both groups
    occur in one (least squares). `change` is the difference in differences: each donor's mean
    after the first visit less the value at it, in the treated less in the untreated. It takes
    both to have moved alike without treatment; that cannot be seen with one visit before it.
    Unequal variances are allowed for (Welch). The smallest change that 8 of 10 such studies
    would find, the power for the `minimal` difference, and the donors a side needed for it are
    from the spread that was seen.

    Parameters
    ----------
    values
        `donor_id`, `place` (order of visits), `x`, `change_unit` and `batch_id` of one quantity.
    people
        `donor_id` and the contrast's column, one row a donor (or several with one value).
    contrast
        The declaration.
    programme, name
        Of which programme, and what it is called there.
    minimal
        Smallest difference that matters, on the scale of `x`.
    """
    is_change = contrast.kind == "change"
    common: dict[str, Any] = {
        "programme": programme,
        "analysis": CHANGE if is_change else GROUPS,
        "outcome": contrast.outcome,
        "term": name,
    }
    if contrast.column not in people:
        return effect_row(
            **common, refused=f"no column {contrast.column!r} of donors, visits or clinical values"
        )
    if values.empty:
        return effect_row(**common, refused="no donor has a value")
    member = people.drop_duplicates("donor_id").set_index("donor_id")[contrast.column]
    if people.groupby("donor_id")[contrast.column].nunique().gt(1).any() and is_change:
        return effect_row(**common, refused=f"{contrast.column} changes within donors")
    frame = _changes_of(values) if is_change else _first_of(values)
    own = member.reindex(frame["donor_id"])
    inside, outside = has_value(own, contrast.group), has_value(own, contrast.reference)
    common |= {"n_donors": int(inside.sum()), "n_reference": int(outside.sum())}
    common["unit"] = str(values["change_unit"].iloc[0])
    if min(inside.sum(), outside.sum()) < MIN_ARM:
        what = "with two visits " if is_change else ""
        few = plural(int(inside.sum()), f"donor {what}is", f"donors {what}are")
        return effect_row(
            **common,
            refused=f"{few} {contrast.group} and {outside.sum()} "
            f"{contrast.reference}: {MIN_ARM} of each are needed",
        )
    x = frame["x"].to_numpy(float)
    if np.ptp(x[inside | outside]) == 0:
        return effect_row(**common, refused="the value is the same in every donor")
    if is_change:
        return _welch(x, inside, outside, frame, minimal, common)
    return _within_batch(x, inside, outside, frame, minimal, common)


def _first_of(values: pd.DataFrame) -> pd.DataFrame:
    ordered = values.sort_values(["donor_id", "place"], kind="stable", na_position="last")
    return ordered.drop_duplicates("donor_id").reset_index(drop=True)


def _changes_of(values: pd.DataFrame) -> pd.DataFrame:
    """Each donor's mean after the first visit less the first."""
    known = values[values["place"].notna()]
    first = known[known["place"] == 0].set_index("donor_id")
    later = known[known["place"] > 0].groupby("donor_id", sort=True)["x"].mean()
    both = later.index.intersection(first.index)
    frame = first.loc[both, ["batch_id"]].assign(x=later[both] - first.loc[both, "x"])
    n_visits = known.groupby("donor_id").size().reindex(both)
    return frame.assign(n_visits=n_visits).rename_axis("donor_id").reset_index()


def _welch(
    x: Floats,
    inside: Bools,
    outside: Bools,
    frame: pd.DataFrame,
    minimal: float | None,
    common: dict[str, Any],
) -> dict[str, Any]:
    from scipy.stats import ttest_ind

    one, other = x[inside], x[outside]
    found = ttest_ind(one, other, equal_var=False)
    interval = found.confidence_interval(0.95)
    effect = float(one.mean() - other.mean())
    sd = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    error = math.sqrt(one.var(ddof=1) / one.size + other.var(ddof=1) / other.size)
    used = inside | outside
    return effect_row(
        **common,
        interval=(effect, float(interval.low), float(interval.high)),
        p_value=float(found.pvalue),
        n_visits=int(frame["n_visits"].to_numpy()[used].sum()),
        note="takes both to have moved alike without treatment, which one visit before it cannot "
        "show",
        **power_of(error, float(found.df), sd, minimal),
    )


def _within_batch(
    x: Floats,
    inside: Bools,
    outside: Bools,
    frame: pd.DataFrame,
    minimal: float | None,
    common: dict[str, Any],
) -> dict[str, Any]:
    from scipy.stats import t

    used = inside | outside
    y, member = x[used], inside[used].astype(float)
    batch = np.unique(text_array(frame["batch_id"])[used], return_inverse=True)[1]
    design, note = np.column_stack([dummies(batch), member]), ""
    n_batches = design.shape[1] - 1
    if np.linalg.matrix_rank(design) < design.shape[1] or y.size - design.shape[1] < MIN_ARM:
        design = np.column_stack([np.ones(y.size), member])
        note = (
            "the groups are in different batches: the batch may be the cause"
            if (n_batches > 1)
            else ""
        )
    effects, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = y.size - design.shape[1]
    variance = float(((y - design @ effects) ** 2).sum()) / freedom
    error = math.sqrt(variance * float(np.linalg.inv(design.T @ design)[-1, -1]))
    effect, reach = float(effects[-1]), float(t.ppf(0.975, freedom)) * error
    p = 2 * float(t.sf(abs(effect) / error, freedom)) if error > 0 else float("nan")
    return effect_row(
        **common,
        interval=(effect, effect - reach, effect + reach),
        p_value=p,
        adjusted_for=("batch_id",) if design.shape[1] > 2 else (),
        note=note,
        **power_of(error, float(freedom), math.sqrt(variance), minimal),
    )


def power_of(error: float, freedom: float, sd: float, minimal: float | None) -> dict[str, Any]:
    """Smallest difference found with power 0.8, power for `minimal`, donors a side for it.

    Two-sided t test at 0.05 with the standard error and degrees of freedom that the comparison
    has, by the noncentral t distribution; `sd` is the mean spread of a side, for sides of one
    size (Cohen 1988, chapter 2).

    Examples
    --------
    >>> found = power_of((2 / 64) ** 0.5, 126, 1.0, 0.5)
    >>> round(found["detectable"], 2), round(found["power"], 2), found["n_needed"]
    (0.5, 0.8, 64)
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if not (error > 0 and freedom >= 1):
        return {}
    critical = float(t.ppf(1 - ALPHA / 2, freedom))

    def power(effect: float) -> float:
        far = effect / error
        # The tail on the other side is below every digit where it is not computed.
        other = np.nan_to_num(nct.cdf(-critical, freedom, far))
        return float(nct.sf(critical, freedom, far) + other)

    found: dict[str, Any] = {
        "detectable": float(brentq(lambda x: power(x * error) - POWER, 0.0, critical + 5)) * error
    }
    if minimal is None:
        return found
    # Beyond it the distribution is not computed, and the power is 1 to every digit.
    sure = minimal / error > critical + 20
    return {**found, "power": 1.0 if sure else power(minimal), "n_needed": n_needed(minimal / sd)}


def n_needed(effect: float) -> int | None:
    """Donors a side that find an effect (in standard deviations) at power 0.8; None beyond all."""
    from scipy.stats import norm
    from statsmodels.stats.power import TTestIndPower

    solver = TTestIndPower()
    # That of the normal distribution is a donor or two too few, and the search starts below it.
    normal = 2 * float(norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)) ** 2 / effect**2
    if normal > MAX_NEEDED:
        return None
    n = max(int(normal) - 2, 2)
    while float(np.squeeze(solver.power(effect, n, ALPHA))) < POWER:
        n += 1
    return n
