"""`expression/<cohort>.parquet`: counts for those who have SQL but no AnnData.

One row a cell and gene with a count, gene after gene, so that two genes are a
few row groups. Measured with DuckDB on 1 million cells × 2,000 genes, 144
million counts (tests/benchmarks/release/layout.py; NK cells of the donors of
one stratum, two genes):

| rows in order of | row group | size | read for the answer | time |
|---|---|---|---|---|
| cell, gene | 1,000,000 | 234 MB | 233 MB | 2.29 s |
| gene, cell | 1,000,000 | 113 MB | 12.2 MB | 0.18 s |
| gene, cell | 200,000 | 112 MB | 6.2 MB, 10 of 720 row groups | 0.09 s |
| gene, cell | 50,000 | 116 MB | 6.4 MB | 0.15 s |
| gene, type, donor, cell | 200,000 | 237 MB | 8.3 MB | 0.09 s |

The third is written. A count takes 0.8 bytes, because cells are named by their
row in `cells/<cohort>.h5ad`, stored as differences, and not by their id. The
h5ad has no such path: two genes of a CSR matrix are found by reading all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.by_gene import GeneRuns, joined_runs, runs_by_gene
from pmcell.core.counts.kept import KeptRows
from pmcell.core.counts.sums import N_DETECTED
from pmcell.errors import UsageError
from pmcell.io.atomic import atomic_path
from pmcell.io.counts.aggregates import read_aggregate
from pmcell.io.counts.open import CountsFile
from pmcell.io.scratch import scratch_folder
from pmcell.io.tables import arrow_schema, coded_schema, read_table, table_writer
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.file_facts import file_facts
from pmcell.release.expression import GENES
from pmcell.release.table_digest import TableDigest
from pmcell.schema import EXPRESSION
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pyarrow as pa

HIGHLY_VARIABLE, NONE = "highly_variable", "none"

CODED = ("cohort_id", "gene_id")
"""Columns of text, of which a file has few different ones."""

BAND_VALUES = 8_000_000
"""Counts of a band, in memory at once: about 250 MB at the peak."""

AddRows = Callable[[KeptRows], None]
"""What takes the kept cells of a cohort, block after block."""


@contextmanager
def expression_writer(
    facts: Facts,
    cohort: Cohort,
    counts: CountsFile,
    target: Path,
    *,
    band_values: int = BAND_VALUES,
    told: Callable[[str], None] = lambda digest: None,
) -> Iterator[AddRows]:
    """Give what takes the kept cells of `counts`, in their order; the file appears at the end.

    `told` gets the digest of its content, as `content_sha256` gives it of the file.

    Genes are cut into bands of at most `band_values` counts (or one gene); the
    cells are spilled by band, sorted, and the pieces of each band then joined.
    """
    genes = _genes(facts, counts)
    bands = _bands(cohort, genes, band_values)
    name = f"expression/{cohort.cohort_id}.parquet"
    about = {**file_facts(facts, name), GENES: facts.options.expression}
    schema = arrow_schema(EXPRESSION, about)
    digest = TableDigest(schema)
    with (
        _spill(target.parent, genes, bands) as spill,
        atomic_path(target) as temporary,
        table_writer(temporary, schema, EXPRESSION.key, delta=["cell_row"], coded=CODED) as writer,
    ):
        yield spill.add
        for first_gene, runs in spill.joined_bands():
            gene = np.arange(first_gene, first_gene + runs.n_values.size, dtype=np.int32)
            of_gene = np.repeat(gene, runs.n_values)
            for start in range(0, of_gene.size, EXPRESSION.row_group_size):
                part = slice(start, start + EXPRESSION.row_group_size)
                columns = (of_gene[part], runs.cells[part], runs.counts[part])
                rows = _arrow(*columns, genes, cohort.cohort_id, schema)
                writer.write_table(rows)
                digest.add(rows)
    told(digest.hexdigest())


@dataclass(frozen=True)
class _Genes:
    """The chosen genes by their id; `rank` is a gene's place among them, -1 when left out."""

    names: np.ndarray
    rank: np.ndarray


