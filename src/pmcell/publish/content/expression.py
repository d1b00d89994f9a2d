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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.grouped import N_DETECTED
from pmcell.errors import UsageError
from pmcell.io.atomic import atomic_path
from pmcell.io.counts.aggregates import read_aggregate
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import arrow_schema, read_table, table_writer
from pmcell.publish.content.cells import kept_rows
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.file_facts import file_facts
from pmcell.release.expression import ALL, GENES
from pmcell.schema import EXPRESSION
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pyarrow as pa

HIGHLY_VARIABLE, NONE = "highly_variable", "none"
CHOICES = (ALL, HIGHLY_VARIABLE, NONE)

BAND_VALUES = 8_000_000
"""Counts that are sorted in memory at once: about 400 MB at the peak."""

_ITEM = np.dtype([("gene", np.int32), ("cell", np.int32), ("count", np.int32)])


def write_expression(
    facts: Facts, cohort: Cohort, target: Path, *, band_values: int = BAND_VALUES
) -> None:
    """Write one cohort's counts, gene after gene, without holding cells × genes in memory.

    Genes are cut into bands of at most `band_values` counts (or one gene); the
    cells are read once and spilled by band, each band is then sorted by itself.
    """
    counts = open_counts(cohort.folder / "intake.h5ad")
    keep = read_table(cohort.folder / "qc.parquet", ["passes_qc"])["passes_qc"].to_numpy(bool)
    genes = _genes(facts, counts)
    bands = _bands(cohort, genes, band_values)
    about = {**file_facts(facts, f"expression/{target.name}"), GENES: facts.options.expression}
    schema = arrow_schema(EXPRESSION, about)
    with (
        _spill(target.parent, bands) as spill,
        atomic_path(target) as temporary,
        table_writer(temporary, schema, EXPRESSION.key, delta=["cell_row"]) as writer,
    ):
        _fill(spill, counts, keep, genes)
        for items in spill.sorted_bands():
            for start in range(0, len(items), EXPRESSION.row_group_size):
                part = items[start : start + EXPRESSION.row_group_size]
                writer.write_table(_arrow(part, genes, cohort.cohort_id, schema))


@dataclass(frozen=True)
class _Genes:
    """The chosen genes by their id; `rank` is a gene's place among them, -1 when left out."""

    names: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class _Spill:
    """Counts by band of genes: `band` gives the band of each gene, `folder` has a file a band."""

    folder: Path
    band: np.ndarray

    def add(self, items: np.ndarray) -> None:
        """Append counts to the files of their bands, in the order given."""
        bands = self.band[items["gene"]]
        order = np.argsort(bands, kind="stable")
        edges = np.searchsorted(bands[order], np.arange(self.n_bands + 1))
        for number in np.flatnonzero(np.diff(edges)):
            temporary = self.folder / str(number)
            with temporary.open("ab") as stream:
                items[order[edges[number] : edges[number + 1]]].tofile(stream)

    def sorted_bands(self) -> Iterator[np.ndarray]:
        """Each band by gene, then cell; cells were added in ascending order."""
        for number in range(self.n_bands):
            path = self.folder / str(number)
            if path.exists():
                items = np.fromfile(path, _ITEM)
                path.unlink()
                yield items[np.argsort(items["gene"], kind="stable")]

    @property
    def n_bands(self) -> int:
        return int(self.band[-1]) + 1 if self.band.size else 0


@contextmanager
def _spill(parent: Path, band: np.ndarray) -> Iterator[_Spill]:
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".spill", dir=parent) as folder:
        yield _Spill(Path(folder), band)


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
    """The band of each gene; how many counts a gene has is known from the aggregate."""
    aggregate = read_aggregate(cohort.folder / "aggregate.npz")
    detected = np.asarray(aggregate.sums.matrix(N_DETECTED).sum(axis=0)).ravel()
    n_values = dict(zip(aggregate.gene_ids, detected, strict=True))
    ends = np.cumsum([int(n_values.get(name, 0)) for name in genes.names])
    return np.unique(ends // band_values, return_inverse=True)[1]


def _fill(spill: _Spill, counts: CountsFile, keep: np.ndarray, genes: _Genes) -> None:
    n_before = 0
    for block in counts.iter_blocks():
        lengths, indices, data = kept_rows(block, keep[block.rows])
        items = np.empty(data.size, _ITEM)
        items["gene"] = genes.rank[indices]
        items["cell"] = np.repeat(np.arange(n_before, n_before + lengths.size), lengths)
        items["count"] = data
        spill.add(items[(items["gene"] >= 0) & (data > 0)])
        n_before += lengths.size


def _arrow(items: np.ndarray, genes: _Genes, cohort_id: str, schema: Any) -> pa.Table:
    import pyarrow as pa

    names = pa.array(genes.names, pa.string())
    return pa.table(
        [
            pa.repeat(cohort_id, len(items)),
            names.take(pa.array(items["gene"])),
            pa.array(items["cell"].astype(np.int64)),
            pa.array(items["count"].astype(np.int64)),
        ],
        schema=schema,
    )
