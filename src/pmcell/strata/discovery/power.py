"""How many donors it takes to see two strata that lie a stated distance apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import map_donors, silhouettes
from pmcell.core.donors.resample import (
    POWER,
    DonorModel,
    donors_at,
    draw_scores,
    stream,
    with_rows,
)
from pmcell.strata._threads import in_order
from pmcell.strata.discovery.null import best_z
from pmcell.strata.discovery.sizes import k_range, min_stratum_size
from pmcell.strata.profiles.model import DonorMap

Floats = NDArray[np.float64]

APART = 4.0
"""Standard deviations of donors within a stratum between the means of two strata."""

POWERED = 0.8
N_DONORS = (20, 30, 40, 60, 90, 130, 190, 280)
N_NULL, N_PLANTED = 60, 20


def donors_needed(opened: DonorMap, model: DonorModel, alpha: float, seed: int) -> str:
    """Say the smallest number of donors that finds two strata of a stated distance.

    Donors are drawn from `model`, the calibrated one without strata, with the cells and the noise
    of these, and moved apart along their first axis into two equal strata, `APART` standard
    deviations between the means. For each of `N_DONORS` the statistic of `N_PLANTED` such draws
    is held against that of `N_NULL` draws without strata. The first number at which `POWERED` of
    them are above the draws' 1 - `alpha` quantile is named.

    Optimistic: the existence test also asks for a continuum that is even from end to end.

    '' where donors do not differ beyond sampling, so that there is no axis.
    """
    if model.rank == 0:
        return ""
    effect = (
        f"two equal strata whose means lie {APART:g} standard deviations apart (of donors within "
        "a stratum, along the axis on which these donors differ most)"
    )
    for number, n_donors in enumerate(N_DONORS):
        if _power(opened, model, n_donors, alpha, seed, number) >= POWERED:
            return (
                f"{n_donors} donors like these are enough to find, in {POWERED:.0%} of studies, "
                f"{effect}; {opened.rows.size} were used."
            )
    return (
        f"{N_DONORS[-1]} donors like these would not be enough to find, in {POWERED:.0%} of "
        f"studies, {effect}: more cells a donor, or less difference within strata, is needed."
    )


def _power(
    opened: DonorMap, model: DonorModel, n_donors: int, alpha: float, seed: int, number: int
) -> float:
    """Share of draws with two strata that are found among so many donors."""
    ks, min_size = k_range(n_donors), min_stratum_size(n_donors)

    def drawn(draw: int) -> Floats:
        rng = stream(seed, POWER, number * (N_NULL + N_PLANTED) + draw)
        rows = np.sort(rng.integers(opened.rows.size, size=n_donors))
        own = with_rows(model, rows)
        own = replace(own, bend=own.bend[: n_donors - 2])
        scores = draw_scores(own, rng)
        if draw >= N_NULL:
            side = rng.permutation(np.arange(n_donors) % 2) - 0.5
            scores[:, 0] += APART * side
        sums = donors_at(own, _padded(scores, model.rank), rng)
        batch = opened.batch[opened.rows][rows]
        squared = map_donors(sums, batch, opened.settings)
        return silhouettes(squared, ks, min_size)

    draws = np.array(in_order(drawn, range(N_NULL + N_PLANTED)))
    null, planted = draws[:N_NULL], draws[N_NULL:]
    t_null, t_planted = (best_z(part, null).max(axis=1) for part in (null, planted))
    return float((t_planted > np.quantile(t_null, 1 - alpha)).mean())


def _padded(scores: Floats, rank: int) -> Floats:
    """Scores of fewer donors than axes, 0 on the axes that they cannot have."""
    return np.pad(scores, ((0, 0), (0, rank - scores.shape[1])))
