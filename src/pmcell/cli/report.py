"""Write the report of a release: one HTML file that opens offline, in any browser, and prints.

It is made from the release folder only: its tables, strata.json and, where
present, manifest.json and CITATION.cff.

Example:
  pmcell report --release results/release
  pmcell report --release results/release --out report.html
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--release", type=Path, required=True, help="release folder (with tables/*.parquet)"
    )
    parser.add_argument(
        "--out", type=Path, help="HTML file to write (default: report.html in the release folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from pmcell.errors import UsageError
    from pmcell.report import write_report

    if args.out is not None and args.out.is_dir():
        raise UsageError(f"--out must name a file; {args.out} is a folder")
    target = write_report(args.release, args.out)
    print(f"report ({target.stat().st_size / 1e6:.1f} MB) -> {target}")
    return 0
