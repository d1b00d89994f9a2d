"""What stands beside the consents of a file and may say something else than they do.

A consent is taken in alone only where nothing beside it takes it back: a form that was entered in
error, a person who left the study, two records of one person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pmcell.consent.fhir.codes import NOT_IN_FORCE
from pmcell.consent.fhir.files import as_list, codings_of
from pmcell.consent.fhir.patients import Patients
from pmcell.consent.fhir.sayings import records_against
from pmcell.errors import Fault

Resources = Sequence[tuple[str, Mapping[str, Any]]]
PEOPLE = ("Patient", "Person")


def other_faults(resources: Resources, patients: Patients, file: str) -> Iterator[Fault]:
    """Faults of resources that are no consents, by their number in the file (from 1).

    Parameters
    ----------
    resources
        All resources with their full URLs.
    patients
        Whom references stand for.
    file
        Its name.
    """
    yield from records_against(resources, file)
    yield from _documents_of_others(resources, patients, file)
    for row, (_, item) in enumerate(resources, start=1):
        kind = str(item.get("resourceType"))
        if kind == "Permission":
            must = "must be Consent resources, and no rules of another kind beside them"
            fix = "Write what holds as Consent, or as a table."
            yield Fault(file, must, kind, fix, row=row, column=kind, reason="consent")
        elif kind in PEOPLE:
            yield from _two_records(item, patients, file, row)
        elif kind != "Consent" and (found := sorted(_states(item) & NOT_IN_FORCE)):
            must = "must hold nothing that is no longer in force beside the consents"
            fix = (
                "Ask what holds; remove it with the consents that rest on it, or say who withdrew."
            )
            told = f"{kind}: {', '.join(found)}"
            yield Fault(file, must, told, fix, row=row, column=f"{kind}.status", reason="consent")


def _documents_of_others(resources: Resources, patients: Patients, file: str) -> Iterator[Fault]:
    """Consents whose document is another person's, or was written after they were given."""
    known = {name: item for url, item in resources for name in (url, _name(item)) if name}
    for row, (_, item) in enumerate(resources, start=1):
        if item.get("resourceType") != "Consent":
            continue
        own = patients.known(item.get("patient", item.get("subject")))
        acted = str(item.get("dateTime") or item.get("date") or "")
        for source in as_list(item.get("sourceReference")):
            reference = source.get("reference") if isinstance(source, Mapping) else None
            document = known.get(str(reference), {})
            whose = {patients.known(document.get(key)) for key in ("subject", "source")}
            written = str(document.get("authored") or document.get("date") or "")
            if whose - {None, own}:
                found = "a document of another donor"
            elif acted and written[:10] > acted[:10] and len(acted) > len("2024-01"):
                found = f"one of {written[:10]}, for a consent of {acted[:10]}"
            else:
                continue
            must, fix = "must rest on a document of the person, of that day or before", "Ask whose."
            column = "sourceReference"
            yield Fault(file, must, found, fix, row=row, column=column, reason="consent")


def _name(item: Mapping[str, Any]) -> str:
    return f"{item.get('resourceType')}/{item['id']}" if "id" in item else ""


def _states(item: Mapping[str, Any]) -> set[str]:
    """The state of a resource; of a person in a study (R5) those of the progress, too."""
    steps = [step for step in as_list(item.get("progress")) if isinstance(step, Mapping)]
    codes = [
        coding.get("code")
        for step in steps
        for key in ("subjectState", "milestone", "reason")
        for concept in as_list(step.get(key))
        for coding in codings_of(concept)
    ]
    return {str(code) for code in (item.get("status"), item.get("docStatus"), *codes)}


def _two_records(
    item: Mapping[str, Any], patients: Patients, file: str, row: int
) -> Iterator[Fault]:
    """Records of one person under which two donors stand: what one says holds for the other."""
    kind = str(item["resourceType"])
    links = [link for link in as_list(item.get("link")) if isinstance(link, Mapping)]
    named = {patients.known(link.get("other" if kind == "Patient" else "target")) for link in links}
    own = {patients.known({"reference": f"Patient/{item.get('id')}"})} if kind == "Patient" else ()
    donors = {name for name in (*named, *own) if name}
    if len(donors) > 1:
        must, fix = "must be of one donor", "Register the person once, and give one consent."
        found = f"records of one person that are {len(donors)} donors"
        yield Fault(file, must, found, fix, row=row, column=f"{kind}.link", reason="consent")
