"""Expression of a person's cells that the principal components of a reference do not describe.

A state that the reference never saw may lie outside its components, where neither labels nor
strata see it. What is left of a person's mean expression is compared with what is left of the
reference's donors, each by those of other batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.discriminant import Cells
from pmcell.core.pca.gram import Basis
from pmcell.core.pca.project import projection_weights

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Text = NDArray[np.str_]

N_GENES = 10
"""Genes that are named."""


@dataclass(frozen=True)
class ResidualModel:
    """Mean and variance over donors of what is left (features,), and each donor's value."""

    mean: Floats
    variance: Floats
    values: Floats

    def judge(self, left: Floats, measured: Bools) -> tuple[float, float, NDArray[np.int64]]:
        """Value and p of a person, and the features that make most of it."""
        parts = np.where(measured, (left - self.mean) ** 2 / self.variance, 0.0)
        value = float(parts.sum() / max(int(measured.sum()), 1))
        p = (1 + int((self.values >= value).sum())) / (1 + self.values.size)
        order = np.argsort(-parts, kind="stable")[:N_GENES]
        return value, p, np.asarray(order[parts[order] > 0], np.int64)


def left_over(x: Cells, basis: Basis, measured: Bools) -> Floats:
    """Mean over cells of the expression that the components leave (features,), in scaled units."""
    if not x.shape[0]:
        return np.zeros(measured.size)
    # The mean of a sparse matrix of 32 bits is taken in 32 bits, whatever is asked for.
    of_cells = (x.T @ np.ones(x.shape[0])) / x.shape[0]
    mean = np.where(measured, of_cells - basis.means, 0.0)
    scores = mean @ projection_weights(basis, measured)
    left = basis.scales * mean - basis.components @ scores
    return np.asarray(np.where(measured, left, 0.0))


def fit_residual(x: Cells, donor: Text, batch: Text, basis: Basis) -> ResidualModel | None:
    """Fit on training cells; None with fewer than ten donors."""
    names, code = np.unique(donor, return_inverse=True)
    if names.size < 10:
        return None
    everywhere = np.ones(x.shape[1], bool)
    left = np.stack([left_over(x[code == one], basis, everywhere) for one in range(names.size)])
    group = np.array([batch[np.flatnonzero(code == one)[0]] for one in range(names.size)])
    variance = left.var(axis=0)
    variance += 0.1 * max(float(variance.mean()), 1e-12)
    values = np.empty(names.size)
    for one in range(names.size):
        others = group != group[one] if np.unique(group).size > 1 else np.arange(names.size) != one
        values[one] = ((left[one] - left[others].mean(axis=0)) ** 2 / variance).mean()
    return ResidualModel(left.mean(axis=0), variance, np.sort(values))
