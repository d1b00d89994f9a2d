"""The permitted view of each cohort: who may be used, decided and written before the first job.

The one place where consent is enforced. The workflow holds a cohort's intake to
the digest of its view, so that a withdrawal reruns that cohort and what follows
from it; an entry that changes nobody's state reruns nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.consent.decide import REASONS, decide, next_change
from pmcell.consent.entries import Entry
from pmcell.consent.ledger import Ledger, ledger_path, read_ledger
from pmcell.consent.subjects import DonorKeys, read_keys
from pmcell.consent.uses import Permit, Use, care_refusals, declared_use, refusals
from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.atomic import DamagedJsonError, read_json, write_json
from pmcell.io.crypt.keys import trusted_signers
from pmcell.io.modes import private_files
from pmcell.registry.cohorts.cohort import read_registration
from pmcell.registry.cohorts.identities import alike
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.registered import LEDGER_FILE, VIEW_FILE
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.terms.vocabulary import DUO_MODIFIERS
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    from pmcell.settings.study import UseSettings

CONFIG = "config.yaml"
FORMAT = "pmcell permitted view 1"


@dataclass(frozen=True)
class View:
    """Whom a cohort's consents permit, and how many they do not, by reason; never who."""

    cohort_id: str
    allowed: Mapping[str, tuple[tuple[int, int], ...]]
    dropped: Mapping[str, int]
    head: Mapping[str, Any]
    use: Mapping[str, Any]
    valid_until: date | None

    @property
    def facts(self) -> dict[str, Any]:
        """What results and release say of it."""
        return {
            "has_ledger": True,
            "use": dict(self.use),
            "n_donors_dropped": sum(self.dropped.values()),
            "dropped": [
                {"reason": REASONS[reason], "n_donors": n}
                for reason, n in sorted(self.dropped.items())
            ],
        }

    def as_dict(self) -> dict[str, Any]:
        """The view as it is written; `digest` is of what intake makes of it."""
        body = {
            "allowed": {name: [list(pair) for pair in days] for name, days in self.allowed.items()},
            "facts": self.facts,
        }
        text = json.dumps(body, sort_keys=True)
        return {
            "format": FORMAT,
            "cohort_id": self.cohort_id,
            **body,
            "head": dict(self.head),
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
        }


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def enforce(
    folders: Sequence[Path],
    results: Path,
    *,
    use: UseSettings | None,
    day: date,
    write: bool = True,
) -> tuple[list[View], list[Fault]]:
    """Hold every cohort to the declared use; write the view of each that has a ledger.

    Parameters
    ----------
    folders
        Folders of the cohorts of the study.
    results
        The study's results folder.
    use
        What the study declares; needed where a cohort has a ledger.
    day
        The day, in UTC, for which it is decided.
    write
        Write the views; a check does not.

    Returns
    -------
    tuple
        The views, and warnings. Nothing is written unless all cohorts pass.

    Raises
    ------
    FaultsError
        For every cohort whose terms do not allow the use, and every ledger that does not verify.
    UsageError
        When a ledger cannot be read for want of a key.
    """
    faults: list[Fault] = []
    warnings: list[Fault] = []
    views: list[View] = []
    refused: dict[str, set[str]] = {}
    declared, permit = declared_use(use) if use else (None, None)
    faults += _use_faults(declared, permit, day)
    for folder in folders:
        has_ledger = ledger_path(folder).exists()
        if not has_ledger and (results / "cohorts" / folder.name / VIEW_FILE).exists():
            must = "must be there: results were made with it"
            fix = "Restore it from a backup: without it nobody may be taken in."
            faults.append(_fault(folder, ledger_path(folder).name, must, "no such file", fix))
        registration, _ = read_registration(folder)
        if has_ledger and declared is None:
            must = f"must declare `use`, since {folder.name} has a consent ledger"
            fix = "Write for example: use: {purpose: health_research}."
            faults.append(Fault(CONFIG, must, "nothing", fix, column="use", reason="consent"))
        if registration is not None and declared is not None:
            found = list(_cohort_faults(registration, declared, has_ledger=has_ledger))
            faults += [fault for fault in found if fault.severity == "error"]
            warnings += [fault for fault in found if fault.severity != "error"]
        if not has_ledger:
            continue
        try:
            ledger = read_ledger(folder, signers=trusted_signers("the consent ledger"))
            keys = read_keys(folder.name)
            if declared is not None:
                donors = [d.donor_id for d in registration.donors] if registration else []
                view, refused[folder.name] = _view(ledger, keys, donors, declared, permit, day)
                views.append(view)
        except FaultsError as error:
            faults += [_named(fault, folder) for fault in error.faults]
    found = list(dict.fromkeys(faults))
    if found and all(fault.file == CONFIG for fault in found):
        # The operator's own configuration, no data.
        raise UsageError("\n".join(map(str, found)))
    if found:
        raise FaultsError(found)
    if write:
        for view in views:
            write_view(results, view)
    return views, [*warnings, *_elsewhere(views, refused), *_alike(views, refused)]


def _elsewhere(views: Sequence[View], refused: Mapping[str, set[str]]) -> Iterator[Fault]:
    """Ids of which one cohort's ledger takes back what another's allows: one person, or two."""
    for view in views:
        for cohort, donors in refused.items():
            if n := len(donors & view.allowed.keys()):
                must = f"should not allow whom {cohort} lost, if they are the same people"
                fix = "Compare `pmcell consent show` of both; is it one person, withdraw here, too."
                where = f"{view.cohort_id}/{LEDGER_FILE}"
                found = f"{n} ids that withdrew or opted out there"
                yield Fault(where, must, found, fix, severity="warning", reason="consent")


