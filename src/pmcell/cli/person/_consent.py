"""What the tasks of `pmcell consent` take from its options: cohort, ledger, entries, views."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.json_text import parse_json

if TYPE_CHECKING:
    from datetime import date

    from pmcell.consent.entries import Entry
    from pmcell.consent.ledger import Ledger
    from pmcell.registry.cohorts.registration import Registration


_OF_ENTRY = (
    *("effective_from", "purposes", "data", "visit_days", "recipients", "expires", "evidence"),
)
_OF_POLICY = ("policy", "title", "basis", "committee")
USES: Mapping[str, tuple[str, ...]] = {
    "init": ("cohort", *_OF_POLICY, *_OF_ENTRY),
    "policy": ("cohort", *_OF_POLICY),
    "add": ("what", "cohort", "donor", "policy", "draft", *_OF_ENTRY),
    "import": ("what", "cohort", "policy", "first_visits"),
    "agree": ("what",),
    "show": ("cohort", "donor", "day", "json"),
    "verify": ("cohort", "json"),
    "views": ("cohort", "day"),
    "export": ("cohort", "donor", "format", "out", "first_visits"),
}
"""What each task takes of the options, beside the study's folder and configuration."""


def refuse_unused(args: argparse.Namespace) -> None:
    """`UsageError` for options that a task would pass over: a person who gives one means it."""
    used = {"task", "directory", "config", *USES[args.task]}
    if args.task == "add" and args.what and Path(args.what).is_file():
        used -= {"donor", "policy", "draft", *_OF_ENTRY}
    why = f"consent {args.task}"
    if args.task == "init" and not args.purposes:
        used -= set(_OF_ENTRY)
        why += " without --purposes"
    if args.task == "show" and args.donor:
        used -= {"day"}
        why += " with --donor"
    unset = (None, "", False)
    given = [
        name
        for name, value in vars(args).items()
        if name not in used and value not in unset and (name, value) not in _DEFAULTS
    ]
    if given:
        names = ["the word " + repr(args.what) if n == "what" else _flag(n) for n in given]
        takes = ", ".join(_flag(name) for name in USES[args.task] if name in used - {"what"})
        raise UsageError(
            f"{why} must be given what it uses; it does not use {', '.join(names)}. "
            f"It takes {takes or 'a file alone'}."
        )


_DEFAULTS = (("basis", "consent"), ("format", "fhir"))
"""What options are that nobody gave."""


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def first_visits(args: argparse.Namespace) -> Mapping[str, date]:
    """Day of each donor's first visit, from `--first-visits`; empty without it."""
    from pmcell.consent.data_period import read_first_visits

    if args.first_visits is None:
        return {}
    return read_first_visits(args.first_visits, study=study_of(args).folder)


def study_of(args: argparse.Namespace) -> Any:
    """The study that `--directory` and `--config` name."""
    from pmcell.cli.run._study import open_study

    return open_study(args.directory, args.config)


def cohort_folders(study: Any) -> list[Path]:
    """Folders of the cohorts that a study uses."""
    from pmcell.registry.cohorts.registered import list_cohorts

    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    return [study.cohorts_dir / name for name in names]


def cohort_folder(args: argparse.Namespace) -> Path:
    """Folder of the cohort that `--cohort` names."""
    from pmcell.spelling import did_you_mean

    study = study_of(args)
    known = {folder.name: folder for folder in cohort_folders(study)}
    if not args.cohort:
        raise UsageError(f"--cohort must name a cohort: {', '.join(known) or 'there is none'}")
    if args.cohort not in known:
        hint = did_you_mean(args.cohort, known)
        raise UsageError(f"--cohort must be one of {', '.join(known)}; got {args.cohort!r}. {hint}")
    return known[args.cohort]


def registration_of(args: argparse.Namespace) -> Registration:
    """What is registered of that cohort."""
    from pmcell.registry.cohorts.cohort import load_registration

    return load_registration(cohort_folder(args))


def ledger_of(folder: Path) -> Ledger:
    """The consent ledger of a cohort, with its chain and signature checked."""
    from pmcell.consent.ledger import read_ledger
    from pmcell.consent.views import needs_ledger
    from pmcell.io.crypt.keys import trusted_signers

    needs_ledger(folder)
    return read_ledger(folder, signers=trusted_signers("the consent ledger"))


def views_of(args: argparse.Namespace, names: list[str], *, write: bool = False) -> Any:
    """Who of each cohort may be used, on `--day`, and warnings."""
    from pmcell.consent.entries import day_of
    from pmcell.consent.views import views_of_study

    study = study_of(args)
    try:
        day = day_of(args.day) if args.day else None
    except ValueError as error:
        raise UsageError(f"--day must be a day such as 2026-03-01, got {args.day!r}") from error
    use = study.settings.study.use
    return views_of_study(study.cohorts_dir, names, study.results, use, write=write, day=day)


def with_key(keys: Any, donor: str) -> Any:
    """What gives a donor's key; `DataError` where the donor has none."""
    if not keys.subject(donor):
        raise DataError(
            f"{donor} must have a key in the file of donors' keys; there is none: it was erased, "
            "or the donor was registered later. New donors get one with consent import.",
            reason="donor_keys",
        )
    return keys.subject


def new_policy(args: argparse.Namespace) -> Any:
    """The policy that the options describe."""
    import base64

    from pmcell.consent.entries import MAX_TEXT, Policy
    from pmcell.consent.ledger import now_text
    from pmcell.io.crypt.keys import read_signer

    if not args.policy:
        raise UsageError("--policy must name the policy, such as the version of the consent form")
    for option, text in (("--policy", args.policy), ("--title", args.title)):
        if text != text.strip() or not text.isprintable() or len(text) > MAX_TEXT:
            raise UsageError(
                f"{option} must be plain text of one line and at most {MAX_TEXT} letters, for it "
                f"stays in the ledger; got {text[:40]!a}"
            )
    committee = ""
    if args.committee:
        committee = base64.b64encode(read_signer(args.committee).public_bytes_raw()).decode()
    return Policy(args.policy, args.basis, now_text(), title=args.title, committee=committee)


def new_entry(args: argparse.Namespace, act: str, donor: str, policy: str) -> Entry:
    """The entry that the options describe, for one donor."""
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


def read_draft(path: Path) -> list[Entry]:
    """The entry of a draft, alone in a list."""
    from pmcell.consent.entries import entry_of

    if not path.is_file():
        raise UsageError(
            f"a draft must be a file that `consent add --draft` wrote; there is no {path}"
        )
    try:
        return [entry_of(parse_json(path.read_text(encoding="utf-8")))]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} must be a draft of one entry; it is not: {error}") from error


def named_file(args: argparse.Namespace, task: str) -> Path:
    """The file that a task needs as its argument."""
    if not args.what or not Path(args.what).is_file():
        raise UsageError(f"{task} needs a file; there is no {args.what or 'name'}")
    return Path(args.what)
