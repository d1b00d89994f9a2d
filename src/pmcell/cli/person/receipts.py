"""Tell a person who used their data: for what, in which releases, since when, under which permit.

DONOR is COHORT:ID, with the id of donors.tsv or the one of the results. What is told comes from
the audit trail (PMCELL_AUDIT_FILE), the release, and the sealed packages; what they do not tell
is said to be unknown.

Example:
  pmcell receipts ghent:D01
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("donor", metavar="DONOR", help="COHORT:ID")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> int:
    """Gather and print."""
    from pmcell.citizen.person import find_person
    from pmcell.citizen.receipts import receipts_of

    found = receipts_of(args.results, find_person(args.results, args.donor))
    if args.json:
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
        return 0
    print(f"Data of one person of {found.cohort_id} (access: {found.access})")
    for use in found.uses:
        print(
            f"  {use.since} to {use.until}: {use.user} ({use.role}) for {use.purpose} under "
            f"permit {use.permit}, {use.n_times} times: {', '.join(use.commands)}"
        )
    for item in found.releases:
        print(
            f"  release {item['title']!r}, version {item['version']}, permit {item['permit']}: "
            f"{item['how']}"
        )
    for item in found.older_releases:
        print(
            f"  older release, version {item['version']} ({item['content_sha256'][:16]}): "
            f"{item['state']}; known from {item['known_from']}"
        )
    for item in found.packages:
        print(f"  encrypted for {', '.join(item['recipients'])}, version {item['release_version']}")
    for sentence in found.unknown:
        print(f"  {sentence}")
    return 0