def _alike(views: Sequence[View], refused: Mapping[str, set[str]]) -> Iterator[Fault]:
    """Ids that differ in their spelling only, of which one was taken back, and not the other."""
    for view in views:
        lost = refused.get(view.cohort_id, set())
        groups = alike(sorted({*lost, *view.allowed})) if lost else ()
        if n := sum(bool(lost & set(group) and view.allowed.keys() & group) for group in groups):
            must = "should not allow an id beside one spelt alike that withdrew or opted out"
            fix = "Is it one person, withdraw both ids; if not, give clearer ids in donors.tsv."
            where = f"{view.cohort_id}/{LEDGER_FILE}"
            yield Fault(where, must, f"{n} of them", fix, severity="warning", reason="consent")


def write_view(results: Path, view: View) -> Path:
    """Write a view where its cohort's results are, for its owner alone, unless it is there."""
    path = results / "cohorts" / view.cohort_id / VIEW_FILE
    value = view.as_dict()
    known: Any = None
    with suppress(FileNotFoundError, DamagedJsonError):
        known = read_json(path)
    if known != value:
        # The folder is the cohort's, with the modes of its results; the view its owner's.
        path.parent.mkdir(parents=True, exist_ok=True)
        with private_files():
            write_json(path, value)
    return path


def _view(
    ledger: Ledger,
    keys: DonorKeys,
    donors: Sequence[str],
    use: Use,
    permit: Permit | None,
    day: date,
) -> tuple[View, set[str]]:
    """The view of a cohort, and the donors who withdrew or opted out."""
    allowed: dict[str, tuple[tuple[int, int], ...]] = {}
    dropped: Counter[str] = Counter()
    refused: set[str] = set()
    entries: list[Entry] = []
    for donor in donors:
        subject = keys.subject(donor)
        decision = decide(ledger, subject, use=use, permit=permit, day=day)
        if decision.allowed:
            allowed[donor] = decision.visit_days
        else:
            dropped[decision.reason] += 1
            if decision.reason in ("withdrawn", "opted_out"):
                refused.add(donor)
        entries += ledger.of(subject) if subject else ()
    said = {
        "purpose": use.purpose,
        "disease": use.disease,
        "permit_id": permit.permit_id if permit else "",
        "permit_approved_on": permit.approved_on.isoformat() if permit else "",
    }
    head = asdict(ledger.head)
    until = next_change(entries, day)
    return View(ledger.cohort_id, allowed, dropped, head, said, until), refused


def _use_faults(use: Use | None, permit: Permit | None, day: date) -> list[Fault]:
    found = []
    for term in sorted(use.conditions if use else ()):
        if term not in DUO_MODIFIERS:
            must = "must be modifiers of the Data Use Ontology"
            fix = did_you_mean(term, DUO_MODIFIERS) or f"There are {', '.join(DUO_MODIFIERS)}."
            found.append(
                Fault(CONFIG, must, repr(term), fix, column="use.conditions", reason="consent")
            )
    if permit and permit.expires and permit.expires < day:
        must, fix = "must hold on the day of the run", "Renew the permit, or stop the study."
        what = f"a permit that ended on {permit.expires}"
        found.append(Fault(CONFIG, must, what, fix, column="use.permit", reason="permit"))
    if permit and permit.approved_on > day:
        must, fix = "must be approved before the run", "Correct the day, or wait for it."
        what = f"{permit.approved_on}"
        column = "use.permit.approved_on"
        found.append(Fault(CONFIG, must, what, fix, column=column, reason="permit"))
    return found


def _cohort_faults(registration: Registration, use: Use, *, has_ledger: bool) -> list[Fault]:
    """Why the cohort's own terms do not allow the use; what is unknown is said."""
    folder = registration.folder
    if not registration.data_use:
        if has_ledger:
            return []
        is_open = registration.access == "open"
        must = "should say what uses are allowed" if is_open else "must say what uses are allowed"
        fix = "Write its Data Use Ontology terms in data_use, as the consent forms say."
        fault = _fault(folder, COHORT_FILE, must, "data_use: unknown", fix, column="data_use")
        return [fault if not is_open else Fault(**{**vars(fault), "severity": "warning"})]
    reasons = refusals(registration.data_use, use) + care_refusals(registration.data_use, use)
    must = f"must allow the declared use ({use.purpose})"
    fix = "Leave the cohort out (`cohorts` of the configuration), or correct `use`."
    return [_fault(folder, COHORT_FILE, must, reason, fix, column="data_use") for reason in reasons]


def views_of_study(
    cohorts_dir: Path, names: Sequence[str], results: Path, use: UseSettings | None, **options: Any
) -> tuple[list[View], list[Fault]]:
    """`enforce` for a study: its cohorts by name, today, unless `day` says another."""
    folders = [cohorts_dir / name for name in names if (cohorts_dir / name).is_dir()]
    day = options.pop("day", None) or today()
    return enforce(folders, results, use=use, day=day, **options)


def needs_ledger(folder: Path) -> None:
    """`UsageError` for a cohort folder without a ledger."""
    if not ledger_path(folder).exists():
        raise UsageError(
            f"{folder.name} must have a consent ledger; there is none in {folder}. "
            f"Make it: pmcell consent init --cohort {folder.name}"
        )


def _named(fault: Fault, folder: Path) -> Fault:
    return Fault(**{**vars(fault), "file": f"{folder.name}/{fault.file}"})


def _fault(
    folder: Path, file: str, must: str, found: str, fix: str, column: str | None = None
) -> Fault:
    return Fault(f"{folder.name}/{file}", must, found, fix, column=column, reason="consent")
