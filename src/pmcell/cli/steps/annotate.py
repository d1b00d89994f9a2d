"""Give each cell a cell type: its source's label, else that of its cluster.

Source labels name a cluster where enough of its cells carry one and agree; other clusters
are scored against the curated marker panel of the package. Where the evidence is weak a
cluster is a type of its own, such as 'cluster 7'.

Example:
  pmcell annotate --clusters results/atlas/clusters.parquet \\
    --embedding results/atlas/embedding.h5ad --aggregate results/cohorts/*/aggregate.npz \\
    --features results/atlas/features.parquet --out results/atlas/annotation.parquet \\
    --cell-types-out results/atlas/cell_types.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import (
    add_aggregate_option,
    add_step_options,
    require_files,
    use_threads,
)
from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import AnnotateSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--clusters", type=Path, required=True, help="clusters.parquet")
    parser.add_argument(
        "--embedding", type=Path, required=True, help="embedding.h5ad (cells with their donors)"
    )
    add_aggregate_option(parser)
    parser.add_argument("--features", type=Path, required=True, help="features.parquet (symbols)")
    parser.add_argument("--out", type=Path, required=True, help="annotation.parquet to write")
    parser.add_argument(
        "--cell-types-out",
        type=Path,
        required=True,
        help="cell_types.parquet to write: the type of each cluster's cells by source label",
    )
    add_step_options(parser, AnnotateSettings)


def run(args: argparse.Namespace) -> int:
    """Write annotation.parquet and cell_types.parquet."""
    from pmcell.errors import DataError
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import CELL_TYPES, CLUSTERS
    from pmcell.tl.annotate import annotate_clusters
    from pmcell.tl.cell_types import label_cells

    use_threads(args.threads)
    settings = step_settings(args, AnnotateSettings)
    require_files(args.clusters, args.embedding, args.features)
    cells = read_h5ad(args.embedding).obs.copy()
    clusters = read_table(args.clusters, ["cell_id", "cluster"]).set_index("cell_id")["cluster"]
    cells["cluster"] = clusters.reindex(cells.index).to_numpy(object)
    missing = cells["cluster"].isna().to_numpy()
    if missing.any() or len(clusters) != len(cells):
        raise DataError(
            f"{args.clusters} must have the cells of {args.embedding}; it has {len(clusters)} for "
            f"{len(cells)}, and {int(missing.sum())} are missing. Run cluster again.",
            reason="stale_intermediate",
        )
    features = read_table(args.features, ["gene_id", "symbol"])
    symbols = dict(zip(features["gene_id"], features["symbol"], strict=True))
    table = annotate_clusters(
        cells, open_aggregates(args.aggregate), symbols=symbols, seed=settings.seed
    )
    types = label_cells(cells, table)
    write_table(args.out, table, CLUSTERS)
    write_table(args.cell_types_out, types, CELL_TYPES)
    for row in table.itertuples():
        print(
            f"{row.cluster:>4}  {row.n_cells:>8} cells  {row.cell_type}  "
            f"({row.label_method}, {row.cell_type_confidence:.2f})"
        )
    of_source = int(types.loc[types["label_method"] == "source", "n_cells"].sum())
    print(
        f"{len(table)} clusters -> {args.out}; {of_source} of {len(cells)} cells keep the label "
        f"of their source; {types['profile_cell_type'].nunique()} types in profiles -> "
        f"{args.cell_types_out}"
    )
    return 0
