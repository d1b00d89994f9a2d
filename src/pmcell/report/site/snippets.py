"""How to open a release, in code that the tests run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pmcell.release import ReleaseFolder


@dataclass(frozen=True)
class Snippet:
    """A piece of code to be run in the release folder; `language` is python, sql or r."""

    key: str
    tool: str
    language: str
    code: str
    note: str = ""


def snippets(folder: ReleaseFolder, gene_id: str = "") -> list[Snippet]:
    """Code for the files that this release has; `gene_id` is the gene of the examples."""
    cells = folder.names("cells", ".h5ad")
    found = []
    if cells:
        found.append(
            Snippet(
                "scanpy",
                "scanpy",
                "python",
                f"""import scanpy as sc

cells = sc.read_h5ad("{cells[0]}")
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
        *_expression(folder, gene_id),
        Snippet(
            "r",
            "R",
            "r",
            'source("read_pmcell.R")\n\n'
            'donors <- pmcell_table("donors")\n'
            'pmcell_fields("donors")  # meaning and unit of each column'
            + (
                f'\nsce <- pmcell_cells("{PurePosixPath(cells[0]).stem}")'
                "  # SingleCellExperiment\n"
                "seurat <- pmcell_seurat(sce)  # where SeuratObject is installed"
                if cells
                else ""
            ),
            "The head of read_pmcell.R says which packages are needed.",
        ),
    ]
    return found


def _expression(folder: ReleaseFolder, gene_id: str) -> list[Snippet]:
    """Expression by SQL, where the release has the counts as tables."""
    if not gene_id or not folder.names("expression", ".parquet"):
        return []
    code = f"""SELECT c.cohort_id, c.cell_type, g.symbol, count(*) AS n_cells_with_a_count,
       avg(ln(1 + 1e4 * e.counts / c.total_counts)) AS mean_log_expression_of_these
FROM 'expression/*.parquet' AS e
JOIN 'tables/genes.parquet' AS g USING (gene_id)
JOIN 'tables/cells.parquet' AS c USING (cohort_id, cell_row)
WHERE e.gene_id = '{gene_id}'
GROUP BY ALL
ORDER BY ALL;"""
    note = "Expression of one gene by cell type; the rest of the files is not read."
    return [Snippet("expression", "DuckDB, expression", "sql", code, note)]
