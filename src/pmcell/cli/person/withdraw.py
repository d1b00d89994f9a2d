"""Withdraw a donor: record it, rebuild everything without them, prove it, and sign a receipt.

The withdrawal is recorded in the cohort's consent ledger (`pmcell consent`),
the release that holds the donor is taken down with a tombstone, and the
workflow runs again: that cohort, and what follows from it. Then the results are
compared with a clean build in an empty folder, and a removal scan looks for the
donor in every object of every file, after it has found canaries of its own in
each kind of place. Last it erases the key of the donor's pseudonyms and the records
of their corrections. The signed receipt says what is gone, and what stays and why.

Interrupted at any moment, the same command goes on. With --collect DAY the
withdrawal takes effect on that day together with others: two releases that
differ by one person tell about that person, and for cohorts without open
access the gate refuses the second one.

Example:
  pmcell withdraw P017 --cohort ghent --dry-run
  pmcell withdraw P017 --cohort ghent
  pmcell withdraw P017 --cohort ghent --scan-only
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.cli._options import add_cores_option, add_study_options, require_cores
from pmcell.cli.person._clean_build import prove, rebuild
from pmcell.cli.person._trace import names_of, needles_of, other_cohorts, scan_only, search
from pmcell.errors import DataError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from pmcell.cli.run._study import Study
    from pmcell.consent.entries import Entry
    from pmcell.consent.withdrawal_receipt import Known
    from pmcell.registry.cohorts.registration import Registration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell withdraw`."""
    parser.add_argument("donor", metavar="DONOR", help="the donor, as in donors.tsv")
    parser.add_argument("--cohort", required=True, metavar="ID", help="the donor's cohort")
    add_study_options(parser)
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="say what it would touch; change nothing"
    )
    parser.add_argument("--collect", metavar="DAY", help="take effect on this day, with others")
    parser.add_argument(
        "--scan-only", action="store_true", help="look for the donor in all results; change nothing"
    )
    parser.add_argument(
        "--no-proof",
        action="store_true",
        help="do not compare with a clean build (the receipt says so)",
    )
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE", help="the person's letter, digested"
    )
    add_cores_option(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the receipt, or the scan, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    """Withdraw, or say what it would mean."""
    from pmcell.cli.run._lock import refuse_while_used
    from pmcell.cli.run._study import open_study
    from pmcell.consent import withdrawal
    from pmcell.consent.takedown import artefacts, release_facts
    from pmcell.consent.views import needs_ledger, today
    from pmcell.consent.withdrawal_receipt import as_text
    from pmcell.io.crypt.keys import read_signing_key
    from pmcell.registry.cohorts.cohort import load_registration

    require_cores(args)
    study = open_study(args.directory, args.config)
    folder = study.cohorts_dir / args.cohort
    if not folder.is_dir():
        raise UsageError(f"--cohort must name a folder in {study.cohorts_dir}; got {args.cohort!r}")
    registration = load_registration(folder)
    donor = args.donor.removeprefix(f"{args.cohort}:")
    registration.require_donor(donor, "DONOR")
    if args.scan_only:
        return scan_only(study, registration, donor, as_json=args.json)
    needs_ledger(folder)
    gone = artefacts(study.results, args.cohort)
    if args.dry_run:
        _say_what(study, registration, donor, gone)
        return 0
    # A run that works now would bring back what is taken down, and a reader hand it out.
    refuse_while_used(study.folder)
    key = read_signing_key()
    subject = _subject(args.cohort, donor)
    if args.collect:
        return _collect(args, registration, subject)
    journal = withdrawal.open_journal(study.folder, subject)
    if journal is None:
        needles = needles_of(study, registration, donor)
        journal = withdrawal.Journal(
            withdrawal.journal_path(study.folder, subject),
            args.cohort,
            _entry(args, registration, subject).as_dict(),
            needles=withdrawal.as_needles(needles),
            gone=gone,
            release=release_facts(study.results),
            known=_known(study, registration, donor),
        )
        journal.reach("noted")
    else:
        print(f"pmcell withdraw: goes on after stage {journal.stage!r}", file=sys.stderr)
    work = withdrawal.Work(
        study.folder,
        study.results,
        folder,
        rebuild=lambda: rebuild(study, args.cores),
        prove=lambda: prove(study, args.cores, skip=args.no_proof),
        search=lambda needles: search(study, needles),
        erase=lambda: _erase(registration, donor, key),
    )
    receipt = withdrawal.withdraw(journal, work, key=key, day=today().isoformat())
    place = withdrawal.receipt_path(study.folder, subject)
    print(json.dumps(receipt, indent=2) if args.json else as_text(receipt))
    print(f"Receipt, signed: {place}", file=sys.stderr)
    return 0


def _subject(cohort: str, donor: str) -> str:
    from pmcell.consent.subjects import read_keys

    subject = read_keys(cohort).subject(donor)
    if not subject:
        raise DataError(
            f"{donor} must have a key in the file of donors' keys; there is none: nothing links "
            "the ledger to the donor, who is dropped from every run already.",
            reason="donor_keys",
        )
    return subject


def _entry(args: argparse.Namespace, registration: Registration, subject: str) -> Entry:
    from pmcell.consent.entries import Entry, day_of
    from pmcell.consent.ledger import now_text, read_ledger
    from pmcell.consent.views import today
    from pmcell.io.atomic import sha256_file
    from pmcell.io.crypt.keys import trusted_signers

    ledger = read_ledger(registration.folder, signers=trusted_signers("the consent ledger"))
    day = today()
    if args.collect:
        try:
            day = day_of(args.collect)
        except ValueError as error:
            must = f"--collect must be a day such as 2026-12-31, got {args.collect!r}"
            raise UsageError(must) from error
        if day <= today():
            raise UsageError(
                f"--collect must be a day to come, got {args.collect}; it is {today()}"
            )
    if args.evidence is not None and not args.evidence.is_file():
        raise UsageError(f"--evidence must be a file; there is no {args.evidence}")
    evidence = f"sha256:{sha256_file(args.evidence)}" if args.evidence else ""
    return Entry(
        "withdraw",
        subject,
        day.isoformat(),
        ledger.current_policy,
        now_text(),
        evidence=evidence,
    )


def _collect(args: argparse.Namespace, registration: Registration, subject: str) -> int:
    """Record a withdrawal of a later day, and say what the steward does then."""
    from pmcell.consent.ledger import add_entries, read_ledger
    from pmcell.io.crypt.keys import read_signing_key, trusted_signers

    entry = _entry(args, registration, subject)
    add_entries(registration.folder, [entry], key=read_signing_key(), file="--collect")
    ledger = read_ledger(registration.folder, signers=trusted_signers("the consent ledger"))
    same = {
        item.subject
        for item in ledger.entries
        if item.act == "withdraw" and item.effective_from == entry.effective_from
    }
    print(
        f"{registration.cohort_id}: recorded; {len(same)} withdrawals take effect on "
        f"{entry.effective_from}. On that day: pmcell run. Until then the donor is still used."
    )
    if registration.access != "open":
        print(
            "Access is not open: the gate publishes again only when the cohort, the atlas and each "
            "published stratum differ from every earlier release in nobody, or in as many donors "
            "as a group must have (disclosure.min_donors). Where fewer withdraw, the release "
            "stays down until the next day of collection, and the results beside it are rebuilt."
        )
    return 0


def _say_what(
    study: Study, registration: Registration, donor: str, gone: Mapping[str, str]
) -> None:
    """What a withdrawal would touch, by the provenance of the results."""
    from pmcell.consent.views import today
    from pmcell.consent.withdrawal_receipt import DOWNLOADS, erased, stays

    known = _known(study, registration, donor)
    groups: dict[str, list[str]] = {}
    for name in gone:
        groups.setdefault(name.split("/")[0], []).append(name)
    print(f"{donor} of {registration.cohort_id}: {len(gone)} files hold them or were made of them:")
    for group, names in groups.items():
        shown = ", ".join(names[:4]) + (f", … ({len(names)} in all)" if len(names) > 4 else "")
        print(f"  {group}: {shown}")
    print("The release is taken down; these are made anew. Erased for good, at the end:")
    print(f"  the key of the donor's pseudonyms: {erased(known)['pseudonym_key']}")
    print(f"  records of corrections: {known.n_corrections}")
    print("What stays, and why:")
    for what, why in stays(known, today().isoformat()):
        print(f"  {what}: {why}")
    print(f"Downloads: {DOWNLOADS}")
    if any(
        one.access != "open" for one in (registration, *other_cohorts(study, registration).values())
    ):
        print(
            "Not all cohorts are open: where the next release, beside an earlier one, would tell "
            "of few of their donors, the gate refuses it, and it stays down. --collect DAY lets "
            "several leave together."
        )
    for item in known.older_releases:
        print(f"Older release {item['version']}: {item['state']}; known from {item['known_from']}")
    if elsewhere := _elsewhere(study, registration, donor):
        print(f"The same id is in {', '.join(elsewhere)}: withdraw there too if it is the person.")
    print("Nothing was changed (--dry-run).")


def _elsewhere(study: Study, registration: Registration, donor: str) -> list[str]:
    """Other cohorts that register a donor of this id."""
    return sorted(
        name
        for name, other in other_cohorts(study, registration).items()
        if any(item.donor_id == donor for item in other.donors)
    )


def _known(study: Study, registration: Registration, donor: str) -> Known:
    """What is known before of what the withdrawal reaches, and of what it does not."""
    from pmcell.citizen.correct import n_records
    from pmcell.citizen.history import older_releases, packages_of
    from pmcell.consent.withdrawal_receipt import Known
    from pmcell.registry.intake.keyring import Keyring
    from pmcell.registry.intake.pseudonyms import load_key

    cohort_id = registration.cohort_id
    key = None if registration.access == "open" else load_key()
    name = next(iter(names_of(registration, donor, [("donor", donor)])), "")
    packages = packages_of(study.results, cohort_id)
    kinds = {type(None): "none", bytes: "shared", Keyring: "erased"}
    return Known(
        pseudonym_key=kinds[type(key)],
        n_corrections=n_records(registration.folder, donor),
        older_releases=tuple(older_releases(study.results, cohort_id, name)),
        sealed_for=tuple(sorted({name for item in packages for name in item["recipients"]})),
        backups_kept_days=study.settings.study.backups_kept_days,
    )


def _erase(registration: Registration, donor: str, key: Ed25519PrivateKey) -> None:
    """Forget the key of the donor's pseudonyms and the records of their corrections."""
    from pmcell.citizen.correct import forget
    from pmcell.registry.intake.keyring import Keyring, erase_donor
    from pmcell.registry.intake.pseudonyms import change_keyring, load_key

    cohort_id = registration.cohort_id
    if registration.access != "open" and isinstance(load_key(), Keyring):
        change_keyring(lambda ring: erase_donor(ring, cohort_id, donor))
    forget(registration.folder, donor, signers=[key.public_key()])
