"""Add clinical values of FHIR, Open mHealth or IEEE 1752 files to a registered cohort.

Reads FHIR R4 Observations (single, Bundle, NDJSON) and data points of phones, checks LOINC
codes, UCUM units and the programme's plausible ranges, and adds rows to the cohort's
measurements.tsv, with days since each donor's first visit in place of dates. Every fault of all
files is named at once, and nothing is written then. The table of people (subject, donor_id,
first_visit) holds dates, so that it must lie outside the cohort's folder.

Example: pmcell measurements export.ndjson phone.json --cohort config/cohorts/island_b2 \\
           --people ../keys/people.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell measurements`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON or NDJSON")
    parser.add_argument(
        "--cohort", type=Path, required=True, metavar="DIR", help="folder with cohort.yaml"
    )
    parser.add_argument(
        "--people",
        type=Path,
        required=True,
        metavar="TSV",
        help="subject, donor_id and first_visit (a date); outside the cohort's folder",
    )
    parser.add_argument(
        "--source",
        choices=("clinic", "person", "device"),
        help="who made the values of which the files do not tell (default: unknown)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Add the values; 3 with every fault, and nothing written, where there is one."""
    from pmcell.registry.draft.measurements import add_measurements
    from pmcell.schema import UNKNOWN

    added = add_measurements(
        args.files, args.cohort, people=args.people, source=args.source or UNKNOWN
    )
    if args.json:
        import json

        answer = {
            "file": str(added.path),
            "n_added": added.n_added,
            "n_known": added.n_known,
            "by_quantity": added.by_quantity,
            "left_out": added.left_out,
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return 0
    known = f", {added.n_known} were there already" if added.n_known else ""
    print(f"{added.n_added} values added to {added.path}{known}")
    for name, n in added.by_quantity.items():
        print(f"  {name}: {n}")
    for why, n in added.left_out.items():
        print(f"  left out: {n} × {why}")
    print(f"Next: pmcell check {args.cohort}")
    return 0
