"""`dcat.ttl`: a HealthDCAT-AP Release 8 record of the release and of each of its cohorts.

Datasets stand alone, without a catalogue around them, as harvesters take them.
The release and open cohorts are PUBLIC data, other cohorts RESTRICTED or
NON_PUBLIC by their access. What nobody supplied is not stated; numbers and
codes come from the tables of the release, which have passed the disclosure
gate. Size and SHA-256 of files are in manifest.json alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.atomic import write_json, write_text
from pmcell.publish.facts import Cohort, Facts, publication_date
from pmcell.publish.metadata.attribution import common_licence, iri, revised_release, summary
from pmcell.publish.metadata.dcat.names import RECORD, Names, names_of
from pmcell.publish.metadata.dcat.sources import (
    Size,
    add_up,
    described,
    given_for,
    given_for_release,
    read_codes,
    read_sizes,
    reasons,
)
from pmcell.release.manifest import Entries
from pmcell.schema import CELLS, DONORS, SAMPLES, TABLES, UNKNOWN, VISITS

if TYPE_CHECKING:
    from rdflib import Graph

OF_ONE_COHORT = (DONORS, VISITS, SAMPLES, CELLS)
REASONS_FILE = "validation/catalogue.json"
REPORTS = ("strata.json", "report.html")


def write_dcat(facts: Facts, folder: Path, entries: Entries, *, has_report: bool = False) -> None:
    """Write the record of the release in `folder`, whose files so far are `entries`.

    `has_report` tells that report.html will be there. A cohort that is not
    open and whose steward did not give what its record must have is left out;
    `validation/catalogue.json` says what each record lacks.
    """
    graph = dcat_graph(facts, folder, entries, has_report=has_report)
    write_text(folder / RECORD, _turtle(graph))
    write_json(folder / REASONS_FILE, reasons(facts))


def dcat_graph(facts: Facts, folder: Path, entries: Entries, *, has_report: bool) -> Graph:
    """The record as RDF."""
    from rdflib import Graph, Literal
    from rdflib.namespace import DCAT, DCTERMS, XSD

    from pmcell.publish.metadata.dcat.datasets import add_dataset
    from pmcell.publish.metadata.dcat.distributions import add_file
    from pmcell.publish.metadata.dcat.terms import HEALTH
    from pmcell.publish.metadata.dcat.variables import add_variables

    graph = Graph()
    names = names_of(facts, entries)
    sizes, codes = read_sizes(folder), read_codes(facts, folder)
    given = given_for_release(facts)
    release = names.release
    add_dataset(
        graph,
        names,
        release,
        title=facts.title,
        description=summary(facts),
        identifier=names.identifier,
        access="open",
        given=given,
        size=add_up([sizes[cohort.cohort_id] for cohort in facts.published]),
        codes=sorted({code for cohort in facts.published for code in codes[cohort.cohort_id]}),
    )
    _add_release_facts(graph, facts, names)
    licence = common_licence(facts)
    laws = given.get("applicable_legislation", ())
    for name in _files(entries):
        node = add_file(graph, facts, names, name, licence=licence, laws=laws)
        graph.add((release, DCAT.distribution, node))
    for name in REPORTS[: 2 if has_report else 1]:
        node = add_file(graph, facts, names, name, licence=licence, laws=laws)
        graph.add((release, HEALTH.analytics, node))
    variables = names.node("variables")
    graph.add((release, HEALTH.hasStructuredData, Literal(True)))
    add_variables(graph, names, variables, "Tables of the release", TABLES)
    graph.add((release, HEALTH.hasVariables, variables))
    for cohort in described(facts):
        _add_cohort(
            graph, facts, names, cohort, sizes[cohort.cohort_id], codes[cohort.cohort_id], entries
        )
    day, is_given = publication_date(facts.options)
    if is_given:
        graph.add((release, DCTERMS.issued, Literal(day, datatype=XSD.date)))
    return graph


def _add_cohort(
    graph: Graph,
    facts: Facts,
    names: Names,
    cohort: Cohort,
    size: Size,
    codes: list[str],
    entries: Entries,
) -> None:
    from rdflib import Literal
    from rdflib.namespace import DCAT, DCTERMS

    from pmcell.publish.metadata.dcat.datasets import add_cohort_facts, add_dataset
    from pmcell.publish.metadata.dcat.distributions import add_access, add_file
    from pmcell.publish.metadata.dcat.terms import HEALTH
    from pmcell.publish.metadata.dcat.variables import add_variables

    node = names.node(f"cohort-{cohort.cohort_id}")
    given = given_for(cohort)
    title, told = cohort.text("title"), cohort.text("description")
    made = f"Single cells of the cohort {cohort.cohort_id}: {title}."
    add_dataset(
        graph,
        names,
        node,
        title=title if title != UNKNOWN else f"Cohort {cohort.cohort_id}",
        description=told if told != UNKNOWN else made,
        identifier=f"{names.identifier}#{cohort.cohort_id}",
        access=cohort.access,
        given=given,
        size=size,
        codes=codes,
    )
    add_cohort_facts(graph, names, node, cohort, given)
    # The release holds open cohorts; of others it holds only what was derived from them.
    if cohort.published:
        graph.add((names.release, DCTERMS.hasPart, node))
        graph.add((node, DCTERMS.isPartOf, names.release))
        uses = [str(use) for use in cohort.registration.get("data_use") or ()]
        laws = given.get("applicable_legislation", ())
        for name in (f"cells/{cohort.cohort_id}.h5ad", f"expression/{cohort.cohort_id}.parquet"):
            if name in entries:
                file = add_file(
                    graph, facts, names, name, licence=cohort.text("license"), uses=uses, laws=laws
                )
                graph.add((node, DCAT.distribution, file))
    else:
        graph.add((names.release, DCTERMS.source, node))
        graph.add((node, DCAT.distribution, add_access(graph, names, cohort, given)))
    variables = names.node("variables-of-cohorts")
    graph.add((node, HEALTH.hasStructuredData, Literal(True)))
    add_variables(graph, names, variables, "Variables of a cohort", OF_ONE_COHORT)
    graph.add((node, HEALTH.hasVariables, variables))


def _add_release_facts(graph: Graph, facts: Facts, names: Names) -> None:
    from rdflib import Literal, URIRef
    from rdflib.namespace import DCAT, DCTERMS, PROV, RDF, RDFS

    from pmcell.publish.metadata.dcat.agents import add_page
    from pmcell.publish.metadata.dcat.terms import add_location

    release = names.release
    graph.add((release, URIRef(f"{DCAT}version"), Literal(facts.options.version)))
    if facts.options.url:
        graph.add((release, DCAT.landingPage, add_page(graph, facts.options.url)))
    if earlier := revised_release(facts):
        graph.add((release, PROV.wasRevisionOf, URIRef(iri(earlier))))
        graph.add((release, URIRef(f"{DCAT}previousVersion"), URIRef(iri(earlier))))
    statement = names.node("release-provenance")
    graph.add((release, DCTERMS.provenance, statement))
    graph.add((statement, RDF.type, DCTERMS.ProvenanceStatement))
    ids = ", ".join(cohort.cohort_id for cohort in facts.cohorts if cohort.accepted)
    said = f"Made from the registered cohorts {ids}; ro-crate-metadata.json tells every step."
    graph.add((statement, RDFS.label, Literal(said, lang="en")))
    for region in sorted({cohort.text("region") for cohort in facts.published} - {UNKNOWN}):
        for place in add_location(graph, URIRef(names.node(f"region-{region}")), region):
            graph.add((release, DCTERMS.spatial, place))


def _files(entries: Entries) -> list[str]:
    """Files that are ways to have the release: its tables, cells and model, each once."""
    return [
        name
        for name in sorted(entries)
        if name.startswith(("tables/", "cells/", "expression/"))
        and name.endswith((".parquet", ".h5ad"))
    ] + [name for name in ("donors.h5ad",) if name in entries]


def _turtle(graph: Graph) -> str:
    from io import BytesIO

    from rdflib.namespace import DCAT
    from rdflib.plugins.serializers.longturtle import LongTurtleSerializer

    from pmcell.publish.metadata.dcat import terms as dcat_terms

    for prefix in ("ADMS", "CSVW", "CV", "DCATAP", "DPV", "DQV", "ELI", "GEODCATAP", "OA", "VCARD"):
        graph.bind(prefix.lower(), getattr(dcat_terms, prefix))
    graph.bind("healthdcatap", dcat_terms.HEALTH)
    # Datasets first: they are what a person opens the file for.
    serializer = LongTurtleSerializer(graph)  # type: ignore[no-untyped-call]
    serializer.topClasses = [DCAT.Dataset, DCAT.Distribution]
    stream = BytesIO()
    serializer.serialize(stream)
    return stream.getvalue().decode()
