"""Give each cell a cell type: its source's label, else a transferred one, else its cluster's.

Source labels name a cluster where enough of its cells carry one and agree; other clusters
are scored against the curated marker panel of the package, and against the markers of types
that the cohorts' programmes expect. Where the evidence is weak a cluster is a type of its own,
such as 'cluster 7'.

Example:
  pmcell annotate --clusters results/atlas/clusters.parquet \\
    --embedding results/atlas/embedding.h5ad --aggregate results/cohorts/*/aggregate.npz \\
    --features results/atlas/features.parquet --out results/atlas/annotation.parquet \\
    --cell-types-out results/atlas/cell_types.parquet
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import AnnotateSettings


def run(args: argparse.Namespace) -> int:
    """Write annotation.parquet and cell_types.parquet."""
    from pmcell.cli._job.atlas import read_clustered, read_symbols
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import write_table
    from pmcell.io.transferred import with_transferred
    from pmcell.registry.cohorts.programmes import expected_markers, load_programme
    from pmcell.schema import CELL_TYPES, CLUSTERS
    from pmcell.tl.annotate import annotate_clusters
    from pmcell.tl.cell_types import label_cells, types_of

    settings = step_settings(args, AnnotateSettings)
    cells = read_clustered(read_h5ad(args.embedding).obs, args.embedding, args.clusters)
    cells = with_transferred(cells, args.labels)
    table = annotate_clusters(
        cells,
        open_aggregates(args.aggregate),
        symbols=read_symbols(args.features),
        expected=expected_markers(map(load_programme, args.programmes)),
        seed=settings.seed,
    )
    types = label_cells(cells, table)
    write_table(args.out, table, CLUSTERS)
    write_table(args.cell_types_out, types, CELL_TYPES)
    for row in table.itertuples():
        print(
            f"{row.cluster:>4}  {row.n_cells:>8} cells  {row.cell_type}  "
            f"({row.label_method}, {row.cell_type_confidence:.2f})"
        )
    methods = types_of(types, cells)["label_method"].value_counts()
    print(
        f"{len(table)} clusters -> {args.out}; {methods.get('source', 0)} of {len(cells)} cells "
        f"keep the label of their source, {methods.get('transfer', 0)} have one transferred; "
        f"{types['profile_cell_type'].nunique()} types in profiles -> "
        f"{args.cell_types_out}"
    )
    return 0
