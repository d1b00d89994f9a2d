"""Which layout of cells and expression answers a question by reading least? On synthetic cells.

The question: all NK cells of donors in stratum S2, raw counts of two genes,
zeros included. Each layout is written with the same encoding, then asked by
DuckDB; bytes are those of the process's own read calls (`/proc/self/io`), row
groups those that the files' statistics cannot exclude.

  python tests/benchmarks/release/layout.py FOLDER --cells 1000000 --genes 2000
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

Columns = dict[str, np.ndarray]

N_COHORTS, N_DONORS, N_TYPES = 5, 100, 20
NK = "natural killer cell"
GENES = ("ENSG00000000100", "ENSG00000000700")

CELLS = {
    "by cell_id, groups of 100,000": (["cell_id"], 100_000),
    "by type and donor, groups of 100,000": (["cohort_id", "cell_type", "donor_id"], 100_000),
    "by type and donor, groups of 20,000": (["cohort_id", "cell_type", "donor_id"], 20_000),
}
EXPRESSION = {
    "by cell, groups of 1,000,000": (["cell_row", "gene_id"], 1_000_000),
    "by gene, groups of 1,000,000": (["gene_id", "cell_row"], 1_000_000),
    "by gene, groups of 200,000": (["gene_id", "cell_row"], 200_000),
    "by gene, groups of 50,000": (["gene_id", "cell_row"], 50_000),
    "by gene, type and donor, groups of 200,000": (
        ["gene_id", "cell_type", "donor_id", "cell_row"],
        200_000,
    ),
}

QUESTION = """
WITH chosen AS (
    SELECT c.cohort_id, c.cell_row, c.cell_id, c.total_counts
    FROM '{cells}' c JOIN donors d USING (donor_id)
    WHERE c.cell_type = '{nk}' AND d.stratum = 'S2'
), found AS (
    SELECT cohort_id, cell_row, gene_id, counts FROM '{expression}' WHERE gene_id IN {genes}
)
SELECT chosen.cell_id, g.gene_id, coalesce(found.counts, 0) AS counts
FROM chosen CROSS JOIN (SELECT unnest({genes_list}) AS gene_id) g
LEFT JOIN found USING (cohort_id, cell_row, gene_id)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--genes-per-cell", type=int, default=150)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    cells = make_cells(args.cells)
    for name, (order, size) in CELLS.items():
        target = args.folder / "cells" / f"{slug(name)}.parquet"
        ordered = cells.sort_values([*order, *(["cell_id"] if "cell_id" not in order else [])])
        write(target, pa.Table.from_pandas(ordered, preserve_index=False), size)
    for number in range(N_COHORTS):
        columns = make_expression(cells, number, args.genes, args.genes_per_cell)
        for name, (order, size) in EXPRESSION.items():
            target = args.folder / "expression" / slug(name) / f"c{number}.parquet"
            write_expression(target, cells, number, columns, order, size)
    donors = cells[["donor_id"]].drop_duplicates().reset_index(drop=True)
    donors["stratum"] = np.where(np.arange(len(donors)) % 4 == 0, "S2", "S1")
    duckdb.register("donors", donors)
    duckdb.sql("SET threads TO 1")
    chosen = donors.loc[donors["stratum"] == "S2", "donor_id"]
    print(f"{len(cells):,} cells, {args.genes:,} genes")
    best_cells, best_expression = list(CELLS)[1], list(EXPRESSION)[2]
    for name in CELLS:
        report(args.folder, name, best_expression, chosen, "cells")
    for name in EXPRESSION:
        report(args.folder, best_cells, name, chosen, "expression")


def report(folder: Path, cells: str, expression: str, chosen: pd.Series, about: str) -> None:
    """Ask once with these two layouts and print what it cost."""
    cells_path = folder / "cells" / f"{slug(cells)}.parquet"
    expression_path = folder / "expression" / slug(expression)
    text = QUESTION.format(
        cells=cells_path,
        expression=expression_path / "*.parquet",
        nk=NK,
        genes=GENES,
        genes_list=list(GENES),
    )
    before, start = bytes_read(), time.perf_counter()
    n_rows = len(duckdb.sql(text).fetchnumpy()["counts"])
    seconds, n_bytes = time.perf_counter() - start, bytes_read() - before
    paths = [cells_path] if about == "cells" else sorted(expression_path.glob("*.parquet"))
    wanted = {"cell_type": [NK]} if about == "cells" else {"gene_id": list(GENES)}
    touched, total = groups(paths, wanted)
    size = sum(path.stat().st_size for path in paths)
    n_values = sum(pq.read_metadata(path).num_rows for path in paths)
    name = cells if about == "cells" else expression
    print(
        f"{about:<11}{name:<44}{size / 1e6:8.1f} MB {size / n_values:6.2f} B/row "
        f"groups {touched}/{total}  read {n_bytes / 1e6:7.2f} MB  {seconds:6.2f} s  {n_rows:,} rows"
    )


