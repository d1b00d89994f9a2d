"""Conformal placing of donors on strata: from distances to p values, without anything fitted.

A donor belongs to a stratum as far as it lies among the stratum's donors in two ways: *position*,
how far it is on the way to another stratum (what is common to both distances, such as a donor's
own peculiarity, cancels), and *typicality*, how far it is from the stratum's mean against the
stratum's own donors, in the fused distance and in single feature sets. The misfit is the sum of
squares of what is too large. Its ranks among the misfits of training donors, each measured by a
model that did not know the donor, are p values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEATURE_SET_WEIGHT = 0.5
"""Weight of the typicality in a single feature set beside that in the fused distance."""

UPPER = 0.8
"""Quantile of the training donors' values that measures their spread: an upper one, since only
large values count, and one that a few donors far out do not reach."""
UPPER_NORMAL = 0.8416
"""The same quantile of the standard normal distribution."""

FLOOR = 0.1
"""Least squared distance, as a share of the widest stratum's typical one: below, noise is left."""

NEW = -1
"""Stands for the training donor of a row whose donor took no part in training."""


@dataclass(frozen=True)
class Calibration:
    """What a model says of its training donors when it does not know them.

    Attributes
    ----------
    towards
        Squared distance of each training donor to the mean of each stratum, by a model fitted
        without the donor (feature sets, donors, k). The first is the fused distance; not finite
        where a feature set cannot be measured.
    stratum
        The stratum of each training donor (donors,), from 0.
    """

    towards: Floats
    stratum: Ints

    @property
    def k(self) -> int:
        """Number of strata."""
        return int(self.towards.shape[2])


@dataclass(frozen=True)
class Placed:
    """Where rows lie on the strata.

    Attributes
    ----------
    stratum_p
        For each row and stratum, the share of the stratum's donors with a misfit at least as
        large (rows, k), the row itself counted: at most α for α of the stratum's donors.
    fit_p
        The same for the least misfit, among the least misfits of all training donors (rows,):
        small for a donor that fits no stratum.
    """

    stratum_p: Floats
    fit_p: Floats

    def replaced(self, rows: Bools, other: Placed) -> Placed:
        """The same with some rows as `other` has them."""
        return Placed(
            np.where(rows[:, None], other.stratum_p, self.stratum_p),
            np.where(rows, other.fit_p, self.fit_p),
        )


def place_on(
    calibration: Calibration,
    towards: Floats,
    donor: Ints | None = None,
    *,
    batch_unseen: bool = False,
) -> Placed:
    """Place rows on strata by their distances.

    Parameters
    ----------
    calibration
        The training donors.
    towards
        Squared distance of each row to the mean of each stratum (feature sets, rows, k), in the
        order of the calibration's.
    donor
        The training donor that each row is of, or `NEW`; by default all are new. A donor is not
        compared with itself.
    batch_unseen
        Whether each row, and each training donor in the calibration, is of a batch that its model
        does not know. What a batch adds to a donor's distances to all strata is then not held
        against any one of them: `stratum_p` ranks the position alone.

    Returns
    -------
    Placed
        The p values of each row.

    Notes
    -----
    Class-wise conformal prediction (Vovk 2015, doi:10.1007/s10472-013-9368-4). The p values are
    valid for donors exchangeable with the training donors. Each is at least
    1/(1 + donors): a stratum with fewer than 1/α - 1 donors cannot be ruled out at level α.

    Examples
    --------
    >>> inside, outside = np.linspace(1.0, 1.5, 12), np.linspace(9.0, 9.5, 12)
    >>> towards = np.stack([np.r_[inside, outside], np.r_[outside, inside]], axis=1)[None]
    >>> calibration = Calibration(towards, np.repeat([0, 1], 12))
    >>> placed = place_on(calibration, np.array([[[1.2, 9.2], [5.0, 5.0]]]))
    >>> (placed.stratum_p > 0.1).tolist(), (placed.fit_p <= 0.05).tolist()
    ([[True, False], [False, False]], [False, True])
    """
    new = np.full(towards.shape[1], NEW, np.int64) if donor is None else donor
    training = np.arange(calibration.stratum.size, dtype=np.int64)
    known = misfit(calibration, calibration.towards, training)
    value = misfit(calibration, towards, new)
    counted = new[:, None] != training[None, :]
    fit_p = _rank(value.min(axis=1), known.min(axis=1), counted)
    if batch_unseen:
        known = _position(calibration, calibration.towards[0], training)
        value = _position(calibration, towards[0], new)
    stratum_p = np.empty(value.shape)
    for index in range(calibration.k):
        members = calibration.stratum == index
        stratum_p[:, index] = _rank(value[:, index], known[members, index], counted[:, members])
    return Placed(stratum_p, fit_p)


