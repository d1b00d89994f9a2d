"""Methods, citations and limits, written from the facts of the release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.registry.terms.tissues import tissue_groups, tissue_label
from pmcell.report.parts import NOT_AVAILABLE, Cell, Column, Grid, listed, text_cell
from pmcell.schema import COUNT_SCALE, TARGET_SUM, UNKNOWN
from pmcell.schema.text import as_text
from pmcell.spelling import plural
from pmcell.version import __version__

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

_PACKAGES = (
    "anndata", "matplotlib", "numba", "numpy", "pandas", "pyarrow",
    "scanpy", "scikit-learn", "scipy", "snakemake", "statsmodels",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One cohort's source, to be cited."""

    cohort_id: str
    title: str
    doi: str
    accession: str
    license: str


def methods(release: Release) -> list[tuple[str, str]]:
    """Paragraphs (heading, text) on what was done."""
    n_cohorts = len(release["cohorts"])
    n_out = int((release["cohorts"]["status"] == "quarantined").sum())
    paragraphs = [
        (
            "Intake",
            f"{plural(n_cohorts, 'cohort')} {'was' if n_cohorts == 1 else 'were'} registered, "
            f"{n_out} quarantined. "
            "Each submitted file was read in a separate process and rewritten as raw integer "
            "counts. "
            "Genes were mapped to one pinned set of Ensembl gene ids; what became of every "
            "submitted gene is "
            "in the gene ledger. Genes that a cohort did not measure stay unknown.",
        ),
        (
            "Quality control",
            "For each sample, thresholds on total counts, detected genes, mitochondrial share and "
            "doublet "
            "score were set from the median absolute deviation of its own cells, within fixed "
            "bounds. "
            "Excluded cells stay in the cells table with their reason. The thresholds that were "
            "applied are "
            "in the table of section 4.",
        ),
        (
            "Embedding and clusters",
            f"Counts were scaled to {TARGET_SUM:,} per cell, log-transformed and quantised to "
            "fixed point "
            f"(1/{COUNT_SCALE}), so that sums over cells are exact for any split into cohorts. "
            "Highly variable genes were ranked within batches and divided by the square root of "
            "their standard deviation; principal components come from the exact Gram matrix; "
            "Harmony removed the batch; clusters are Leiden communities of the k-nearest-neighbour "
            "graph; UMAP serves display only. Markers are ranked by Welch's t of each cluster "
            f"against the rest. {_tissues(release)}",
        ),
        ("Cell-type labels", _labels(release)),
        ("Donors and strata", _strata()),
    ]
    return paragraphs


def _tissues(release: Release) -> str:
    """Which tissues were kept apart."""
    text = (
        "A gene was a candidate where enough cohorts of a tissue measured it. Genes, components, "
        "integration, neighbours, clusters and markers are those of one tissue (organ) at a time"
    )
    groups = set(tissue_groups(as_text(release["samples"]["tissue_ontology_term_id"])).values())
    if len(groups) < 2:
        return f"{text}."
    return (
        f"{text}: {listed(sorted(map(tissue_label, groups)))}. Each has a map of its own: "
        "distances between tissues on it mean nothing."
    )


def _labels(release: Release) -> str:
    clusters = release["clusters"]
    if clusters.empty:
        return f"Cluster labels are {NOT_AVAILABLE}."
    names = {
        "source_majority": "labelled by the majority of the labels that the sources gave",
        "markers": "labelled by marker genes",
        "abstained": "left without a label, because the evidence was too weak",
    }
    counts = as_text(clusters["label_method"]).value_counts()
    order = sorted(
        counts.index, key=lambda method: (method == "abstained", -counts[method], method)
    )
    parts = [f"{counts[method]} {names.get(method, f'labelled by {method}')}" for method in order]
    return f"Of {plural(len(clusters), 'cluster')}, {listed(parts)}. {_of_cells(release)}"


def _of_cells(release: Release) -> str:
    """How many cells keep the label of their source."""
    cells = release["cells"]
    method = as_text(cells["label_method"].dropna()) if "label_method" in cells else cells.index
    n_source, n_transferred = (int((method == name).sum()) for name in ("source", "transfer"))
    if not n_source:
        return "Each cell has the label of its cluster."
    if n_transferred:
        return (
            f"{n_source:,} of {len(method):,} cells keep the label that their source gave; "
            f"{n_transferred:,} were labelled by a logistic regression on the principal "
            "components of those cells, in which the labels of their cluster have a voice; the "
            "others have the label of their cluster."
        )
    return (
        f"{n_source:,} of {len(method):,} cells keep the label that their source gave, the others "
        "have that of their cluster."
    )