@dataclass
class _Spill:
    """Counts by band of genes, in a file a band of `folder`.

    `edges` are the first gene of each band, and the end of the last; `n_values` has, for each
    piece that was added, the counts of each gene.
    """

    folder: Path
    genes: _Genes
    edges: np.ndarray
    n_values: list[np.ndarray] = field(default_factory=list)
    n_cells: int = 0

    def add(self, rows: KeptRows) -> None:
        """Append the counts of the next cells to the files of their bands."""
        runs = runs_by_gene(
            rows.indptr,
            rows.indices,
            rows.data,
            self.genes.rank,
            n_genes=self.genes.names.size,
            first_cell=self.n_cells,
        )
        self.n_cells += rows.indptr.size - 1
        self.n_values.append(runs.n_values)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(runs.n_values)])
        for band in range(self.edges.size - 1):
            part = slice(ends[self.edges[band]], ends[self.edges[band + 1]])
            temporary = self.folder / str(band)
            with temporary.open("ab") as stream:
                runs.cells[part].tofile(stream)
                runs.counts[part].tofile(stream)

    def joined_bands(self) -> Iterator[tuple[int, GeneRuns]]:
        """Each band's first gene and counts by gene, then cell."""
        for band in range(self.edges.size - 1) if self.n_values else ():
            own = slice(self.edges[band], self.edges[band + 1])
            temporary = self.folder / str(band)
            with temporary.open("rb") as stream:
                parts = []
                for n_values in self.n_values:
                    size = int(n_values[own].sum())
                    cells, counts = (np.fromfile(stream, np.int32, size) for _ in range(2))
                    parts.append(GeneRuns(n_values[own], cells, counts))
            temporary.unlink()
            yield int(self.edges[band]), joined_runs(parts)


@contextmanager
def _spill(parent: Path, genes: _Genes, edges: np.ndarray) -> Iterator[_Spill]:
    parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(parent, ".spill.") as folder:
        yield _Spill(folder, genes, edges)


def _genes(facts: Facts, counts: CountsFile) -> _Genes:
    chosen = np.ones(counts.n_genes, bool)
    if facts.options.expression == HIGHLY_VARIABLE:
        if facts.withheld:
            raise UsageError(
                "release.expression must be 'all' or 'none' where a cohort is withheld; found "
                f"{HIGHLY_VARIABLE!r}: which genes vary most was found with its cells too."
            )
        features = read_table(
            facts.results / "atlas" / "features.parquet", ["gene_id", "is_highly_variable"]
        )
        variable = features.loc[features["is_highly_variable"].to_numpy(bool), "gene_id"]
        chosen = np.isin(text_array(counts.gene_ids), text_array(variable))
    places = np.flatnonzero(chosen)
    places = places[np.argsort(text_array(counts.gene_ids[places]))]
    rank = np.full(counts.n_genes, -1, np.int32)
    rank[places] = np.arange(places.size)
    return _Genes(text_array(counts.gene_ids[places]), rank)


def _bands(cohort: Cohort, genes: _Genes, band_values: int) -> np.ndarray:
    """First gene of each band, and their end; how many counts a gene has the aggregate knows."""
    aggregate = read_aggregate(cohort.folder / "aggregate.npz")
    detected = np.asarray(aggregate.sums.matrix(N_DETECTED).sum(axis=0)).ravel()
    n_values = dict(zip(aggregate.gene_ids, detected, strict=True))
    ends = np.cumsum([int(n_values.get(name, 0)) for name in genes.names], dtype=np.int64)
    starts = np.unique(ends // band_values, return_index=True)[1]
    return np.append(starts, genes.names.size)


def _arrow(
    gene: np.ndarray,
    cell: np.ndarray,
    count: np.ndarray,
    genes: _Genes,
    cohort_id: str,
    schema: Any,
) -> pa.Table:
    import pyarrow as pa

    # Genes are in order: those of these rows stand side by side.
    first, last = (int(gene[0]), int(gene[-1])) if gene.size else (0, -1)
    names = pa.array(genes.names[first : last + 1], pa.string())
    no_choice = np.zeros(gene.size, np.int32)
    return pa.table(
        [
            pa.DictionaryArray.from_arrays(no_choice, [cohort_id]),
            pa.DictionaryArray.from_arrays(gene - first, names),
            pa.array(cell.astype(np.int64)),
            pa.array(count.astype(np.int64)),
        ],
        schema=coded_schema(schema, CODED),
    )
