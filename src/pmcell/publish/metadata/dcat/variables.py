"""The variables of a dataset as CSVW tables, made from the one schema of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rdflib import Literal, URIRef
from rdflib.namespace import DCTERMS, RDF

from pmcell.publish.metadata.dcat.terms import CSVW
from pmcell.publish.metadata.subjects import OBO_SITE
from pmcell.schema import Field, Table

if TYPE_CHECKING:
    from rdflib import Graph

    from pmcell.publish.metadata.dcat.names import Names

DATATYPES = {"string": "string", "int64": "integer", "float64": "double", "bool": "boolean"}
OTHER_ONTOLOGIES = {
    "EFO": "http://www.ebi.ac.uk/efo/efo.owl",
    "Ensembl": "https://identifiers.org/ensembl",
    "HGNC": "https://identifiers.org/hgnc.symbol",
}
SEPARATOR = ";"


def add_variables(
    graph: Graph, names: Names, node: URIRef, title: str, tables: Sequence[Table]
) -> URIRef:
    """Describe `tables` as the variables called `title`, and return their group."""
    graph.add((node, RDF.type, CSVW.TableGroup))
    graph.add((node, DCTERMS.title, Literal(title, lang="en")))
    for table in tables:
        graph.add((node, CSVW.table, _add_table(graph, names, table)))
    return node


def _add_table(graph: Graph, names: Names, table: Table) -> URIRef:
    node = names.node(f"table-{table.name}")
    graph.add((node, RDF.type, CSVW.Table))
    graph.add((node, DCTERMS.title, Literal(table.name)))
    graph.add((node, DCTERMS.description, Literal(table.prose, lang="en")))
    graph.add((node, CSVW.url, names.file(f"tables/{table.name}.parquet")))
    for column in table.key:
        graph.add((node, CSVW.primaryKey, Literal(column)))
    for item in table.fields:
        graph.add((node, CSVW.column, _add_column(graph, names, table, item)))
    return node


def _add_column(graph: Graph, names: Names, table: Table, item: Field) -> URIRef:
    node = names.node(f"column-{table.name}-{item.name}")
    unit = f" Unit: {item.unit}." if item.unit else ""
    graph.add((node, RDF.type, CSVW.Column))
    graph.add((node, CSVW.name, Literal(item.name)))
    graph.add((node, CSVW.title, Literal(item.name.replace("_", " "), lang="en")))
    graph.add((node, DCTERMS.description, Literal(f"{item.prose}{unit}", lang="en")))
    graph.add((node, CSVW.datatype, Literal(_datatype(item.kind))))
    graph.add((node, CSVW.required, Literal(item.required)))
    if item.kind.startswith("list<"):
        graph.add((node, CSVW.separator, Literal(SEPARATOR)))
    if item.ontology:
        graph.add((node, DCTERMS.subject, URIRef(ontology_address(item.ontology))))
    return node


def ontology_address(prefix: str) -> str:
    """The address of the ontology that a column's values come from."""
    return OTHER_ONTOLOGIES.get(prefix, f"{OBO_SITE}{prefix.lower()}.owl")


def _datatype(kind: str) -> str:
    plain = kind.removeprefix("list<").removesuffix(">")
    return DATATYPES.get(plain, "string")
