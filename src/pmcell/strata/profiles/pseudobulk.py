"""Counts per visit, cell type and gene, from the sums of each cohort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from pmcell.core.counts.aggregate import (
    Aggregate,
    TypeOfCells,
    measured_genes,
    positions,
    type_of_groups,
)
from pmcell.core.counts.sums import COUNTS
from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.strata.profiles.model import require_profile

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


class Pseudobulk(Mapping[str, "pd.DataFrame"]):
    """Cell type → raw counts (visits × genes), NaN where a donor's cohort did not measure a gene.

    Kept sparse; a frame is made when it is asked for, so one is in memory at a time.
    """

    def __init__(self, visits: Sequence[str], genes: Sequence[str]) -> None:
        self._visits = np.asarray(visits, object)
        self._genes = np.asarray(genes, object)
        self._at = {str(name): place for place, name in enumerate(self._visits)}
        self._blocks: dict[str, list[tuple[np.ndarray, np.ndarray, sparse.csr_matrix]]] = {}

    def __getitem__(self, cell_type: str) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for rows, columns, counts in self._blocks[cell_type]:
            values = np.full((rows.size, self._genes.size), np.nan)
            values[:, columns] = counts.toarray()
            frames.append(pd.DataFrame(values, self._visits[rows], self._genes))
        return pd.concat(frames)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._blocks))

    def __len__(self) -> int:
        return len(self._blocks)

    def add(
        self, cell_type: str, visits: Iterable[str], columns: np.ndarray, counts: sparse.csr_matrix
    ) -> None:
        """Add a cohort's visits of one cell type; `columns` are the places of its genes."""
        rows = np.array([self._at[str(name)] for name in visits], np.int64)
        self._blocks.setdefault(cell_type, []).append((rows, columns, counts))


def pseudobulk(
    donors: AnnData,
    *,
    aggregates: Sequence[Aggregate],
    visits: Mapping[str, str],
    cell_types: TypeOfCells,
) -> Pseudobulk:
    """Counts of each donor's visits by cell type; samples of a visit are added.

    `visits` maps samples to visits, `cell_types` clusters, or pairs of a cluster and a source's
    label, to types. The type 'unknown' is left out, and so is a visit from a type of which it
    has fewer than the profile's `min_cells_type` cells. Visits too small for a place among the
    donors count in the types of which they have enough. The rows have the names of `donors`
    (`donor|visit`).

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> len(pseudobulk(pm.strata.profile(cells), aggregates=[], visits={}, cell_types={}))
    0
    """
    require_profile(donors)
    key = zip(as_text(donors.obs["donor_id"]), as_text(donors.obs["visit"]), strict=True)
    at = {pair: place for place, pair in enumerate(key)}
    names = as_text(donors.obs_names.to_series()).to_numpy(object)
    least = int(donors.uns["profile"]["min_cells_type"])
    genes = measured_genes(aggregates)
    out = Pseudobulk(names, genes)
    for part in aggregates:
        columns = positions(np.array(genes, object), part.gene_ids)
        row_of_sample = np.array(
            [
                at.get((str(donor), str(visits.get(str(sample)))), -1)
                for sample, donor in zip(part.sample_ids, part.sample_donors, strict=True)
            ],
            np.int64,
        )
        row = row_of_sample[part.group_sample] if part.group_sample.size else part.group_sample
        kind = type_of_groups(part, cell_types)
        counts = part.sums.matrix(COUNTS)
        for name in sorted(set(kind[row >= 0]) - {UNKNOWN}):
            chosen = np.flatnonzero((row >= 0) & (kind == name))
            rows, code = np.unique(row[chosen], return_inverse=True)
            adder = sparse.csr_matrix(
                (np.ones(chosen.size, np.int64), (code, np.arange(chosen.size))),
                shape=(rows.size, chosen.size),
            )
            enough = adder @ part.group_n_cells[chosen] >= least
            if enough.any():
                summed = (adder @ counts[chosen])[enough]
                out.add(str(name), names[rows[enough]], columns, summed.astype(np.int32))
    return out


def check_rows(pseudobulk: Mapping[str, pd.DataFrame], donors: AnnData) -> None:
    """Raise UsageError where the rows of the first type are no visits of `donors`."""
    for name in sorted(pseudobulk)[:1]:
        index = pseudobulk[name].index
        if len(index) and not index.isin(donors.obs_names).any():
            raise UsageError(
                "rows of pseudobulk must be visits, named as in donors.obs_names (such as "
                f"{donors.obs_names[0]!r}); of {name!r} the first of {len(index)} is {index[0]!r}. "
                "Make it with pmcell.strata.pseudobulk, or name its rows so."
            )
