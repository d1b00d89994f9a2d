"""Keep the consent ledger of a cohort: who allowed what, since when, under which policy.

The ledger (consent.jsonl in the cohort's folder) is append-only, each entry is
bound to the one before, and its head is signed with the key in the file that
PMCELL_SIGNING_KEY_FILE names. Donors stand in it under keys of their own, in
the private file that PMCELL_DONOR_KEYS_FILE names; both files lie outside the
study. `pmcell run` decides from it who may be used, before the first job.

  init     begin the ledger: the policy, and with --purposes one entry a donor
  policy   add a policy, under which later entries stand
  add      add one entry: give, narrow, withdraw, opt_out, opt_in
  import   add the entries of a table (CSV, TSV, Excel) or of FHIR Consent (R4, R5)
  agree    sign a draft as the committee of its policy
  show     what holds today for the declared use; with --donor one person's entries
  verify   check the chain, the signature, and every entry
  views    decide who may be used, as `pmcell run` does before it starts
  export   FHIR R4 Consent (--format fhir), or receipts in the form of ISO/IEC TS 27560

Example:
  pmcell consent init --cohort ghent --policy study-2021 --purposes DUO:0000042 \\
    --effective-from 2021-01-01
  pmcell consent add narrow --cohort ghent --donor P017 --purposes "DUO:0000006"
  pmcell consent show --cohort ghent
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.cli._options import add_study_options
from pmcell.cli.person._consent import (
    cohort_folder,
    cohort_folders,
    first_visits,
    ledger_of,
    named_file,
    new_entry,
    new_policy,
    read_draft,
    refuse_unused,
    registration_of,
    study_of,
    views_of,
    with_key,
)
from pmcell.errors import Fault, FaultsError, UsageError

FORMATS = ("fhir", "receipt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell consent`."""
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("what", nargs="?", help="add: the act; import, agree: the file")
    parser.add_argument("--cohort", metavar="ID", help="the cohort; views and verify: default all")
    add_study_options(parser)
    parser.add_argument("--donor", metavar="ID", help="the donor, as in donors.tsv")
    parser.add_argument("--effective-from", metavar="DAY", help="default: today, in UTC")
    parser.add_argument("--purposes", metavar="TERMS", help="DUO or DPV terms, with semicolons")
    parser.add_argument("--data", metavar="KINDS", help="kinds of data; default all")
    parser.add_argument("--visit-days", metavar="A..B", help="visit days; default all")
    parser.add_argument("--recipients", metavar="NAMES", help="who may receive data; default all")
    parser.add_argument("--expires", metavar="DAY", help="last day; default none")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="the signed form, digested")
    parser.add_argument("--policy", metavar="ID", help="the policy; default the newest")
    parser.add_argument("--title", default="", help="init, policy: the policy's title")
    parser.add_argument(
        "--basis",
        choices=("consent", "law"),
        default="consent",
        help="init, policy: whether only those are in who gave consent, or all who did not opt out",
    )
    parser.add_argument(
        "--committee", type=Path, metavar="KEY.pub", help="init, policy: who must agree, Ed25519"
    )
    parser.add_argument(
        "--draft", type=Path, metavar="FILE", help="add: write a draft, to agree to"
    )
    parser.add_argument("--day", metavar="DAY", help="show, views: another day than today")
    parser.add_argument("--format", choices=FORMATS, default="fhir", help="export: which form")
    parser.add_argument("--out", type=Path, metavar="FILE", help="export: file to write")
    parser.add_argument(
        "--first-visits",
        type=Path,
        metavar="FILE",
        help="import, export: day of each donor's first visit (donor_id, first_visit), for FHIR's "
        "dataPeriod; a file outside the study",
    )
    parser.add_argument("--json", action="store_true", help="show, verify: print JSON")


def run(args: argparse.Namespace) -> int:
    """Do one task; 0 when it is done."""
    refuse_unused(args)
    return TASKS[args.task](args)


