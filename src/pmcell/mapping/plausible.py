"""What samples must be like as a whole before any of their cells is labelled.

A classifier gives every matrix of whole numbers an answer. Three things that hold for counts of
single cells of a reference's tissue, whatever their types, tell most other matrices apart: counts
of a gene vary at least as draws from one profile do; cells differ by more than such draws; and the
genes that are frequent are those that are frequent in the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import DataError
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    from scipy import sparse

    from pmcell.mapping.expression import GeneSpace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_COUNTS = 100
"""Counts of the model's genes that a cell must have to be labelled. Of cells thinned below that,
5 to 60 % get a wrong coarse label, and most of these are called platelets; above, 1 to 3 %."""
MAX_POOR = 0.5
"""Share of the cells that may have fewer."""
MIN_MEAN = 0.1
"""Mean count of a gene from which its variation is looked at."""
MIN_GENES = 20
"""Genes that must reach it before anything is said of variation, and be shared before profiles
are compared."""
LEAST_VARIATION = 0.85
"""Variation over that of draws, below which nine of ten genes may not lie. Whole values that are
no counts (rounded logarithms, yes or no) had 0.2 to 0.7, counts of three laboratories 1.0 and
more (tests/benchmarks/person/RESULTS.md)."""
MAX_SCALED = 0.05
"""Share of the cells whose smallest value may look like a multiple of one: none of 13,000 cells of
four laboratories does."""
MIN_SMALLEST = 0.2
"""Share of a cell's genes that have its smallest value, above one, for it to look so."""
LEAST_DIFFERENCE = 1.1
"""Mean variation over that of draws; empty droplets have 1.0, blood of 300 counts a cell 1.6."""
LEAST_LIKENESS = 0.35
"""Correlation of the log shares of genes with the reference's: blood of other laboratories had 0.50
to 0.85, lymphocytes alone 0.38 to 0.78, islets 0.15 to 0.31, genes under wrong names 0.26 at most
(tests/benchmarks/person/RESULTS.md)."""
ALMOST_NONE = 0.01
"""Added to shares before the logarithm, over the number of genes."""


def check_samples(
    counts: sparse.csr_matrix, gene_ids: NDArray[np.str_], space: GeneSpace, tissue: str
) -> Bools:
    """Refuse samples whose cells cannot be counts of cells of the reference's tissue.

    Parameters
    ----------
    counts
        Counts of the cells that passed QC (cells, genes).
    gene_ids
        Their genes.
    space
        The gene space of the reference.
    tissue
        Its tissue, in words.

    Returns
    -------
    numpy.ndarray
        Which cells have too few counts to be labelled (cells,).

    Raises
    ------
    DataError
        `not_counts`, `cells_alike`, `too_few_counts` or `unlike_reference`.
    """
    place = {name: at for at, name in enumerate(space.features.tolist())}
    at = np.array([place.get(name, -1) for name in text_array(gene_ids).tolist()], np.int64)
    own = counts[:, at >= 0].tocsr()
    total = np.asarray(own.sum(axis=1), np.float64).ravel()
    is_poor = np.asarray(total < MIN_COUNTS, bool)
    own, total = own[total > 0], total[total > 0]
    variation = _variation(own, total)
    if variation.size >= MIN_GENES:
        _check_variation(variation, total.size)
    if total.any():
        _check_ones(counts.tocsr())
    if is_poor.mean() > MAX_POOR:
        raise DataError(
            f"at most {MAX_POOR:.0%} of the cells may have fewer than {MIN_COUNTS} counts of the "
            f"reference's {space.model.size} genes; {is_poor.mean():.0%} have. Sequence deeper, or "
            "measure more of these genes.",
            reason="too_few_counts",
        )
    if own.shape[1] >= MIN_GENES:
        share = np.asarray(own.sum(axis=0), np.float64).ravel() / max(float(total.sum()), 1.0)
        _check_likeness(share, space.share[space.model][at[at >= 0]], tissue)
    return is_poor


