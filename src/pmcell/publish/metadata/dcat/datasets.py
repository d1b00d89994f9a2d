"""The datasets of a HealthDCAT-AP record: the release, and each cohort by its access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdflib import Literal, URIRef
from rdflib.namespace import DCAT, DCTERMS, PROV, RDF, RDFS, SKOS, XSD

from pmcell.publish.facts import Cohort
from pmcell.publish.metadata.agents import Organisation, read_organisation
from pmcell.publish.metadata.attribution import DOI_SITE, doi_address
from pmcell.publish.metadata.dcat.agents import add_agent, add_contact, add_page
from pmcell.publish.metadata.dcat.distributions import add_laws
from pmcell.publish.metadata.dcat.names import Names
from pmcell.publish.metadata.dcat.sources import Size
from pmcell.publish.metadata.dcat.terms import (
    ADMS,
    DPV,
    DQV,
    EU_LISTS,
    HEALTH,
    HEALTH_LISTS,
    OA,
    add_dpv,
    add_listed,
    add_location,
)
from pmcell.registry.cohorts.catalogue import FORMS
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS
from pmcell.registry.terms.health_terms import (
    DATASET_TYPES,
    HEALTH_CATEGORIES,
    HEALTH_THEMES,
    LEGAL_BASES,
    PERSONAL_DATA,
    PURPOSES,
    TRANSCRIPTOMIC,
)
from pmcell.schema import UNKNOWN
from pmcell.version import __version__

if TYPE_CHECKING:
    from rdflib import Graph

ACCESS_LABELS = {"PUBLIC": "public", "RESTRICTED": "restricted", "NON_PUBLIC": "non-public"}
VALIDATION = "validation/summary.json"


def add_dataset(
    graph: Graph,
    names: Names,
    node: URIRef,
    *,
    title: str,
    description: str,
    identifier: str,
    access: str,
    given: Mapping[str, Any],
    size: Size,
    codes: Sequence[str],
) -> None:
    """What every dataset has: `given` holds what was supplied for the catalogue."""
    graph.add((node, RDF.type, DCAT.Dataset))
    graph.add((node, DCTERMS.title, Literal(title)))
    graph.add((node, DCTERMS.description, Literal(description)))
    graph.add((node, DCTERMS.identifier, Literal(identifier)))
    form = FORMS[access]
    scheme = f"{EU_LISTS}access-right"
    rights = add_listed(graph, scheme, form, ACCESS_LABELS[form], DCTERMS.RightsStatement)
    graph.add((node, DCTERMS.accessRights, rights))
    theme = add_listed(graph, f"{EU_LISTS}data-theme", "HEAL", "Health")
    graph.add((node, DCAT.theme, theme))
    kind = given.get("dataset_type", "STATISTICAL")
    listed = add_listed(graph, f"{EU_LISTS}dataset-type", kind, DATASET_TYPES[kind])
    graph.add((node, DCTERMS.type, listed))
    add_laws(graph, node, given.get("applicable_legislation", ()))
    _add_health(graph, node, given)
    for code in codes:
        graph.add((node, HEALTH.hasCodeValues, Literal(code)))
    for word in given.get("keywords", ()):
        graph.add((node, DCAT.keyword, Literal(word)))
    for language in given.get("languages", ()):
        scheme = f"{EU_LISTS}language"
        term = add_listed(graph, scheme, language, language, DCTERMS.LinguisticSystem)
        graph.add((node, DCTERMS.language, term))
    for number, slot in (
        (size.n_cells, HEALTH.numberOfRecords),
        (size.n_donors, HEALTH.numberOfUniqueIndividuals),
    ):
        if number is not None:
            graph.add((node, slot, Literal(number, datatype=XSD.nonNegativeInteger)))
    for role in ("publisher", "hdab", "custodian"):
        add_agent(graph, node, role, _part(names, node, role), _who(given, role))
    add_contact(graph, node, _part(names, node, "contact"), _who(given, "contact"))
    _add_generation(graph, names, node)
    _add_quality(graph, names, node)


def _who(given: Mapping[str, Any], role: str) -> Organisation:
    return read_organisation(given.get(role) or {})


def add_cohort_facts(
    graph: Graph, names: Names, node: URIRef, cohort: Cohort, given: Mapping[str, Any]
) -> None:
    """What the registration alone knows: people, time, place, law, purpose and origin."""
    for declared in CATALOGUE_KEYS:
        if declared.slot and given.get(declared.path):
            graph.add((node, URIRef(declared.slot), Literal(given[declared.path])))
    for key, slot in (
        ("minimum_typical_age", HEALTH.minTypicalAge),
        ("maximum_typical_age", HEALTH.maxTypicalAge),
    ):
        if given.get(key):
            graph.add((node, slot, Literal(int(given[key]), datatype=XSD.nonNegativeInteger)))
    for key, slot in (
        ("temporal_coverage", DCTERMS.temporal),
        ("retention_period", HEALTH.retentionPeriod),
    ):
        if given.get(key):
            _add_period(graph, node, slot, _part(names, node, key), given[key])
    if cohort.text("region") != UNKNOWN:
        place = _part(names, node, "region")
        for location in add_location(graph, place, cohort.text("region")):
            graph.add((node, DCTERMS.spatial, location))
    if given.get("provenance"):
        statement = _part(names, node, "provenance")
        graph.add((node, DCTERMS.provenance, statement))
        graph.add((statement, RDF.type, DCTERMS.ProvenanceStatement))
        graph.add((statement, RDFS.label, Literal(given["provenance"])))
    _add_law(graph, names, node, cohort, given)
    source = cohort.text("source", "url")
    if source != UNKNOWN:
        graph.add((node, DCAT.landingPage, add_page(graph, source)))
    doi = cohort.text("source", "doi").removeprefix(DOI_SITE)
    if doi != UNKNOWN:
        graph.add((node, DCTERMS.isReferencedBy, URIRef(doi_address(doi))))
    accession = cohort.text("source", "accession")
    if accession != UNKNOWN:
        other = _part(names, node, "accession")
        graph.add((node, ADMS.identifier, other))
        graph.add((other, RDF.type, ADMS.Identifier))
        graph.add((other, SKOS.notation, Literal(accession)))


def _add_health(graph: Graph, node: URIRef, given: Mapping[str, Any]) -> None:
    for category in sorted({TRANSCRIPTOMIC, *given.get("health_categories", ())}):
        label = HEALTH_CATEGORIES[category]
        term = add_listed(graph, f"{HEALTH_LISTS}healthcategories", category, label)
        graph.add((node, HEALTH.healthCategory, term))
    for theme in given.get("health_themes", ()):
        term = add_listed(graph, f"{HEALTH_LISTS}health-theme", theme, HEALTH_THEMES[theme])
        graph.add((node, HEALTH.healthTheme, term))
    for code in given.get("personal_data", ()):
        term = add_dpv(graph, code, PERSONAL_DATA[code], DPV.PersonalData)
        graph.add((node, DPV.hasPersonalData, term))


def _add_law(
    graph: Graph, names: Names, node: URIRef, cohort: Cohort, given: Mapping[str, Any]
) -> None:
    for key, text, slot, kind, labels in (
        ("legal_basis_terms", "legal_basis", DPV.hasLegalBasis, DPV.LegalBasis, LEGAL_BASES),
        ("purpose_terms", "purpose", DPV.hasPurpose, DPV.Purpose, PURPOSES),
    ):
        for code in given.get(key, ()):
            graph.add((node, slot, add_dpv(graph, code, labels[code], kind)))
        if cohort.text(text) != UNKNOWN:
            said = _part(names, node, text)
            graph.add((node, slot, said))
            graph.add((said, RDF.type, kind))
            graph.add((said, DCTERMS.description, Literal(cohort.text(text))))


def _add_period(
    graph: Graph, node: URIRef, slot: URIRef, period: URIRef, given: Mapping[str, str]
) -> None:
    graph.add((node, slot, period))
    graph.add((period, RDF.type, DCTERMS.PeriodOfTime))
    for key, edge in (("start", DCAT.startDate), ("end", DCAT.endDate)):
        if given.get(key):
            kinds = {4: XSD.gYear, 7: XSD.gYearMonth, 10: XSD.date}
            value = Literal(given[key], datatype=kinds[len(given[key])], normalize=False)
            graph.add((period, edge, value))


def _add_generation(graph: Graph, names: Names, node: URIRef) -> None:
    run = names.node("processing")
    graph.add((node, PROV.wasGeneratedBy, run))
    graph.add((run, RDF.type, PROV.Activity))
    said = f"Harmonisation, quality control and integration with pmcell {__version__}"
    graph.add((run, RDFS.label, Literal(said, lang="en")))


def _add_quality(graph: Graph, names: Names, node: URIRef) -> None:
    certificate = _part(names, node, "quality")
    graph.add((node, DQV.hasQualityAnnotation, certificate))
    graph.add((certificate, RDF.type, DQV.QualityCertificate))
    graph.add((certificate, OA.hasTarget, node))
    graph.add((certificate, OA.hasBody, names.file(VALIDATION)))
    graph.add((certificate, OA.motivatedBy, DQV.qualityAssessment))


def _part(names: Names, node: URIRef, name: str) -> URIRef:
    """The IRI of something that belongs to one dataset."""
    owner = "release" if node == names.release else str(node).rpartition("#")[2]
    return names.node(f"{owner}-{name}")