def _init(args: argparse.Namespace) -> int:
    from pmcell.consent.ledger import begin_ledger, with_subjects
    from pmcell.consent.subjects import add_keys
    from pmcell.io.crypt.keys import read_signing_key

    registration = registration_of(args)
    key = read_signing_key()
    donors = [donor.donor_id for donor in registration.donors]
    policy = new_policy(args)
    entries = []
    if args.purposes:
        given = [new_entry(args, "give", donor, policy.policy) for donor in donors]
        entries = with_subjects(given, add_keys(registration.cohort_id, donors).subject)
    else:
        add_keys(registration.cohort_id, donors)
    begin_ledger(registration.folder, policy, entries, key=key)
    print(
        f"{registration.cohort_id}: ledger begun under policy {policy.policy!r} (basis "
        f"{policy.basis}), {len(entries)} of {len(donors)} donors with a consent."
    )
    return 0


def _policy(args: argparse.Namespace) -> int:
    from pmcell.consent.ledger import add_policy
    from pmcell.io.crypt.keys import read_signing_key

    folder = cohort_folder(args)
    policy = new_policy(args)
    add_policy(folder, policy, key=read_signing_key())
    print(f"{folder.name}: policy {policy.policy!r} holds for entries from now on.")
    return 0


def _add(args: argparse.Namespace) -> int:
    from pmcell.consent.entries import ACTS
    from pmcell.consent.ledger import add_entries, with_subjects
    from pmcell.consent.subjects import read_keys
    from pmcell.io.atomic import write_json
    from pmcell.io.crypt.keys import read_signing_key
    from pmcell.spelling import did_you_mean

    if args.what and args.what not in ACTS and not Path(args.what).is_file():
        hint = did_you_mean(args.what, ACTS)
        raise UsageError(
            f"add needs an act ({', '.join(ACTS)}) or a draft's file; got {args.what!r}. {hint}"
        )
    if args.what and args.what not in ACTS:
        entries = read_draft(Path(args.what))
        folder = cohort_folder(args)
    else:
        if not args.what or not args.donor:
            raise UsageError(f"add needs an act ({', '.join(ACTS)}) and --donor, or a draft's file")
        registration = registration_of(args)
        folder = registration.folder
        ledger = ledger_of(folder)
        registration.require_donor(args.donor, "--donor")
        entry = new_entry(args, args.what, args.donor, args.policy or ledger.current_policy)
        entries = with_subjects([entry], with_key(read_keys(folder.name), args.donor))
    if args.draft:
        write_json(args.draft, entries[0].as_dict())
        print(
            f"Draft written to {args.draft}. The committee signs it: pmcell consent agree "
            f"{args.draft}; then: pmcell consent add {args.draft} --cohort {folder.name}"
        )
        return 0
    head = add_entries(folder, entries, key=read_signing_key())
    print(f"{folder.name}: {entries[0].act} recorded as entry {head.n}.")
    return 0


def _import(args: argparse.Namespace) -> int:
    from pmcell.consent.fhir.files import SUFFIXES
    from pmcell.consent.fhir.resources import read_consents
    from pmcell.consent.ledger import add_entries, entry_faults, now_text, with_subjects
    from pmcell.consent.sheets import donor_faults, read_consent_table, spelling_faults
    from pmcell.consent.subjects import add_keys
    from pmcell.io.crypt.keys import read_signing_key

    path = named_file(args, "import")
    registration = registration_of(args)
    ledger = ledger_of(registration.folder)
    key = read_signing_key()
    policy = args.policy or ledger.current_policy
    donors = {donor.donor_id for donor in registration.donors}
    if path.suffix.lower() in SUFFIXES:
        first = first_visits(args)
        entries, rows = read_consents(
            path, policy=policy, recorded_at=now_text(), first_visits=first, donors=donors
        )
    else:
        if args.policy or args.first_visits:
            raise UsageError(
                "--policy and --first-visits are for FHIR; a table says them in its columns"
            )
        entries, rows = read_consent_table(path, recorded_at=now_text())
    faults = list(donor_faults(entries, rows, donors, file=path.name))
    faults += spelling_faults(entries, rows, file=path.name)
    faults += entry_faults(entries, ledger.policies, file=path.name, rows=rows)
    if faults:
        raise FaultsError(faults)
    keys = add_keys(registration.cohort_id, sorted({entry.subject for entry in entries}))
    add_entries(
        registration.folder,
        with_subjects(entries, keys.subject),
        key=key,
        file=path.name,
        rows=rows,
    )
    print(f"{registration.cohort_id}: {len(entries)} entries of {path.name} recorded.")
    return 0


