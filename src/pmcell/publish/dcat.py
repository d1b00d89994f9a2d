"""`dcat.ttl`: a HealthDCAT-AP Release 8 record of the release and of each of its cohorts.

Datasets stand alone, without a catalogue around them, as harvesters take them.
The release and open cohorts are PUBLIC data, other cohorts RESTRICTED or
NON_PUBLIC by their access. What nobody supplied is not stated; numbers and
codes come from the tables of the release, which have passed the disclosure
gate. Size and SHA-256 of files are in manifest.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import Fault
from pmcell.io.atomic import write_json, write_text
from pmcell.io.tables import read_table
from pmcell.publish.attribution import common_licence, keywords, publishers, summary
from pmcell.publish.dcat_names import RECORD, Names, names_of
from pmcell.publish.facts import Cohort, Facts, publication_date
from pmcell.publish.manifest import Entries
from pmcell.publish.subjects import NOT_DISEASES
from pmcell.registry.catalogue import FORMS, missing_metadata
from pmcell.registry.cohort_file import meaning
from pmcell.schema import (
    ASSAY,
    CELLS,
    COHORT_COUNTS,
    COHORTS,
    DISEASE,
    DONORS,
    SAMPLES,
    TABLES,
    TISSUE,
    UNKNOWN,
    VISITS,
)

if TYPE_CHECKING:
    from rdflib import Graph

    from pmcell.publish.dcat_datasets import Size

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
    write_json(folder / REASONS_FILE, _reasons(facts))


def missing_from_record(cohort: Cohort) -> list[Fault]:
    """What the record of a cohort lacks by HealthDCAT-AP, in the words of `pmcell check`."""
    return missing_metadata({**cohort.registration, **given_for(cohort)}, meaning)


def described(facts: Facts) -> list[Cohort]:
    """Cohorts with a record of their own: accepted ones whose steward gave all it must have."""
    return [
        cohort
        for cohort in facts.cohorts
        if cohort.accepted
        and not any(fault.severity == "error" for fault in missing_from_record(cohort))
    ]


def given_for(cohort: Cohort) -> dict[str, Any]:
    """What a cohort's steward supplied for the catalogue, with the publisher."""
    publisher = {
        key: value
        for key in ("name", "url", "email")
        if (value := cohort.text("publisher", key)) != UNKNOWN
    }
    return {**(cohort.registration.get("catalogue") or {}), "publisher": publisher}


def dcat_graph(facts: Facts, folder: Path, entries: Entries, *, has_report: bool) -> Graph:
    """The record as RDF."""
    from rdflib import Graph, Literal
    from rdflib.namespace import DCTERMS, XSD

    from pmcell.publish.dcat_datasets import add_dataset
    from pmcell.publish.dcat_distributions import add_file
    from pmcell.publish.dcat_terms import HEALTH
    from pmcell.publish.dcat_variables import add_variables

    graph = Graph()
    names = names_of(facts, entries)
    sizes, codes = _sizes(folder), _codes(facts, folder)
    given = _given_for_release(facts)
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
        size=_sum([sizes[cohort.cohort_id] for cohort in facts.published]),
        codes=sorted({code for cohort in facts.published for code in codes[cohort.cohort_id]}),
    )
    _add_release_facts(graph, facts, names)
    licence = common_licence(facts)
    laws = given.get("applicable_legislation", ())
    for name in _files(entries):
        node = add_file(graph, facts, names, name, licence=licence, laws=laws)
        graph.add((release, _slot("distribution"), node))
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
    from rdflib.namespace import DCTERMS

    from pmcell.publish.dcat_datasets import add_cohort_facts, add_dataset
    from pmcell.publish.dcat_distributions import add_access, add_file
    from pmcell.publish.dcat_terms import HEALTH
    from pmcell.publish.dcat_variables import add_variables

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
                graph.add((node, _slot("distribution"), file))
    else:
        graph.add((names.release, DCTERMS.source, node))
        graph.add((node, _slot("distribution"), add_access(graph, names, cohort, given)))
    variables = names.node("variables-of-cohorts")
    graph.add((node, HEALTH.hasStructuredData, Literal(True)))
    add_variables(graph, names, variables, "Variables of a cohort", OF_ONE_COHORT)
    graph.add((node, HEALTH.hasVariables, variables))


def _given_for_release(facts: Facts) -> dict[str, Any]:
    """What holds for the release: configured, else what its open cohorts have in common or in all.

    An access body, a contact and a publisher are one, so they are taken from
    the cohorts only where these agree.
    """
    all_given = [given_for(cohort) for cohort in facts.published]
    found: dict[str, Any] = {"keywords": keywords(facts), "languages": ["ENG"]}
    for key in ("health_categories", "health_themes", "personal_data", "applicable_legislation"):
        values = sorted({value for given in all_given for value in given.get(key, ())})
        if values:
            found[key] = values
    known = {item["name"]: item for given in all_given if (item := given["publisher"])}
    publisher = publishers(facts)
    if len(publisher) == 1:
        found["publisher"] = {**known.get(publisher[0]["name"], {}), **publisher[0]}
    for key in ("hdab", "contact"):
        configured: Mapping[str, str] = getattr(facts.options, key)
        first = all_given[0].get(key)
        if configured:
            found[key] = configured
        elif first and all(given.get(key) == first for given in all_given):
            found[key] = first
    return found


