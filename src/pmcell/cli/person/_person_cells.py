"""What a person's cells and sums look like, by numbers alone, for a removal scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pmcell.consent.removal.gene_sets import GeneSets


@dataclass
class PersonCells:
    """Names and prints of a person's cells, and of those of others; what the person's express."""

    names: list[str] = field(default_factory=list)
    other_names: set[str] = field(default_factory=set)
    prints: set[bytes] = field(default_factory=set)
    other_prints: set[bytes] = field(default_factory=set)
    genes: GeneSets | None = None


def cells_of(path: Path, donor: str) -> PersonCells:
    """The cells of `donor`, as results call them, in the counts of a cohort."""
    from pmcell.consent.removal.gene_sets import MAX_CELLS, GeneSets
    from pmcell.consent.removal.needles import cell_prints
    from pmcell.io.counts.open import open_counts
    from pmcell.schema.text import as_text, text_array

    counts = open_counts(path)
    is_own = text_array(counts.read_obs()["donor_id"]) == donor
    names = np.asarray(as_text(counts.cell_ids))
    found = PersonCells(list(map(str, names[is_own])), set(map(str, names[~is_own])))
    expressed: list[NDArray[np.int64]] = []
    samples, sample_codes = np.unique(
        text_array(counts.read_obs()["sample_id"]), return_inverse=True
    )
    sums = np.zeros((samples.size + 1, len(counts.gene_ids)))
    for block in counts.iter_blocks():
        rows = np.arange(counts.n_cells)[block.rows]
        for row, mark in cell_prints(block.indptr, block.data):
            (found.prints if is_own[rows[row]] else found.other_prints).add(mark)
        for own in np.flatnonzero(is_own[rows]).tolist():
            genes = block.indices[block.indptr[own] : block.indptr[own + 1]]
            expressed.append(np.array(genes, np.int64))
            values = block.data[block.indptr[own] : block.indptr[own + 1]]
            for part in (sample_codes[rows[own]], -1):
                sums[part, genes] += values
        # Those with the most genes tell most of a matrix that holds a few.
        expressed = sorted(expressed, key=len, reverse=True)[:MAX_CELLS]
    # Pseudobulk of all cells; `sum_prints` is of those that passed QC.
    bounds = np.arange(sums.shape[0] + 1) * sums.shape[1]
    found.prints |= {mark for _, mark in cell_prints(bounds, sums.ravel())}
    symbols = as_text(counts.read_var()["symbol"])
    labels = tuple(f"{gene} {name}" for gene, name in zip(counts.gene_ids, symbols, strict=True))
    indptr = np.concatenate([[0], np.cumsum([cell.size for cell in expressed])]).astype(np.int64)
    indices = np.concatenate(expressed) if expressed else np.empty(0, np.int64)
    found.genes = GeneSets(labels, indptr, indices)
    return found


def sum_prints(path: Path, donor: str) -> tuple[set[bytes], set[bytes]]:
    """Prints of sums over a person's cells, and of those over others': pseudobulk under any name.

    Counts, cells with counts and sums of normalised counts, over each sample, type and cluster,
    and over all of a donor's cells.
    """
    from scipy.sparse import csr_matrix

    from pmcell.consent.removal.needles import cell_prints
    from pmcell.core.counts.sums import COUNTS, N_DETECTED, SUM_Q
    from pmcell.io.counts.aggregates import read_aggregate
    from pmcell.schema.text import text_array

    sums = read_aggregate(path)
    donors = text_array(sums.sample_donors)[sums.group_sample]
    _, donor_code = np.unique(donors, return_inverse=True)
    keys = [
        np.column_stack([person, *parts])
        for person in (donor_code, sums.group_sample)
        for parts in ([], [sums.group_cluster], [sums.group_label])
    ]
    mine: set[bytes] = set()
    theirs: set[bytes] = set()
    for column in (COUNTS, N_DETECTED, SUM_Q):
        matrix = sums.sums.matrix(column)
        for key in keys:
            _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
            ones = np.ones(group.size, np.int64)
            adding = csr_matrix((ones, (group.ravel(), np.arange(group.size))))
            added = (adding @ matrix).tocsr()
            is_own = donors[first] == donor
            for row, mark in cell_prints(added.indptr, added.data):
                (mine if is_own[row] else theirs).add(mark)
    return mine, theirs
