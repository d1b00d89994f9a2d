"""A dossier as GA4GH Phenopacket (schema version 2.0): the person, the samples, the shares.

The phenopacket points to the FHIR bundle for ranges in words, states and strata, which it has
no place for (phenopacket-schema.readthedocs.io/en/latest).
"""

from __future__ import annotations

from typing import Any

from pmcell.dossier.model import Dossier, Interval, Sample, Share, percent_value
from pmcell.registry.terms import ontology
from pmcell.registry.terms.vocabulary import NORMAL
from pmcell.schema import UNKNOWN
from pmcell.version import __version__

Node = dict[str, Any]

PERCENT = {"id": "UCUM:%", "label": "percent"}
SEXES = {"female": "FEMALE", "male": "MALE"}
HUMAN = {"id": "NCBITaxon:9606", "label": "Homo sapiens"}
RESOURCES = {
    "CL": ("Cell Ontology", "http://purl.obolibrary.org/obo/cl.owl"),
    "UBERON": ("Uberon", "http://purl.obolibrary.org/obo/uberon.owl"),
    "MONDO": ("Mondo Disease Ontology", "http://purl.obolibrary.org/obo/mondo.owl"),
    "HsapDv": ("Human Developmental Stages", "http://purl.obolibrary.org/obo/hsapdv.owl"),
}


def phenopacket(dossier: Dossier, *, fhir_id: str, fhir_file: str) -> Node:
    """The phenopacket as a JSON value.

    Parameters
    ----------
    dossier
        With a date, which `metaData.created` must have.
    fhir_id, fhir_file
        Identifier of the FHIR bundle and name of its file.

    Returns
    -------
    dict
        In the JSON form of the protobuf schema.
    """
    if not dossier.date:
        raise ValueError("a phenopacket must have a date; the dossier has none")
    person, samples = dossier.person, dossier.samples
    measured = [_measurement(item) for item in dossier.shares if item.share is not None]
    node: Node = {
        "id": fhir_id,
        "subject": _subject(dossier),
        "biosamples": [
            # Several samples of a visit are counted together: then the shares are the person's.
            _biosample(dossier, sample, measured if len(samples) == 1 else [])
            for sample in samples
        ],
        "metaData": _meta_data(dossier, fhir_id, fhir_file),
    }
    if len(samples) != 1:
        node["measurements"] = measured
    if person.disease_term not in (NORMAL, UNKNOWN):
        terms = person.disease_term.split(" || ")
        node["diseases"] = [
            {"term": {"id": term, "label": _label(term)}} for term in terms if ":" in term
        ]
    return node


def _subject(dossier: Dossier) -> Node:
    person = dossier.person
    node: Node = {
        "id": person.donor_id,
        "sex": SEXES.get(person.sex, "UNKNOWN_SEX"),
        "taxonomy": HUMAN,
    }
    if person.stage_term != UNKNOWN:
        stage = {"id": person.stage_term, "label": _label(person.stage_term)}
        node["timeAtLastEncounter"] = {"ontologyClass": stage}
    return node


def _biosample(dossier: Dossier, sample: Sample, measured: list[Node]) -> Node:
    day = "" if dossier.visit.day is None else f", day {dossier.visit.day:g} since the first visit"
    node: Node = {
        "id": sample.sample_id,
        "individualId": dossier.person.donor_id,
        "description": f"Visit {dossier.visit.visit}{day}",
        "taxonomy": HUMAN,
    }
    if sample.tissue_term != UNKNOWN:
        node["sampledTissue"] = {"id": sample.tissue_term, "label": sample.tissue}
    return node | ({"measurements": measured} if measured else {})


def _measurement(item: Share) -> Node:
    term = item.term if item.term != UNKNOWN else "CL:0000000"
    quantity: Node = {"unit": PERCENT, "value": percent_value(item.share or 0.0)}
    limits = item.group.reference
    if limits is not None:
        quantity["referenceRange"] = _range(limits)
    return {
        "description": f"{item.cell_type}: share of the cells of the sample; {item.group.kind}",
        "assay": {"id": term, "label": item.cell_type},
        "value": {"quantity": quantity},
    }


def _range(limits: Interval) -> Node:
    return {
        "unit": PERCENT,
        "low": percent_value(limits.low),
        "high": percent_value(limits.high),
    }


def _meta_data(dossier: Dossier, fhir_id: str, fhir_file: str) -> Node:
    resources = [
        {
            "id": prefix.lower(),
            "name": name,
            "url": url,
            "version": ontology.release(prefix).removeprefix(f"{prefix} "),
            "namespacePrefix": prefix,
            "iriPrefix": f"http://purl.obolibrary.org/obo/{prefix}_",
        }
        for prefix, (name, url) in RESOURCES.items()
    ]
    return {
        "created": f"{dossier.date}T00:00:00Z",
        "createdBy": f"pmcell {__version__}",
        "resources": resources,
        "phenopacketSchemaVersion": "2.0",
        "externalReferences": [
            {
                "id": fhir_id,
                "reference": fhir_file,
                "description": "The same dossier as FHIR bundle",
            }
        ],
    }


def _label(term: str) -> str:
    label = ontology.resolve(term) if ":" in term else term
    return label if isinstance(label, str) else term
