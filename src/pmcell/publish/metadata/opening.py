"""The part of the release's README on opening it, and the functions that read it in R.

The tests run the Python and SQL code of every release that they make, and the R code
where R is installed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.atomic import atomic_path
from pmcell.io.tables import read_table
from pmcell.publish.facts import Facts
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

R_READER = "read_pmcell.R"


def how_to_open(facts: Facts, folder: Path, *, has_report: bool) -> list[str]:
    """Lines of Markdown; the examples name a cell type and genes that the release has."""
    example = _example(facts, folder)
    page = "`report.html`" if has_report else "`tables/README.md`"
    return [
        "## How to open it",
        "",
        "Run these in this folder. Python, with pmcell:",
        *_code("python", _with_pmcell(example)),
        "scanpy:",
        *_code("python", _with_scanpy(example)),
        "pandas and pyarrow:",
        *_code("python", _WITH_PANDAS),
        "SQL with DuckDB:",
        *_code("sql", _COUNT_CELLS),
        *_expression_by_sql(example),
        f"R, by the functions of [{R_READER}]({R_READER}); its head names what it needs:",
        *_code("r", _with_r(example)),
        "zellkonverter, anndataR and arrow should open the same files; they were not run by us.",
        "",
        f"Browser: open {page}; nothing is loaded from elsewhere.",
    ]


def write_r_reader(folder: Path) -> None:
    """Copy the functions that read a release in R into it."""
    with (
        as_file(files("pmcell.data") / R_READER) as source,
        atomic_path(folder / R_READER) as temporary,
    ):
        shutil.copyfile(source, temporary)


@dataclass(frozen=True)
class _Example:
    cohort_id: str
    cell_type: str
    stratum: str | None
    symbols: tuple[str, ...]
    gene_ids: tuple[str, ...]
    has_expression: bool


_WITH_PANDAS = """
import pandas as pd
import pyarrow.parquet as pq
donors = pd.read_parquet("tables/donors.parquet")
schema = pq.read_schema("tables/donors.parquet")
print(schema.field("n_cells").metadata)  # meaning and unit
"""

_COUNT_CELLS = """
SELECT coalesce(t.label, d.disease_ontology_term_id) AS disease, c.cell_type, count(*) AS n_cells
FROM 'tables/cells.parquet' c
JOIN 'tables/donors.parquet' d USING (donor_id)
LEFT JOIN 'tables/terms.parquet' t ON t.term_id = d.disease_ontology_term_id
WHERE c.passes_qc GROUP BY ALL ORDER BY ALL;
"""


def _with_pmcell(example: _Example) -> str:
    stratum = f', stratum="{example.stratum}"' if example.stratum else ""
    by_gene = (
        f"sums = release.pseudobulk({_text(example.symbols[0])})"
        "  # a gene in each sample and cell type\n"
        if example.symbols
        else ""
    )
    return f"""
import pmcell as pm
release = pm.open_release(".")
print(release)                                  # what is in it
donors = release.tables["donors"].to_pandas()
shares = release.composition({_text(example.cell_type)})  # a row a donor and visit
{by_gene}counts = release.expression(
    {_quoted(example.symbols, "[]")}, cell_type={_text(example.cell_type)}{stratum}
)  # cells × genes
"""


def _with_scanpy(example: _Example) -> str:
    return f"""
import scanpy as sc
cells = sc.read_h5ad("cells/{example.cohort_id}.h5ad")
counts = cells.raw.to_adata()  # raw counts
# Without use_raw=False scanpy ranks raw counts. Its p values are over cells: donors are the unit.
sc.tl.rank_genes_groups(
    cells, "atlas_cell_type", groups=[{_text(example.cell_type)}], use_raw=False
)
sc.pl.umap(cells, color="atlas_cell_type")  # or a gene: color="LYZ", gene_symbols="symbol"
"""


def _expression_by_sql(example: _Example) -> list[str]:
    if not example.has_expression:
        return []
    join = (
        "\n  JOIN 'tables/assignments.parquet' a USING (donor_id, visit)" if example.stratum else ""
    )
    where = f" AND a.stratum = '{example.stratum}'" if example.stratum else ""
    text = f"""
WITH counts AS (
  SELECT * FROM 'expression/*.parquet' WHERE gene_id IN {_quoted(example.gene_ids, "()", "'")}
), chosen AS (
  SELECT c.* FROM 'tables/cells.parquet' c{join}
  WHERE c.cell_type = '{example.cell_type.replace("'", "''")}'{where}
)
SELECT c.cell_id, c.donor_id, g.symbol, coalesce(e.counts, 0) AS counts,
  ln(1 + 1e4 * coalesce(e.counts, 0) / c.total_counts) AS log_normalised
