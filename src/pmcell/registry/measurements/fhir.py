"""Readings of FHIR R4 Observations, with their components.

HL7 FHIR R4 (4.0.1), resource Observation: `status`, `code` (LOINC), `subject`, `effective[x]`,
`valueQuantity` or `valueInteger` with UCUM, `dataAbsentReason`, `component`, `performer`,
`device`, `category`. Profiles, extensions and reference ranges are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pmcell.registry.measurements.loinc import loinc_problem
from pmcell.registry.measurements.reading import (
    CLINIC,
    COMPARATORS,
    DEVICE,
    NO_SOURCE,
    PERSON,
    Found,
    Place,
    Reading,
    list_at,
    mapping_at,
    moment_of,
    number_at,
)
from pmcell.spelling import did_you_mean

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
USED = ("final", "amended", "corrected")
STATUSES = (
    *("registered", "preliminary", "final", "amended"),
    *("corrected", "cancelled", "entered-in-error", "unknown"),
)
"""Observation.status: http://hl7.org/fhir/R4/valueset-observation-status.html"""
PERSONS = ("Patient", "RelatedPerson")
CLINICS = ("Practitioner", "PractitionerRole", "Organization", "CareTeam")
LABORATORY = "laboratory"
MAX_BUNDLES = 10
"""Bundles within Bundles; FHIR's own go two deep."""


def is_resource(node: Any) -> bool:
    """Whether a JSON value is a FHIR resource."""
    return isinstance(node, dict) and isinstance(node.get("resourceType"), str)


def read_resource(node: dict[str, Any], place: Place, found: Found, depth: int = 0) -> None:
    """Add the readings of a resource: an Observation, or a Bundle of them; others are counted.

    `depth` is the number of Bundles around it. Stops where the file has too many faults.
    """
    kind = node["resourceType"]
    if kind == "Bundle" and depth == MAX_BUNDLES:
        must = f"a Bundle must lie within at most {MAX_BUNDLES} others"
        found.faults.append(place.fault(must, "more", "Export the Observations by themselves."))
    elif kind == "Bundle":
        for at, entry in enumerate(list_at(node, "entry")):
            below = place.at("entry", at, "resource")
            resource = mapping_at(entry, "resource")
            if is_resource(resource):
                read_resource(resource, below, found, depth + 1)
            else:
                must = "an entry of a Bundle must have a resource with a resourceType"
                fix = "Export the Bundle again, or remove the entry."
                found.faults.append(below.fault(must, _kind(resource), fix))
            if found.is_hopeless:
                return
    elif kind == "Observation":
        _read_observation(node, place, found)
    else:
        found.left_out[f"a resource that is no Observation ({kind[:40]})"] += 1


def _read_observation(node: dict[str, Any], place: Place, found: Found) -> None:
    status = node.get("status")
    if status not in STATUSES:
        must = f"must be one of {', '.join(STATUSES)}"
        fix = did_you_mean(str(status), STATUSES) or "FHIR R4 requires it: write final."
        found.faults.append(place.at("status").fault(must, repr(status), fix))
        return
    if status not in USED:
        found.left_out[f"an Observation that is {status}"] += 1
        return
    subject, source = _subject(node), _source(node)
    if found.is_again(subject, node.get("id"), node, place):
        return
    moment, where = _moment(node)
    if moment is None:
        must = "must have the day or time of the observation, such as 2024-03-31T08:15:00+02:00"
        fix = "Give effectiveDateTime with year, month and day."
        found.faults.append(place.at(where).fault(must, repr(node.get(where)), fix))
        return
    parts = [(node, place)]
    components = enumerate(list_at(node, "component"))
    parts += [(item, place.at("component", at)) for at, item in components]
    n_before = len(found.faults)
    n_values = 0
    for part, where_part in parts:
        for code, value, unit, comparator, at in _values(part, where_part, found):
            n_values += 1
            found.readings.append(
                Reading(
                    *(subject, moment[0], moment[1], code, value, unit, source, comparator),
                    *(place.file, at),
                )
            )
    if not n_values and len(found.faults) == n_before:
        absent = mapping_at(node, "dataAbsentReason")
        why = "without a value, with the reason" if absent else "whose value is no number"
        found.left_out[f"an Observation {why}"] += 1


