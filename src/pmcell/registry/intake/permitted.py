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

import numpy as np

from pmcell.errors import DataError, Fault, UsageError
from pmcell.io.crypt.chain_form import head_path
from pmcell.io.json_text import parse_json
from pmcell.registry.cohorts.registered import LEDGER_FILE, VIEW_FILE
from pmcell.registry.cohorts.registration import Registration, Sample
from pmcell.registry.intake.identified import Cells
from pmcell.schema.text import text_array

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


def permit_cells(
    registration: Registration, cells: Cells, permitted: Mapping[str, Days]
) -> tuple[Registration, Cells, int]:
    """The registration and the cells of those who may be used, and how many cells were not.

    Donors, visits and samples of the others leave the registration with them. `DataError` where
    nobody is left.
    """
    samples = tuple(item for item in registration.samples if _may(item, permitted))
    named = {item.donor_id for item in registration.samples}
    used = {item.donor_id for item in samples}
    donors = tuple(
        item
        for item in registration.donors
        if item.donor_id in permitted and (item.donor_id in used or item.donor_id not in named)
    )
    stays = np.isin(text_array(cells.samples), [item.sample_id for item in samples])
    if not stays.any():
        raise DataError(
            f"{registration.cohort_id}: at least one donor with cells must have consented to the "
            "use; none has. See: pmcell consent show",
            reason="consent",
        )
    keep = cells.left_out.keep.copy()
    keep[keep] = stays
    gone = {item.donor_id for item in registration.donors} - {item.donor_id for item in donors}
    gone |= named - used
    gone |= {item.sample_id for item in registration.samples} - {item.sample_id for item in samples}
    kept = replace(
        cells,
        warnings=_silent_of(gone, cells.warnings),
        barcodes=cells.barcodes[stays],
        samples=cells.samples[stays],
        cell_types=cells.cell_types[stays],
        left_out=replace(cells.left_out, keep=keep),
    )
    limited = replace(
        registration,
        donors=donors,
        samples=samples,
        warnings=_silent_of(gone, registration.warnings),
    )
    return limited, kept, int((~stays).sum())


def _silent_of(names: Collection[str], faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults that name none of those who are not here."""
    return tuple(fault for fault in faults if not any(name in str(fault) for name in names))


def _may(sample: Sample, permitted: Mapping[str, Days]) -> bool:
    """Whether a sample may be used: a visit whose day is not known is in no bounded span."""
    days = permitted.get(sample.donor_id)
    if days is None:
        return False
    day = sample.visit_day
    return not days or (day is not None and any(first <= day <= last for first, last in days))
