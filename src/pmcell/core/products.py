"""Exact products of fixed-point values, cell by cell: the sums behind the Gram matrix.

Every partial sum is a whole number below 2^53, so float64 holds it exactly and
any order of adding gives the same bits; that lets the processor's fused
multiply-add and BLAS do the work. Features are of two kinds: those that many
cells detect stand in a dense matrix of the tile's cells, the others in lists.
Dense × dense is one BLAS product; list × dense adds rows, panel by panel so that
they stay in the cache; list × list scatters. A feature's sums are one row of the
products, written by one thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.blocks import Block
from pmcell.core.compiler import Array, kernel, parallel_kernel, prange, thread_count
from pmcell.core.lognorm import MAX_Q, N_LOOKUP, open_cell, q_of

DENSE_FROM = 0.125
"""Share of cells from which adding a whole row costs less than scattering its entries."""

TILE_ROWS = 2048
PANEL = 96
"""Cells of a tile and dense features of a panel: together 0.8 MB of float32."""


EXACT_CELLS = 2**53 // MAX_Q**2
"""Cells whose products float64 sums exactly; then the sums move on to int64."""


class ProductSums:
    """Σq and Σq·q' of the features over the rows added so far.

    `feature_of_gene` (n_genes) is each gene's position among the features, or
    -1. The first rows decide which features are dense; the result is the same
    for any choice.
    """

    def __init__(self, feature_of_gene: NDArray[np.int64], n_features: int) -> None:
        self._feature_of_gene = feature_of_gene
        self._order: NDArray[np.int64] | None = None
        self._n_added = 0
        self._sums = np.zeros(n_features)
        self._products = np.zeros((n_features, n_features))
        self._moved: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def add(self, block: Block, rows: NDArray[np.int64]) -> None:
        """Add the given rows of a block."""
        for start in range(0, rows.size, TILE_ROWS):
            tile = rows[start : start + TILE_ROWS]
            if self._order is None:
                self._choose_dense(block, tile)
            if self._n_added + tile.size > EXACT_CELLS:
                self._move()
            self._n_added += tile.size
            self._add_tile(block, tile)

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Σq (n_features) and Σq·q' (n_features, n_features, symmetric), int64."""
        self._move()
        assert self._moved is not None
        sums, products = self._moved
        if self._order is not None:
            at = np.argsort(self._order)
            sums, products = sums[at], products[np.ix_(at, at)]
        return sums, products

    def _choose_dense(self, block: Block, rows: NDArray[np.int64]) -> None:
        entries = slice(block.indptr[rows[0]], block.indptr[rows[-1] + 1])
        seen = self._feature_of_gene[block.indices[entries]]
        n_cells = np.bincount(seen[seen >= 0], minlength=self._sums.size)
        self._order = np.argsort(-n_cells, kind="stable")
        self._n_dense = int(np.count_nonzero(n_cells >= DENSE_FROM * (rows[-1] + 1 - rows[0])))
        place_of_feature = np.append(np.argsort(self._order), -1).astype(np.int32)
        self._place_of_gene = place_of_feature[self._feature_of_gene]

    def _add_tile(self, block: Block, rows: NDArray[np.int64]) -> None:
        n_dense = self._n_dense
        dense, indptr, places, values = _split(
            block.indptr, block.indices, block.data, rows, self._place_of_gene, n_dense
        )
        whole = np.empty((rows.size, dense.shape[0], PANEL))
        whole[:] = dense.transpose(1, 0, 2)
        whole = whole.reshape(rows.size, -1)[:, :n_dense]
        self._sums[:n_dense] += whole.sum(axis=0)
        self._products[:n_dense, :n_dense] += np.triu(whole.T @ whole)
        entries, first = _by_place(places, self._sums.size)
        lists = (indptr, places, values)
        bounds = (n_dense, thread_count())
        _add_lists(dense, lists, entries, first, bounds, self._sums, self._products)

    def _move(self) -> None:
        """Move the sums to int64; each pair was added at [a, b] or at [b, a]."""
        products = self._products.astype(np.int64)
        products += products.T - np.diag(np.diag(products))
        sums = self._sums.astype(np.int64)
        if self._moved is not None:
            sums += self._moved[0]
            products += self._moved[1]
        self._moved = sums, products
        self._sums[:] = 0
        self._products[:] = 0
        self._n_added = 0


