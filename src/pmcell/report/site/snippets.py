"""How to open a release, in code that the tests run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Snippet:
    """A piece of code to be run in the release folder; `language` is python, sql or r."""

    key: str
    tool: str
    language: str
    code: str
    note: str = ""


def snippets(folder: Path) -> list[Snippet]:
    """Code for the files that this release has."""
    cells = sorted(path.name for path in (folder / "cells").glob("*.h5ad"))
    found = []
    if cells:
        found.append(
            Snippet(
                "scanpy",
                "scanpy",
                "python",
                f"""import scanpy as sc

cells = sc.read_h5ad("cells/{cells[0]}")
counts = cells.raw.to_adata()  # raw counts; cells.X is log-normalised
sc.pl.umap(cells, color="atlas_cell_type")""",
                "One cohort: cells, counts, coordinates, labels.",
            )
        )
    found += [
        Snippet(
            "pandas",
            "pandas",
            "python",
            """import pandas as pd

donors = pd.read_parquet("tables/donors.parquet")
shares = pd.read_parquet("tables/composition.parquet")
wide = shares.merge(donors[["donor_id", "cohort_id"]]).pivot_table(
    index=["cohort_id", "donor_id", "visit"], columns="cell_type", values="share", fill_value=0
)
print(wide.round(3))""",
            "Shares of cell types, a row for each donor and visit.",
        ),
        Snippet(
            "meaning",
            "pyarrow",
            "python",
            """import pyarrow.parquet as pq

for field in pq.read_schema("tables/donors.parquet"):
    print(field.name, "|", field.metadata[b"pmcell:prose"].decode())""",
            "What each column means: the files say it themselves.",
        ),
        Snippet(
            "duckdb",
            "DuckDB",
            "sql",
            """SELECT c.cohort_id, c.cell_type,
       count(*) AS n_cells, count(DISTINCT c.donor_id) AS n_donors
FROM 'tables/cells.parquet' AS c
JOIN 'tables/donors.parquet' AS d USING (donor_id)
WHERE c.passes_qc
GROUP BY ALL
ORDER BY n_cells DESC;""",
            "Plain SQL on the files; no import, no server.",
        ),
        Snippet(
            "r",
            "R",
            "r",
            'donors <- arrow::read_parquet("tables/donors.parquet")'
            + (
                f'\ncells <- zellkonverter::readH5AD("cells/{cells[0]}")  # or anndataR::read_h5ad'
                if cells
                else ""
            ),
            "Packages arrow and zellkonverter (Bioconductor).",
        ),
    ]
    return found
