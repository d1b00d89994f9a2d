"""A dossier as FHIR R4 document bundle, after the HL7 Europe Laboratory Report.

Composition, DiagnosticReport, Patient, Specimen, Device, Organization and an Observation for
each number of the page (hl7.eu/fhir/laboratory: Composition-eu-lab, DiagnosticReport-eu-lab,
Observation-resultslab-eu-lab; FHIR R4, hl7.org/fhir/R4). What is not known, or is not told to
protect the person (name, date of birth, day of collection), carries a data-absent-reason.

A cell type is coded by its Cell Ontology term. LOINC has few codes for parts of blood
mononuclear cells, and none for parts of the cells of a sample: such a code stands beside the
term only where the sample is declared to be of blood mononuclear cells.
"""

from __future__ import annotations

import uuid
from html import escape
from typing import Any

from pmcell.dossier.model import (
    DEVICE,
    REFERENCE_INTERVAL,
    Dossier,
    GroupRange,
    Interval,
    Measurement,
    Sample,
    Share,
    State,
    percent_value,
)
from pmcell.dossier.unsaid import people_text
from pmcell.limitations import limitation
from pmcell.schema import UNKNOWN
from pmcell.version import __version__

Node = dict[str, Any]

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
CL, UBERON = "http://purl.obolibrary.org/obo/cl.owl", "http://purl.obolibrary.org/obo/uberon.owl"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
OF_COMPOSITION = (
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.composition"
)
REPORT = ("11502-2", "Laboratory report")
CATEGORY = ("26436-6", "Laboratory studies (set)")
STUDY = ("18718-7", "Cell marker studies (set)")
COMMENT = ("48767-8", "Annotation comment [Interpretation] Narrative")
MONONUCLEAR = {
    "CL:0000624": ("100856-4", "CD3+CD4+ (T4 helper) cells/cells in Blood mononuclear cells"),
}
"""LOINC codes whose system is blood mononuclear cells (Bld MC), by Cell Ontology term."""
INTERPRETATIONS = {"L": "Low", "N": "Normal", "H": "High"}


def fhir_bundle(dossier: Dossier, *, mononuclear: bool = False) -> Node:
    """The bundle as a JSON value.

    Parameters
    ----------
    dossier
        With a date: a FHIR document must have one.
    mononuclear
        Whether the samples are declared to be of blood mononuclear cells.

    Returns
    -------
    dict
        Equal dossiers give equal bundles; ids follow from release, person, visit and mode.
    """
    if not dossier.date:
        raise ValueError("a FHIR document must have a date; the dossier has none")
    return _Bundle(dossier, mononuclear).made()


