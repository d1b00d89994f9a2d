"""The same people once more: what becomes of their cells when somebody else counts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from pmcell.registry.duplicates.match import Cells, richest

WAYS = ("renamed", "half", "panel", "thinned", "reference", "ambient")
ALL_AT_ONCE = ("half", "panel", "thinned", "reference", "ambient")


def cells_of(counts: sp.spmatrix, genes: Sequence[str], donors: Sequence[str]) -> Cells:
    """What is compared of a cohort."""
    matrix, names = sp.csr_matrix(counts), np.asarray(donors, dtype=object)
    rows = richest(np.asarray(matrix.sum(axis=1)).ravel().astype(np.int64), names)
    return Cells(matrix[rows].astype(np.float64), np.asarray(genes, dtype=object), names[rows])


def counted_again(
    counts: sp.spmatrix, ways: Sequence[str], rng: np.random.Generator
) -> sp.csr_matrix:
    """The cells in another order, and changed in each of `ways`; `panel` is `with_panel`."""
    x = sp.csr_matrix(counts)[rng.permutation(counts.shape[0])].astype(np.int64)
    if "half" in ways:
        x = x[: x.shape[0] // 2]
    if "thinned" in ways:
        x.data = rng.binomial(x.data, 0.8)
    if "reference" in ways:
        # Another reference: a tenth of the genes have no counts, the others a few fewer.
        x = sp.csr_matrix(x.multiply(rng.random(x.shape[1]) > 0.1)).astype(np.int64)
        x.data = rng.binomial(x.data, 0.95)
    if "ambient" in ways:
        soup = np.asarray(x.sum(axis=0)).ravel() / x.sum()
        depth = np.asarray(x.sum(axis=1)).ravel()
        noise = [rng.multinomial(rng.poisson(0.1 * total), soup) for total in depth]
        x = sp.csr_matrix(x.toarray() + np.array(noise))
    return sp.csr_matrix(x)


def with_panel(n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Columns of a panel of three fifths of the genes."""
    return np.sort(rng.choice(n_genes, n_genes * 3 // 5, replace=False))


def plant(
    counts: sp.spmatrix,
    genes: Sequence[str],
    donors: np.ndarray,
    chosen: Sequence[str],
    ways: Sequence[str],
    seed: int,
) -> Cells:
    """The chosen donors as another cohort hands them in: `again-0`, `again-1`, …"""
    rng = np.random.default_rng(seed)
    names = np.asarray(genes, dtype=object)
    columns = with_panel(names.size, rng) if "panel" in ways else np.arange(names.size)
    parts = [counted_again(sp.csr_matrix(counts)[donors == name], ways, rng) for name in chosen]
    owners = np.repeat([f"again-{n}" for n in range(len(parts))], [part.shape[0] for part in parts])
    return cells_of(sp.vstack(parts).tocsr()[:, columns], names[columns], owners)
