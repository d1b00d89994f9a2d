"""The counts behind the gene feature set, beside the profiles of donors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.counts.aggregate import (
    Aggregate,
    TypeOfCells,
    groups_of,
    positions,
    type_of_groups,
)
from pmcell.core.counts.sums import COUNTS
from pmcell.core.donors.gene_sums import HalfCounts, gene_sums
from pmcell.core.donors.genes import weigh_genes
from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text, text_array
from pmcell.spelling import plural
from pmcell.strata._threads import single_thread
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require_profile
from pmcell.strata.profiles.sex_linked import SEX_LINKED
from pmcell.tl.aggregate import aggregate_cells, counts_of

if TYPE_CHECKING:
    from anndata import AnnData

Ints = NDArray[np.int64]

MIN_GENES = 50
"""Fewer genes that all cohorts measured say nothing of what donors share."""

MIN_MEAN_COUNT = 2.0
"""Counts of a gene in a row, on average, from which it is looked at."""

MAX_VALUES = 2_000_000
"""Rows × types × genes that are kept, at most: every draw of the null model has as many."""


@dataclass(frozen=True)
class _Halves:
    """Sums of one cell type over all cohorts: counts (2, rows × genes), all counts (2, rows)."""

    counts: list[sparse.csr_matrix]
    total: NDArray[np.int64]


@single_thread
def add_genes(
    donors: AnnData,
    *,
    cells: AnnData | None = None,
    aggregates: Sequence[Aggregate] = (),
    visits: Mapping[str, str] | None = None,
    cell_types: TypeOfCells | None = None,
    n_genes: int = 300,
) -> None:
    """Add the counts of each type's genes, in two halves of the cells, to a profile of donors.

    Either `cells`, those that the profile was made of, with raw counts in X and obs donor_id
    and, where there are several, visit; or `aggregates`, the sums of every cohort, with
    `visits`, the visit of each sample, and `cell_types`, the type of each cluster, or pair of a
    cluster and a source's label. Genes that a cohort with cells of the type did not measure are
    left out, and genes of the Y chromosome or of X inactivation, which would tell sex from sex.
    Of a type that `min_share_donors` of the donors have, those `n_genes` are kept whose variance
    between donors, batches taken out, repeats best in halves of the cells; of many donors
    fewer (`MAX_VALUES`).

    Writes obsm gene_counts and gene_totals and uns['genes']: gene_ids, gene (types × genes: a
    place in gene_ids, -1 for none), why ('' or why there is no gene feature set).

    Raises UsageError for what is no profile and for cells that are not its own, DataError for
    X that is not counts and for a cluster without a type.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> add_genes(donors)
    >>> donors.uns["genes"]["why"]
    'there are no sums of counts'
    """
    require_profile(donors)
    known, types = visits or {}, cell_types or {}
    if cells is not None:
        aggregates, known, types = _of_cells(donors, cells)
    own = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    genes = _measured_genes(aggregates)
    if genes.size == 0 or own.size < 2:
        _write_none(donors, _why_none(genes.size, own.size))
        return
    at = {
        pair: row
        for row, pair in enumerate(
            zip(as_text(donors.obs["donor_id"]), as_text(donors.obs["visit"]), strict=True)
        )
    }
    groups = [_Groups.of(part, genes, at, known, types) for part in aggregates]
    most_shared = 0
    keep = max(min(n_genes, MAX_VALUES // max(donors.n_obs * donors.n_vars, 1)), 1)
    chosen: list[Ints] = []
    counts = np.zeros((2, donors.n_obs, donors.n_vars, keep), np.int32)
    total = np.zeros((2, donors.n_obs, donors.n_vars), np.int64)
    for place, name in enumerate(donors.var_names):
        shared = _shared_genes(groups, str(name))
        halves = _sum_type(groups, str(name), donors.n_obs, shared)
        total[:, :, place] = halves.total
        most_shared = max(most_shared, shared.size)
        own_genes = np.zeros(0, np.int64)
        if str(name) != UNKNOWN and shared.size >= MIN_GENES:
            own_genes = np.sort(_choose(donors, halves, place, keep))
        for half in (0, 1):
            counts[half, :, place, : own_genes.size] = halves.counts[half][:, own_genes].toarray()
        chosen.append(shared[own_genes])
    if most_shared < MIN_GENES:
        _write_none(
            donors,
            f"{plural(most_shared, 'gene is', 'genes are')} measured in every cohort of a cell "
            f"type, {MIN_GENES} are needed",
        )
        return
    _write(donors, genes, chosen, counts, total)


def _of_cells(
    donors: AnnData, cells: AnnData
) -> tuple[list[Aggregate], dict[str, str], TypeOfCells]:
    """The sums of a profile's own cells, the visit of each of its rows, and its types."""
    by = str(donors.uns["profile"]["by"])
    missing = [name for name in ("donor_id", by) if name not in cells.obs]
    if missing or cells.n_obs != int(donors.obs["n_cells"].sum()):
        raise UsageError(
            "add_genes needs the cells of the profile, with obs donor_id and "
            f"{by!r}; got {cells.n_obs} cells for {int(donors.obs['n_cells'].sum())}"
            + (f", without {', '.join(missing)}" if missing else "")
        )
    donor = as_text(cells.obs["donor_id"])
    visit = as_text(cells.obs["visit"]) if "visit" in cells.obs else UNKNOWN
    row = donor + "|" + visit
    obs = cells.obs[["donor_id"]].assign(sample_id=row, cluster=as_text(cells.obs[by]))
    sums = aggregate_cells(counts_of(cells), np.asarray(cells.var_names, object), obs)
    names = zip(donors.obs_names, as_text(donors.obs["visit"]), strict=True)
    types: TypeOfCells = {str(name): str(name) for name in donors.var_names}
    return [sums], {str(name): str(value) for name, value in names}, types


