"""Who stands behind the data, as HealthDCAT-AP describes them: agents and how they are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdflib import Literal, URIRef
from rdflib.namespace import DCAT, DCTERMS, FOAF, RDF

from pmcell.publish.metadata.agents import Organisation
from pmcell.publish.metadata.attribution import iri
from pmcell.publish.metadata.dcat.terms import CV, GEODCATAP, HEALTH, VCARD

if TYPE_CHECKING:
    from rdflib import Graph

ROLES = {
    "publisher": DCTERMS.publisher,
    "hdab": HEALTH.hdab,
    "custodian": GEODCATAP.custodian,
}


def add_agent(graph: Graph, dataset: URIRef, role: str, node: URIRef, who: Organisation) -> None:
    """State that `who` (name, email, url) has a role; an agent that cannot be reached is left out.

    Release 8 accepts no agent without an address or a page.
    """
    if not who.name or not (who.email or who.url):
        return
    contact = URIRef(f"{node}-contact")
    graph.add((dataset, ROLES[role], node))
    graph.add((node, RDF.type, FOAF.Agent))
    graph.add((node, FOAF.name, Literal(who.name)))
    graph.add((node, CV.contactPoint, contact))
    graph.add((contact, RDF.type, CV.ContactPoint))
    if who.email:
        graph.add((contact, CV.email, Literal(who.email)))
    if who.url:
        graph.add((contact, CV.contactPage, add_page(graph, who.url)))


def add_contact(graph: Graph, dataset: URIRef, node: URIRef, who: Organisation) -> None:
    """State who answers questions about a dataset, where an address or a page is known."""
    if not (who.email or who.url):
        return
    graph.add((dataset, DCAT.contactPoint, node))
    graph.add((node, RDF.type, VCARD.Kind))
    if who.name:
        graph.add((node, VCARD.fn, Literal(who.name)))
    if who.email:
        graph.add((node, VCARD.hasEmail, URIRef(iri(f"mailto:{who.email}"))))
    if who.url:
        graph.add((node, VCARD.hasURL, URIRef(iri(who.url))))


def add_page(graph: Graph, url: str) -> URIRef:
    """A web page."""
    page = URIRef(iri(url))
    graph.add((page, RDF.type, FOAF.Document))
    return page