def _values(node: Any, place: Place, found: Found) -> Iterator[tuple[str, float, str, str, str]]:
    """The number of an Observation or a component; none where it has another kind of value."""
    if not isinstance(node, dict) or not ("valueQuantity" in node or "valueInteger" in node):
        return
    code = _code(node, place, found)
    if "valueInteger" in node:
        number, unit, comparator, key = number_at(node, "valueInteger"), "1", "", "valueInteger"
        if number is None:
            must, seen = "must be a number", repr(node.get(key))
            found.faults.append(place.at(key).fault(must, seen, "Write it without quotes."))
    else:
        key = "valueQuantity"
        number, unit, comparator = _quantity(mapping_at(node, key), place.at(key), found)
    if code and number is not None and unit:
        yield code, number, unit, comparator, place.at(key).path


def _quantity(node: dict[str, Any], place: Place, found: Found) -> tuple[float | None, str, str]:
    number = number_at(node, "value")
    if number is None:
        seen = repr(node.get("value"))
        must, fix = "must be a finite number", "Write it as a JSON number, without quotes."
        found.faults.append(place.at("value").fault(must, seen, fix))
    unit = node.get("code")
    if node.get("system") != UCUM or not isinstance(unit, str):
        seen = f"unit {node.get('unit')!r}, system {node.get('system')!r}, code {unit!r}"
        fix = f"Give system {UCUM} and the UCUM code; a printed unit is not guessed from."
        found.faults.append(place.fault("must have a unit as UCUM code", seen, fix, "unit"))
        unit = ""
    elif problem := found.units.problem(unit):
        must, fix = "must be a UCUM unit", "Look it up on ucum.org; UCUM tells case apart."
        seen = f"{unit!r}: {problem}"
        found.faults.append(place.at("code").fault(must, seen, fix, "unit"))
        unit = ""
    comparator = node.get("comparator", "")
    if comparator not in ("", *COMPARATORS):
        must, fix = f"must be one of {', '.join(COMPARATORS)}", "Correct it, or leave it out."
        found.faults.append(place.at("comparator").fault(must, repr(comparator), fix))
    return number, unit, str(comparator)


def _code(node: dict[str, Any], place: Place, found: Found) -> str:
    """The LOINC code; '' with a fault where there is none, or one of another form."""
    place = place.at("code", "coding")
    codings = [
        item for item in list_at(mapping_at(node, "code"), "coding") if isinstance(item, dict)
    ]
    codes = [str(item.get("code", "")) for item in codings if item.get("system") == LOINC]
    if not codes:
        seen = ", ".join(f"{item.get('system')} {item.get('code')}" for item in codings) or "none"
        fix = "Add the coding of the laboratory's own table of LOINC codes."
        found.faults.append(place.fault(f"must have a coding of {LOINC}", seen, fix, "loinc"))
        return ""
    problem = loinc_problem(codes[0])
    if problem:
        must, fix = "must be a LOINC code", "Look it up on loinc.org: a digit may be mistyped."
        found.faults.append(place.fault(must, f"{codes[0]!r}: {problem}", fix, "loinc"))
        return ""
    return codes[0]


def _moment(node: dict[str, Any]) -> tuple[tuple[datetime, bool] | None, str]:
    for key in ("effectiveDateTime", "effectiveInstant"):
        if key in node:
            return moment_of(node[key]), key
    if "effectivePeriod" in node:
        return moment_of(mapping_at(node, "effectivePeriod").get("start")), "effectivePeriod"
    return None, "effectiveDateTime"


def _subject(node: dict[str, Any]) -> str:
    """The reference without the server, or the identifier's value: 'Patient/12' or 'A17'."""
    subject = mapping_at(node, "subject")
    reference = subject.get("reference")
    if isinstance(reference, str) and reference:
        return "/".join(reference.split("/")[-2:])
    value = mapping_at(subject, "identifier").get("value")
    return value if isinstance(value, str) else ""


def _source(node: dict[str, Any]) -> str:
    if mapping_at(node, "device"):
        return DEVICE
    kinds = {_referred(item) for item in list_at(node, "performer")}
    if "Device" in kinds:
        return DEVICE
    if kinds & set(PERSONS):
        return PERSON
    codes = {
        str(coding.get("code"))
        for category in list_at(node, "category")
        for coding in list_at(category, "coding")
        if isinstance(coding, dict)
    }
    return CLINIC if kinds & set(CLINICS) or LABORATORY in codes else NO_SOURCE


def _referred(node: Any) -> str:
    """The kind of resource that a reference leads to."""
    given = node.get("type") if isinstance(node, dict) else None
    if isinstance(given, str):
        return given
    reference = node.get("reference") if isinstance(node, dict) else None
    parts = reference.split("/") if isinstance(reference, str) else []
    return parts[-2] if len(parts) > 1 else ""


def _kind(value: Any) -> str:
    return "nothing" if not value else f"{type(value).__name__} without resourceType"
