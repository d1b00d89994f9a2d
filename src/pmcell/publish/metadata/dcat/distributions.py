"""How a dataset is had: files of the release, or where access is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdflib import Literal, URIRef
from rdflib.namespace import DCAT, DCTERMS, FOAF, RDF, RDFS

from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.metadata.attribution import iri, licence_url
from pmcell.publish.metadata.contents import describe, media_type
from pmcell.publish.metadata.dcat.names import Names
from pmcell.publish.metadata.dcat.terms import DCATAP, ELI, EU_LISTS, IANA, add_consent, add_listed
from pmcell.registry.cohorts.catalogue_keys import EHDS
from pmcell.registry.terms.vocabulary import DUO
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    from rdflib import Graph

ANNDATA = "https://anndata.readthedocs.io/en/stable/fileformat-prose.html"
PARQUET = "https://parquet.apache.org/docs/file-format/"
FORMATS = {
    ".h5ad": ("HDF", "Hierarchical Data Format", ANNDATA, "AnnData on-disk format"),
    ".parquet": ("PARQUET", "Parquet", PARQUET, "Apache Parquet file format"),
    ".json": ("JSON", "JSON", "", ""),
    ".html": ("HTML", "HTML", "", ""),
}
"""By suffix: code and label of the EU file-type list, and the standard that the file follows."""
UNREGISTERED = ("application/x-hdf5",)
"""Media types in use that IANA does not list."""


def add_file(
    graph: Graph,
    facts: Facts,
    names: Names,
    name: str,
    *,
    licence: str = "",
    uses: Sequence[str] = (),
    laws: Sequence[str] = (),
) -> URIRef:
    """The distribution that is the file `name` of the release, open to anyone."""
    node = names.node(f"file-{name.replace('/', '-')}")
    graph.add((node, DCTERMS.title, Literal(name)))
    graph.add((node, DCTERMS.description, Literal(describe(facts, name), lang="en")))
    graph.add((node, DCAT.accessURL, names.file(name)))
    graph.add((node, DCAT.downloadURL, names.file(name)))
    _add_format(graph, node, name)
    media = media_type(name)
    if media not in UNREGISTERED:
        graph.add((node, DCAT.mediaType, URIRef(IANA + media)))
        graph.add((URIRef(IANA + media), RDF.type, DCTERMS.MediaType))
    _add_terms(graph, names, node, licence, uses, laws)
    return node


def add_access(graph: Graph, names: Names, cohort: Cohort, given: Mapping[str, Any]) -> URIRef:
    """The distribution of a cohort that is not open: where access is asked for, and how it comes.

    Without an address of the steward's, access is asked for where the release is.
    """
    node = names.node(f"access-{cohort.cohort_id}")
    graph.add((node, DCTERMS.title, Literal(f"Cells of {cohort.cohort_id} on request", lang="en")))
    how = (
        "An encrypted package (Crypt4GH) of AnnData files for each recipient whose access was "
        f"approved. Access is {cohort.access}."
    )
    graph.add((node, DCTERMS.description, Literal(how, lang="en")))
    graph.add((node, DCAT.accessURL, URIRef(iri(access_address(given)) or names.release)))
    _add_format(graph, node, ".h5ad")
    uses = [str(use) for use in cohort.registration.get("data_use") or ()]
    _add_terms(
        graph, names, node, cohort.text("license"), uses, given.get("applicable_legislation", ())
    )
    return node


def access_address(given: Mapping[str, Any]) -> str:
    """Where access is asked for: the page for it, else the access body's or the contact's."""
    if given.get("access_url"):
        return str(given["access_url"])
    for role in ("hdab", "contact"):
        who = given.get(role) or {}
        if who.get("url"):
            return str(who["url"])
        if who.get("email"):
            return f"mailto:{who['email']}"
    return ""


def add_laws(graph: Graph, node: URIRef, laws: Sequence[str]) -> None:
    """The laws under which something is described; the EHDS Regulation where none are given."""
    for law in laws or (EHDS,):
        graph.add((node, DCATAP.applicableLegislation, URIRef(iri(law))))
        graph.add((URIRef(iri(law)), RDF.type, ELI.LegalResource))


def _add_terms(
    graph: Graph,
    names: Names,
    node: URIRef,
    licence: str,
    uses: Sequence[str],
    laws: Sequence[str],
) -> None:
    graph.add((node, RDF.type, DCAT.Distribution))
    add_laws(graph, node, laws)
    if licence and licence != UNKNOWN:
        document = URIRef(iri(licence_url(licence)) or names.node(f"licence-{licence}"))
        graph.add((node, DCTERMS.license, document))
        graph.add((document, RDF.type, DCTERMS.LicenseDocument))
        graph.add((document, DCTERMS.title, Literal(licence)))
    if uses:
        rights = URIRef(f"{node}-use")
        graph.add((node, DCTERMS.rights, rights))
        graph.add((rights, RDF.type, DCTERMS.RightsStatement))
        said = "; ".join(_use_in_words(use) for use in uses)
        graph.add((rights, RDFS.label, Literal(f"Permitted use (DUO): {said}.", lang="en")))
        for use in uses:
            for term in add_consent(graph, use):
                graph.add((rights, DCTERMS.subject, term))


def _use_in_words(use: str) -> str:
    code, _, disease = use.partition(" ")
    return " ".join(filter(None, (DUO.get(code, code), f"({code}", disease))) + ")"


def _add_format(graph: Graph, node: URIRef, name: str) -> None:
    suffix = f".{name.rpartition('.')[2]}"
    if suffix not in FORMATS:
        return
    code, label, standard, title = FORMATS[suffix]
    kind = DCTERMS.MediaTypeOrExtent
    form = add_listed(graph, f"{EU_LISTS}file-type", code, label, kind)
    graph.add((node, DCTERMS["format"], form))
    if standard:
        graph.add((node, DCTERMS.conformsTo, URIRef(standard)))
        graph.add((URIRef(standard), RDF.type, DCTERMS.Standard))
        graph.add((URIRef(standard), DCTERMS.title, Literal(title, lang="en")))
        graph.add((URIRef(standard), RDF.type, FOAF.Document))
