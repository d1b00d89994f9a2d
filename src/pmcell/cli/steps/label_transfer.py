"""Label the cells whose source gave no label, from the cells whose source gave one.

A label head is fitted on the principal components of the labelled cells and calibrated by
batches and donors left out; the labels in a cell's cluster have a voice. A cell gets a type, the
common ancestor of types where one is too much to say, or no label. Where every cell has a label,
or none has one, nothing is transferred.

Example:
  pmcell label_transfer --embedding results/atlas/embedding.h5ad \\
    --clusters results/atlas/clusters.parquet --out results/atlas/cell_labels.parquet
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import LabelTransferSettings


def run(args: argparse.Namespace) -> int:
    """Write cell_labels.parquet."""
    from pmcell.cli._job.atlas import read_clustered
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import empty_table, write_table
    from pmcell.mapping.transfer import transfer_labels
    from pmcell.schema import CELL_LABELS, X_PCA

    settings = step_settings(args, LabelTransferSettings)
    atlas = read_h5ad(args.embedding)
    cells = read_clustered(atlas.obs, args.embedding, args.clusters)
    is_asked = settings.by == "cell"
    table = transfer_labels(cells, atlas.obsm[X_PCA]) if is_asked else empty_table(CELL_LABELS)
    write_table(args.out, table, CELL_LABELS)
    counts = table["label_level"].value_counts()
    told = ", ".join(f"{n} {level}" for level, n in sorted(counts.items()))
    print(
        f"{len(table)} of {len(cells)} cells are labelled by cells with a source label"
        f"{f' ({told})' if told else ''} -> {args.out}"
    )
    return 0