def _strata() -> str:
    return (
        "Each donor and visit is described by its composition (shares of cell types), its state "
        "(mean of the integrated components per cell type), the genes of each cell type (log "
        "counts of its cells together, weighed by how well two halves of them agree) and the "
        "distribution of all its cells, whatever their type (a kernel mean embedding by random "
        "Fourier features); "
        "distances between donors subtract the sampling noise that few cells cause. "
        "Visits of one donor were never treated as different people. Strata are published only "
        "where an existence test rejects the null model."
    )


def software_grid(release: Release) -> Grid:
    """Versions of pmcell in the release, and of all that computes where the report was written."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    rows = [
        (text_cell("pmcell, release"), text_cell(release.manifest.get("pmcell") or NOT_AVAILABLE)),
        (text_cell("pmcell, report"), text_cell(__version__)),
        (text_cell("Python"), text_cell(platform.python_version())),
    ]
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = NOT_AVAILABLE
        rows.append((text_cell(name), text_cell(found)))
    title = "Versions in the environment that wrote this report"
    return Grid(title, (Column("Software"), Column("Version")), tuple(rows), fold=10)


def parameter_grid(release: Release) -> Grid | None:
    """Parameters of the steps, from the manifest and `strata.json`."""
    rows: list[tuple[Cell, ...]] = []
    verdict = release.verdict.as_json() if release.verdict else {}
    for origin, facts in (("manifest.json", release.manifest), ("strata.json", verdict)):
        value = facts.get("parameters") or facts.get("options")
        if isinstance(value, dict):
            for key, text in _flat(value):
                rows.append((text_cell(key), text_cell(text), text_cell(origin)))
        seed = facts.get("seed")
        if seed is not None and not isinstance(seed, dict):
            rows.append((text_cell("seed"), text_cell(str(seed)), text_cell(origin)))
    if not rows:
        return None
    return Grid(
        "Parameters", (Column("Parameter"), Column("Value"), Column("From")), tuple(rows), fold=20
    )


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        found = []
        for key in sorted(value):
            found += _flat(value[key], f"{path}.{key}" if path else str(key))
        return found
    if isinstance(value, list):
        return [(path, ", ".join(str(item) for item in value))]
    return [(path, NOT_AVAILABLE if value is None else str(value))]


def sources(release: Release) -> list[Source]:
    """The sources of the accepted cohorts, one an article and data set."""
    found: dict[tuple[str, str], Source] = {}
    for row in release["cohorts"].itertuples():
        if row.status == "quarantined":
            continue
        doi, accession = known(row.source_doi), known(row.source_accession)
        key = (doi, accession)
        before = found.get(key)
        names = f"{before.cohort_id}, {row.cohort_id}" if before else str(row.cohort_id)
        title = "" if before else known(row.title)
        found[key] = Source(names, title, doi, accession, known(row.license))
    return [found[key] for key in sorted(found)]


def known(value: Any) -> str:
    """The text, or '' where it is unknown."""
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in (UNKNOWN, "nan", "none") else text


def doi_link(doi: str) -> str:
    """Address of a DOI, what an address may not hold encoded; '' where it is none."""
    from urllib.parse import quote

    is_doi = re.fullmatch(r"10\.\d{4,9}/\S+", doi)
    return f"https://doi.org/{quote(doi, safe='/:;().')}" if is_doi else ""


def citation(release: Release) -> dict[str, str]:
    """Title, version, DOI, licence and authors of CITATION.cff, '' where not given; {} for none."""
    import yaml

    try:
        value = yaml.safe_load(release.citation) or {}
    except yaml.YAMLError:
        return {}
    if not isinstance(value, dict):
        return {}
    authors = [_author(item) for item in value.get("authors") or [] if isinstance(item, dict)]
    facts = {key: str(value.get(key) or "") for key in ("title", "version", "doi", "license")}
    return {**facts, "authors": listed([name for name in authors if name], most=12)}


def _author(item: dict[str, Any]) -> str:
    if item.get("name"):
        return str(item["name"])
    return " ".join(str(item[key]) for key in ("given-names", "family-names") if item.get(key))