def _check_ones(counts: sparse.csr_matrix) -> None:
    """Refuse values whose ones are missing: what was multiplied has gaps, whatever the rounding."""
    values, n_genes = counts.data, np.diff(counts.indptr)
    start, n_genes = counts.indptr[:-1][n_genes > 0], n_genes[n_genes > 0]
    least = np.minimum.reduceat(values, start)
    n_least = np.add.reduceat((values == np.repeat(least, n_genes)).astype(np.int64), start)
    large = n_genes >= MIN_GENES
    scaled = int((large & (least > 1) & (n_least >= MIN_SMALLEST * n_genes)).sum())
    if scaled > MAX_SCALED * large.sum():
        raise DataError(
            f"the smallest counts of a cell must be ones; in {scaled / large.sum():.0%} of the "
            "cells many genes have one larger value as the smallest. These are not raw counts "
            "(normalised and rounded, or multiplied). Map the raw counts.",
            reason="not_counts",
        )
    if (values > 3).any() and not ((values == 2) | (values == 3)).any():
        raise DataError(
            "counts must include twos and threes where larger ones are there; none is. These are "
            "not raw counts (squares, or other transformed values). Map the raw counts.",
            reason="not_counts",
        )


def _check_variation(variation: Floats, n_cells: int) -> None:
    # Of few cells the variation itself varies, by this much at the lower tenth of the genes.
    chance = 1.28 * np.sqrt(2.0 / max(n_cells - 1, 1))
    low = float(np.quantile(variation, 0.1))
    if low < LEAST_VARIATION - chance:
        raise DataError(
            "counts of a gene must vary over cells at least as much as draws from one profile do; "
            f"here a tenth of the genes vary less than {low:.2f} times as much. These are not raw "
            "counts (rounded logarithms, binary or shifted values), or cells are there several "
            "times. Map the raw counts, each cell once.",
            reason="not_counts",
        )
    mean = float(variation.mean())
    if mean < LEAST_DIFFERENCE:
        raise DataError(
            "cells must differ by more than draws from one profile do; these do not "
            f"({mean:.2f} times as much). They are empty droplets, or have too few counts to tell "
            "them apart. Leave empty droplets out, as Cell Ranger and CellBender do.",
            reason="cells_alike",
        )


def _check_likeness(share: Floats, known: Floats, tissue: str) -> None:
    like = _correlation(share, known)
    if like < LEAST_LIKENESS:
        raise DataError(
            "the genes that are frequent in the samples must be those of the reference "
            f"({tissue}); their log shares correlate by {like:.3f}, where at least "
            f"{LEAST_LIKENESS} is asked for. The samples are of another tissue or species, or "
            "counts stand under the names of other genes.",
            reason="unlike_reference",
        )


def _correlation(share: Floats, known: Floats) -> float:
    logs = [
        np.log(values / max(float(values.sum()), 1e-300) + ALMOST_NONE / values.size)
        for values in (share, known)
    ]
    apart = [values - values.mean() for values in logs]
    scale = float(np.sqrt((apart[0] ** 2).sum() * (apart[1] ** 2).sum()))
    return float((apart[0] * apart[1]).sum()) / scale if scale > 0 else 0.0


def _variation(counts: sparse.csr_matrix, total: Floats) -> Floats:
    """Pearson's dispersion of each gene that is frequent enough; 1 for draws from one profile."""
    sums = np.asarray(counts.sum(axis=0), np.float64).ravel()
    share = sums / max(float(sums.sum()), 1.0)
    squares = counts.multiply(counts).tocsr().astype(np.float64)
    weighed = np.asarray(squares.T @ (1.0 / total)).ravel()
    enough = (sums >= MIN_MEAN * total.size) & (share < 1.0)
    share, sums, weighed = share[enough], sums[enough], weighed[enough]
    spread = weighed / share - 2.0 * sums + share * float(total.sum())
    return np.asarray(spread / (1.0 - share) / max(total.size - 1, 1))
