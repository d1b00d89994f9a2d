"""The permitted view of a cohort: whose cells intake may take in, decided before it runs.

`pmcell run` writes it from the consent ledger beside the cohort's results
(`pmcell.consent.views`); intake takes in nobody else. A cohort with a ledger and
without a view that belongs to it is not read.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pmcell.errors import Fault, UsageError
from pmcell.io.crypt.chain_form import head_path
from pmcell.io.json_text import parse_json
from pmcell.registry.cohorts.measurements import Measurement
from pmcell.registry.cohorts.registered import LEDGER_FILE, VIEW_FILE
from pmcell.registry.cohorts.registration import Registration, Sample
from pmcell.registry.intake.identified import Others

Days = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Permitted:
    """Donors that may be used, each with its visit days (all where empty); what is said of it."""

    donors: Mapping[str, Days]
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_view(folder: Path, out_dir: Path) -> Permitted | None:
    """The view of a cohort folder in its results; None for a cohort that has no ledger.

    Raises `UsageError` where the view is missing, damaged, or of another state of the ledger.
    """
    view, ledger = out_dir / VIEW_FILE, folder / LEDGER_FILE
    if not ledger.exists() and not view.exists():
        return None
    again = (
        "Decide anew who may be used: pmcell run, or pmcell consent views --cohort "
        f"{shlex.quote(folder.name)}"
    )
    if not ledger.exists():
        raise UsageError(
            f"{folder.name} had a consent ledger when its results were made; {ledger} is gone. "
            "Restore it from a backup: without it nobody may be taken in."
        )
    try:
        value = parse_json(view.read_text(encoding="utf-8"))
        head = parse_json(head_path(ledger).read_text(encoding="utf-8"))
        is_current = value["head"]["sha256"] == head["sha256"]
        donors = {
            str(name): [[int(d) for d in pair] for pair in days]
            for name, days in value["allowed"].items()
        }
        facts = dict(value["facts"])
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder.name} has a consent ledger, and {Path(error.filename).name} is missing. "
            f"{again}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{view} must be the view that pmcell wrote; it cannot be read ({error}). {again}"
        ) from error
    if not is_current:
        raise UsageError(
            f"{view} must belong to the ledger as it is; entries were added since. {again}"
        )
    return Permitted(donors, facts)


def permit(
    registration: Registration, permitted: Mapping[str, Days]
) -> tuple[Registration, Others]:
    """The registration of those who may be used, and whose cells are to be passed over.

    Donors, visits, samples and measurements of the others leave the registration with them, so
    that nothing that is counted or said of the file afterwards can be of them.
    """
    samples = tuple(item for item in registration.samples if _may(item, permitted))
    named = {item.donor_id for item in registration.samples}
    used = {item.donor_id for item in samples}
    donors = tuple(
        item
        for item in registration.donors
        if item.donor_id in permitted and (item.donor_id in used or item.donor_id not in named)
    )
    others = Others(
        frozenset(item.sample_id for item in registration.samples)
        - {item.sample_id for item in samples},
        frozenset(item.donor_id for item in registration.donors)
        - {item.donor_id for item in donors}
        | (named - used),
    )
    kept = {item.donor_id for item in donors}
    day_of = {(item.donor_id, item.visit): item.visit_day for item in registration.samples}
    limited = replace(
        registration,
        donors=donors,
        samples=samples,
        measurements=tuple(
            item
            for item in registration.measurements
            if item.donor_id in kept and _is_within(item, permitted[item.donor_id], day_of)
        ),
        warnings=_silent_of(others.donors | others.samples, registration.warnings),
    )
    return limited, others


def _silent_of(names: Collection[str], faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults that name none of those who are not here."""
    return tuple(fault for fault in faults if not any(name in str(fault) for name in names))


def _may(sample: Sample, permitted: Mapping[str, Days]) -> bool:
    """Whether a sample may be used: a visit whose day is not known is in no bounded span."""
    days = permitted.get(sample.donor_id)
    return days is not None and _is_in(sample.visit_day, days)


def _is_within(
    item: Measurement, days: Days, day_of: Mapping[tuple[str, str], float | None]
) -> bool:
    """Whether a value was measured on a day that may be used; its visit says which, else."""
    day = item.day if item.day is not None else day_of.get((item.donor_id, item.visit))
    return _is_in(day, days)


def _is_in(day: float | None, days: Days) -> bool:
    return not days or (day is not None and any(first <= day <= last for first, last in days))
