"""Cluster the cells: Leiden communities of the neighbour graph, each tissue by itself.

Example:
  pmcell cluster --graph results/atlas/graph.h5ad --out results/atlas/clusters.parquet
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.schema.text import as_text
from pmcell.settings.atlas import ClusterSettings
from pmcell.spelling import plural


def run(args: argparse.Namespace) -> int:
    """Write clusters.parquet."""
    import pandas as pd

    from pmcell import tl
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import write_table
    from pmcell.schema import CELL_CLUSTERS, CLUSTER

    settings = step_settings(args, ClusterSettings)
    graph = read_h5ad(args.graph)
    tl.cluster(graph, **settings.model_dump())
    labels = as_text(graph.obs[CLUSTER]).to_numpy()
    frame = pd.DataFrame({"cell_id": as_text(graph.obs_names), "cluster": labels})
    write_table(args.out, frame, CELL_CLUSTERS, sort=False)
    print(f"{graph.n_obs} cells in {plural(graph.obs[CLUSTER].nunique(), 'cluster')} -> {args.out}")
    return 0
