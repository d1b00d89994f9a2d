"""Write a small registered cohort, for the tests of intake."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from pmcell.registry.gene_table import gene_table
from submissions import barcode

N_CELLS = 60
SAMPLES = ("s1", "s2", "s3")


@cache
def symbols(n: int) -> list[str]:
    """Current symbols, each of one gene."""
    table = gene_table()
    good = [
        name for name in table.symbols.values() if table.names.get(name, ("", "|"))[0] == "symbol"
    ]
    return [
        name for name in good if "|" not in table.names[name][1] and not name.startswith("ENSG")
    ][:n]


def gene_names() -> list[str]:
    """150 current symbols, then an old symbol, a gene and its duplicate, and one of no gene."""
    return [*symbols(150), "MARCH1", "JCHAIN", "JCHAIN-1", "NOSUCHGENE1"]


def cell_counts(seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).poisson(0.7, (N_CELLS, len(gene_names())))
    return counts.astype(np.int64)


def barcodes() -> list[str]:
    return [barcode(11 * k + 3) for k in range(N_CELLS)]


def sample_of_cell() -> list[str]:
    return [SAMPLES[k % 3] for k in range(N_CELLS)]


def obs_columns() -> dict[str, list[str]]:
    kinds = ["B", "T", "odd"]
    return {"sample_id": sample_of_cell(), "kind": [kinds[k % 3] for k in range(N_CELLS)]}


def write_cohort(
    folder: Path, *, access: str = "open", matrix: str = "", columns: str = ""
) -> Path:
    """Write cohort.yaml, donors.tsv and samples.tsv; the matrix is for the caller to write."""
    folder.mkdir(parents=True)
    (folder / "cohort.yaml").write_text(
        COHORT.format(
            id=folder.name, access=access, matrix=matrix or MATRIX, columns=columns or COLUMNS
        )
    )
    (folder / "donors.tsv").write_text(
        "donor_id\tsex_ontology_term_id\tdisease_ontology_term_id\n"
        "d1\tPATO:0000383\tMONDO:0005148\nd2\tPATO:0000384\tPATO:0000461\n"
    )
    (folder / "samples.tsv").write_text(
        "sample_id\tdonor_id\tvisit\tvisit_day\tbatch_id\tcondition\n"
        "s1\td1\tT0\t0\tb1\tdiabetes\ns2\td1\tT1\t30\tb1\tdiabetes\ns3\td2\tT0\t\tb2\thealthy\n"
    )
    return folder


MATRIX = "{path: counts.h5ad, format: h5ad, counts: X, gene_column: index, gene_namespace: auto}"
COLUMNS = "{barcode: index, sample_id: sample_id, cell_type: kind}"
COHORT = """\
schema_version: "1"
id: {id}
title: A small cohort
source: {{doi: unknown, accession: unknown, url: unknown}}
steward: {{name: Ada, email: unknown, organisation: unknown}}
publisher: {{name: unknown, url: unknown}}
license: CC-BY-4.0
region: NL32
programme: t2d
organism_ontology_term_id: NCBITaxon:9606
access: {access}
data_use: [DUO:0000042]
matrix: {matrix}
columns: {columns}
values:
  cell_type: {{B: CL:0000236, T: CL:0000084}}
defaults:
  assay_ontology_term_id: EFO:0009922
  tissue_ontology_term_id: UBERON:0000178
  tissue_type: tissue
  suspension_type: cell
"""
