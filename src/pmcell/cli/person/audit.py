"""Show and verify the audit trail: who used data of people, with which command, for what.

Where PMCELL_AUDIT_FILE names a file, each command that may read data of people is recorded there
before it starts and when it ends: account, role (PMCELL_ROLE), purpose and permit of the
configuration's `use`, cohorts, and digests of what it read and wrote. Nobody's id is in it. The
trail is signed with the key of PMCELL_SIGNING_KEY_FILE; without the key no command runs.

  verify   the chain, the signature, and commands that never ended; exit code 3 for faults
  show     the entries; --cohort, --command and --json choose

An edit, another order, a cut tail or another head is found. That the trail and its head were
both put back to an older state is found against a copy of an earlier head (--witness).

Example:
  pmcell audit verify --witness notes/audit.head.json
  pmcell audit show --cohort ghent
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pmcell.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("action", choices=("verify", "show"), help="see above")
    parser.add_argument("--file", type=Path, help="the trail (default: PMCELL_AUDIT_FILE)")
    parser.add_argument("--witness", type=Path, metavar="HEAD", help="an earlier .head.json")
    parser.add_argument("--cohort", help="show: commands that were given this cohort")
    parser.add_argument("--command", help="show: this command only")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> int:
    """Verify, then show."""
    from pmcell.audit.trail import read_trail, require_trail, unfinished

    if args.action == "verify" and (args.cohort or args.command):
        raise UsageError("audit verify looks at the whole trail; --cohort and --command are show's")
    path = args.file or require_trail()
    records, chain = read_trail(path, witness=args.witness)
    open_ended = unfinished(records)
    if args.action == "verify":
        result = {"ok": True, "entries": len(records), "unfinished": len(open_ended)}
        if args.json:
            print(json.dumps({**result, "sha256": chain.head.sha256}, indent=2))
        else:
            print(
                f"{path.name} is whole: {len(records)} entries, signed by {chain.head.signer}; "
                f"{len(open_ended)} commands without an end."
            )
        return 0
    chosen = [
        record
        for record in records
        if args.cohort in (None, *record.cohorts) and args.command in (None, record.command)
    ]
    if args.json:
        print(json.dumps([record.as_dict() for record in chosen], indent=2, ensure_ascii=False))
        return 0
    for record in chosen:
        end = "" if record.exit_code is None else f" exit {record.exit_code}"
        print(
            f"{record.at} {record.user} ({record.role}) {record.event} {record.command}{end} "
            f"for {record.purpose} under {record.permit}: {', '.join(record.cohorts) or '–'}"
        )
    return 0
