"""Lay out the neighbour graph in two dimensions, for looking at.

Example:
  pmcell umap --graph results/atlas/graph.h5ad --embedding results/atlas/embedding.h5ad \\
    --out results/atlas/umap.parquet
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.schema.text import as_text
from pmcell.settings.atlas import UmapSettings


def run(args: argparse.Namespace) -> int:
    """Write umap.parquet."""
    import pandas as pd

    from pmcell import tl
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import write_table
    from pmcell.schema import CELL_UMAP, X_INTEGRATED, X_UMAP

    settings = step_settings(args, UmapSettings)
    graph = read_h5ad(args.graph)
    graph.obsm[X_INTEGRATED] = read_h5ad(args.embedding).obsm[X_INTEGRATED]
    tl.umap(graph, **settings.model_dump())
    coordinates = graph.obsm[X_UMAP]
    frame = pd.DataFrame(
        {
            "cell_id": as_text(graph.obs_names),
            "umap_1": coordinates[:, 0],
            "umap_2": coordinates[:, 1],
        }
    )
    write_table(args.out, frame, CELL_UMAP, sort=False)
    print(f"{len(frame)} cells -> {args.out}")
    return 0
