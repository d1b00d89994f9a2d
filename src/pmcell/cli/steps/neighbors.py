"""Find the nearest neighbours of every cell among those of its tissue.

Example:
  pmcell neighbors --embedding results/atlas/embedding.h5ad \\
    --out results/atlas/graph.h5ad --threads 2
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import NeighborsSettings


def run(args: argparse.Namespace) -> int:
    """Write graph.h5ad."""
    from anndata import AnnData

    from pmcell import tl
    from pmcell.io.h5ad import UNPACKED, read_h5ad, write_h5ad
    from pmcell.schema import TISSUE_GROUP

    settings = step_settings(args, NeighborsSettings)
    atlas = read_h5ad(args.embedding)
    kept = [name for name in (TISSUE_GROUP,) if name in atlas.obs]
    graph = AnnData(obs=atlas.obs[kept].copy(), obsm=dict(atlas.obsm))
    tl.neighbors(graph, **settings.model_dump())
    found = graph.uns["neighbors"]["params"]
    # The embeddings stay where they are: a value lives in one file only.
    for name in list(graph.obsm):
        del graph.obsm[name]
    write_h5ad(args.out, graph, storage=UNPACKED)
    print(
        f"{graph.n_obs} cells, {graph.obsp['connectivities'].nnz // 2} edges, "
        f"{found['search']} search, recall {found['recall']:.4f} -> {args.out}"
    )
    return 0
