"""Counts of a few genes from a release: from expression/ where it has them, else from cells/."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.lognorm import log_normalised
from pmcell.errors import UsageError
from pmcell.io.counts.stored import read_values
from pmcell.release.parts import ReleaseTable
from pmcell.release.type_names import find_types
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import h5py
    import pandas as pd

    from pmcell.release.folder import ReleaseFolder
    from pmcell.release.parts import Parts

BLOCK_VALUES = 4_000_000

GENES = "pmcell:genes"
"""Metadata of an expression table that says which genes it holds."""

ALL = "all"
CELL_COLUMNS = ("cell_id", "cohort_id", "cell_row", "total_counts", "donor_id", "visit")


def read_expression(
    folder: ReleaseFolder,
    tables: Parts,
    published: Collection[str],
    genes: Sequence[str],
    *,
    cell_type: str | Sequence[str] | None,
    stratum: str | None,
    cohorts: Sequence[str] | None,
    normalised: bool,
) -> pd.DataFrame:
    """See `Release.expression`; `published` names the cohorts whose cells are in the release."""
    import pandas as pd

    asked = find_genes(tables, genes)
    later = measured_later(tables, asked["gene_id"])
    found = asked.drop_duplicates("gene_id", ignore_index=True)
    cells = _find_cells(tables, published, cell_type, cohorts)
    if stratum is not None:
        members = _members(folder, tables, stratum)
        cells = cells.merge(members, on=["donor_id", "visit"])
    cells = cells.astype({"cell_row": "int64"}).sort_values("cell_id", ignore_index=True)
    values = np.zeros((len(cells), len(found)))
    place = pd.MultiIndex.from_frame(cells[["cohort_id", "cell_row"]])
    for cohort_id in sorted(cells["cohort_id"].unique()):
        measured = [
            cohort_id in names or (cohort_id, gene_id) in later
            for gene_id, names in zip(found["gene_id"], found["measured_in"], strict=True)
        ]
        values[np.ix_((cells["cohort_id"] == cohort_id).to_numpy(), ~np.array(measured))] = np.nan
        for column, rows, counts in _counts(folder, tables, cohort_id, found["gene_id"][measured]):
            at = place.get_indexer(pd.MultiIndex.from_product([[cohort_id], rows]))
            values[at[at >= 0], column] = counts[at >= 0]
    if normalised:
        values = log_normalised(values, cells["total_counts"].to_numpy()[:, None])
    elif not np.isnan(values).any():
        values = values.astype(np.int64)
    columns = pd.Index(found["gene_id"]).get_indexer(asked["gene_id"])
    return pd.DataFrame(values[:, columns], index=pd.Index(cells["cell_id"]), columns=list(genes))


def find_genes(tables: Parts, genes: Sequence[str]) -> pd.DataFrame:
    """gene_id and measured_in of each gene, in the order asked for."""
    table = tables["genes"].to_pandas(["gene_id", "symbol", "measured_in"])
    shared = set(table["symbol"][table["symbol"].duplicated()])
    by_name = {
        name: place
        for name, place in zip(table["symbol"], table.index, strict=True)
        if name not in shared
    }
    by_name |= dict(zip(table["gene_id"], table.index, strict=True))
    unknown = [name for name in genes if name not in by_name]
    if unknown:
        several = [name for name in unknown if name in shared]
        why = f"Several genes are called {', '.join(several)}: name the id."
        hint = (
            why if several else _other_name(unknown[0], table) or did_you_mean(unknown[0], by_name)
        )
        raise UsageError(
            f"genes must be symbols or Ensembl ids of tables/genes.parquet; "
            f"got {', '.join(unknown)}. {hint}".strip()
        )
    return table.loc[[by_name[name] for name in genes]].reset_index(drop=True)


def _other_name(name: str, table: pd.DataFrame) -> str:
    """'CD127 is IL7R.' where a name is an old or other one of a gene of the release, else ''."""
    from pmcell.registry.terms.gene_table import gene_table

    _, ids = gene_table().names.get(name, ("", ""))
    found = table["symbol"][table["gene_id"].isin(ids.split("|"))].tolist()
    return f"{name} is {' or '.join(found)}." if found else ""


def measured_later(tables: Parts, gene_ids: pd.Series[str]) -> set[tuple[str, str]]:
    """Cohort and gene where a cohort that was added to a release measured the gene."""
    import pyarrow.compute as pc

    # A release of an earlier version has no such table, and no such cohort.
    added = (
        list(tables["additions"].to_pandas(["cohort_id"])["cohort_id"])
        if ("additions" in tables)
        else []
    )
    if not added:
        return set()
    keep = pc.field("cohort_id").isin(added) & pc.field("gene_id").isin(list(gene_ids))
    ledger = tables["gene_ledger"].to_pandas(["cohort_id", "gene_id"], keep)
    return set(zip(ledger["cohort_id"], ledger["gene_id"], strict=True))


def _find_cells(
    tables: Parts,
    published: Collection[str],
    cell_type: str | Sequence[str] | None,
    cohorts: Sequence[str] | None,
) -> pd.DataFrame:
    """The chosen cells that passed QC."""
    import pyarrow.compute as pc

    keep = pc.field("passes_qc")
    for name in cohorts or ():
        if name not in published:
            known = ", ".join(published)
            raise UsageError(f"cohorts must be published ones ({known}), got {name!r}")
    if cohorts is not None:
        keep &= pc.field("cohort_id").isin(list(cohorts))
    if cell_type is not None:
        labels = set(tables["cells"].to_pandas(["cell_type"], keep)["cell_type"])
        if isinstance(cell_type, str) and cell_type in labels:
            # A whole label is that one: scripts name it, and its words are in others too.
            cell_type = [cell_type]
        keep &= pc.field("cell_type").isin(find_types(tables, labels, cell_type))
    cells: pd.DataFrame = tables["cells"].to_pandas(CELL_COLUMNS, keep)
    return cells


def _members(folder: ReleaseFolder, tables: Parts, stratum: str) -> pd.DataFrame:
    """Donors and visits of a stratum."""
    places = tables["assignments"].to_pandas(["donor_id", "visit", "stratum"])
    known = sorted(places["stratum"].dropna().unique())
    if stratum not in known:
        decision = folder.json("strata.json").get("decision")
        names = ", ".join(known) or f"none, the decision was {decision!r}"
        raise UsageError(f"stratum must be a published one ({names}), got {stratum!r}")
    return places.loc[places["stratum"] == stratum, ["donor_id", "visit"]]


def _counts(
    folder: ReleaseFolder, tables: Parts, cohort_id: str, genes: pd.Series[str]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(position of the gene, rows of cells, counts); the index of `genes` holds the positions."""
    name = f"expression/{cohort_id}.parquet"
    wanted = dict(zip(genes, genes.index, strict=True))
    listed = _listed(folder, tables, name, list(wanted))
    if listed:
        yield from _gene_by_gene(listed_counts(folder, name, {g: wanted[g] for g in listed}))
    others = {gene: column for gene, column in wanted.items() if gene not in listed}
    if others:
        with folder.hdf5(f"cells/{cohort_id}.h5ad") as file:
            raw = file["raw"]
            names = raw["var"][raw["var"].attrs["_index"]].asstr()[:]
            yield from _gene_by_gene(stored_values(raw["X"], names, others))