def groups(paths: list[Path], wanted: dict[str, list[str]]) -> tuple[int, int]:
    """Row groups that statistics cannot exclude, and all."""
    touched = total = 0
    for path in paths:
        metadata = pq.read_metadata(path)
        places = {metadata.schema.column(i).name: i for i in range(metadata.num_columns)}
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            total += 1
            touched += all(
                (bounds := group.column(places[name]).statistics).has_min_max
                and any(bounds.min <= value <= bounds.max for value in values)
                for name, values in wanted.items()
            )
    return touched, total


def make_cells(n_cells: int) -> pd.DataFrame:
    """Cells of five cohorts, a hundred donors each; cells of a donor stand together in the h5ad."""
    rng = np.random.default_rng(0)
    n = n_cells // N_COHORTS
    parts = []
    for number in range(N_COHORTS):
        donor = np.sort(rng.integers(0, N_DONORS, n))
        barcode = rng.permutation(4**12)[:n]
        kind = rng.choice(N_TYPES, n, p=np.arange(N_TYPES, 0, -1) / (N_TYPES * (N_TYPES + 1) / 2))
        names = np.array([NK, *(f"cell type {k:02d}" for k in range(1, N_TYPES))], object)
        parts.append(
            pd.DataFrame(
                {
                    "cell_id": [f"c{number}:{code:012b}-1" for code in barcode],
                    "cohort_id": f"c{number}",
                    "cell_row": np.arange(n),
                    "donor_id": [f"c{number}:D{code:03d}" for code in donor],
                    "sample_id": [f"c{number}:S{code:03d}" for code in donor],
                    "cell_type": names[(kind + 3) % N_TYPES],
                    "total_counts": rng.integers(500, 20_000, n),
                    "share_mitochondrial": rng.random(n),
                    "umap_1": rng.normal(size=n),
                    "umap_2": rng.normal(size=n),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def make_expression(cells: pd.DataFrame, cohort: int, n_genes: int, per_cell: int) -> Columns:
    """Counts above zero of one cohort, gene by gene; few genes make up most of them."""
    rng = np.random.default_rng(cohort + 1)
    n = int((cells["cohort_id"] == f"c{cohort}").sum())
    share = np.random.default_rng(0).lognormal(0, 1.5, n_genes)
    share = np.minimum(share * per_cell / share.sum(), 0.95)
    rows = [
        np.flatnonzero(rng.random(n, dtype=np.float32) < share[gene]).astype(np.int32)
        for gene in range(n_genes)
    ]
    lengths = np.array([part.size for part in rows])
    gene = np.repeat(np.arange(n_genes, dtype=np.int32), lengths)
    counts = rng.geometric(np.maximum(1 - share, 0.2)[gene]).astype(np.int32)
    return {"gene_id": gene, "cell_row": np.concatenate(rows), "counts": counts}


def write_expression(
    target: Path, cells: pd.DataFrame, cohort: int, columns: Columns, order: list[str], size: int
) -> None:
    """One cohort's counts in this order; with cell type and donor where the order names them."""
    if target.exists():
        return
    own = cells[cells["cohort_id"] == f"c{cohort}"]
    rows = columns["cell_row"]
    genes = [f"ENSG{gene:011d}" for gene in range(int(columns["gene_id"].max()) + 1)]
    labels = {"gene_id": (columns["gene_id"], genes), "cohort_id": (rows * 0, [f"c{cohort}"])}
    if "cell_type" in order:
        for name in ("cell_type", "donor_id"):
            codes, names = pd.factorize(own[name], sort=True)
            labels[name] = (codes.astype(np.int32)[rows], list(names))
    keys = [labels[name][0] if name in labels else columns[name] for name in order]
    place = np.lexsort(keys[::-1])
    arrays = {
        name: pa.DictionaryArray.from_arrays(codes[place], names)
        for name, (codes, names) in labels.items()
    }
    arrays |= {name: pa.array(columns[name][place]) for name in ("cell_row", "counts")}
    write(target, pa.table(arrays), size)


def write(target: Path, table: pa.Table, size: int) -> None:
    """One Parquet file in row groups of `size`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        target,
        row_group_size=size,
        compression="zstd",
        compression_level=6,
        write_page_checksum=True,
        column_encoding={"cell_row": "DELTA_BINARY_PACKED"}
        if "gene_id" in table.column_names
        else None,
        use_dictionary=[name for name in table.column_names if name not in ("cell_row", "cell_id")],
    )


def bytes_read() -> int:
    """Bytes that this process asked the system for so far."""
    text = Path("/proc/self/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["rchar"])


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main()
