"""Give each cluster a cell type of the Cell Ontology, or 'unknown' where the evidence is weak.

Source labels decide where enough cells carry one; other clusters are scored
against the curated marker panel of the package.

Example:
  pmcell annotate --clusters results/atlas/clusters.parquet \\
    --embedding results/atlas/embedding.h5ad --aggregate results/cohorts/*/aggregate.npz \\
    --features results/atlas/features.parquet --out results/atlas/annotation.parquet
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
    add_step_options(parser, AnnotateSettings)


def run(args: argparse.Namespace) -> int:
    """Write annotation.parquet."""
    from pmcell.errors import DataError
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import CLUSTERS
    from pmcell.tl.annotate import annotate_clusters

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
    write_table(args.out, table, CLUSTERS)
    for row in table.itertuples():
        print(
            f"{row.cluster:>4}  {row.n_cells:>8} cells  {row.cell_type}  "
            f"({row.label_method}, {row.cell_type_confidence:.2f})"
        )
    print(f"{len(table)} clusters -> {args.out}")
    return 0