@dataclass(frozen=True)
class _Groups:
    """Counts of a cohort's groups over all genes, and each group's row, type and half.

    `measured` are the genes that the cohort measured.
    """

    measured: NDArray[np.bool_]
    counts: sparse.csr_matrix
    row: Ints
    kind: NDArray[np.object_]
    half: Ints

    @classmethod
    def of(
        cls,
        part: Aggregate,
        genes: NDArray[np.object_],
        at: Mapping[tuple[str, str], int],
        visits: Mapping[str, str],
        cell_types: TypeOfCells,
    ) -> _Groups:
        of_sample = np.array(
            [
                at.get((str(donor), str(visits.get(str(sample)))), -1)
                for sample, donor in zip(part.sample_ids, part.sample_donors, strict=True)
            ],
            np.int64,
        )
        own = np.isin(text_array(part.gene_ids), text_array(genes))
        place = positions(genes, part.gene_ids[own])
        measured = np.zeros(genes.size, np.bool_)
        measured[place] = True
        if not part.group_sample.size:
            empty = np.zeros(0, np.int64)
            none = sparse.csr_matrix((0, genes.size), dtype=np.int64)
            return cls(measured, none, empty, np.zeros(0, object), empty)
        counts = part.sums.matrix(COUNTS)[:, own]
        indices = place[counts.indices]
        shape = (counts.shape[0], genes.size)
        return cls(
            measured,
            sparse.csr_matrix((counts.data, indices, counts.indptr), shape=shape),
            of_sample[part.group_sample],
            type_of_groups(part, cell_types),
            part.group_half,
        )


def _shared_genes(groups: Sequence[_Groups], name: str) -> Ints:
    """Places of the genes that every cohort with cells of the type measured."""
    of_type = [part.measured for part in groups if ((part.kind == name) & (part.row >= 0)).any()]
    return np.flatnonzero(np.all(of_type, axis=0)) if of_type else np.zeros(0, np.int64)