def _agree(args: argparse.Namespace) -> int:
    from pmcell.consent.ledger import agree
    from pmcell.io.atomic import write_json
    from pmcell.io.crypt.keys import read_signing_key

    path = named_file(args, "agree")
    entry = agree(read_draft(path)[0], read_signing_key())
    write_json(path, entry.as_dict())
    print(f"Agreed: {entry.act} from {entry.effective_from}, {'; '.join(entry.purposes) or 'all'}.")
    return 0


def _show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from pmcell.consent.subjects import read_keys

    registration = registration_of(args)
    ledger = ledger_of(registration.folder)
    if args.donor:
        registration.require_donor(args.donor, "--donor")
        subject = read_keys(registration.cohort_id).subject(args.donor)
        entries = ledger.of(subject) if subject else ()
        if args.json:
            print(json.dumps([asdict(entry) for entry in entries], indent=2))
            return 0
        for entry in entries:
            scope = "; ".join(entry.purposes) or "everything"
            print(f"{entry.effective_from}  {entry.act:<8}  {scope}  ({entry.policy})")
        print(f"{args.donor}: {len(entries)} entries.")
        return 0
    found, warnings = views_of(args, [registration.cohort_id])
    view = found[0]
    if args.json:
        print(json.dumps(view.facts | {"n_allowed": len(view.allowed)}, indent=2))
        return 0
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{view.cohort_id}: {len(view.allowed)} donors may be used for {view.use['purpose']}")
    for item in view.facts["dropped"]:
        print(f"  {item['n_donors']} not: {item['reason']}")
    if view.valid_until:
        print(f"  changes next on {view.valid_until}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from pmcell.consent.ledger import ledger_path

    study = study_of(args)
    folders = [cohort_folder(args)] if args.cohort else cohort_folders(study)
    kept = [folder for folder in folders if ledger_path(folder).exists()]
    if not kept:
        raise UsageError("no cohort has a consent ledger; begin one: pmcell consent init")
    faults: list[Fault] = []
    answer: list[dict[str, Any]] = []
    for folder in kept:
        try:
            ledger = ledger_of(folder)
        except FaultsError as error:
            faults += error.faults
            continue
        answer.append({"cohort_id": folder.name, "n": ledger.head.n, "sha256": ledger.head.sha256})
        if not args.json:
            mark = " (its last append was interrupted, and counts)" * ledger.was_interrupted
            print(
                f"{folder.name}: {ledger.head.n} records verified, head {ledger.head.sha256}{mark}"
            )
    if args.json:
        print(json.dumps(answer, indent=2))
    if faults:
        raise FaultsError(faults)
    return 0


def _views(args: argparse.Namespace) -> int:
    study = study_of(args)
    names = [args.cohort] if args.cohort else [folder.name for folder in cohort_folders(study)]
    found, warnings = views_of(args, names, write=True)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for view in found:
        n_dropped = sum(view.dropped.values())
        print(f"{view.cohort_id}: {len(view.allowed)} donors may be used, {n_dropped} not.")
    if not found:
        print("No cohort has a consent ledger.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from pmcell.consent.fhir.export import as_bundle
    from pmcell.consent.receipts import as_records
    from pmcell.consent.subjects import read_keys
    from pmcell.io.atomic import write_json
    from pmcell.io.modes import private_files

    registration = registration_of(args)
    ledger = ledger_of(registration.folder)
    keys = read_keys(registration.cohort_id)
    if args.donor:
        registration.require_donor(args.donor, "--donor")
    chosen = [args.donor] if args.donor else [donor.donor_id for donor in registration.donors]
    subjects = {keys.subject(donor): donor for donor in chosen if keys.subject(donor)}
    if args.out is None:
        raise UsageError("export needs --out FILE: what it writes names people")
    value: Mapping[str, Any]
    if args.format == "fhir":
        value = as_bundle(ledger, subjects, first_visits=first_visits(args))
        n = len(value["entry"])
    else:
        value = as_records(ledger, registration, subjects)
        n = len(value["@graph"])
    with private_files():
        write_json(args.out, value)
    print(f"{n} records of {len(subjects)} donors written to {args.out}, for its owner alone.")
    return 0


TASKS = {
    "init": _init,
    "policy": _policy,
    "add": _add,
    "import": _import,
    "agree": _agree,
    "show": _show,
    "verify": _verify,
    "views": _views,
    "export": _export,
}
