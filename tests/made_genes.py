"""Counts of donors in gene space: planted strata, donors' own variation, overdispersed cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.gene_sums import GeneSums, HalfCounts, gene_sums


@dataclass(frozen=True)
class MadeGenes:
    halves: HalfCounts
    stratum: NDArray[np.int64]
    batch: NDArray[np.int64]

    def sums(self) -> GeneSums:
        n_rows, n_types = self.halves.n.shape
        gene = np.tile(np.arange(self.halves.counts.shape[3]), (n_types, 1))
        rows = np.arange(n_rows)
        return gene_sums(self.halves, rows, gene, rows)


def made_genes(
    seed: int = 0,
    *,
    n_donors: int = 40,
    n_types: int = 4,
    n_genes: int = 400,
    n_strata: int = 3,
    effect: float = 0.6,
    planted: int = 40,
    cells: tuple[int, int] = (30, 200),
    n_batches: int = 1,
    own: float = 0.18,
    factor: float = 0.0,
) -> MadeGenes:
    """Donors in strata with `planted` genes a type moved by N(0, `effect`); 0 for no strata.

    A `factor` that is no stratum moves every gene.
    """
    rng = np.random.default_rng(seed)
    stratum = rng.permutation(np.arange(n_donors) % n_strata)
    batch = np.arange(n_donors) % n_batches
    moved = np.zeros((n_strata, n_types, n_genes))
    for level in range(n_strata):
        for kind in range(n_types):
            genes = rng.choice(n_genes, planted, replace=False)
            moved[level, kind, genes] = rng.normal(0, effect, planted)
    log = rng.normal(0, 1.2, (1, n_types, n_genes)) + moved[stratum]
    log = log + rng.normal(0, own, (n_donors, 1, n_genes))
    if factor:
        score = rng.normal(0, 1, (n_donors, 1))
        log = log + np.tensordot(score, rng.normal(0, factor, (1, n_types, n_genes)), 1)
    log = log + rng.normal(0, 0.5, (n_batches, 1, n_genes))[batch] * (n_batches > 1)
    share = np.exp(log)
    share /= share.sum(axis=2, keepdims=True)
    n = rng.integers(*cells, (n_donors, n_types))
    first = rng.binomial(n, 0.5)
    counts = np.zeros((2, n_donors, n_types, n_genes))
    for half, size in enumerate((first, n - first)):
        # The sum of cells with gamma-Poisson counts: 1000 counts a cell, dispersion 0.5.
        gamma = rng.gamma(np.maximum(size, 1e-9)[:, :, None] / 0.5, 0.5, counts.shape[1:])
        counts[half] = rng.poisson(1000 * share * gamma)
    return MadeGenes(HalfCounts(counts, counts.sum(axis=3), n.astype(float)), stratum, batch)
