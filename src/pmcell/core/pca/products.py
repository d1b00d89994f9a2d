"""Exact products of fixed-point values, cell by cell: the sums behind the Gram matrix.

Everything is a whole number, so any order of adding gives the same bits. A tile of
cells is kept twice: as a dense matrix of 16-bit values, cut into panels of features
that stay in the cache, and as the list of each feature's cells. A feature's sums of
products are the rows of its cells, each multiplied by its value and added up: work in
proportion to the feature's detected values, done on contiguous integers. Features
stand in order of how many cells detect them and each needs only the panels up to its
own, so the lists of the frequent ones, which are long, meet few columns. A feature's
sums are one row of the products, written by one thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, parallel_kernel, prange, thread_count
from pmcell.core.counts.blocks import Block
from pmcell.core.counts.lognorm import MAX_Q, N_LOOKUP, open_cell, q_of

TILE_ROWS = 2048
PANEL = 128
"""Cells of a tile and features of a panel: together half a megabyte, for the second cache."""

TOGETHER = 8
"""Products added in 32 bits before they go to 64; `_add_products` is written out for eight."""

assert TOGETHER * MAX_Q**2 < 2**32


class ProductSums:
    """Σq and Σq·q' of the features over the rows added so far.

    `feature_of_gene` (n_genes) is each gene's position among the features, or
    -1. The first rows decide the order in which features are held; the result is
    the same for any order.
    """

    def __init__(self, feature_of_gene: NDArray[np.int64], n_features: int) -> None:
        self._feature_of_gene = feature_of_gene
        self._place_of_feature: NDArray[np.int64] | None = None
        self._sums = np.zeros(n_features, np.int64)
        n_columns = -(-n_features // PANEL) * PANEL
        self._products = np.zeros((n_features, n_columns), np.int64)

    def add(self, block: Block, rows: NDArray[np.int64]) -> None:
        """Add the given rows of a block."""
        n_tiles = -(-rows.size // TILE_ROWS)
        for tile in np.array_split(rows, n_tiles) if n_tiles else ():
            if self._place_of_feature is None:
                self._place_of_feature = self._order(block, tile)
                known = np.append(self._place_of_feature, -1).astype(np.int32)
                self._place_of_gene = known[self._feature_of_gene]
            self._add_tile(block, tile)

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Σq (n_features) and Σq·q' (n_features, n_features, symmetric), int64."""
        if self._place_of_feature is None:
            return self._sums, np.zeros((self._sums.size, self._sums.size), np.int64)
        place = self._place_of_feature
        return self._sums[place], _symmetric(self._products, place)

    def _order(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Place of each feature, the most frequent first."""
        entries = slice(block.indptr[rows[0]], block.indptr[rows[-1] + 1])
        seen = self._feature_of_gene[block.indices[entries]]
        n_cells = np.bincount(seen[seen >= 0], minlength=self._sums.size)
        return np.argsort(np.argsort(-n_cells, kind="stable"))

    def _add_tile(self, block: Block, rows: NDArray[np.int64]) -> None:
        n_places = self._sums.size
        begins = np.append(0, np.cumsum(np.diff(block.indptr)[rows]))
        dense = np.zeros((self._products.shape[1] // PANEL, rows.size, PANEL), np.uint16)
        matrix = (block.indptr, block.indices, block.data)
        lists = _split(matrix, rows, self._place_of_gene, begins, dense)
        cuts = np.linspace(0, rows.size, thread_count() + 1).astype(np.int64)
        n_before = _count_places(begins, lists, cuts, n_places)
        first = np.zeros(n_places + 1, np.int64)
        # Filled up with zeros to a multiple, so that the kernel needs no remainder.
        np.cumsum(-(-n_before[-1] // TOGETHER) * TOGETHER, out=first[1:])
        cells, values = _by_place(begins, lists, cuts, n_before, first)
        _add_products(dense, first, cells, values, thread_count(), self._sums, self._products)


@parallel_kernel
def _split(
    matrix: tuple[Array, Array, Array],
    rows: Array,
    place_of_gene: Array,
    begins: Array,
    dense: Array,
) -> tuple[Array, Array, Array]:
    """Fill the panels with the rows' q, and list them: row `at` from `begins[at]`, `n` of them."""
    indptr, indices, data = matrix
    places = np.empty(begins[-1], np.int32)
    values = np.empty(begins[-1], np.uint16)
    n_values = np.empty(rows.size, np.int64)
    for at in prange(rows.size):
        low, high = indptr[rows[at]], indptr[rows[at] + 1]
        lookup = np.zeros(N_LOOKUP, np.int64)
        factor = open_cell(data, low, high, lookup)
        genes, counts = indices[low:high], data[low:high]
        own_places = places[begins[at] : begins[at + 1]]
        own_values = values[begins[at] : begins[at + 1]]
        own_counts = np.empty(genes.size, np.int32)
        n = np.uint64(0)
        # Without a branch: which genes are features follows no pattern.
        for entry in range(genes.size):
            place = place_of_gene[np.uint64(genes[entry])]
            own_places[n] = place
            own_counts[n] = counts[entry]
            n += np.uint64(place >= 0)
        for entry in range(n):
            place = np.uint64(own_places[entry])
            count = np.int64(own_counts[entry])
            q = q_of(count, factor, lookup) if count > 0 else np.int64(0)
            own_values[entry] = q
            dense[place // np.uint64(PANEL), at, place % np.uint64(PANEL)] = q
        n_values[at] = n
    return places, values, n_values


@parallel_kernel
def _count_places(
    begins: Array, lists: tuple[Array, Array, Array], cuts: Array, n_places: int
) -> Array:
    """Values of each place in the shares of rows before each cut (n_shares + 1, n_places)."""
    places, _, n_values = lists
    counts = np.zeros((cuts.size, n_places), np.int64)
    for share in prange(cuts.size - 1):
        own = counts[share + 1]
        for row in range(cuts[share], cuts[share + 1]):
            for place in places[begins[row] : begins[row] + n_values[row]]:
                own[np.uint64(place)] += 1
    for share in range(1, cuts.size):
        counts[share] += counts[share - 1]
    return counts


@parallel_kernel
def _by_place(
    begins: Array, lists: tuple[Array, Array, Array], cuts: Array, n_before: Array, first: Array
) -> tuple[Array, Array]:
    """Row and q of each value in the order of their places, and rows; zeros fill up each place."""
    places, values, n_values = lists
    cells = np.zeros(first[-1], np.int32)
    sorted_values = np.zeros(first[-1], np.uint32)
    for share in prange(cuts.size - 1):
        slots = first[:-1] + n_before[share]
        for row in range(cuts[share], cuts[share + 1]):
            own_places = places[begins[row] : begins[row] + n_values[row]]
            own_values = values[begins[row] : begins[row] + n_values[row]]
            for entry in range(own_places.size):
                place = np.uint64(own_places[entry])
                slot = np.uint64(slots[place])
                slots[place] += 1
                cells[slot] = row
                sorted_values[slot] = own_values[entry]
    return cells, sorted_values


@parallel_kernel
def _add_products(
    dense: Array,
    first: Array,
    cells: Array,
    values: Array,
    n_shares: int,
    sums: Array,
    products: Array,
) -> None:
    """Add each place's Σq, and its Σq·q' with the places of the panels up to its own."""
    n_places = first.size - 1
    for share in prange(n_shares):
        total = np.empty(PANEL, np.uint64)
        for panel in range(dense.shape[0]):
            rows = dense[panel]
            low = panel * PANEL
            # Every n-th feature, so that shares are alike whatever the order of the features.
            for place in range(low + (share - low) % n_shares, n_places, n_shares):
                total[:] = 0
                for slot in range(first[place], first[place + 1], TOGETHER):
                    r0, r1 = rows[cells[slot]], rows[cells[slot + 1]]
                    r2, r3 = rows[cells[slot + 2]], rows[cells[slot + 3]]
                    r4, r5 = rows[cells[slot + 4]], rows[cells[slot + 5]]
                    r6, r7 = rows[cells[slot + 6]], rows[cells[slot + 7]]
                    v0, v1, v2, v3 = (
                        values[slot],
                        values[slot + 1],
                        values[slot + 2],
                        values[slot + 3],
                    )
                    v4, v5, v6, v7 = (
                        values[slot + 4],
                        values[slot + 5],
                        values[slot + 6],
                        values[slot + 7],
                    )
                    # numba widens every product to 64 bits; the casts keep 32, twice as fast.
                    for at in range(PANEL):
                        total[at] += np.uint64(
                            np.uint32(
                                np.uint32(v0 * np.uint32(r0[at]))
                                + np.uint32(v1 * np.uint32(r1[at]))
                                + np.uint32(v2 * np.uint32(r2[at]))
                                + np.uint32(v3 * np.uint32(r3[at]))
                                + np.uint32(v4 * np.uint32(r4[at]))
                                + np.uint32(v5 * np.uint32(r5[at]))
                                + np.uint32(v6 * np.uint32(r6[at]))
                                + np.uint32(v7 * np.uint32(r7[at]))
                            )
                        )
                own = products[place, low : low + PANEL]
                for at in range(PANEL):
                    own[at] += np.int64(total[at])
        for place in range(share, n_places, n_shares):
            for slot in range(first[place], first[place + 1]):
                sums[place] += np.int64(values[slot])


@parallel_kernel
def _symmetric(products: Array, place_of_feature: Array) -> Array:
    """The products in the order of the features; a pair stands in the row of its later place."""
    n_features = place_of_feature.size
    whole = np.empty((n_features, n_features), np.int64)
    for feature in prange(n_features):
        own = place_of_feature[feature]
        for other in range(n_features):
            place = place_of_feature[other]
            whole[feature, other] = products[max(own, place), min(own, place)]
    return whole
