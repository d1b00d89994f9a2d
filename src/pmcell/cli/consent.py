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
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, Fault, FaultsError, UsageError

if TYPE_CHECKING:
    from datetime import date

    from pmcell.consent.entries import Entry
    from pmcell.consent.ledger import Ledger
    from pmcell.registry.cohorts.registration import Registration

TASKS = ("init", "policy", "add", "import", "agree", "show", "verify", "views", "export")
FORMATS = ("fhir", "receipt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell consent`."""
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("what", nargs="?", help="add: the act; import, agree: the file")
    parser.add_argument("--cohort", metavar="ID", help="the cohort; views and verify: default all")
    parser.add_argument("--directory", type=Path, default=Path(), help="study folder")
    parser.add_argument("--config", type=Path, help="configuration file of the study")
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
    return {
        "init": _init,
        "policy": _policy,
        "add": _add,
        "import": _import,
        "agree": _agree,
        "show": _show,
        "verify": _verify,
        "views": _views,
        "export": _export,
    }[args.task](args)


def _init(args: argparse.Namespace) -> int:
    from pmcell.consent.ledger import begin_ledger, ledger_path, with_subjects
    from pmcell.consent.subjects import add_keys
    from pmcell.io.crypt.keys import read_signing_key

    registration = _registration(args)
    if ledger_path(registration.folder).exists():
        raise UsageError(f"{registration.cohort_id} has a ledger already; add to it: consent add")
    key = read_signing_key()
    donors = [donor.donor_id for donor in registration.donors]
    policy = _new_policy(args)
    entries = []
    if args.purposes:
        given = [_entry(args, "give", donor, policy.policy) for donor in donors]
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

    folder = _cohort_folder(args)
    policy = _new_policy(args)
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
        entries = _draft(Path(args.what))
        folder = _cohort_folder(args)
    else:
        if not args.what or not args.donor:
            raise UsageError(f"add needs an act ({', '.join(ACTS)}) and --donor, or a draft's file")
        registration = _registration(args)
        folder = registration.folder
        ledger = _ledger(folder)
        registration.require_donor(args.donor, "--donor")
        entry = _entry(args, args.what, args.donor, args.policy or ledger.current_policy)
        entries = with_subjects([entry], _with_key(read_keys(folder.name), args.donor))
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
    from pmcell.consent.fhir import read_consents
    from pmcell.consent.fhir_files import SUFFIXES
    from pmcell.consent.ledger import add_entries, entry_faults, now_text, with_subjects
    from pmcell.consent.sheets import donor_faults, read_consent_table
    from pmcell.consent.subjects import add_keys
    from pmcell.io.crypt.keys import read_signing_key

    path = _file(args, "import")
    registration = _registration(args)
    ledger = _ledger(registration.folder)
    key = read_signing_key()
    policy = args.policy or ledger.current_policy
    if path.suffix.lower() in SUFFIXES:
        first = _first_visits(args)
        entries, rows = read_consents(
            path, policy=policy, recorded_at=now_text(), first_visits=first
        )
    else:
        entries, rows = read_consent_table(path, recorded_at=now_text())
    donors = {donor.donor_id for donor in registration.donors}
    faults = list(donor_faults(entries, rows, donors, file=path.name))
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

    path = _file(args, "agree")
    entry = agree(_draft(path)[0], read_signing_key())
    write_json(path, entry.as_dict())
    print(f"Agreed: {entry.act} from {entry.effective_from}, {'; '.join(entry.purposes) or 'all'}.")
    return 0


def _show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from pmcell.consent.subjects import read_keys

    registration = _registration(args)
    ledger = _ledger(registration.folder)
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
    found, warnings = _views_of(args, [registration.cohort_id])
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

    study = _study(args)
    folders = [_cohort_folder(args)] if args.cohort else _folders(study)
    kept = [folder for folder in folders if ledger_path(folder).exists()]
    if not kept:
        raise UsageError("no cohort has a consent ledger; begin one: pmcell consent init")
    faults: list[Fault] = []
    answer: list[dict[str, Any]] = []
    for folder in kept:
        try:
            ledger = _ledger(folder)
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
    study = _study(args)
    names = [args.cohort] if args.cohort else [folder.name for folder in _folders(study)]
    found, warnings = _views_of(args, names, write=True)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for view in found:
        n_dropped = sum(view.dropped.values())
        print(f"{view.cohort_id}: {len(view.allowed)} donors may be used, {n_dropped} not.")
    if not found:
        print("No cohort has a consent ledger.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from pmcell.consent.fhir_export import as_bundle
    from pmcell.consent.receipts import as_records
    from pmcell.consent.subjects import read_keys
    from pmcell.io.atomic import write_json
    from pmcell.io.modes import private_files

    registration = _registration(args)
    ledger = _ledger(registration.folder)
    keys = read_keys(registration.cohort_id)
    if args.donor:
        registration.require_donor(args.donor, "--donor")
    chosen = [args.donor] if args.donor else [donor.donor_id for donor in registration.donors]
    subjects = {keys.subject(donor): donor for donor in chosen if keys.subject(donor)}
    if args.out is None:
        raise UsageError("export needs --out FILE: what it writes names people")
    value: Mapping[str, Any]
    if args.format == "fhir":
        value = as_bundle(ledger, subjects, first_visits=_first_visits(args))
        n = len(value["entry"])
    else:
        value = as_records(ledger, registration, subjects)
        n = len(value["@graph"])
    with private_files():
        write_json(args.out, value)
    print(f"{n} records of {len(subjects)} donors written to {args.out}, for its owner alone.")
    return 0


def _first_visits(args: argparse.Namespace) -> Mapping[str, date]:
    from pmcell.consent.data_period import read_first_visits

    if args.first_visits is None:
        return {}
    return read_first_visits(args.first_visits, study=_study(args).folder)


def _study(args: argparse.Namespace) -> Any:
    from pmcell.cli.run._study import open_study

    return open_study(args.directory, args.config)


def _folders(study: Any) -> list[Path]:
    from pmcell.registry.cohorts.registered import list_cohorts

    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    return [study.cohorts_dir / name for name in names]


def _cohort_folder(args: argparse.Namespace) -> Path:
    from pmcell.spelling import did_you_mean

    study = _study(args)
    known = {folder.name: folder for folder in _folders(study)}
    if not args.cohort:
        raise UsageError(f"--cohort must name a cohort: {', '.join(known) or 'there is none'}")
    if args.cohort not in known:
        hint = did_you_mean(args.cohort, known)
        raise UsageError(f"--cohort must be one of {', '.join(known)}; got {args.cohort!r}. {hint}")
    return known[args.cohort]


def _registration(args: argparse.Namespace) -> Registration:
    from pmcell.registry.cohorts.cohort import load_registration

    return load_registration(_cohort_folder(args))


def _ledger(folder: Path) -> Ledger:
    from pmcell.consent.ledger import read_ledger
    from pmcell.consent.views import needs_ledger
    from pmcell.io.crypt.keys import trusted_signers

    needs_ledger(folder)
    return read_ledger(folder, signers=trusted_signers("the consent ledger"))


def _views_of(args: argparse.Namespace, names: list[str], *, write: bool = False) -> Any:
    from pmcell.consent.entries import day_of
    from pmcell.consent.views import views_of_study

    study = _study(args)
    try:
        day = day_of(args.day) if args.day else None
    except ValueError as error:
        raise UsageError(f"--day must be a day such as 2026-03-01, got {args.day!r}") from error
    use = study.settings.study.use
    return views_of_study(study.cohorts_dir, names, study.results, use, write=write, day=day)


def _with_key(keys: Any, donor: str) -> Any:
    if not keys.subject(donor):
        raise DataError(
            f"{donor} must have a key in the file of donors' keys; there is none: it was erased, "
            "or the donor was registered later. New donors get one with consent import.",
            reason="donor_keys",
        )
    return keys.subject


def _new_policy(args: argparse.Namespace) -> Any:
    import base64

    from pmcell.consent.entries import Policy
    from pmcell.consent.ledger import now_text
    from pmcell.io.crypt.keys import read_signer

    if not args.policy:
        raise UsageError("--policy must name the policy, such as the version of the consent form")
    committee = ""
    if args.committee:
        committee = base64.b64encode(read_signer(args.committee).public_bytes_raw()).decode()
    return Policy(args.policy, args.basis, now_text(), title=args.title, committee=committee)


def _entry(args: argparse.Namespace, act: str, donor: str, policy: str) -> Entry:
    from pmcell.consent.entries import parse_row
    from pmcell.consent.ledger import now_text
    from pmcell.consent.views import today
    from pmcell.io.atomic import sha256_file

    if args.evidence is not None and not args.evidence.is_file():
        raise UsageError(f"--evidence must be a file; there is no {args.evidence}")
    cells = {
        "donor_id": donor,
        "act": act,
        "effective_from": args.effective_from or today().isoformat(),
        "policy": policy,
        "purposes": args.purposes or "",
        "data": args.data or "",
        "visit_days": args.visit_days or "",
        "recipients": args.recipients or "",
        "expires": args.expires or "",
        "evidence": sha256_file(args.evidence) if args.evidence else "",
    }
    entry, faults = parse_row(cells, file="options", row=None, recorded_at=now_text())
    if entry is None:
        raise UsageError("\n".join(map(str, faults)))
    return entry


def _draft(path: Path) -> list[Entry]:
    from pmcell.consent.entries import entry_of

    if not path.is_file():
        raise UsageError(
            f"a draft must be a file that `consent add --draft` wrote; there is no {path}"
        )
    try:
        return [entry_of(json.loads(path.read_text(encoding="utf-8")))]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} must be a draft of one entry; it is not: {error}") from error


def _file(args: argparse.Namespace, task: str) -> Path:
    if not args.what or not Path(args.what).is_file():
        raise UsageError(f"{task} needs a file; there is no {args.what or 'name'}")
    return Path(args.what)
