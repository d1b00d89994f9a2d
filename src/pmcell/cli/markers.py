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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--aggregate",
        type=Path,
        nargs="+",
        required=True,
        help="aggregate.npz of each accepted cohort",
    )
    parser.add_argument(
        "--features", type=Path, required=True, help="features.parquet (gene symbols)"
    )
    parser.add_argument("--out", type=Path, required=True, help="markers.parquet to write")
    parser.add_argument("--top", type=int, default=100, help="genes a cluster (default: 100)")


def run(args: argparse.Namespace) -> int:
    """Run the step."""
    from pmcell.errors import UsageError
    from pmcell.io.aggregates import AggregateFiles
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import MARKERS
    from pmcell.tl.markers import markers

    if not args.features.is_file():
        raise UsageError(
            f"{args.features} must be the table of step features; there is no such file"
        )
    if args.top < 1:
        raise UsageError(f"--top must be at least 1, got {args.top}")
    features = read_table(args.features, ["gene_id", "symbol"])
    symbols = dict(zip(features["gene_id"], features["symbol"], strict=True))
    files = AggregateFiles(tuple(sorted(args.aggregate)))
    found = markers(files, symbols=symbols, n_top=args.top)
    write_table(args.out, found, MARKERS)
    print(f"{len(found)} markers of {found['cluster'].nunique()} clusters -> {args.out}")
    return 0
