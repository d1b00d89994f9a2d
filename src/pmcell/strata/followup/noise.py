"""How much a quantity differs between repeats of a donor whose state is the same, and from what.

The reference change value is the change that two results of a steady person exceed by chance
alone in 5 of 100 cases (Harris & Yasaka 1983, Clin Chem 29:25-30). Where the spread was estimated
from few repeats its own uncertainty widens it: the quantile is that of t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import text_array

if TYPE_CHECKING:
    from pmcell.settings.programme import Variable

Floats = NDArray[np.float64]

MIN_DF = 3
"""Degrees of freedom of the repeats below which no noise is told from them."""
STABLE, PUBLISHED = "visits of reference donors", "published variation"
SAME_DAY, SAME_VISIT = "values of one day", "samples of one visit"
NO_REPEATS = "no repeats"
PERFECT_DF = 10_000
"""Stands for the degrees of freedom of a published variation whose number of people is not told."""


@dataclass(frozen=True)
class Noise:
    """Variance of one result of a steady donor on the scale of the change, beyond its known part.

    `extra` is what known sampling variance leaves unexplained; `df` the degrees of freedom of the
    repeats; `n_donors` the people that they come from.
    """

    extra: float
    df: int
    n_donors: int
    source: str


def repeats_noise(
    values: Floats, sampling: Floats, group: NDArray[np.object_], source: str
) -> Noise | None:
    """Return the noise of repeats: results with the same `group`; None with too few of them.

    Parameters
    ----------
    values
        Results on the scale of the change.
    sampling
        Variance of each that is known already, such as that of counting cells.
    group
        What each is a repeat of: '<donor>' or '<donor>|<day>'.
    source
        What the repeats are.
    """
    names, code = np.unique(text_array(group), return_inverse=True)
    count = np.bincount(code)
    mean = np.bincount(code, values) / count
    used = count[code] > 1
    df = int((count[count > 1] - 1).sum())
    if df < MIN_DF:
        return None
    spread = float(((values - mean[code])[used] ** 2).sum()) / df
    # In a group of n repeats each has (n - 1)/n of its sampling variance left.
    known = float((sampling * (1 - 1 / count[code]))[used].sum()) / df
    donors = {name.split("|")[0] for name in names[count > 1]}
    return Noise(max(spread - known, 0.0), df, len(donors), source)


def published_noise(variable: Variable, level: float) -> Noise | None:
    """Return the noise that a programme's published variation tells, at a level of the variable."""
    told = variable.variation
    if told is None:
        return None
    squared = told.cv_within**2 + told.cv_analytical**2
    extra = float(np.log1p(squared)) if variable.scale == "ratio" else squared * level**2
    df = PERFECT_DF if told.n_people is None else max(told.n_people - 1, 1)
    return Noise(extra, df, told.n_people or 0, f"{PUBLISHED} ({told.source})")


def change_limit(noise: Noise, before: float, after: float, *, level: float = 0.95) -> float:
    """Return the reference change value of two results with these known sampling variances.

    Examples
    --------
    >>> round(change_limit(Noise(1.0, PERFECT_DF, 20, STABLE), 0.0, 0.0), 2)
    2.77
    """
    from scipy.stats import t

    quantile = float(t.ppf(0.5 + level / 2, noise.df))
    return quantile * float(np.sqrt(2 * noise.extra + before + after))
