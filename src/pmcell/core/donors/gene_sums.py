"""Expression of each cell type in each row (donor × visit), and how exactly it is known.

From counts alone: log counts per count of the type, so neither depth nor cells move them.
What sampling adds is told by two halves of the cells, not by a model of counts: the squared
difference of the halves is, over the genes of a row, the row's noise, and over the rows of a
gene, the gene's. So depth, number of cells and overdispersion are in it as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR = 4.0
"""Counts added to each gene of a row of mean depth; few counts are drawn to the rows' mean."""

MIN_CELLS, MIN_COUNTS = 5, 100
"""With fewer cells of a type, or counts in a half of them, a row's genes are not known."""

N_SWEEPS = 4
"""The noise of rows and that of genes are fitted in turn, so often."""


@dataclass(frozen=True)
class GeneSums:
    """Expression of rows: the variance of `mean` is `within` over `size`, times `noise`.

    `mean` (rows, types, genes) log expression, NaN where a row lacks the type; `size` (rows,
    types) effective cells, 0 where it lacks it; `within` (types, genes) variance of one;
    `gene` (types, genes) codes of the genes, -1 where a type has fewer; `donor` (rows,)
    codes of the donors; `shown` (types, genes) how much of a change of a gene its expression
    shows: few counts, drawn to the mean, show less.
    """

    size: Floats
    mean: Floats
    within: Floats
    gene: Ints
    donor: Ints
    shown: Floats
    noise: float = 1.0

    def take(self, rows: Ints) -> GeneSums:
        """The same for some rows."""
        return replace(self, size=self.size[rows], mean=self.mean[rows], donor=self.donor[rows])

    def variance(self) -> Floats:
        """Variance of the expression of each row and type as a multiple of `within`; 0 if none."""
        return np.where(self.size > 0, self.noise / np.maximum(self.size, 1e-300), 0.0)

    def with_error(self, rng: np.random.Generator) -> GeneSums:
        """As if each row's cells were drawn again: the same with one more sampling error."""
        root = np.sqrt(np.where(self.size > 0, 1.0 / np.maximum(self.size, 1e-300), 0.0))
        error = root[:, :, None] * np.sqrt(self.within)
        mean = self.mean + error * rng.standard_normal(self.mean.shape)
        return replace(self, mean=mean, noise=self.noise + 1.0)


@dataclass(frozen=True)
class HalfCounts:
    """Counts of the genes looked at, and of all genes, in both halves of the cells.

    `counts` (2, rows, types, genes); `total` (2, rows, types) counts of all genes that are
    measured everywhere; `n` (rows, types) cells of both.
    """

    counts: Floats
    total: Floats
    n: Floats


def gene_sums(halves: HalfCounts, fitted_on: Ints, gene: Ints, donor: Ints) -> GeneSums:
    """Log expression of all rows, its noise told from the halves of the rows `fitted_on`."""
    known, mean_total = _known(halves), _mean_total(halves, fitted_on)
    mean = log_expression(halves.counts.sum(axis=0), halves.total.sum(axis=0), mean_total)
    first, second = (log_expression(halves.counts[h], halves.total[h], mean_total) for h in (0, 1))
    whole = np.maximum(halves.total.sum(axis=0), 1.0)
    share = halves.total[0] * halves.total[1] / whole**2
    squared = np.where(known[:, :, None], (first - second) ** 2 * share[:, :, None], 0.0)
    size, within = _rank_one(squared, known, whole, gene >= 0, fitted_on)
    unit = _mean_size(halves.n, size, known, fitted_on)
    mean = np.where(known[:, :, None], np.where(gene >= 0, mean, 0.0), np.nan)
    count = _mean_of_known(halves.counts.sum(axis=0), known[:, :, None], fitted_on)
    return GeneSums(
        size * unit, mean, within * unit[:, None], gene, donor, shown=count / (count + PRIOR)
    )


def half_gene_sums(
    halves: HalfCounts, whole: GeneSums, fitted_on: Ints
) -> tuple[GeneSums, GeneSums]:
    """The expression in each half, with the noise that the whole has been found to have."""
    mean_total = _mean_total(halves, fitted_on)
    known = whole.size > 0
    out = []
    for half in (0, 1):
        mean = log_expression(halves.counts[half], halves.total[half], mean_total)
        mean = np.where(known[:, :, None], np.where(whole.gene >= 0, mean, 0.0), np.nan)
        share = halves.total[half] / np.maximum(halves.total.sum(axis=0), 1.0)
        out.append(replace(whole, size=whole.size * share, mean=mean))
    return out[0], out[1]


def log_expression(counts: Floats, total: Floats, mean_total: Floats) -> Floats:
    """Natural log of the share of counts (rows, types, genes), drawn to the mean by `PRIOR` counts.

    The prior grows with the row's depth, so depth does not move what has few counts.
    """
    depth = np.maximum(total, 1.0)[:, :, None]
    prior = PRIOR * depth / np.maximum(mean_total, 1.0)[None, :, None]
    return np.asarray(np.log((counts + prior) / depth))


def _known(halves: HalfCounts) -> NDArray[np.bool_]:
    return np.asarray((halves.n >= MIN_CELLS) & (halves.total >= MIN_COUNTS).all(axis=0))


def _mean_total(halves: HalfCounts, rows: Ints) -> Floats:
    """Mean depth of a type over the rows that have it (types,)."""
    return _mean_of_known(halves.total.sum(axis=0), _known(halves), rows)


def _mean_of_known(values: Floats, known: NDArray[np.bool_], rows: Ints) -> Floats:
    known = known[rows]
    total = np.where(known, values[rows], 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))


def _rank_one(
    squared: Floats,
    known: NDArray[np.bool_],
    depth: Floats,
    real: NDArray[np.bool_],
    fitted_on: Ints,
) -> tuple[Floats, Floats]:
    """Sizes of rows (rows, types) and variances of genes (types, genes) behind squared differences.

    E squared = within / size. Both are fitted in turn, from 1/depth. A row is judged by many
    genes, a gene by few rows: so rows are taken out one by one before genes are averaged,
    and no gene that seems exact by chance weighs more than twice the typical one.
    """
    here = known[fitted_on][:, :, None]
    n_rows = np.maximum(here.sum(axis=0), 1)
    spread = np.where(known, 1.0 / np.maximum(depth, 1.0), 0.0)
    within = np.zeros(squared.shape[1:])
    for _ in range(N_SWEEPS):
        own = spread[fitted_on][:, :, None]
        each = np.where(here & (own > 0), squared[fitted_on] / np.where(own > 0, own, 1.0), 0.0)
        within = np.where(real, each.sum(axis=0) / n_rows, 0.0)
        typical = np.array(
            [
                np.median(row[use]) if use.any() else 1.0
                for row, use in zip(within, real, strict=True)
            ]
        )
        weight = np.where(real, 1.0 / (within + np.maximum(typical, 1e-300)[:, None]), 0.0)
        expected = np.maximum((weight * within).sum(axis=1), 1e-300)
        spread = np.where(known, np.einsum("rtg,tg->rt", squared, weight) / expected, 0.0)
    known = known & (spread > 0)
    return np.where(known, 1.0 / np.where(known, spread, 1.0), 0.0), within


def _mean_size(n: Floats, size: Floats, known: NDArray[np.bool_], fitted_on: Ints) -> Floats:
    """What makes the mean size of a type the mean of its cells (types,)."""
    here = known[fitted_on]
    cells = np.where(here, n[fitted_on], 0.0).sum(axis=0)
    return np.asarray(cells / np.maximum(np.where(here, size[fitted_on], 0.0).sum(axis=0), 1e-300))