def _add_release_facts(graph: Graph, facts: Facts, names: Names) -> None:
    from rdflib import Literal, URIRef
    from rdflib.namespace import DCAT, DCTERMS, RDF, RDFS

    from pmcell.publish.dcat_agents import add_page
    from pmcell.publish.dcat_terms import add_location

    release = names.release
    graph.add((release, URIRef(f"{DCAT}version"), Literal(facts.options.version)))
    if facts.options.url:
        graph.add((release, DCAT.landingPage, add_page(graph, facts.options.url)))
    statement = names.node("release-provenance")
    graph.add((release, DCTERMS.provenance, statement))
    graph.add((statement, RDF.type, DCTERMS.ProvenanceStatement))
    ids = ", ".join(cohort.cohort_id for cohort in facts.cohorts if cohort.accepted)
    said = f"Made from the registered cohorts {ids}; ro-crate-metadata.json tells every step."
    graph.add((statement, RDFS.label, Literal(said, lang="en")))
    for region in sorted({cohort.text("region") for cohort in facts.published} - {UNKNOWN}):
        for place in add_location(graph, URIRef(names.node(f"region-{region}")), region):
            graph.add((release, DCTERMS.spatial, place))


def _sizes(folder: Path) -> dict[str, Size]:
    from pmcell.publish.dcat_datasets import Size

    frame = read_table(folder / "tables" / f"{COHORTS.name}.parquet")
    rows = zip(frame["cohort_id"], frame["n_cells"], frame["n_donors"], strict=True)
    return {
        str(name): Size(*(None if value != value or value is None else int(value) for value in row))
        for name, *row in rows
    }


def _sum(sizes: list[Size]) -> Size:
    from pmcell.publish.dcat_datasets import Size

    cells, donors = [item.n_cells for item in sizes], [item.n_donors for item in sizes]
    return Size(
        None if None in cells else sum(filter(None, cells)),
        None if None in donors else sum(filter(None, donors)),
    )


def _codes(facts: Facts, folder: Path) -> dict[str, list[str]]:
    """Ontology terms that the tables show of each cohort: diseases, tissues and assays."""
    found: dict[str, set[str]] = {cohort.cohort_id: set() for cohort in facts.cohorts}
    for table, columns in ((DONORS, (DISEASE,)), (SAMPLES, (TISSUE, ASSAY))):
        path = folder / "tables" / f"{table.name}.parquet"
        frame = read_table(path, ["cohort_id", *(item.name for item in columns)])
        for item in columns:
            for cohort_id, value in frame[["cohort_id", item.name]].drop_duplicates().to_numpy():
                found[str(cohort_id)] |= set(str(value).split(" || "))
    counts = read_table(folder / "tables" / f"{COHORT_COUNTS.name}.parquet")
    shown = counts[(counts["grouping"] == DISEASE.name) & counts["n_donors"].notna()]
    for cohort_id, group in zip(shown["cohort_id"], shown["group"], strict=True):
        found[str(cohort_id)] |= set(str(group).split(" || "))
    return {
        name: sorted(code for code in codes if ":" in code and code not in NOT_DISEASES)
        for name, codes in found.items()
    }


def _reasons(facts: Facts) -> dict[str, Any]:
    """What keeps each cohort's record from being whole: JSON for those who read the release."""
    names = {cohort.cohort_id for cohort in described(facts)}
    return {
        "standard": "HealthDCAT-AP Release 8",
        "meaning": "What stewards did not supply. Where a value that must be given is missing, "
        "dcat.ttl has no record of the cohort.",
        "cohorts": {
            cohort.cohort_id: {
                "form": FORMS[cohort.access],
                "has_record": cohort.cohort_id in names,
                "lacks": [
                    {
                        "key": fault.column,
                        "severity": fault.severity,
                        "must": fault.must,
                        "found": fault.found,
                        "fix": fault.fix,
                    }
                    for fault in missing_from_record(cohort)
                ],
            }
            for cohort in facts.cohorts
            if cohort.accepted
        },
    }


def _files(entries: Entries) -> list[str]:
    """Files that are ways to have the release: its tables, cells and model, each once."""
    return [
        name
        for name in sorted(entries)
        if name.startswith(("tables/", "cells/", "expression/"))
        and name.endswith((".parquet", ".h5ad"))
    ] + [name for name in ("donors.h5ad",) if name in entries]


def _slot(name: str) -> Any:
    from rdflib.namespace import DCAT

    return DCAT[name]


def _turtle(graph: Graph) -> str:
    from pmcell.publish import dcat_terms

    for prefix in ("ADMS", "CSVW", "CV", "DCATAP", "DPV", "DQV", "ELI", "GEODCATAP", "OA", "VCARD"):
        graph.bind(prefix.lower(), getattr(dcat_terms, prefix))
    graph.bind("healthdcatap", dcat_terms.HEALTH)
    return graph.serialize(format="longturtle")