class _Bundle:
    """The entries of one bundle, each with an id that follows from what it is."""

    def __init__(self, dossier: Dossier, mononuclear: bool) -> None:
        self.d, self.mononuclear = dossier, mononuclear
        self.entries: list[Node] = []
        about = (dossier.source.content_sha256, dossier.person.donor_id, dossier.visit.visit)
        self.seed = "\n".join((*about, dossier.mode, dossier.date))

    def made(self) -> Node:
        d = self.d
        composition, report = self.url("composition"), self.url("report")
        self.add("patient", self.patient())
        self.add("organization", {"resourceType": "Organization", "name": self.laboratory()})
        self.add("device", self.device())
        for number, sample in enumerate(d.samples):
            self.add(f"specimen {number}", self.specimen(sample))
        results = [
            *(self.add(f"share {s.cell_type}", self.share(s)) for s in d.shares),
            *(self.add(f"state {s.cell_type}", self.state(s)) for s in d.states),
            self.add("stratum", self.stratum()),
            *(
                self.add(f"measurement {number}", self.measurement(item))
                for number, item in enumerate(d.measurements)
            ),
        ]
        self.entries = [
            _entry(composition, self.composition(results)),
            _entry(report, self.report(results)),
            *self.entries,
        ]
        return {
            "resourceType": "Bundle",
            "id": self.uuid("bundle"),
            "meta": {"security": self.labels()},
            "identifier": {"system": "urn:ietf:rfc:3986", "value": self.url("bundle")},
            "type": "document",
            "timestamp": f"{d.date}T00:00:00Z",
            "entry": self.entries,
        }

    def add(self, name: str, resource: Node) -> Node:
        """Append a resource; return the reference to it."""
        resource = {"resourceType": resource["resourceType"], "id": self.uuid(name), **resource}
        self.entries.append(_entry(self.url(name), resource))
        return {"reference": self.url(name)}

    def uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}\n{name}"))

    def url(self, name: str) -> str:
        return f"urn:uuid:{self.uuid(name)}"

    def labels(self) -> list[Node]:
        """Security labels: restricted, and what for."""
        purpose = (
            ("TREAT", "treatment") if self.d.mode == DEVICE else ("HRESCH", "healthcare research")
        )
        return [
            _coding(f"{TERMINOLOGY}/v3-Confidentiality", "R", "restricted"),
            _coding(f"{TERMINOLOGY}/v3-ActReason", *purpose),
        ]

    def laboratory(self) -> str:
        """Who answers for the report."""
        validation = self.d.validation
        name = validation.institution if validation else self.d.source.publisher
        return name if name != UNKNOWN else "not stated by the release"

    def patient(self) -> Node:
        sex = self.d.person.sex
        return {
            "resourceType": "Patient",
            "identifier": [{"value": self.d.person.donor_id}],
            "name": [{"extension": _absent("masked")}],
            "gender": sex if sex in ("female", "male") else "unknown",
            "_birthDate": {"extension": _absent("masked")},
        }

    def device(self) -> Node:
        validation, source = self.d.validation, self.d.source
        name = validation.device if validation else "pmcell"
        note = (
            f"Reference: {source.title}, version {source.version}, sha256:{source.content_sha256}"
        )
        return {
            "resourceType": "Device",
            "deviceName": [{"name": name, "type": "model-name"}],
            "version": [{"value": f"pmcell {__version__}"}],
            "note": [{"text": note}],
        }

    def specimen(self, sample: Sample) -> Node:
        kind: Node = {"text": f"{sample.tissue}, {sample.suspension}"}
        if sample.tissue_term.startswith("UBERON:"):
            kind["coding"] = [_coding(UBERON, sample.tissue_term, sample.tissue)]
        if self.mononuclear:
            kind["text"] = "blood mononuclear cells"
        return {
            "resourceType": "Specimen",
            "identifier": [{"value": sample.sample_id}],
            "type": kind,
            "subject": self.subject(),
        }

    def subject(self) -> Node:
        return {"reference": self.url("patient")}

    def observation(self, code: Node) -> Node:
        """What every observation of the cells has."""
        node: Node = {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                _concept(f"{TERMINOLOGY}/observation-category", "laboratory", "Laboratory")
            ],
            "code": code,
            "subject": self.subject(),
            "_effectiveDateTime": {"extension": _absent("masked")},
            "performer": [{"reference": self.url("organization")}],
            "device": {"reference": self.url("device")},
        }
        # An observation has one specimen; several samples of a visit are counted together.
        if len(self.d.samples) == 1:
            node["specimen"] = {"reference": self.url("specimen 0")}
            node["method"] = {"text": f"single-cell RNA sequencing ({self.d.samples[0].assay})"}
        return node

    def share(self, item: Share) -> Node:
        codings = []
        if self.mononuclear and item.term in MONONUCLEAR:
            codings.append(_coding(LOINC, *MONONUCLEAR[item.term]))
        if item.term != UNKNOWN:
            codings.append(_coding(CL, item.term, item.cell_type))
        code: Node = {"text": f"{item.cell_type}: share of the cells of the sample"}
        if codings:
            code["coding"] = codings
        node = self.observation(code)
        if item.share is None or item.counting is None:
            return node | {"dataAbsentReason": _not_performed()}
        node["valueQuantity"] = _percent(item.share)
        node["component"] = [
            {"code": {"text": "Cells counted"}, "valueQuantity": _cells(item.n_cells or 0)},
            {"code": {"text": "Cells of the visit"}, "valueQuantity": _cells(item.n_cells_visit)},
            {
                "code": {"text": "95 % interval of the share from counting cells"},
                "valueRange": _range(item.counting),
            },
        ]
        if item.flag:
            node["interpretation"] = [
                _concept(
                    f"{TERMINOLOGY}/v3-ObservationInterpretation",
                    item.flag,
                    INTERPRETATIONS[item.flag],
                )
            ]
        ranges = self.ranges(item.group)
        return node | ({"referenceRange": ranges} if ranges else {})

    def ranges(self, group: GroupRange) -> list[Node]:
        """The reference interval, or what the comparison group has, with its size in words."""
        of = f"{self.d.group.in_words}, n = {group.n}"
        if group.kind == REFERENCE_INTERVAL and group.reference and group.reference_low:
            low, high = group.reference_low, group.reference_high or group.reference_low
            text = (
                f"Reference interval (central 95 %) of {of}; 90 % confidence intervals of its ends "
                f"{_ends(low)} and {_ends(high)}"
            )
            meaning = _concept(f"{TERMINOLOGY}/referencerange-meaning", "normal", "Normal Range")
            return [{**_range(group.reference), "type": meaning, "text": text}]
        if group.quartiles is None:
            return []
        found = [
            {
                **_range(group.quartiles),
                "type": {"text": "comparison group"},
                "text": f"Quartiles of a comparison group, no reference interval: {of}",
            }
        ]
        if group.nine_of_ten:
            found.append(
                {
                    **_range(group.nine_of_ten),
                    "type": {"text": "comparison group"},
                    "text": f"9 of 10 of a comparison group, no reference interval: {of}",
                }
            )
        return found

    def state(self, item: State) -> Node:
        text = f"{item.cell_type}: distance of its state from the group's, in the group's medians"
        node = self.observation({"text": text})
        if item.distance is None:
            return node | {"dataAbsentReason": _not_performed()}
        return node | {"valueQuantity": _quantity(round(item.distance, 1), "1", "1")}

    def stratum(self) -> Node:
        place = self.d.place
        node = self.observation({"text": "Stratum of people by their cells"})
        if place.why_not:
            return node | {
                "dataAbsentReason": {
                    **_concept(f"{TERMINOLOGY}/data-absent-reason", "unknown", "Unknown"),
                    "text": place.why_not,
                }
            }
        node["valueCodeableConcept"] = {"text": place.stratum}
        parts: list[Node] = []
        if place.probability is not None:
            parts.append(_number("Probability", place.probability))
        if place.conformal_set is not None:
            named = ", ".join(place.conformal_set) or "none"
            often = "" if place.coverage is None else f" at coverage {place.coverage:g}"
            parts.append({"code": {"text": f"Set of strata{often}"}, "valueString": named})
        if place.ood_p is not None:
            parts.append(_number("Out-of-distribution p", place.ood_p))
        return node | ({"component": parts} if parts else {})

    def measurement(self, item: Measurement) -> Node:
        code: Node = {"text": item.name or item.code}
        if item.code:
            code["coding"] = [_coding(LOINC, item.code, item.name)]
        node = self.observation(code)
        for key in ("device", "specimen", "method"):
            node.pop(key, None)
        day = "" if item.day is None else f", day {item.day:g}"
        value = _quantity(item.value, item.unit, item.unit)
        if item.comparator:
            value["comparator"] = item.comparator
        when = f"Visit {item.visit or UNKNOWN}{day}; source: {item.source}"
        return node | {"valueQuantity": value, "note": [{"text": when}]}

    def report(self, results: list[Node]) -> Node:
        return {
            "resourceType": "DiagnosticReport",
            "id": self.uuid("report"),
            "extension": [
                {"url": OF_COMPOSITION, "valueReference": {"reference": self.url("composition")}}
            ],
            "identifier": [self.identifier()],
            "status": "final",
            "category": [_concept(LOINC, *CATEGORY)],
            "code": _concept(LOINC, *REPORT),
            "subject": self.subject(),
            "_effectiveDateTime": {"extension": _absent("masked")},
            "issued": f"{self.d.date}T00:00:00Z",
            "performer": [{"reference": self.url("organization")}],
            "specimen": [
                {"reference": self.url(f"specimen {n}")} for n in range(len(self.d.samples))
            ],
            "result": results,
        }

    def composition(self, results: list[Node]) -> Node:
        return {
            "resourceType": "Composition",
            "id": self.uuid("composition"),
            "identifier": self.identifier(),
            "status": "final",
            "type": _concept(LOINC, *REPORT),
            "category": [_concept(LOINC, *CATEGORY)],
            "subject": self.subject(),
            "date": self.d.date,
            "author": [
                {"reference": self.url("organization")},
                {"reference": self.url("device")},
            ],
            "title": "Laboratory Report",
            "confidentiality": "R",
            "section": [
                {
                    "title": "Cell types, states and strata",
                    "code": _concept(LOINC, *STUDY),
                    "text": _narrative(_table(self.d)),
                    "entry": results,
                },
                {
                    "title": "What limits the results",
                    "code": _concept(LOINC, *COMMENT),
                    "text": _narrative(_list(self.remarks())),
                },
            ],
        }

    def remarks(self) -> tuple[str, ...]:
        d = self.d
        people = people_text(d.group.n, d.group.least)
        first = f"Compared with {people}: {d.group.in_words}."
        use = () if d.mode == DEVICE else (limitation("research_use"),)
        return (*use, first, *d.notes, *d.unsaid)

    def identifier(self) -> Node:
        return {"system": "urn:ietf:rfc:3986", "value": self.url("identifier")}


