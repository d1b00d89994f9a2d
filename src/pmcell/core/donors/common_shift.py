"""What a batch adds to all cell types alike: chemistry, depth and ambient RNA do, strata rarely.

A batch whose donors are all of one stratum differs from others as the stratum does: in some
types, or in shares. A batch that differs by the laboratory alone differs alike everywhere. So
of what each batch adds to each type, the median over the types is taken for the
laboratory's; a minority of types that strata move does not change it. Of expression, most of whose
genes are kept of few types, no such part is taken: it is asked how far donors differ in a
gene between their types, which no laboratory that moves all types alike changes, neither by
what a batch's commonest genes take from the share of all others nor where counts are few.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import DonorSums
from pmcell.core.donors.gene_sums import GeneSums
from pmcell.core.donors.offsets import batch_offsets
from pmcell.core.donors.spectral import pairwise_squared

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_TYPES = 3
"""With fewer types nothing is alike in all of them that could not be one's own."""

MIN_SHARE = 0.5
"""A type takes part if it has enough cells in this share of the rows."""


def without_common_shift(sums: DonorSums, batch: Ints, n_batches: int, min_cells: int) -> DonorSums:
    """The rows, their batches known, less what their batch adds to all types alike.

    Means in the embedding are moved. Shares have no part that is alike in all types; the waves of
    all cells and expression, of which each type has genes of its own, are left as they are.
    """
    enough = sums.n >= min_cells
    common = enough.mean(axis=0) >= MIN_SHARE
    if common.sum() < MIN_TYPES:
        return sums
    mean = np.where(enough[:, :, None], sums.mean, np.nan)[:, common]
    added = batch_offsets(mean.reshape(batch.size, -1), batch, n_batches)
    shift = np.median(added.reshape(n_batches, *mean.shape[1:]), axis=1)
    return replace(sums, mean=sums.mean - shift[batch][:, None])


def squared_between_types(genes: GeneSums) -> Floats:
    """Squared distances of rows in what their types do not have alike, sampling noise taken out.

    Of each gene that several types of a row have, what they have alike is left out. Before, so is
    what all genes of a type have alike: expression is a share of all counts, so a gene that many
    counts are of moves the others of its type the other way, and types differ in these genes.
    Both as far as each gene and type shows a change.
    """
    known, real = genes.size > 0, genes.gene >= 0
    shown = np.where(real, genes.shown, 0.0)
    x = np.where(known[:, :, None], genes.mean, 0.0)
    x -= np.where(known[:, :, None], x.sum(axis=0) / np.maximum(known.sum(axis=0), 1)[:, None], 0.0)
    level = (x * shown).sum(axis=2) / np.maximum((shown**2).sum(axis=1), 1e-300)
    x -= level[:, :, None] * shown
    code, kind = genes.gene[real], np.nonzero(real)[0]
    place = known[:, kind].astype(np.float64)
    shows, x = place * shown[real], place * x[:, real]
    alike = shows / np.maximum(_over_types(shows**2, code), 1e-300)[:, code]
    own = np.where(_over_types(place, code)[:, code] > 1, place, 0.0)
    x = own * (x - shows * _over_types(alike * x, code)[:, code])
    x -= own * (x.sum(axis=0) / np.maximum(own.sum(axis=0), 1.0))
    variance = (genes.variance()[:, :, None] * genes.within)[:, real]
    noise = (own * variance * (1.0 - alike * shows)).sum(axis=1)
    squared = pairwise_squared(x) - noise[:, None] - noise[None, :]
    np.fill_diagonal(squared, 0.0)
    return np.asarray(squared)


def _over_types(values: Floats, code: Ints) -> Floats:
    """Sums over the types of each gene (rows, genes)."""
    size = int(code.max(initial=-1)) + 1
    return np.stack([np.bincount(code, row, minlength=size) for row in values])
