"""Expression of donors without strata: what axes add, what is a donor's own, what sampling adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.compiler import Array, kernel
from pmcell.core.donors.gene_sums import GeneSums
from pmcell.core.donors.genes import GeneChannel, clean_expression

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GeneModel:
    """A population of donors in gene space.

    `loadings` (rank, types, genes) is what a unit of each score adds, `own` (types, genes) the
    standard deviation of what is a donor's alone, gene by gene, and `alike` how much of its
    variance a gene has alike in all types of a donor. `sums` are the rows whose cells the
    draws have.
    """

    loadings: Floats
    own: Floats
    alike: float
    sums: GeneSums

    @cached_property
    def error(self) -> Floats:
        """Standard deviation of what is a donor's in one type alone, and of sampling, as one."""
        variance = (1.0 - self.alike) * self.own**2
        size = self.sums.size
        spread = np.where(size > 0, 1.0 / np.maximum(size, 1e-300), 0.0)[:, :, None]
        return np.asarray(np.sqrt(variance + spread * self.sums.within))


def fit_gene_model(
    channel: GeneChannel, sums: GeneSums, batch: Ints, axes: Floats, rescale: Floats
) -> GeneModel:
    """Fit the population on rows with orthonormal coordinates `axes` (rows, rank).

    `rescale` (rank,) turns slopes on the coordinates into loadings.
    """
    known = (sums.size > 0).astype(np.float64)
    x = clean_expression(channel, sums, batch)
    weight = (axes**2).T @ known
    slope = np.tensordot(axes.T, x, 1) / np.maximum(weight, 1e-12)[:, :, None]
    rest = np.where(known[:, :, None] > 0, x - np.tensordot(axes, slope, 1), 0.0)
    free = np.maximum(known.sum(axis=0) - 1 - axes.shape[1], 1.0)
    noise = sums.within * (sums.variance().sum(axis=0) / np.maximum(known.sum(axis=0), 1))[:, None]
    own = np.sqrt(np.maximum((rest**2).sum(axis=0) / free[:, None] - noise, 0.0))
    alike = _alike(rest, own, known, sums.gene)
    return GeneModel(slope * rescale[:, None, None], own, alike, sums)


def draw_expression(model: GeneModel, scores: Floats, rng: np.random.Generator) -> GeneSums:
    """Donors with these scores (rows, rank), each with the cells and the noise of a real row."""
    sums = model.sums
    shared = rng.standard_normal((scores.shape[0], int(sums.gene.max(initial=-1)) + 1))
    common = np.sqrt(model.alike) * model.own
    mean = rng.standard_normal(sums.mean.shape)
    along = np.tensordot(scores, model.loadings, 1)
    _add_up(mean, model.error, shared, sums.gene, common, along, sums.size > 0)
    return replace(sums, mean=mean, noise=1.0)


@kernel
def _add_up(
    drawn: Array,
    error: Array,
    shared: Array,
    gene: Array,
    common: Array,
    along: Array,
    known: Array,
) -> None:
    """Make expression of the standard normal values `drawn`; NaN where a row lacks the type."""
    n_rows, n_types, n_genes = drawn.shape
    for row in range(n_rows):
        for kind in range(n_types):
            own = drawn[row, kind]
            if not known[row, kind]:
                own[:] = np.nan
                continue
            for at in range(n_genes):
                alike = shared[row, max(gene[kind, at], 0)] * common[kind, at]
                own[at] = own[at] * error[row, kind, at] + alike + along[row, kind, at]


def _alike(rest: Floats, own: Floats, known: Floats, gene: Ints) -> float:
    """Correlation over types of what is a donor's own in a gene, 0 to 1."""
    real = (gene >= 0) & (own > 0)
    if not real.any():
        return 0.0
    code = gene[real]
    place = sparse.csr_matrix(
        (np.ones(code.size), (np.arange(code.size), code)), shape=(code.size, int(code.max()) + 1)
    )

    def over_pairs(values: Floats) -> float:
        flat = values[:, real]
        return float(((flat @ place) ** 2).sum() - (flat**2).sum())

    expected = over_pairs(known[:, :, None] * own)
    return float(np.clip(over_pairs(rest) / expected, 0.0, 1.0)) if expected > 0 else 0.0
