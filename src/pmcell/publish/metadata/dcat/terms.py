"""Namespaces and controlled terms of a DCAT record; each term is typed, labelled and in a scheme.

Validators read no vocabulary from the network, so a record says of every term
what it is. Sources of codes: EU Vocabularies (name authority lists), the lists
of HealthDCAT-AP Release 8, DPV 2.3, DUO, ISO 3166-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdflib import Literal, Namespace, URIRef
from rdflib.namespace import DCTERMS, RDF, RDFS, SKOS

from pmcell.registry.terms.vocabulary import DUO, DUO_CODES

if TYPE_CHECKING:
    from rdflib import Graph

ADMS = Namespace("http://www.w3.org/ns/adms#")
CSVW = Namespace("http://www.w3.org/ns/csvw#")
CV = Namespace("http://data.europa.eu/m8g/")
DCATAP = Namespace("http://data.europa.eu/r5r/")
DPV = Namespace("https://w3id.org/dpv#")
DQV = Namespace("http://www.w3.org/ns/dqv#")
ELI = Namespace("http://data.europa.eu/eli/ontology#")
GEODCATAP = Namespace("http://data.europa.eu/930/")
HEALTH = Namespace("http://healthdataportal.eu/ns/health#")
OA = Namespace("http://www.w3.org/ns/oa#")
VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")

EU_LISTS = "http://publications.europa.eu/resource/authority/"
HEALTH_LISTS = "https://hdeu-dcat.data.health.europa.eu/resource/authority/"
IANA = "https://www.iana.org/assignments/media-types/"
OBO = "http://purl.obolibrary.org/obo/"
NUTS = "http://data.europa.eu/nuts/code/"
SCHEMES = {
    f"{EU_LISTS}access-right": "Access right",
    f"{EU_LISTS}country": "Country",
    f"{EU_LISTS}data-theme": "Data theme",
    f"{EU_LISTS}dataset-type": "Dataset type",
    f"{EU_LISTS}file-type": "File type",
    f"{EU_LISTS}language": "Language",
    f"{HEALTH_LISTS}health-theme": "Health themes",
    f"{HEALTH_LISTS}healthcategories": "Health categories",
    f"{OBO}duo.owl": "Data Use Ontology",
    f"{OBO}mondo.owl": "Mondo Disease Ontology",
    "https://w3id.org/dpv/legal/eu/ehds#purposes-classes": "Purposes of the EHDS Regulation",
    "https://w3id.org/dpv/legal/eu/gdpr#legal-basis-classes": "Legal bases of the GDPR",
    "https://w3id.org/dpv/legal/eu/gdpr#legal-basis-special-classes": (
        "Legal bases of the GDPR for special categories of data"
    ),
    "https://w3id.org/dpv/pd#extended-classes": "Kinds of personal data",
}
COUNTRIES = {
    "AL": "ALB", "AT": "AUT", "BA": "BIH", "BE": "BEL", "BG": "BGR", "CA": "CAN", "CH": "CHE",
    "CN": "CHN", "CY": "CYP", "CZ": "CZE", "DE": "DEU", "DK": "DNK", "EE": "EST", "EL": "GRC",
    "ES": "ESP", "FI": "FIN", "FR": "FRA", "GB": "GBR", "HR": "HRV", "HU": "HUN", "IE": "IRL",
    "IS": "ISL", "IT": "ITA", "JP": "JPN", "LI": "LIE", "LT": "LTU", "LU": "LUX", "LV": "LVA",
    "ME": "MNE", "MK": "MKD", "MT": "MLT", "NL": "NLD", "NO": "NOR", "PL": "POL", "PT": "PRT",
    "RO": "ROU", "RS": "SRB", "SE": "SWE", "SI": "SVN", "SK": "SVK", "TR": "TUR", "UK": "GBR",
    "US": "USA",
}  # fmt: skip
"""Three-letter codes of the EU country list by the two letters that begin a region code."""


def add_term(
    graph: Graph, scheme: str, term: str, label: str, kind: URIRef = SKOS.Concept
) -> URIRef:
    """Describe the term with IRI `term` as a `kind` of `scheme`, and return it."""
    node = URIRef(term)
    graph.add((node, RDF.type, kind))
    graph.add((node, SKOS.prefLabel, Literal(label, lang="en")))
    graph.add((node, SKOS.inScheme, URIRef(scheme)))
    graph.add((URIRef(scheme), RDF.type, SKOS.ConceptScheme))
    graph.add((URIRef(scheme), DCTERMS.title, Literal(SCHEMES[scheme], lang="en")))
    return node


def add_listed(
    graph: Graph, scheme: str, code: str, label: str, kind: URIRef = SKOS.Concept
) -> URIRef:
    """A term of a list whose terms are `<list>/<code>`."""
    return add_term(graph, scheme, f"{scheme}/{code}", label, kind)


def add_dpv(graph: Graph, code: str, label: str, kind: URIRef) -> URIRef:
    """A term of the Data Privacy Vocabulary: `eu-gdpr:…`, `eu-ehds:…` or `pd:…`."""
    prefix, _, name = code.partition(":")
    if prefix == "pd":
        # Release 8 asks for DPV-PD by its former address; today's is stated as the same.
        pd = "https://w3id.org/dpv/pd#"
        now = add_term(graph, f"{pd}extended-classes", f"{pd}{name}", label)
        node = URIRef(f"https://w3id.org/dpv/dpv-pd#{name}")
        graph.add((node, SKOS.exactMatch, now))
        graph.add((now, RDF.type, kind))
        graph.add((node, SKOS.prefLabel, Literal(label, lang="en")))
    else:
        base = f"https://w3id.org/dpv/legal/{prefix.replace('-', '/')}#"
        scheme = "purposes-classes"
        if prefix == "eu-gdpr":
            scheme = f"legal-basis-{'special-' if name.startswith('A9') else ''}classes"
        node = add_term(graph, base + scheme, base + name, label)
    graph.add((node, RDF.type, kind))
    return node


def add_consent(graph: Graph, entry: str) -> list[URIRef]:
    """The terms of one permitted use: the DUO term, and the disease that it names."""
    code, _, disease = entry.partition(" ")
    node = add_term(graph, f"{OBO}duo.owl", OBO + code.replace(":", "_"), DUO.get(code, code))
    for short, term in DUO_CODES.items():
        if term == code:
            graph.add((node, SKOS.notation, Literal(short)))
    nodes = [node]
    if disease:
        nodes.append(add_disease(graph, disease))
    return nodes


def add_disease(graph: Graph, term: str) -> URIRef:
    """A disease, labelled by the ontology."""
    from pmcell.registry.terms.ontology import resolve

    label = resolve(term)
    shown = label if isinstance(label, str) else term
    return add_term(graph, f"{OBO}mondo.owl", OBO + term.replace(":", "_"), shown)


def add_location(graph: Graph, node: URIRef, region: str) -> list[URIRef]:
    """The region, and its country where the EU's list has it; `node` names a region without IRI."""
    place = node if "-" in region else URIRef(NUTS + region)
    graph.add((place, RDF.type, DCTERMS.Location))
    graph.add((place, SKOS.notation, Literal(region)))
    graph.add((place, RDFS.label, Literal(f"Region {region}", lang="en")))
    country = COUNTRIES.get(region[:2])
    if country is None:
        return [place]
    scheme = f"{EU_LISTS}country"
    return [place, add_listed(graph, scheme, country, country, DCTERMS.Location)]
