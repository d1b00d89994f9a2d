"""`README.md` of the release: what was found, how to open it, what it cannot say, how it was made.

What was found is said in the sentences of the report, so that the two cannot disagree.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.io.atomic import write_text
from pmcell.io.tables import read_table
from pmcell.limitations import LIMITATIONS, RESEARCH_USE
from pmcell.publish.facts import Facts
from pmcell.publish.metadata.attribution import doi_address, known_of_terms
from pmcell.publish.metadata.opening import R_READER, how_to_open
from pmcell.release.expression import ALL
from pmcell.release.report_tables import read_release
from pmcell.report.identity import identity
from pmcell.report.strata import confounding, verdict
from pmcell.schema import SCHEMA_VERSION, TABLES, UNKNOWN
from pmcell.schema.guide import FIRST, ONE_WAY, join_tree, topics
from pmcell.spelling import plural
from pmcell.version import __version__

if TYPE_CHECKING:
    import pandas as pd


FINDING = (
    "cohorts",
    "donors",
    "visits",
    "strata",
    "assignments",
    "associations",
    "expression_contrasts",
    "composition_shifts",
    "differential_expression",
    "drivers",
    "additions",
)
"""Tables that the sentences about strata are made from."""


def write_readme(facts: Facts, folder: Path, *, has_report: bool) -> None:
    """Write README.md from the facts and the tables already in `folder`."""
    tables = folder / "tables"
    cohorts = read_table(tables / "cohorts.parquet")
    parts = [
        _head(facts, cohorts),
        _found(facts, folder, has_report),
        _tables_to_begin_with(tables),
        how_to_open(facts, folder, has_report=has_report),
        ["## What it cannot say", "", *(f"- {item.sentence}" for item in LIMITATIONS)],
        _revised(facts),
        _made_of(cohorts),
        _contents(facts, has_report),
        _withheld(facts),
        _citing(facts),
        _checking(),
    ]
    write_text(folder / "README.md", "\n\n".join("\n".join(part) for part in parts if part) + "\n")


def _head(facts: Facts, cohorts: pd.DataFrame) -> list[str]:
    shown = cohorts[cohorts["cohort_id"].isin([cohort.cohort_id for cohort in facts.published])]
    return [
        f"# {facts.title}",
        "",
        facts.options.description
        or (
            f"{plural(int(shown['n_cells'].sum()), 'cell')} of "
            f"{plural(int(shown['n_donors'].sum()), 'donor')} in {plural(len(shown), 'cohort')}, "
            f"{ONE_WAY}, labels and profiles of the donors."
        ),
        "",
        f"Release {facts.options.version}, made by pmcell {__version__}, schema {SCHEMA_VERSION}. "
        f"{RESEARCH_USE.capitalize()}.",
    ]


def _made_of(cohorts: pd.DataFrame) -> list[str]:
    lines = [
        "## How it was made",
        "",
        "Every job, what it read and wrote, and with which options is in "
        "`ro-crate-metadata.json`; the workflow itself in `workflow/`.",
        "",
        "| cohort | title | region | status | access | licence | donors | samples | cells |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in cohorts.to_dict("records"):
        numbers = " | ".join(_number(row[name]) for name in ("n_donors", "n_samples", "n_cells"))
        lines.append(
            f"| {row['cohort_id']} | {row['title']} | {row['region']} | {_status(row)} "
            f"| {row['access']} | {row['license']} | {numbers} |"
        )
    return [
        *lines,
        "",
        *(
            f"Consent in {row['cohort_id']}, {row['consent']}.  "
            for row in cohorts.to_dict("records")
        ),
    ]


def _revised(facts: Facts) -> list[str]:
    if facts.revises is None:
        return []
    return [
        "## What was added",
        "",
        f"This release holds release {facts.revises.version} (content "
        f"`{facts.revises.content_sha256}`) as it was, and {', '.join(facts.revises.added)}. Rows "
        "of the earlier release keep their content and order; clusters, labels, strata and the "
        "model in `reference/` are the same. Donors who were added were placed on its strata with "
        "that model (`placements`, `placed_cells`), not clustered. `additions` says what holds for "
        "the earlier donors alone.",
    ]


def _coordinates(facts: Facts) -> str:
    if not facts.withheld:
        return "`X_pca`, `X_integrated`, `X_umap`"
    return "`X_umap` (other coordinates are withheld: they would tell who else took part)"


def _found(facts: Facts, folder: Path, has_report: bool) -> list[str]:
    release = read_release(folder, only=FINDING)
    told = facts.strata
    lines = ["## What was found", "", " ".join([verdict(release), identity(release)]).strip()]
    if not facts.has_strata:
        lines += ["", f"The decision was `{told.decision}`; the axes are in `assignments`."]
    if beside := confounding(release):
        lines += ["", beside]
    figures = "`report.html` has the figures and methods; " if has_report else ""
    return [*lines, "", f"{figures}`strata.json` has every number of the verdict."]


def _tables_to_begin_with(tables: Path) -> list[str]:
    import pyarrow.parquet as pq

    def rows(name: str) -> str:
        return f"{pq.read_metadata(tables / f'{name}.parquet').num_rows:,}"

    prose = {table.name: table.prose for table in TABLES}
    lines = [
        "## Six tables to begin with",
        "",
        "| you ask | table in `tables/` | rows | one row says |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {item.question} | `{item.table}` | {rows(item.table)} | {prose[item.table]} |"
        for item in FIRST
    ]
    lines += [
        "",
        "How they join: a table hangs below the one it refers to, by the columns written there.",
        "",
        "```text",
        *join_tree(),
        "```",
        "",
        "Every column is explained in [tables/README.md](tables/README.md) and in the file's own "
        "metadata. All tables, by what one wants to know:",
    ]
    for topic in topics():
        lines += ["", f"**{topic.title}**", "", "| table | rows | |", "|---|---|---|"]
        lines += [f"| {name} | {rows(name)} | {prose[name]} |" for name in topic.tables]
    return lines


def _contents(facts: Facts, has_report: bool) -> list[str]:
    lines = [
        "Files beside the tables:",
        "",
        "- `cells/<cohort>.h5ad`: cells that passed QC; raw counts in `raw.X`, log-normalised "
        f"counts in `X`; {_coordinates(facts)}; cluster, labels and donor in `obs`.",
        *_expression(facts),
        "- `donors.h5ad`: profile of each donor and visit, and the distances between them.",
        "- `strata.json`: whether there are strata, how stable they are, and why.",
        "- `reference/`: the frozen model for mapping new samples."
        if not facts.withheld
        else "- `reference/`: suppressed, because cohorts without open access took part in it.",
    ]
    if has_report:
        lines.append("- `report.html`: figures and methods; opens in any browser, offline.")
    lines += [
        f"- `{R_READER}`: functions that read all of it in R.",
        "- `manifest.json`: size and SHA-256 of every file. `ro-crate-metadata.json`: the same for "
        "catalogues (RO-Crate 1.1). `datapackage.json`: tables and keys (Data Package 2.0). "
        "`CITATION.cff`: how to cite.",
        "",
        "In `cells/`, `cell_type_ontology_term_id` is the source's term where it gave one, else "
        "that of `atlas_cell_type`, which is `cell_type` of the tables. Composition, "
        "pseudobulk and all tests of donors count cells by `profile_cell_type`, which has the same "
        "meaning in every cohort.",
    ]
    return lines


def _withheld(facts: Facts) -> list[str]:
    if not facts.withheld:
        return []
    return [
        "## Withheld",
        "",
        "These cohorts took part in the analysis, but their access is not open. Their cells, "
        "donors, visits, samples, QC, profiles and assignments are not in this release:",
        "",
        *(f"- `{cohort.cohort_id}` ({cohort.access})" for cohort in facts.withheld),
        "",
        "Cells and donors in `genes`, `clusters` and `strata` are counted without them, and "
        "`markers` are found without them. Left out are the model in `reference/` and the ranks of "
        "genes: from values for many genes membership can be tested however many donors there "
        "are. Their donors are counted in `cohorts` and `cohort_counts`, in groups of at least "
        f"{facts.options.min_donors}; `validation/disclosure.json` says what was suppressed "
        "and how that was audited.",
        "",
        "Their cells and rows are encrypted to the recipients "
        f"{', '.join(map(str, sorted(recipients)))} only, outside this release."
        if (recipients := (facts.parameters.get("seal") or {}).get("recipients"))
        else "Their cells and rows were handed to nobody: no recipient is configured.",
    ]


def _expression(facts: Facts) -> list[str]:
    if facts.options.expression == "none":
        return []
    which = "" if facts.options.expression == ALL else " of the highly variable genes"
    return [f"- `expression/<cohort>.parquet`: the same raw counts{which} as a table, for SQL."]


def _citing(facts: Facts) -> list[str]:
    lines = [
        "## How to cite, and licences",
        "",
        "Cite this release (`CITATION.cff`) and the sources:",
        "",
    ]
    for cohort in facts.published:
        doi = cohort.text("source", "doi")
        source = doi_address(doi) if doi != UNKNOWN else "no DOI known"
        accession = cohort.text("source", "accession")
        known = f", {accession}" if accession != UNKNOWN else ""
        lines.append(f"- `{cohort.cohort_id}`: {source}{known}; licence {cohort.text('license')}")
    if any(cohort.text("license") == UNKNOWN for cohort in facts.published):
        lines += [
            "",
            "Where the licence is unknown, ask the source before you share the data further.",
        ]
    for note in known_of_terms(facts):
        lines += ["", note]
    return lines


def _checking() -> list[str]:
    return [
        "## Is it intact?",
        "",
        "`pmcell verify .` in this folder compares every file with the manifest, every table with "
        "the schema, and cells with tables.",
    ]


def _number(value: object) -> str:
    return "withheld" if value is None or value != value else f"{int(value):,}"  # type: ignore[call-overload]


def _status(row: dict[str, object]) -> str:
    return str(row["status"]) + (f": {row['reason']}" if row["reason"] else "")