def _entry(url: str, resource: Node) -> Node:
    return {"fullUrl": url, "resource": resource}


def _coding(system: str, code: str, display: str) -> Node:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def _concept(system: str, code: str, display: str) -> Node:
    return {"coding": [_coding(system, code, display)]}


def _absent(reason: str) -> list[Node]:
    return [{"url": ABSENT, "valueCode": reason}]


def _not_performed() -> Node:
    return _concept(f"{TERMINOLOGY}/data-absent-reason", "not-performed", "Not Performed")


def _quantity(value: float, unit: str, code: str) -> Node:
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def _percent(share: float) -> Node:
    return _quantity(percent_value(share), "%", "%")


def _cells(n: int) -> Node:
    return _quantity(n, "cells", "{cells}")


def _number(name: str, value: float) -> Node:
    return {"code": {"text": name}, "valueQuantity": _quantity(round(value, 3), "1", "1")}


def _range(interval: Interval) -> Node:
    return {"low": _percent(interval.low), "high": _percent(interval.high)}


def _ends(interval: Interval) -> str:
    return f"{percent_value(interval.low):g}–{percent_value(interval.high):g} %"


def _narrative(body: str) -> Node:
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>',
    }


def _table(dossier: Dossier) -> str:
    rows = []
    for item in dossier.shares:
        value = "not looked for" if item.share is None else f"{percent_value(item.share):g} %"
        cells = (item.cell_type, value, str(item.n_cells if item.n_cells is not None else "–"))
        rows.append("".join(f"<td>{escape(text)}</td>" for text in cells))
    head = "".join(f"<th>{name}</th>" for name in ("Cell type", "Share", "Cells"))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in sentences)}</ul>"
