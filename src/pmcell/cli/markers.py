"""Marker genes of each cluster: Welch's t test against all other cells, from exact sums.

A gene is tested only in cells of cohorts that measured it. Cells are not
replicates: use the p values for ranking, and `share_donors` to see whether the
donors agree.

Example:
  pmcell markers --aggregate results/cohorts/*/aggregate.npz \\
    --features results/atlas/features.parquet --out results/atlas/markers.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import (
    add_aggregate_option,
    add_step_options,
    require_files,
    section,
    use_threads,
)

DEFAULTS = {"top": 100}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_aggregate_option(parser)
    parser.add_argument("--features", type=Path, required=True, help="features.parquet (symbols)")
    parser.add_argument("--out", type=Path, required=True, help="markers.parquet to write")
    add_step_options(parser)
    parser.add_argument("--top", type=int, help="genes a cluster (default 100)")


def run(args: argparse.Namespace) -> int:
    """Write markers.parquet."""
    from pmcell.errors import UsageError
    from pmcell.io.aggregates import open_aggregates
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import MARKERS
    from pmcell.tl.markers import find_markers

    use_threads(args.threads)
    top = section(args.config, "markers", DEFAULTS)["top"] if args.top is None else args.top
    if not isinstance(top, int) or top < 1:
        raise UsageError(f"top must be a whole number of at least 1, got {top!r}")
    require_files(args.features)
    features = read_table(args.features, ["gene_id", "symbol"])
    symbols = dict(zip(features["gene_id"], features["symbol"], strict=True))
    found = find_markers(open_aggregates(args.aggregate), symbols=symbols, n_top=top)
    write_table(args.out, found, MARKERS)
    print(f"{len(found)} markers of {found['cluster'].nunique()} clusters -> {args.out}")
    return 0