def _sum_type(groups: Sequence[_Groups], name: str, n_rows: int, shared: Ints) -> _Halves:
    """Sums of one type per row and half over all cohorts, of the genes that they share."""
    counts = [sparse.csr_matrix((n_rows, shared.size), dtype=np.int64) for _ in range(2)]
    for part in groups:
        for half in (0, 1):
            chosen = np.flatnonzero((part.kind == name) & (part.half == half) & (part.row >= 0))
            add = sparse.csr_matrix(
                (np.ones(chosen.size, np.int64), (part.row[chosen], np.arange(chosen.size))),
                shape=(n_rows, chosen.size),
            )
            counts[half] = counts[half] + add @ part.counts[chosen][:, shared]
    total = np.stack([np.asarray(matrix.sum(axis=1), np.int64).ravel() for matrix in counts])
    return _Halves(counts, total)


def _choose(donors: AnnData, halves: _Halves, place: int, n_genes: int) -> Ints:
    """The genes of a type whose variance between donors repeats best; none of a rare type."""
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
    mean = np.asarray((halves.counts[0] + halves.counts[1])[rows].mean(axis=0)).ravel()
    looked_at = np.flatnonzero(mean >= MIN_MEAN_COUNT)
    if looked_at.size == 0:
        return looked_at.astype(np.int64)
    dense = np.stack([matrix[rows][:, looked_at].toarray() for matrix in halves.counts])
    own = HalfCounts(
        dense[:, :, None, :].astype(np.float64),
        halves.total[:, rows, None].astype(np.float64),
        np.asarray(donors.X, np.float64)[rows][:, [place]],
    )
    gene = np.arange(looked_at.size)[None]
    sums = gene_sums(own, np.arange(rows.size), gene, np.arange(rows.size))
    if (sums.size > 0).mean() < donors.uns["profile"]["min_share_donors"]:
        return np.zeros(0, np.int64)
    _, batch = np.unique(as_text(donors.obs["batch_id"]).to_numpy()[rows], return_inverse=True)
    found = weigh_genes(sums, batch, int(batch.max()) + 1)
    energy = (found.weight * found.between)[0]
    order = np.argsort(-energy, kind="stable")[:n_genes]
    return np.asarray(looked_at[order[energy[order] > 0]], np.int64)


def _measured_genes(aggregates: Sequence[Aggregate]) -> NDArray[np.object_]:
    """Genes that a cohort with cells measured, sorted; none that tells the sex."""
    found: set[str] = set()
    for part in groups_of(aggregates):
        if part.group_sample.size:
            found |= {str(gene) for gene in part.gene_ids}
    return np.array(sorted(found - SEX_LINKED), object)


def _why_none(n_genes: int, n_donors: int) -> str:
    if n_genes == 0:
        return "there are no sums of counts"
    return f"{plural(n_donors, 'donor has', 'donors have')} enough cells"


def _write_none(donors: AnnData, why: str) -> None:
    for slot in (slots.GENE_COUNTS, slots.GENE_TOTALS):
        if slot in donors.obsm:
            del donors.obsm[slot]
    donors.uns[slots.GENES] = {"why": why}


def _write(
    donors: AnnData,
    genes: NDArray[np.object_],
    chosen: Sequence[Ints],
    counts: NDArray[np.int32],
    total: NDArray[np.int64],
) -> None:
    """Keep what was chosen; genes are numbered over all types."""
    used = np.unique(np.concatenate(chosen))
    most = max(own.size for own in chosen)
    if most == 0:
        _write_none(donors, "no gene of a type that most donors have repeats in a donor")
        return
    gene = np.full((donors.n_vars, most), -1, np.int64)
    for place, own in enumerate(chosen):
        gene[place, : own.size] = np.searchsorted(used, own)
    n_rows = donors.n_obs
    donors.obsm[slots.GENE_COUNTS] = counts[..., :most].swapaxes(0, 1).reshape(n_rows, -1)
    donors.obsm[slots.GENE_TOTALS] = total.swapaxes(0, 1).reshape(n_rows, -1)
    facts: dict[str, Any] = {"gene_ids": genes[used], "gene": gene, "why": ""}
    donors.uns[slots.GENES] = facts
