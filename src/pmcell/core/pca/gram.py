"""Exact Gram matrix of log-normalised genes, and the principal components that follow from it.

Each cohort contributes integer sums over its cells: Σq for each selected gene
and Σq·q' for each pair. Sums of cohorts are added, so the components of three
cohorts equal those of the pooled matrix bit for bit. A gene that a cohort did
not measure is masked: it takes no part in that cohort's sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.blocks import Counts
from pmcell.core.counts.lognorm import MAX_Q, SCALE
from pmcell.core.pca.products import ProductSums

SCALINGS = {"none": 0.0, "pareto": 0.5, "unit": 1.0}
"""Power of its standard deviation by which a feature is divided."""

MAX_CELLS = (2**63 - 1) // MAX_Q**2
"""Cells whose sums of products fit 63 bits, whatever their counts: 25 thousand million."""


@dataclass(frozen=True)
class Gram:
    """Sums of one cohort over its cells.

    `n_cells` cells; `measured` (n_features, bool) says which features the
    cohort measured; `sums` is Σq (n_features, int64) and `products` Σq·q'
    (n_features, n_features, int64, symmetric).
    """

    n_cells: int
    measured: NDArray[np.bool_]
    sums: NDArray[np.int64]
    products: NDArray[np.int64]


@dataclass(frozen=True)
class Basis:
    """Principal components of log-normalised expression.

    `means` (n_features) are the features' means, `scales` what each is multiplied
    by once centred, `components` (n_features, n_components) orthonormal columns with
    the largest entry positive, `variances` (n_components) the variance of the
    scaled features along each, `total_variance` the sum over all of them. Units:
    natural log of normalised counts, by the unit of the scales.
    """

    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    total_variance: float

    @property
    def loadings(self) -> NDArray[np.float64]:
        """Weights from centred features to scores (n_features, n_components)."""
        return self.scales[:, None] * self.components


def gram(
    counts: Counts, feature_of_gene: NDArray[np.int64], n_features: int, used: NDArray[np.bool_]
) -> Gram:
    """Sum over the cells marked in `used`.

    `feature_of_gene` (n_genes) is each gene's position among the features, or
    -1. Raises OverflowError when the number of cells could overflow 63 bits.
    """
    n_cells = int(np.count_nonzero(used))
    if n_cells > MAX_CELLS:
        raise OverflowError(f"the exact Gram matrix holds at most {MAX_CELLS} cells, got {n_cells}")
    sums = ProductSums(feature_of_gene, n_features)
    for block in counts.iter_blocks():
        sums.add(block, np.flatnonzero(used[block.rows]))
    measured = np.zeros(n_features, np.bool_)
    measured[feature_of_gene[feature_of_gene >= 0]] = True
    return Gram(n_cells, measured, *sums.result())


def basis(grams: list[Gram], n_components: int, scaling: str = "none") -> Basis:
    """Principal components of all cohorts together.

    The covariance is that of the matrix in which a value that was not measured
    stands at its gene's mean: it adds nothing, neither to the mean nor to the
    variance. Where every cohort measured every feature this is ordinary PCA.

    `scaling` divides each centred feature by a power of its standard deviation
    where it was measured: `none`, `pareto` (its square root) or `unit` (itself; van den
    Berg et al. 2006, doi:10.1186/1471-2164-7-142, table 1). The more of it, the
    more a gene that few cells have counts beside one that all have.
    """
    from scipy import linalg
    from threadpoolctl import threadpool_limits

    n_features = grams[0].sums.size
    n_cells = np.zeros(n_features)
    totals = np.zeros(n_features, np.int64)
    together = np.zeros((n_features, n_features), np.int64)
    products = np.zeros((n_features, n_features), np.int64)
    sums_with = np.zeros((n_features, n_features), np.int64)
    for item in grams:
        measured = item.measured.astype(np.int64)
        n_cells += item.n_cells * measured
        totals += item.sums
        together += item.n_cells * np.outer(measured, measured)
        products += item.products
        # [i, j]: Σq of gene i over the cells in which j was measured as well.
        sums_with += np.outer(item.sums, measured)
    means = np.divide(totals, n_cells, out=np.zeros(n_features), where=n_cells > 0)
    covariance = products.astype(np.float64)
    del products
    term = means[:, None] * sums_with.T
    covariance -= term
    covariance -= np.multiply(means[None, :], sums_with, out=term)
    covariance += np.multiply(together, np.outer(means, means), out=term)
    del together, sums_with, term
    freedom = max(sum(item.n_cells for item in grams) - 1, 1)
    covariance /= freedom * float(SCALE) ** 2
    n_components = min(n_components, n_features)
    scales = _scales(covariance.diagonal() * freedom, n_cells, SCALINGS[scaling])
    covariance *= scales[:, None]
    covariance *= scales[None, :]
    total_variance = float(np.trace(covariance))
    # One thread: the eigensolver's last bits depend on how BLAS splits its work.
    with threadpool_limits(1):
        values, vectors = linalg.eigh(
            covariance,
            subset_by_index=[n_features - n_components, n_features - 1],
            overwrite_a=True,
            check_finite=False,
        )
    components = np.ascontiguousarray(vectors[:, ::-1])
    largest = np.argmax(np.abs(components), axis=0)
    components = components * np.sign(components[largest, np.arange(n_components)])
    return Basis(
        means=means / SCALE,
        scales=scales,
        components=components,
        variances=np.maximum(values[::-1], 0.0),
        total_variance=total_variance,
    )


def _scales(
    squares: NDArray[np.float64], n_cells: NDArray[np.float64], power: float
) -> NDArray[np.float64]:
    """Standard deviation ** -power of each feature from its squares; 0 where it is constant."""
    variance = np.divide(squares, n_cells, out=np.zeros_like(squares), where=n_cells > 0)
    varies = variance > 0
    scales = np.where(varies, np.where(varies, variance, 1.0) ** (-power / 2), 0.0)
    return np.asarray(scales, np.float64) if power else np.ones_like(variance)