def _gene_by_gene(
    found: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for genes, rows, values in found:
        for gene in np.unique(genes):
            own = genes == gene
            yield int(gene), rows[own], values[own]


def listed_counts(
    folder: ReleaseFolder, name: str, wanted: Mapping[str, int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(number of the gene, row of the cell, count) of what an expression table has of some genes.

    `wanted` gives the number of each gene that is asked for.
    """
    table = ReleaseTable(folder.listed(name))
    for batch in table.batches_with("gene_id", wanted, ["gene_id", "cell_row", "counts"]):
        gene, rows, counts = (batch.column(place) for place in range(3))
        codes = np.array([wanted.get(one, -1) for one in gene.dictionary.to_pylist()], np.int64)
        number = codes[gene.indices.to_numpy()]
        hits = np.flatnonzero(number >= 0)
        yield number[hits], rows.to_numpy()[hits], counts.to_numpy()[hits]


def _listed(folder: ReleaseFolder, tables: Parts, name: str, genes: list[str]) -> list[str]:
    """Which of the genes expression/ holds: all, the highly variable ones, or none."""
    if not folder.has(name):
        return []
    if holds_all_genes(folder, name):
        return genes
    table = tables["genes"].to_pandas(["gene_id", "is_highly_variable"])
    held = set(table["gene_id"][table["is_highly_variable"].fillna(False).astype(bool)])
    return [gene for gene in genes if gene in held]


def holds_all_genes(folder: ReleaseFolder, name: str) -> bool:
    """Whether an expression table is there and holds every gene."""
    if not folder.has(name):
        return False
    with folder.parquet(name) as file:
        said = (file.schema_arrow.metadata or {}).get(GENES.encode(), b"").decode()
    return bool(said == ALL)


def stored_values(
    matrix: h5py.Group, names: np.ndarray, wanted: Mapping[str, int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(number of the gene, row of the cell, value) of what a CSR matrix stores of some genes.

    `names` are the genes of the matrix, `wanted` gives the number of each gene
    that is asked for. All of the matrix is read, block by block.
    """
    number = np.array([wanted.get(str(name), -1) for name in names], np.int64)
    indptr = matrix["indptr"][:]
    for start in range(0, int(indptr[-1]), BLOCK_VALUES):
        stop = min(start + BLOCK_VALUES, int(indptr[-1]))
        indices, values = read_values([matrix["indices"], matrix["data"]], start, stop)
        genes = number[indices]
        hits = np.flatnonzero(genes >= 0)
        rows = np.searchsorted(indptr, start + hits, "right") - 1
        yield genes[hits], rows, values[hits]
