"""Hold a cohort against the programme that it names: diseases, tissues, minimal data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import (
    DONORS_FILE,
    MEASUREMENTS_FILE,
    SAMPLES_FILE,
)
from pmcell.registry.cohorts.measurements import Measurement
from pmcell.registry.cohorts.registration import Donor, Sample
from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.rules import SEPARATOR
from pmcell.registry.terms.vocabulary import NORMAL
from pmcell.schema import UNKNOWN
from pmcell.settings.programme import Programme

MAX_NAMED = 3


def programme_faults(
    programme: Programme,
    donors: Sequence[Donor],
    samples: Sequence[Sample],
    measurements: Sequence[Measurement],
) -> Iterator[Fault]:
    """Yield a warning for each thing in which a cohort is not what its programme expects."""
    diseases = {donor.disease_ontology_term_id for donor in donors}
    ill = sorted(
        term
        for entry in diseases
        for term in entry.split(SEPARATOR)
        if term not in (UNKNOWN, NORMAL)
    )
    if ill and not any(is_under(term, programme.diseases) for term in ill):
        must = f"donors should have a disease of the programme {programme.id}"
        fix = f"It has {_some(programme.diseases)}; or name another programme, or none."
        yield _warning(DONORS_FILE, "disease_ontology_term_id", must, _some(ill), fix)
    tissues = {sample.tissue_ontology_term_id for sample in samples} - {UNKNOWN}
    other = sorted(item for item in tissues if not is_under(item, programme.tissues))
    if programme.tissues and other:
        must = f"tissues should be ones that the programme {programme.id} studies"
        fix = f"It names {_some(programme.tissues)}; add the tissue to it, or name another."
        yield _warning(SAMPLES_FILE, "tissue_ontology_term_id", must, _some(other), fix)
    yield from _minimal_faults(programme, donors, measurements)


def _minimal_faults(
    programme: Programme, donors: Sequence[Donor], measurements: Sequence[Measurement]
) -> Iterator[Fault]:
    measured: dict[str, set[str]] = {}
    for item in measurements:
        measured.setdefault(item.variable, set()).add(item.donor_id)
    for name in programme.minimal_data_set:
        variable = programme.variables.get(name)
        if variable is None:
            lacking = [d.donor_id for d in donors if getattr(d, name) == UNKNOWN]
            file, what = DONORS_FILE, name
        else:
            have = measured.get(name, set())
            lacking = [d.donor_id for d in donors if d.donor_id not in have]
            file, what = MEASUREMENTS_FILE, f"{variable.title} (LOINC {variable.loinc})"
        if lacking:
            must = f"the minimal data set of the programme {programme.id} asks for {what}"
            found = f"not known of {len(lacking)} of {len(donors)} donors ({_some(lacking)})"
            fix = "Add it where it is known; what is not known stays unknown."
            yield _warning(file, name, must, found, fix, "minimal_data_set")


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _warning(
    file: str, column: str, must: str, found: str, fix: str, reason: str = "programme"
) -> Fault:
    return Fault(file, must, found, fix, column=column, severity="warning", reason=reason)
