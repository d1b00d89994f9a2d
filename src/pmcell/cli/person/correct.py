"""Correct what is registered of a donor; the old row is kept, with who, when and why.

COHORT is a cohort's folder, DONOR the id of donors.tsv. The corrected tables are checked as at
registration, and nothing is written where they break a rule. The row as it was and as it became
goes to corrections.json in the folder, and its digest to corrections.jsonl, a chain that is signed
with the key of PMCELL_SIGNING_KEY_FILE. The next run takes the cohort in again. Of a donor who
withdrew --forget erases the records; the chain goes on to verify.

Example:
  pmcell correct config/cohorts/ghent D01 --set age_group=40-49 --why "wrong year of birth"
  pmcell correct config/cohorts/ghent D01 --sample S7 --set visit_day=28 --why "date of sampling"
  pmcell correct config/cohorts/ghent --show
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._options import pairs
from pmcell.errors import UsageError
from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("cohort_dir", type=Path, metavar="COHORT", help="the cohort's folder")
    parser.add_argument("donor", nargs="?", metavar="DONOR", help="the donor, as in donors.tsv")
    parser.add_argument("--sample", help="correct this sample's row in samples.tsv")
    parser.add_argument(
        "--set", action="append", default=[], metavar="COLUMN=VALUE", help="new value; repeat it"
    )
    parser.add_argument("--why", default="", help="what was wrong")
    parser.add_argument("--asked-by", default="person", help="who said so (default: person)")
    parser.add_argument("--forget", action="store_true", help="erase the records of DONOR")
    parser.add_argument("--show", action="store_true", help="list all corrections, oldest first")


def run(args: argparse.Namespace) -> int:
    """Correct, or show."""
    from pmcell.citizen.correct import (
        CORRECTIONS,
        FORGOTTEN,
        RECORDS,
        correct,
        corrections_of,
        forget,
        require_cohort,
    )
    from pmcell.io.crypt.keys import read_signing_key, trusted_signers

    require_cohort(args.cohort_dir)
    changes = pairs(args.set, "--set", "COLUMN=VALUE")
    if args.show and (args.donor or changes or args.sample or args.why or args.forget):
        raise UsageError("--show lists all corrections of COHORT, and takes nothing else")
    if args.show:
        is_kept = any((args.cohort_dir / name).exists() for name in (CORRECTIONS, RECORDS))
        signers = trusted_signers("the chain of corrections") if is_kept else []
        made = corrections_of(args.cohort_dir, signers=signers) if is_kept else []
        if not made:
            print("Nothing of this cohort was corrected.")
        for item in made:
            changed = [name for name in item.after if item.after[name] != item.before.get(name)]
            said = "; ".join(f"{n}: {item.before[n]!r} -> {item.after[n]!r}" for n in changed)
            said = said or FORGOTTEN
            who = f"{item.entered_by} for {item.asked_by}"
            print(f"{item.at} {item.table}: {said} ({who}: {item.why})")
        return 0
    if not args.forget and (args.donor is None or not changes):
        raise UsageError("correct needs DONOR and --set COLUMN=VALUE, or --show")
    key = read_signing_key()
    if args.forget:
        if args.donor is None or changes or args.sample:
            raise UsageError("--forget takes DONOR and changes nothing else")
        n = forget(args.cohort_dir, args.donor, signers=[key.public_key()])
        forgotten = plural(n, "record")
        print(f"{forgotten} forgotten; that there were corrections, and when, stays in the chain.")
        return 0
    corrected = correct(
        args.cohort_dir,
        args.donor,
        changes,
        key=key,
        entered_by=_account(),
        at=_now(),
        why=args.why,
        asked_by=args.asked_by,
        sample=args.sample,
    )
    print(f"Corrected in {corrected.table}; the row as it was is kept. The next run takes it in.")
    return 0


def _account() -> str:
    import os
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")
