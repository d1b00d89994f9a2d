"""All files of the catalogue as text, from a release folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.registry.terms.regions import region_name
from pmcell.release import ReleaseFolder
from pmcell.release.report_tables import read_release
from pmcell.report import flow, methods, sections
from pmcell.report.donor_figures import donor_figure
from pmcell.report.parts import Column, Grid, count, number_cell, text_cell
from pmcell.report.reflow import label_cells
from pmcell.report.site import cards as cohort_cards
from pmcell.report.site import contents, search, trust
from pmcell.report.site.cell_map import map_files
from pmcell.report.site.dictionary import read_dictionary
from pmcell.report.site.expression import chosen_genes
from pmcell.report.site.extras import Extras
from pmcell.report.site.gene_types import gene_type_files
from pmcell.report.site.observatory import observatory
from pmcell.report.site.sample import MAX_POINTS, read_cells, rule
from pmcell.report.site.snippets import snippets
from pmcell.schema.guide import FIRST, ONE_WAY, OTHERS, join_tree, topics
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release
    from pmcell.report.site.observatory import observatory
from pmcell.report.site.sample import Cells

TABLES = (
    "cohorts", "donors", "visits", "samples", "qc", "clusters", "markers", "genes",
    "strata", "assignments", "associations", "composition_shifts", "drivers", "gaps",
    "terms",
    "donor_groups", "duplicates", "additions", "movement", "followup", "stratum_steps",
    "followup_effects", "outcomes", "expression_contrasts", "differential_expression",
    "gene_drivers", "pathways",
)  # fmt: skip

PAGES = (
    ("index", "Overview", "What is here and whether it can be trusted"),
    ("cohorts", "Cohorts", "What each cohort is, who answers for it, and how it may be used"),
    ("cells", "Cells", "Map of the cells by type, cluster, stratum and gene"),
    (
        "strata",
        "Strata",
        "Groups of donors: existence, stability, confounding, what was suppressed",
    ),
    ("gaps", "Gaps", "What the cohorts did not supply, and what that prevents"),
    ("observatory", "Observatory", "Regions, programmes, cohorts and policy; who is missing"),
    ("dictionary", "Dictionary", "Every table and column: meaning, type, unit, ontology"),
    ("use", "Use and cite", "Open it in scanpy, pandas, DuckDB, R or a browser; cite it; check it"),
)


def build(path: Path, extras: Extras, *, most: int = MAX_POINTS) -> dict[str, str]:
    """Text of each file of the site by name; equal releases give equal text."""
    folder, release = ReleaseFolder(path), read_release(path, only=TABLES)
    cells = read_cells(folder, release, most=most)
    genes, data = map_files(folder, release, cells, chosen_genes(release))
    found_in = gene_type_files(folder, release)
    data |= found_in
    cards = cohort_cards.cards(release, extras.people)
    tables = read_dictionary(folder)
    data["data/search.js"] = search.index_script(
        release,
        pages=[("page", name, prose, f"{key}.html") for key, name, prose in PAGES],
        genes=genes,
        cards=cards,
        dictionary=tables,
        has_gene_types=bool(found_in),
    )
    cited = methods.citation(release)
    context = {
        **sections.content(release),
        "root": "../",
        "figures": {figure.key: figure for figure in [donor_figure(release)] if figure},
        "numbers": {},
        "pages": PAGES,
        "release_version": str(release.manifest.get("version") or cited.get("version") or ""),
        **_overview(folder, release, cards, extras, cells),
        "cards": cards,
        "dictionary": tables,
        **_guide({table.name for table in tables}),
        "n_cells_all": len(cells.all),
        "n_cells_drawn": len(cells.drawn),
        "rule": rule(),
        "genes": genes,
        "has_gene_types": bool(found_in),
        "n_genes": len(release["genes"]),
        "types": _types(cells),
        "observatory": observatory(release, extras.policy),
        "snippets": snippets(folder, genes[0].gene_id if genes else ""),
        "json_ld": extras.json_ld.replace("<", "\\u003c"),
        "links": extras.links,
    }
    return {**_render(context), **data}


def _render(context: dict[str, Any]) -> dict[str, str]:
    from markupsafe import Markup

    environment = sections.environment("pmcell.report.site")
    # JSON in a data block: '<' is escaped, so it cannot end the block.
    environment.filters["data_block"] = Markup
    return {
        f"{key}.html": label_cells(
            environment.get_template(f"{key}.html.j2").render(
                **context, page=key, page_name=name, page_prose=prose
            )
        )
        for key, name, prose in PAGES
    }


def _overview(
    folder: ReleaseFolder,
    release: Release,
    cards: list[cohort_cards.Card],
    extras: Extras,
    cells: Cells,
) -> dict[str, Any]:
    checks = trust.validators(folder)
    programmes, places = cohort_cards.by_place(cards)
    return {
        "description": extras.description or _sentence(release),
        "tiles": _tiles(release, cells, len(places), len(programmes)),
        "signs": trust.signs(folder, release, checks),
        "validators": trust.validator_grid(checks),
        "programmes": programmes,
        "places": places,
        "region_names": {region: region_name(region) for region in places},
        "files": contents.files(release.manifest, extras.prose),
        "has_report": folder.has("report.html"),
    }


def _sentence(release: Release) -> str:
    return (
        f"{count(release['clusters']['n_cells'].sum())} single cells of "
        f"{plural(len(release['donors']), 'donor')}, {ONE_WAY}, one set of labels, and a "
        "comparable profile of each donor and visit."
    )


def _tiles(
    release: Release, cells: Cells, n_regions: int, n_programmes: int
) -> list[tuple[str, str]]:
    numbers = (
        (n_regions, "region"),
        (n_programmes, "programme"),
        (len(flow.accepted_cohorts(release)), "open cohort"),
        (len(release["donors"]), "donor"),
        (len(release["visits"]), "visit"),
        (int(release["samples"]["n_cells"].sum()), "cell"),
        (cells.all["cell_type"].nunique(), "cell type"),
    )
    return [(count(n), name if n == 1 else f"{name}s") for n, name in numbers]


def _guide(held: set[str]) -> dict[str, Any]:
    """Where to begin among the tables that the release holds; others may be there too."""
    named = [(topic.title, [name for name in topic.tables if name in held]) for topic in topics()]
    rest = sorted(held - {name for _, names in named for name in names})
    return {
        "first_tables": [item for item in FIRST if item.table in held],
        "join_tree": join_tree(),
        "topics": [(title, names) for title, names in [*named, (OTHERS, rest)] if names],
    }


def _types(cells: Cells) -> Grid | None:
    """The map as a table: cells of each type and cohort."""
    import pandas as pd

    if cells.all.empty:
        return None
    table = pd.crosstab(as_text(cells.all["cell_type"]), as_text(cells.all["cohort_id"]))
    order = table.sum(axis=1).sort_values(ascending=False, kind="stable").index
    rows = tuple(
        (
            text_cell(name),
            number_cell(int(table.loc[name].sum())),
            *[number_cell(int(value)) for value in table.loc[name]],
        )
        for name in order
    )
    columns = (
        Column("Cell type"),
        Column("All", True),
        *[Column(str(name), True) for name in table.columns],
    )
    return Grid("Cells of each type and cohort", columns, rows, ("cells",))
