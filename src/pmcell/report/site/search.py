"""The index of the search box: one entry for each thing that has a place on the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.registry.terms.regions import region_name
from pmcell.registry.terms.shorthand import words_for
from pmcell.report.site.pack import script
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release
    from pmcell.report.site.cards import Card
    from pmcell.report.site.dictionary import TableEntry
    from pmcell.report.site.expression import Gene

Entry = tuple[str, str, str, str]
"""Kind, title, text and address; kind and title are shown, all but the address is searched."""


def index_script(
    release: Release,
    *,
    pages: list[Entry],
    cards: list[Card],
    dictionary: list[TableEntry],
    genes: list[Gene],
    has_gene_types: bool,
) -> str:
    """The index as a script; genes are kept apart as short texts, for there may be 60,000.

    `genes` are those of the map; with `has_gene_types` any gene has a place on the page of cells.
    """
    return script(
        "search",
        {
            "entries": entries(release, pages, cards, dictionary),
            "genes": _genes(release, genes) | {"all": has_gene_types},
        },
    )


def entries(
    release: Release, pages: list[Entry], cards: list[Card], dictionary: list[TableEntry]
) -> list[Entry]:
    """Pages, cohorts, regions, programmes, cell types, strata, tables and columns."""
    found = list(pages)
    for card in cards:
        text = " ".join(
            [card.title, card.region, card.programme, card.status, card.reason]
            + [f"{line.name} {line.text} {line.note}" for line in card.lines]
        )
        found.append(("cohort", card.cohort_id, text, f"cohorts.html#{card.anchor}"))
    found += _places("region", [card.region for card in cards])
    found += _places("programme", [card.programme for card in cards])
    for row in release["clusters"].itertuples():
        title = f"Cluster {row.cluster}: {row.cell_type}"
        text = f"{row.cell_type_ontology_term_id} {row.label_evidence}"
        found.append(("cluster", title, text, "cells.html#clusters"))
    for row in release["terms"].itertuples():
        text = ", ".join([row.term_id, *row.synonyms, *words_for(row.term_id)])
        found.append((_kind(row.ontology), str(row.label), text, _PLACES.get(row.ontology, _HOME)))
    for row in release["strata"].itertuples():
        found.append(("stratum", str(row.stratum), str(row.description), "strata.html#strata"))
    for table in dictionary:
        found.append(("table", table.name, table.prose, f"dictionary.html#table-{table.name}"))
        for column in table.columns:
            text = f"{column.prose} {column.unit} {column.ontology}"
            place = f"dictionary.html#{table.name}-{column.name}"
            found.append(("column", f"{table.name}.{column.name}", text, place))
    for row in release["gaps"].itertuples():
        text = f"{row.cohort_id} {row.table} {row.why_it_matters}"
        found.append(("gap", f"{row.cohort_id}: {row.column}", text, "gaps.html"))
    return found


_KINDS = {
    "CL": "cell type",
    "EFO": "assay",
    "HANCESTRO": "ethnicity",
    "HsapDv": "age",
    "MONDO": "disease",
    "NCBITaxon": "organism",
    "PATO": "property",
    "UBERON": "tissue",
}
_PLACES = {"CL": "cells.html#types"}
_HOME = "cohorts.html"


def _kind(ontology: str) -> str:
    """What the terms of an ontology name."""
    return _KINDS.get(ontology, "term")


def _places(kind: str, names: list[str]) -> list[Entry]:
    return [
        (
            kind,
            name,
            f"{region_name(name)} {plural(names.count(name), 'cohort')}".strip(),
            "index.html#places",
        )
        for name in sorted(set(names))
    ]


def _genes(release: Release, genes: list[Gene]) -> dict[str, Any]:
    drawn = {gene.gene_id for gene in genes}
    rows = release["genes"].sort_values(["symbol", "gene_id"])
    n_cohorts = rows["measured_in"].map(len)
    return {
        "names": [
            f"{symbol} {gene_id} {n}"
            for symbol, gene_id, n in zip(rows["symbol"], rows["gene_id"], n_cohorts, strict=True)
        ],
        "drawn": sorted(drawn),
    }