@parallel_kernel
def _split(
    indptr: Array, indices: Array, data: Array, rows: Array, place_of_gene: Array, n_dense: int
) -> tuple[Array, Array, Array, Array]:
    """The rows' q: of dense features as panels, of the others as CSR (float32 holds q exactly)."""
    dense = np.zeros(((n_dense + PANEL - 1) // PANEL, rows.size, PANEL), np.float32)
    bounds = np.zeros(rows.size + 1, np.int64)
    for at in prange(rows.size):
        n = 0
        for entry in range(indptr[rows[at]], indptr[rows[at] + 1]):
            n += place_of_gene[indices[entry]] >= n_dense
        bounds[at + 1] = n
    bounds = np.cumsum(bounds)
    places = np.empty(bounds[-1], np.int32)
    values = np.empty(bounds[-1], np.float32)
    for at in prange(rows.size):
        low, high = indptr[rows[at]], indptr[rows[at] + 1]
        lookup = np.zeros(N_LOOKUP, np.int64)
        factor = open_cell(data, low, high, lookup)
        slot = bounds[at]
        for entry in range(low, high):
            place = place_of_gene[indices[entry]]
            if place < 0:
                continue
            count = np.int64(data[entry])
            q = q_of(count, factor, lookup) if count > 0 else np.int64(0)
            if place < n_dense:
                dense[place // PANEL, at, place % PANEL] += q
            else:
                places[slot] = place
                values[slot] = q
                slot += 1
    return dense, bounds, places, values


@kernel
def _by_place(places: Array, n_places: int) -> tuple[Array, Array]:
    """Entries in the order of their places, and where each place begins (n_places + 1)."""
    first = np.zeros(n_places + 1, np.int64)
    for entry in range(places.size):
        first[places[entry] + 1] += 1
    first = np.cumsum(first)
    slots = first.copy()
    entries = np.empty(places.size, np.int64)
    for entry in range(places.size):
        place = places[entry]
        entries[slots[place]] = entry
        slots[place] += 1
    return entries, first


@parallel_kernel
def _add_lists(
    dense: Array,
    lists: tuple[Array, Array, Array],
    entries: Array,
    first: Array,
    bounds: tuple[int, int],
    sums: Array,
    products: Array,
) -> None:
    """Add list × dense and list × list; `bounds` are the dense features and the threads' shares."""
    indptr, places, values = lists
    n_dense, n_shares = bounds
    n_panels, n_rows, _ = dense.shape
    row_of_entry = np.empty(places.size, np.int32)
    for row in prange(n_rows):
        row_of_entry[indptr[row] : indptr[row + 1]] = row
    for share in prange(n_shares):
        panel_sums = np.empty(PANEL)
        for panel in range(n_panels):
            low = panel * PANEL
            width = min(PANEL, n_dense - low)
            # Every n-th feature, so that shares are alike whatever the order of the features.
            for place in range(n_dense + share, first.size - 1, n_shares):
                panel_sums[:] = 0
                for slot in range(first[place], first[place + 1]):
                    value = np.float64(values[entries[slot]])
                    cell = dense[panel, row_of_entry[entries[slot]]]
                    for at in range(PANEL):
                        panel_sums[at] += value * cell[at]
                for at in range(width):
                    products[place, low + at] += panel_sums[at]
        for place in range(n_dense + share, first.size - 1, n_shares):
            own = products[place]
            total = 0.0
            for slot in range(first[place], first[place + 1]):
                entry = entries[slot]
                value = np.float64(values[entry])
                total += value
                for other in range(entry, indptr[row_of_entry[entry] + 1]):
                    own[places[other]] += value * values[other]
            sums[place] += total
