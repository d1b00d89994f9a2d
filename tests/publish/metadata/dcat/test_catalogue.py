"""dcat.ttl passes the shapes of its form, says nothing invented, and fails them when broken."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyshacl
import pytest
from rdflib import BNode, Graph, Namespace, URIRef
from rdflib.namespace import DCAT, DCTERMS, FOAF, RDF, SH, SKOS

from pmcell.publish.facts import Facts, load_facts
from pmcell.publish.manifest import file_entries
from pmcell.publish.metadata.dcat.catalogue import dcat_graph, write_dcat
from pmcell.publish.metadata.dcat.sources import missing_from_record
from pmcell.publish.metadata.dcat.terms import CSVW, CV, DCATAP, DPV, HEALTH, VCARD
from pmcell.schema import TABLES
from repository import SOURCE

SHAPES = SOURCE / "publish" / "shapes"
ALL = "healthdcat-ap-r8-all.ttl"
RIGHTS = Namespace("http://publications.europa.eu/resource/authority/access-right/")
DUO = "http://purl.obolibrary.org/obo/DUO_"
HDAB = {"name": "Body", "email": "hdab@example.org"}
WHOLE = {
    "hdab": HDAB,
    "contact": {"name": "Desk", "email": "desk@example.org"},
    "custodian": {"name": "Holder", "url": "https://example.org/holder"},
    "access_url": "https://example.org/access?a=1&b=2",
    "keywords": ["blood"],
    "provenance": "Venous blood.",
    "health_themes": ["LIFECOURSE_HEALTH"],
    "population_coverage": 'People of "one" city.',
    "minimum_typical_age": "30",
    "temporal_coverage": {"start": "2019", "end": "2020-11"},
    "retention_period": {"end": "2035-12-31"},
    "legal_basis_terms": ["eu-gdpr:A6-1-e", "eu-gdpr:A9-2-j"],
    "purpose_terms": ["eu-ehds:HealthcareScientificResearch"],
    "personal_data": ["pd:AgeRange"],
    "languages": ["ENG"],
}
COMMON = {
    "description": "Blood of people.",
    "data_use": ["DUO:0000007 MONDO:0005148", "DUO:0000018"],
    "legal_basis": "Consent form of 2018",
}
OFFICIAL = Path(os.environ.get("PMCELL_DCAT_AP_SHAPES", "dcat-ap-3.0.1"))


def facts_of(results: Path, access: str = "controlled", **given: object) -> Facts:
    """Facts whose open cohorts are whole; `closed` has `access` and whatever is given."""
    facts = load_facts(results)
    cohorts = []
    for cohort in facts.cohorts:
        known = dict(cohort.registration)
        known |= {"catalogue": {"hdab": HDAB}}
        if cohort.cohort_id == "closed":
            known |= {"access": access, **COMMON, "catalogue": {**WHOLE, **given}}
        cohorts.append(replace(cohort, intake={**cohort.intake, "registration": known}))
    return replace(facts, cohorts=tuple(cohorts))


def graph_of(facts: Facts, folder: Path) -> Graph:
    entries = {
        path.relative_to(folder).as_posix(): {"content_sha256": "0"} for path in folder.rglob("*.*")
    }
    for item in facts.published:
        entries.setdefault(f"cells/{item.cohort_id}.h5ad", {"content_sha256": "0"})
    return dcat_graph(facts, folder, entries, has_report=True)


def violations(graph: Graph, *names: str) -> list[tuple[str, str]]:
    shapes = Graph()
    for name in names or tuple(path.name for path in SHAPES.glob("*.ttl")):
        shapes.parse(SHAPES / name)
    assert len(shapes), f"{SHAPES} holds no shapes: everything would pass"
    _, report, _ = pyshacl.validate(graph, shacl_graph=shapes, do_owl_imports=False)
    return sorted(
        (str(report.value(item, SH.focusNode)), str(report.value(item, SH.resultPath)))
        for item in report.subjects(RDF.type, SH.ValidationResult)
        if report.value(item, SH.resultSeverity) == SH.Violation
    )


def small(graph: Graph) -> Graph:
    """The record with one table of variables instead of all."""
    tables = sorted(set(graph.subjects(RDF.type, CSVW.Table)))
    for table in tables[1:]:
        graph.remove((None, CSVW.table, table))
        for column in set(graph.objects(table, CSVW.column)):
            graph.remove((column, None, None))
        graph.remove((table, None, None))
    for group in set(graph.subjects(RDF.type, CSVW.TableGroup)):
        graph.add((group, CSVW.table, tables[0]))
    return graph


def cohort(graph: Graph, name: str) -> URIRef:
    (node,) = [node for node in graph.subjects(RDF.type, DCAT.Dataset) if str(node).endswith(name)]
    return URIRef(node)


@pytest.mark.parametrize(
    ("access", "form"),
    [("open", "PUBLIC"), ("registered", "RESTRICTED"), ("controlled", "NON_PUBLIC")],
)
def test_each_access_gives_a_valid_record_of_its_form(shared_results, release, access, form):
    graph = graph_of(facts_of(shared_results, access), release)
    assert violations(graph) == []
    assert graph.value(cohort(graph, "closed"), DCTERMS.accessRights) == RIGHTS[form]
    assert graph.value(cohort(graph, "alpha"), DCTERMS.accessRights) == RIGHTS.PUBLIC


MANDATORY = {
    "NON_PUBLIC": [
        DCTERMS.title,
        DCTERMS.description,
        DCTERMS.identifier,
        DCTERMS.accessRights,
        DCATAP.applicableLegislation,
        DCAT.distribution,
        DCAT.theme,
        HEALTH.hdab,
        HEALTH.healthCategory,
        HEALTH.hasStructuredData,
        HEALTH.hasVariables,
        DCAT.contactPoint,
        DCAT.keyword,
        DCTERMS.type,
        DCTERMS.provenance,
    ],
}
MANDATORY["RESTRICTED"] = MANDATORY["NON_PUBLIC"][:11]
MANDATORY["PUBLIC"] = [item for item in MANDATORY["RESTRICTED"] if item != HEALTH.hdab]
ACCESS = {"NON_PUBLIC": "controlled", "RESTRICTED": "registered", "PUBLIC": "open"}


@pytest.mark.parametrize("form", MANDATORY)
def test_a_record_without_one_mandatory_property_is_rejected(shared_results, release, form):
    graph = small(graph_of(facts_of(shared_results, ACCESS[form]), release))
    dataset = cohort(graph, "closed")
    for predicate in (RDF.value, *MANDATORY[form]):
        twin = URIRef(f"{dataset}-without-{predicate}")
        for _, name, value in graph.triples((dataset, None, None)):
            if name != predicate:
                graph.add((twin, name, value))
    rejected = {focus for focus, _ in violations(graph)}
    assert rejected == {f"{dataset}-without-{predicate}" for predicate in MANDATORY[form]}


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        (DCAT.Distribution, DCAT.accessURL),
        (DCAT.Distribution, DCATAP.applicableLegislation),
        (FOAF.Agent, CV.contactPoint),
        (FOAF.Agent, FOAF.name),
        (CV.ContactPoint, CV.email),
        (VCARD.Kind, VCARD.hasEmail),
        (CSVW.TableGroup, CSVW.table),
        (CSVW.Table, CSVW.column),
        (CSVW.Column, CSVW.datatype),
        (CSVW.Column, CSVW.title),
    ],
)
def test_parts_of_a_record_are_held_to_their_shapes_too(shared_results, release, kind, predicate):
    graph = small(graph_of(facts_of(shared_results), release))
    for node in set(graph.subjects(RDF.type, kind)):
        graph.remove((node, predicate, None))
    assert violations(graph, ALL)


def test_a_cohort_whose_steward_left_out_what_must_be_is_not_described(
    shared_results, release, tmp_path
):
    facts = facts_of(shared_results, hdab={}, keywords=[])
    graph = graph_of(facts, release)
    assert not [node for node in graph.subjects(RDF.type, DCAT.Dataset) if "closed" in str(node)]
    assert violations(graph) == []
    closed = next(item for item in facts.cohorts if item.cohort_id == "closed")
    lacks = [fault.column for fault in missing_from_record(closed) if fault.severity == "error"]
    assert lacks == ["hdab.name", "hdab.email", "keywords"]


def test_the_reasons_travel_with_the_release(release):
    reasons = json.loads((release / "validation" / "catalogue.json").read_text())["cohorts"]
    assert reasons["closed"]["form"] == "NON_PUBLIC"
    assert reasons["closed"]["has_record"] is False
    assert {"hdab.name", "provenance"} <= {item["key"] for item in reasons["closed"]["lacks"]}
    assert reasons["alpha"]["has_record"] is True


def test_numbers_below_the_disclosure_minimum_are_not_stated(shared_results, release):
    graph = graph_of(facts_of(shared_results), release)
    closed, alpha = cohort(graph, "closed"), cohort(graph, "alpha")
    assert graph.value(closed, HEALTH.numberOfUniqueIndividuals) is None
    assert graph.value(closed, HEALTH.numberOfRecords) is None
    assert int(graph.value(alpha, HEALTH.numberOfUniqueIndividuals)) == 3


def test_consent_purpose_and_law_are_terms_with_their_meaning(shared_results, release):
    graph = graph_of(facts_of(shared_results), release)
    closed = cohort(graph, "closed")
    rights = graph.value(graph.value(closed, DCAT.distribution), DCTERMS.rights)
    terms = {str(term).rsplit("/", 1)[1] for term in graph.objects(rights, DCTERMS.subject)}
    assert terms == {"DUO_0000007", "DUO_0000018", "MONDO_0005148"}
    assert str(graph.value(URIRef(f"{DUO}0000007"), SKOS.notation)) == "DS"
    bases = {str(item) for item in graph.objects(closed, DPV.hasLegalBasis)}
    assert "https://w3id.org/dpv/legal/eu/gdpr#A9-2-j" in bases
    purposes = {str(item) for item in graph.objects(closed, DPV.hasPurpose)}
    assert "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch" in purposes
    assert graph.value(graph.value(closed, DCAT.distribution), DCAT.accessURL) == URIRef(
        "https://example.org/access?a=1&b=2"
    )


def test_what_nobody_supplied_is_nowhere(shared_results, release):
    graph = graph_of(load_facts(shared_results), release)
    assert "unknown" not in {str(value).lower() for value in graph.objects()}
    alpha = cohort(graph, "alpha")
    for predicate in (HEALTH.hdab, HEALTH.populationCoverage, DPV.hasLegalBasis, DCAT.contactPoint):
        assert graph.value(alpha, predicate) is None


def test_every_column_of_every_table_is_a_variable(shared_results, release):
    graph = graph_of(facts_of(shared_results), release)
    assert len(set(graph.subjects(RDF.type, CSVW.Column))) == sum(len(t.fields) for t in TABLES)


def test_every_file_that_the_record_names_is_there(release):
    graph = Graph().parse(release / "dcat.ttl", publicID="https://example.org/r/dcat.ttl")
    urls = {str(url) for url in graph.objects(None, DCAT.downloadURL)}
    assert urls
    for url in urls:
        name = url.removeprefix("https://example.org/r/")
        assert (release / name).is_file() or name == "report.html"


def test_the_record_has_the_same_bytes_each_time_and_no_blank_nodes(
    shared_results, release, tmp_path
):
    facts = facts_of(shared_results)
    entries = file_entries(release)
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tables").symlink_to(release / "tables")
        write_dcat(facts, tmp_path / name, entries)
        texts.append((tmp_path / name / "dcat.ttl").read_bytes())
    assert texts[0] == texts[1]
    nodes = Graph().parse(data=texts[0], publicID="https://example.org/").all_nodes()
    assert not any(isinstance(node, BNode) for node in nodes)


def test_configured_addresses_make_every_name_absolute(shared_results, release):
    facts = facts_of(shared_results)
    address = {"doi": "10.5281/zenodo.1", "files_url": "https://example.org/r-1"}
    options = facts.options.model_copy(update=address)
    graph = graph_of(replace(facts, options=options), release)
    assert (URIRef("https://doi.org/10.5281/zenodo.1"), RDF.type, DCAT.Dataset) in graph
    assert all(":" in str(node) for node in graph.all_nodes() if isinstance(node, URIRef)), (
        "a relative name is left"
    )
    assert cohort(graph, "alpha") == URIRef("https://example.org/r-1/dcat.ttl#cohort-alpha")


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="PMCELL_DCAT_AP_SHAPES names no folder of shapes")
@pytest.mark.parametrize("name", ["shapes.ttl", "range.ttl", "dcat-ap-SHACL.ttl"])
def test_the_official_shapes_of_dcat_ap_find_nothing(shared_results, release, name):
    graph = graph_of(facts_of(shared_results), release)
    shapes = Graph().parse(OFFICIAL / name)
    conforms, _, said = pyshacl.validate(graph, shacl_graph=shapes, do_owl_imports=False)
    assert conforms, said


@pytest.mark.parametrize(
    ("doi", "encoded"),
    [
        (
            "10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2",
            "10.1002/(SICI)1097-0258(19980815/30)17:15/16%3C1661::AID-SIM968%3E3.0.CO;2-2",
        ),
        ("10.1000/a{b}c|d^e`f\\g", "10.1000/a%7Bb%7Dc%7Cd%5Ee%60f%5Cg"),
        ("10.1000/a#b?c%d", "10.1000/a%23b%3Fc%25d"),
    ],
)
def test_a_doi_with_any_sign_is_written_as_an_iri(shared_results, release, doi, encoded):
    facts = facts_of(shared_results)
    source = {"doi": doi, "url": "https://example.org/a<b>{c}", "accession": "GSE1"}
    cohorts = [
        replace(
            cohort,
            intake={**cohort.intake, "registration": {**cohort.registration, "source": source}},
        )
        for cohort in facts.cohorts
    ]
    text = graph_of(replace(facts, cohorts=tuple(cohorts)), release).serialize(format="turtle")
    read = Graph().parse(data=text, format="turtle")
    assert URIRef(f"https://doi.org/{encoded}") in set(read.objects(None, DCTERMS.isReferencedBy))
    page = URIRef("https://example.org/a%3Cb%3E%7Bc%7D")
    assert page in set(read.objects(None, DCAT.landingPage))