FROM chosen c
JOIN 'tables/genes.parquet' g
  ON g.gene_id IN {_quoted(example.gene_ids, "()", "'")}
  AND (c.cohort_id, g.gene_id) IN (SELECT (cohort_id, gene_id) FROM 'tables/gene_ledger.parquet')
LEFT JOIN counts e
  ON e.cohort_id = c.cohort_id AND e.cell_row = c.cell_row AND e.gene_id = g.gene_id;
"""
    return [
        "Expression by SQL: `expression/` has the raw counts above 0, gene after gene: only "
        "the genes asked for are read. Cells are joined by `cohort_id` and `cell_row`; a gene that "
        "a cohort measured has count 0 where there is no row:",
        *_code("sql", text),
    ]


def _with_r(example: _Example) -> str:
    lines = [
        f'source("{R_READER}")',
        'donors <- pmcell_table("donors")',
        'pmcell_fields("donors")  # meaning and unit of each column',
        f"sce <- pmcell_cells({_text(example.cohort_id)})  # SingleCellExperiment",
        'if (requireNamespace("SeuratObject", quietly = TRUE)) seurat <- pmcell_seurat(sce)',
    ]
    if example.has_expression:
        lines += [
            f"counts <- pmcell_expression(c{_quoted(example.symbols, '()')})",
            f"chosen <- counts[counts$cell_type == {_text(example.cell_type)}, ]",
        ]
    return "\n".join(lines)


def _example(facts: Facts, folder: Path) -> _Example:
    """The most frequent cell type with a name, of the stratum where it is most frequent."""
    tables = folder / "tables"
    cells = read_table(
        tables / "cells.parquet",
        [
            "cohort_id",
            "donor_id",
            "visit",
            "cluster",
            "cell_type",
            "cell_type_ontology_term_id",
            "passes_qc",
        ],
    )
    # Cells of a cohort that was added to a release have no cluster, and so no markers.
    cells = cells[cells["passes_qc"] & cells["cluster"].notna()]
    named = cells[cells["cell_type_ontology_term_id"] != UNKNOWN]
    named = cells if named.empty else named
    stratum = None
    if facts.has_strata:
        places = read_table(tables / "assignments.parquet", ["donor_id", "visit", "stratum"])
        placed = named.merge(places.dropna(subset=["stratum"]), on=["donor_id", "visit"])
        if len(placed):
            named, stratum = placed, str(placed["stratum"].mode()[0])
            named = named[named["stratum"] == stratum]
    cell_type = str(named["cell_type"].mode()[0])
    cluster = str(cells.loc[cells["cell_type"] == cell_type, "cluster"].mode()[0])
    genes = _two_genes(tables, cluster)
    return _Example(
        cohort_id=str(named["cohort_id"].mode()[0]),
        cell_type=cell_type,
        stratum=stratum,
        symbols=tuple(genes["symbol"]),
        gene_ids=tuple(genes["gene_id"]),
        has_expression=(folder / "expression").is_dir(),
    )


def _two_genes(tables: Path, cluster: str) -> pd.DataFrame:
    """The first markers of the cluster, else the genes that most cells have; symbols are unique."""
    genes = read_table(tables / "genes.parquet", ["gene_id", "symbol", "n_cells_detected"])
    genes = genes[~genes["symbol"].duplicated(keep=False)]
    markers = read_table(tables / "markers.parquet", ["cluster", "gene_id", "rank"])
    markers = markers[(markers["cluster"] == cluster) & markers["gene_id"].isin(genes["gene_id"])]
    first = markers.sort_values("rank")["gene_id"][:2]
    if len(first) == 2:
        return genes.set_index("gene_id").loc[first].reset_index()
    return genes.nlargest(2, "n_cells_detected")


def _code(language: str, text: str) -> list[str]:
    return ["", f"```{language}", *text.strip().split("\n"), "```", ""]


def _text(value: str) -> str:
    """A text as Python and R write it."""
    return json.dumps(value, ensure_ascii=False)


def _quoted(names: Sequence[str], brackets: str, quote: str = '"') -> str:
    return brackets[0] + ", ".join(f"{quote}{name}{quote}" for name in names) + brackets[1]
