"""Check a release: digests of all files, tables, keys, cells, and what must be suppressed.

Exit code 0 when the release is intact, 3 when it is not.

Example:
  pmcell verify results/release
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Verify and print the faults."""
    from rich.console import Console

    from pmcell.publish import verify_release

    with Console(stderr=True).status("verify"):
        faults = verify_release(args.release)
    if args.json:
        result = {"ok": not faults, "faults": [dataclasses.asdict(fault) for fault in faults]}
        print(json.dumps(result, indent=2, ensure_ascii=False))
    elif faults:
        n_faults = plural(len(faults), "fault")
        print(f"pmcell verify: {args.release} is not intact, {n_faults}:", file=sys.stderr)
        for fault in faults:
            print(f"  - {fault}", file=sys.stderr)
    else:
        print(
            f"{args.release} is intact: digests, tables, keys, cells and what must be suppressed."
        )
    return 3 if faults else 0
