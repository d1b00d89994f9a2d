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

from html import escape

from pmcell.dossier.fhir_results import Names, Observations
from pmcell.dossier.fhir_types import (
    LOINC,
    TERMINOLOGY,
    UBERON,
    Node,
    absent,
    coding,
    concept,
    narrative,
)
from pmcell.dossier.model import DEVICE, Dossier, Sample, percent_value
from pmcell.dossier.unsaid import people_text
from pmcell.limitations import limitation
from pmcell.schema import UNKNOWN
from pmcell.version import __version__

OF_COMPOSITION = (
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.composition"
)
REPORT = ("11502-2", "Laboratory report")
CATEGORY = ("26436-6", "Laboratory studies (set)")
STUDY = ("18718-7", "Cell marker studies (set)")
COMMENT = ("48767-8", "Annotation comment [Interpretation] Narrative")


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
        self.names = Names("\n".join((*about, dossier.mode, dossier.date)))

    def made(self) -> Node:
        d = self.d
        composition, report = self.names.url("composition"), self.names.url("report")
        self.add("patient", self.patient())
        self.add("organization", {"resourceType": "Organization", "name": self.laboratory()})
        self.add("device", self.device())
        for number, sample in enumerate(d.samples):
            self.add(f"specimen {number}", self.specimen(sample))
        told = Observations(d, self.mononuclear, self.names)
        results = [
            *(self.add(f"share {s.cell_type}", told.share(s)) for s in d.shares),
            *(self.add(f"state {s.cell_type}", told.state(s)) for s in d.states),
            self.add("stratum", told.stratum()),
            *(
                self.add(f"measurement {number}", told.measurement(item))
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
            "id": self.names.uuid("bundle"),
            "meta": {"security": self.labels()},
            "identifier": {"system": "urn:ietf:rfc:3986", "value": self.names.url("bundle")},
            "type": "document",
            "timestamp": f"{d.date}T00:00:00Z",
            "entry": self.entries,
        }

    def add(self, name: str, resource: Node) -> Node:
        """Append a resource; return the reference to it."""
        resource = {
            "resourceType": resource["resourceType"],
            "id": self.names.uuid(name),
            **resource,
        }
        self.entries.append(_entry(self.names.url(name), resource))
        return self.names.to(name)

    def labels(self) -> list[Node]:
        """Security labels: restricted, and what for."""
        purpose = (
            ("TREAT", "treatment") if self.d.mode == DEVICE else ("HRESCH", "healthcare research")
        )
        return [
            coding(f"{TERMINOLOGY}/v3-Confidentiality", "R", "restricted"),
            coding(f"{TERMINOLOGY}/v3-ActReason", *purpose),
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
            "name": [{"extension": absent("masked")}],
            "gender": sex if sex in ("female", "male") else "unknown",
            "_birthDate": {"extension": absent("masked")},
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
            kind["coding"] = [coding(UBERON, sample.tissue_term, sample.tissue)]
        if self.mononuclear:
            kind["text"] = "blood mononuclear cells"
        return {
            "resourceType": "Specimen",
            "identifier": [{"value": sample.sample_id}],
            "type": kind,
            "subject": self.names.to("patient"),
        }

    def report(self, results: list[Node]) -> Node:
        return {
            "resourceType": "DiagnosticReport",
            "id": self.names.uuid("report"),
            "extension": [{"url": OF_COMPOSITION, "valueReference": self.names.to("composition")}],
            "identifier": [self.identifier()],
            "status": "final",
            "category": [concept(LOINC, *CATEGORY)],
            "code": concept(LOINC, *REPORT),
            "subject": self.names.to("patient"),
            "_effectiveDateTime": {"extension": absent("masked")},
            "issued": f"{self.d.date}T00:00:00Z",
            "performer": [self.names.to("organization")],
            "specimen": [self.names.to(f"specimen {n}") for n in range(len(self.d.samples))],
            "result": results,
        }

    def composition(self, results: list[Node]) -> Node:
        return {
            "resourceType": "Composition",
            "id": self.names.uuid("composition"),
            "identifier": self.identifier(),
            "status": "final",
            "type": concept(LOINC, *REPORT),
            "category": [concept(LOINC, *CATEGORY)],
            "subject": self.names.to("patient"),
            "date": self.d.date,
            "author": [
                self.names.to("organization"),
                self.names.to("device"),
            ],
            "title": "Laboratory Report",
            "confidentiality": "R",
            "section": [
                {
                    "title": "Cell types, states and strata",
                    "code": concept(LOINC, *STUDY),
                    "text": narrative(_table(self.d)),
                    "entry": results,
                },
                {
                    "title": "What limits the results",
                    "code": concept(LOINC, *COMMENT),
                    "text": narrative(_list(self.remarks())),
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
        return {"system": "urn:ietf:rfc:3986", "value": self.names.url("identifier")}


def _entry(url: str, resource: Node) -> Node:
    return {"fullUrl": url, "resource": resource}


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