def misfit(calibration: Calibration, towards: Floats, donor: Ints) -> Floats:
    """How badly each row fits each stratum (rows, k); arguments as those of `place_on`."""
    out = _excess(_position(calibration, towards[0], donor))
    out += _excess(_typicality(calibration, 0, towards[0], donor))
    for index in range(1, towards.shape[0]):
        alone = _typicality(calibration, index, towards[index], donor)
        out += FEATURE_SET_WEIGHT * _excess(alone)
    return out


def _position(calibration: Calibration, towards: Floats, donor: Ints) -> Floats:
    """Way to the nearest other stratum: 0 for the stratum's median donor, in their spread."""
    towards = _finite(towards, calibration.towards[0])
    way = np.full(towards.shape, -np.inf)
    known = np.full((calibration.stratum.size, calibration.k), -np.inf)
    fused = _finite(calibration.towards[0], calibration.towards[0])
    training = np.arange(calibration.stratum.size, dtype=np.int64)
    for one in range(calibration.k):
        for other in range(calibration.k):
            if one == other:
                continue
            nearer = fused[:, one] - fused[:, other]
            start = _medians(nearer, calibration.stratum, one)
            end = _medians(nearer, calibration.stratum, other)
            for target, values, of in ((way, towards, donor), (known, fused, training)):
                gap = np.maximum(end[of] - start[of], 1e-12)
                ahead = (values[:, one] - values[:, other] - start[of]) / gap
                target[:, one] = np.maximum(target[:, one], ahead)
    own = known[training, calibration.stratum]
    middle = np.median(own)
    return np.asarray((way - middle) / _spread(own - middle))


def _typicality(calibration: Calibration, index: int, towards: Floats, donor: Ints) -> Floats:
    """Log of the squared distance over that of the stratum's median donor, in their spread."""
    of_set = calibration.towards[index]
    training = np.arange(calibration.stratum.size, dtype=np.int64)
    own = of_set[training, calibration.stratum]
    if not np.isfinite(own).all():
        return np.zeros(towards.shape)
    middle = np.stack(
        [_medians(own, calibration.stratum, one) for one in range(calibration.k)], axis=1
    )
    least = max(FLOOR * float(middle[NEW].max()), 1e-12)
    middle = np.log(np.maximum(middle, least))
    of_own = np.log(np.maximum(own, least)) - middle[training, calibration.stratum]
    value = np.log(np.maximum(_finite(towards, of_set), least)) - middle[donor]
    return np.asarray(value / _spread(of_own))


def _medians(values: Floats, stratum: Ints, index: int) -> Floats:
    """Median of a stratum's donors as each donor sees it, without itself (donors + 1,).

    The last entry, that of `NEW`, is the median of all.
    """
    members = np.flatnonzero(stratum == index)
    ordered = values[members]
    out = np.full(values.size + 1, float(np.median(ordered)))
    if members.size > 1:
        order = np.argsort(ordered, kind="stable")
        rank = np.empty(members.size, np.int64)
        rank[order] = np.arange(members.size)
        low, high = (members.size - 2) // 2, (members.size - 1) // 2
        ordered = ordered[order]
        out[members] = 0.5 * (ordered[low + (low >= rank)] + ordered[high + (high >= rank)])
    return out


def _spread(values: Floats) -> float:
    return max(float(np.quantile(values, UPPER)) / UPPER_NORMAL, 1e-9)


def _excess(values: Floats) -> Floats:
    return np.asarray(np.maximum(np.nan_to_num(values), 0.0) ** 2)


def _finite(towards: Floats, training: Floats) -> Floats:
    """Distances to a stratum without donors as far beyond all others."""
    known = training[np.isfinite(training)]
    far = 10.0 * max(float(known.max()), 1.0) if known.size else 1.0
    return np.where(np.isfinite(towards), towards, far)


def _rank(values: Floats, reference: Floats, counted: Bools) -> Floats:
    """(1 + references at least as large)/(1 + references), of those counted (rows, references)."""
    larger = (reference[None, :] >= values[:, None]) & counted
    return np.asarray((1 + larger.sum(axis=1)) / (1 + counted.sum(axis=1)), np.float64)
