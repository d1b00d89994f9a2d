"""Marker genes of each cluster: Welch's t and the rank-sum test against its tissue's other cells.

Genes are ranked by Welch's t, from exact sums; the rank-sum test and its AUC
follow for those listed, in one pass over the counts. `--method wilcoxon` makes
it for all genes and ranks by it. A gene is tested only in cells of cohorts that
measured it. Cells are not replicates: use the p values for ranking, and
`share_donors` to see whether the donors agree.

Example:
  pmcell markers --cohort a results/cohorts/a --cohort b results/cohorts/b \\
    --clusters results/atlas/clusters.parquet --features results/atlas/features.parquet \\
    --out results/atlas/markers.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import MarkersSettings


def run(args: argparse.Namespace) -> int:
    """Write markers.parquet."""
    from pmcell.cli._job.atlas import read_symbols
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.counts.clustered import open_clustered
    from pmcell.io.tables import write_table
    from pmcell.schema import MARKERS
    from pmcell.tl.markers import find_markers

    settings = step_settings(args, MarkersSettings)
    folders = sorted(Path(folder) for _, folder in args.cohort)
    sums = open_aggregates([folder / "aggregate.npz" for folder in folders])
    counts = [open_clustered(folder, args.clusters) for folder in folders]
    found = find_markers(
        sums,
        counts=counts,
        symbols=read_symbols(args.features),
        method=settings.method,
        n_top=settings.top,
    )
    write_table(args.out, found, MARKERS)
    print(f"{len(found)} markers of {found['cluster'].nunique()} clusters -> {args.out}")
    return 0
