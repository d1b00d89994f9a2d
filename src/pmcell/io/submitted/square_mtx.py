"""Which side of a square Matrix Market file are the genes: lengths of its two lists do not tell.

Nearly every cell expresses ribosomal proteins and mitochondrial genes. Along the side of the genes
their sums are therefore among the largest; along the side of the cells the same positions are
cells like any others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from pmcell.io.entries import Entries

EXPRESSED_BY_ALL = re.compile(r"(?:MT-(?:ND|CO|CYB|ATP)\w*|RP[LS]\d+[ALXY]?\d?|RPLP\d|RPSA)", re.I)
"""Symbols of genes that nearly every cell expresses; their pseudogenes (RPL23AP2) are others."""
MIN_GENES = 10
"""Such genes from which the difference below is no chance."""
MIN_DIFFERENCE = 0.35
"""Between the two sides' `_rank_of`; three standard deviations for ten genes without meaning."""


def orientation_of_square(symbols: Sequence[str], entries: Iterable[Entries]) -> str | None:
    """`genes_by_cells` or `cells_by_genes`, or None where the values do not tell.

    `entries` are (row, column, value) of all stored values, positions from 0. What lies outside
    is left to who reads the counts.
    """
    is_expressed = np.array([bool(EXPRESSED_BY_ALL.fullmatch(name)) for name in symbols], bool)
    if is_expressed.sum() < MIN_GENES:
        return None
    by_row, by_column = _sums(entries, is_expressed.size)
    difference = _rank_of(is_expressed, by_row) - _rank_of(is_expressed, by_column)
    if abs(difference) < MIN_DIFFERENCE:
        return None
    return "genes_by_cells" if difference > 0 else "cells_by_genes"


def _sums(entries: Iterable[Entries], n: int) -> tuple[np.ndarray, np.ndarray]:
    by_row, by_column = np.zeros(n), np.zeros(n)
    for rows, columns, values in entries:
        inside = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
        for sums, positions in ((by_row, rows), (by_column, columns)):
            sums += np.bincount(positions[inside], weights=values[inside], minlength=n)
    return by_row, by_column


def _rank_of(chosen: np.ndarray, sums: np.ndarray) -> float:
    """Chance that the sum of a chosen position is above that of another; half for equal ones."""
    if chosen.all():
        return 0.5
    others = np.sort(sums[~chosen])
    below = np.searchsorted(others, sums[chosen], "left")
    not_above = np.searchsorted(others, sums[chosen], "right")
    return float(np.mean(below + not_above) / (2 * others.size))
