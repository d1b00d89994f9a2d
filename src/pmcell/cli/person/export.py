"""Give a person their own package: cells, tables, strata, receipts, FHIR and a plain page.

DONOR is COHORT:ID, with the id of donors.tsv or the one of the results. The package holds what
the study keeps of this person and of nobody else: every file is scanned for the ids of others
before anything is written. It is encrypted to the person's public key (Crypt4GH), signed with
the key that PMCELL_SIGNING_KEY_FILE names, and opened with: pmcell unseal

Example:
  pmcell export ghent:D01 --recipient keys/d01.pub --out handed-out/d01
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.errors import UsageError
from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("donor", metavar="DONOR", help="COHORT:ID")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument("--recipient", type=Path, required=True, help="the person's public key")
    parser.add_argument("--out", type=Path, required=True, help="folder of the package")
    parser.add_argument(
        "--cohorts-dir",
        type=Path,
        help="folder of the cohorts, for the consent ledger (default: config/cohorts of the study)",
    )
    parser.add_argument(
        "--surely-theirs",
        action="store_true",
        help="all of the cells are the person's, though the table duplicates doubts it",
    )


def run(args: argparse.Namespace) -> int:
    """Make the package."""
    from rich.console import Console

    from pmcell.citizen.export import export_person
    from pmcell.citizen.person import find_person

    find_person(args.results, args.donor)
    cohorts = args.cohorts_dir or args.results.absolute().parent / "config" / "cohorts"
    folder = cohorts / args.donor.partition(":")[0]
    if args.cohorts_dir is not None and not folder.is_dir():
        raise UsageError(
            f"--cohorts-dir must hold the cohort's folder, for the consent ledger; there is no "
            f"{folder}"
        )
    consent = _consent(folder, args.donor)
    with Console(stderr=True).status("export") as status:
        names = export_person(
            args.results,
            args.donor,
            args.out,
            recipient=args.recipient,
            consent=consent,
            is_surely_theirs=args.surely_theirs,
            progress=lambda part: status.update(f"export: {part}"),
        )
    print(
        f"{plural(len(names), 'file')} about one person, scanned for others, encrypted: {args.out}"
    )
    if not folder.is_dir():
        print(
            f"There is no {folder}: whether a consent ledger is kept is not known, and the package "
            "holds no consent. Name the folder of the cohorts with --cohorts-dir."
        )
    elif consent is None:
        print("No consent ledger is kept for the cohort: the package holds no consent.")
    elif not consent["entry"]:
        print("The consent ledger has no entry under this id; it is kept by ids of donors.tsv.")
    return 0


def _consent(folder: Path, donor: str) -> dict[str, Any] | None:
    """The person's Consent resources, where the cohort has a ledger."""
    from pmcell.consent.fhir.export import as_bundle
    from pmcell.consent.ledger import ledger_path, read_ledger
    from pmcell.consent.subjects import read_keys
    from pmcell.io.crypt.keys import trusted_signers

    cohort_id, _, name = donor.partition(":")
    if not ledger_path(folder).is_file():
        return None
    subject = read_keys(cohort_id).subject(name)
    ledger = read_ledger(folder, signers=trusted_signers("the consent ledger"))
    return as_bundle(ledger, {subject: subject} if subject else {})
