"""How many strata: the fewest after which one more is no clearer than it would be by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import partition, partition_points
from pmcell.core.donors.resample import NUMBER, stream
from pmcell.core.donors.spectral import principal_coordinates
from pmcell.strata._threads import in_order
from pmcell.strata.discovery.null import NullTest, standardised
from pmcell.strata.discovery.sizes import min_stratum_size

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_DRAWS = 199
SHRINKAGE = 5.0
"""Donors' worth of the spread of all strata in that of each: few donors do not tell a spread."""

LOG_ODDS_OF_PAC = 5.0
"""Log odds that a number of strata loses if bootstraps leave all pairs of donors ambiguous.

Made on simulated donors (tests/benchmarks/strata/sets.py, development seeds), where anything from
0 to 10 chose as well.
"""


@dataclass(frozen=True)
class Number:
    """The number of strata `k` (0: none can be) and `p` (ks,) of each number that was asked about.

    `p` is the share of draws with k strata in which k + 1 are at least as clear as in the data;
    NaN for numbers that were not asked about.
    """

    k: int
    p: Floats


def fewest_strata(squared: Floats, ks: range, alpha: float, seed: int) -> Number:
    """Return the smallest number of strata that the donors do not speak against.

    For each k in turn donors are drawn as if the k strata found in them were all there is: normal
    about the mean of their stratum, with its spread. Where k + 1 strata of the data have a larger
    silhouette than those of all but `alpha` of the draws, k are too few. A k that leaves a stratum
    with too few donors is passed over.

    Parameters
    ----------
    squared
        Squared distances (donors × donors).
    ks
        Numbers of strata to choose from.
    alpha
        Level of each test.
    seed
        Seed of the draws.

    Notes
    -----
    The sequence of tests is that of McLachlan 1987, doi:10.2307/2347790, with silhouettes in place
    of likelihoods.
    """
    min_size = min_stratum_size(squared.shape[0])
    found = partition(squared, ks, min_size)
    points, _ = principal_coordinates(squared)
    p = np.full(len(ks), np.nan)
    chosen = 0
    for index in np.flatnonzero(np.isfinite(found.silhouette)):
        chosen = ks[index]
        clearer = found.silhouette[index + 1 : index + 2]
        if not np.isfinite(clearer).any():
            break
        strata, one_more = _Strata.of(points, found.labels[index]), range(chosen + 1, chosen + 2)

        def clearness(number: int, strata: _Strata = strata, one_more: range = one_more) -> float:
            drawn = strata.draw(stream(seed, NUMBER, one_more[0] * N_DRAWS + number))
            return float(partition_points(drawn, one_more, min_size).silhouette[0])

        draws = np.array(in_order(clearness, range(N_DRAWS)))
        p[index] = (1 + (draws >= clearer).sum()) / (N_DRAWS + 1)
        if p[index] > alpha:
            break
    return Number(chosen, p)


def support_of_k(chosen: int, result: NullTest, of_runs: Floats, pac: Floats) -> Floats:
    """How sure each number of strata is (ks,), adding up to 1: half for the `chosen` one.

    The other half is dealt by bootstraps: the share of them in which a k is the clearest, less
    where its strata do not hold together. `of_runs` (bootstraps × ks) are the bootstraps'
    silhouettes over all axes; clearest is the k that stands out most, in standard deviations, from
    the draws without strata. `pac` (ks,) is the share of donor pairs that bootstraps leave
    ambiguous.
    """
    z = standardised(of_runs, result.over_axes)
    clearest = np.where(np.isnan(z), -np.inf, z).argmax(axis=1)
    count = np.bincount(clearest, minlength=z.shape[1]).astype(np.float64)
    weight = count * np.exp(-LOG_ODDS_OF_PAC * np.nan_to_num(np.asarray(pac), nan=1.0))
    of_test = (np.arange(2, 2 + weight.size) == chosen).astype(np.float64)
    return np.asarray((of_test + weight / weight.sum()) / (of_test.sum() + 1.0))


@dataclass(frozen=True)
class _Strata:
    """Strata to draw from: `label` (donors,), `mean` and `root` of spread (k, axes[, axes])."""

    label: Ints
    mean: Floats
    root: Floats

    @classmethod
    def of(cls, points: Floats, label: Ints) -> _Strata:
        member = (label[:, None] == np.arange(int(label.max()) + 1)).astype(np.float64)
        size = member.sum(axis=0)
        mean = (member.T @ points) / size[:, None]
        away = points - mean[label]
        squares = np.einsum("ng,ni,nj->gij", member, away, away)
        of_all = squares.sum(axis=0) / max(label.size - size.size, 1)
        freedom = (size - 1 + SHRINKAGE)[:, None, None]
        values, vectors = np.linalg.eigh((squares + SHRINKAGE * of_all) / freedom)
        return cls(label, mean, vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])

    def draw(self, rng: np.random.Generator) -> Floats:
        """As many donors of each stratum (donors, axes)."""
        scores = rng.standard_normal((self.label.size, self.mean.shape[1]))
        away = np.einsum("nij,nj->ni", self.root[self.label], scores)
        return np.asarray(self.mean[self.label] + away)
