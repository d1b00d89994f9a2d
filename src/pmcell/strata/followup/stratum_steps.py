"""From which stratum to which donors go between visits, with an interval over donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.resample import stream
from pmcell.schema.text import as_text, text_array
from pmcell.strata.association.movement import published_strata, visit_steps
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Ints = NDArray[np.int64]

STEPS = 22
"""Purpose of the random stream."""


def stratum_steps(donors: AnnData, *, n_bootstraps: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Share of the steps from each stratum to each, over all pairs of visits that follow another.

    A donor with many visits has many steps, which are no independent witnesses: the interval is
    of a bootstrap of donors with all their steps, and where all or none of the steps go one way,
    which a bootstrap cannot doubt, the exact binomial one of as many donors (Clopper & Pearson
    1934, doi:10.1093/biomet/26.4.404). A step to a visit that was assigned to no stratum is told
    as to `none`.

    Parameters
    ----------
    donors
        Donors after `existence` and `place`.
    n_bootstraps
        Draws of the donors.
    seed
        Seed of these.

    Returns
    -------
    DataFrame
        The columns of schema.STRATUM_STEPS; no rows where no strata are published.

    Examples
    --------
    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, n_types=3, n_visits=2, scenario="null")
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(stratum_steps(donors))  # no strata are published
    0
    """
    require(donors, "existence", "existence")
    import pandas as pd

    from pmcell.schema import STRATUM_STEPS

    columns = STRATUM_STEPS.columns
    before, after = visit_steps(donors.obs)
    label = published_strata(donors)
    first, second = label[before], label[after]
    kept = np.array([name is not None for name in first], bool)
    if not kept.any():
        return pd.DataFrame(columns=columns)
    person = as_text(donors.obs["donor_id"]).to_numpy(object)[before][kept]
    start = text_array(first[kept])
    end = np.array(["none" if name is None else str(name) for name in second[kept]])
    names, code = np.unique(text_array(person), return_inverse=True)
    rng = stream(seed, STEPS, 0)
    draws = rng.integers(0, names.size, (n_bootstraps, names.size))
    weight: Ints = np.stack([np.bincount(row, minlength=names.size) for row in draws])
    rows = []
    ends = sorted({name for name in label if name is not None}) + ["none"] * ("none" in end)
    for origin in sorted(set(start)):
        own = start == origin
        people = len(set(person[own]))
        total = np.bincount(code[own], minlength=names.size)
        for target in ends:
            hit = np.bincount(code[own & (end == target)], minlength=names.size)
            share = float(hit.sum() / total.sum())
            low, high = _interval(hit, total, weight, share, people)
            rows.append(
                (origin, target, int(hit.sum()), int((hit > 0).sum()), people, share, low, high)
            )
    return pd.DataFrame(rows, columns=columns)


def _interval(
    hit: Ints, total: Ints, weight: Ints, share: float, people: int
) -> tuple[float, float]:
    """95 % interval of a share of steps over donors."""
    from scipy.stats import beta

    if share == 0:
        return 0.0, float(beta.ppf(0.975, 1, people))
    if share == 1:
        return float(beta.ppf(0.025, people, 1)), 1.0
    drawn = weight @ total
    shares = (weight @ hit)[drawn > 0] / drawn[drawn > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(min(low, share)), float(max(high, share))
