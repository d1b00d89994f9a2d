"""The tables of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.pl.style import natural_key
from pmcell.report.methods import doi_link, known
from pmcell.report.parts import (
    Cell,
    Column,
    Grid,
    as_number,
    count,
    decimal,
    number_cell,
    percent,
    plain_name,
    text_cell,
)
from pmcell.schema import table
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release


def cohort_grid(release: Release) -> Grid:
    """Where each cohort is from and what intake kept of its genes."""
    rows = []
    for row in release["cohorts"].itertuples():
        doi = known(row.source_doi)
        out = row.status == "quarantined"
        n_genes, submitted = as_number(row.n_genes), as_number(row.n_genes_submitted)
        rows.append(
            (
                text_cell(row.cohort_id),
                text_cell(row.title, note=known(row.programme)),
                text_cell(known(row.region)),
                text_cell(doi, href=doi_link(doi), note=known(row.source_accession)),
                text_cell(known(row.license)),
                text_cell(
                    row.access, note=", ".join(row.data_use if row.data_use is not None else [])
                ),
                number_cell(None if out else n_genes),
                number_cell(
                    None if out or n_genes is None or not submitted else submitted - n_genes
                ),
                number_cell(
                    None if out else row.share_umis_lost,
                    percent(row.share_umis_lost, 2),
                ),
            )
        )
    columns = (
        Column("Cohort"),
        Column("Title", help="With the programme below"),
        Column("Region"),
        Column("Source", help="DOI, with the accession below"),
        Column("Licence"),
        Column("Access", help="With the permitted uses (Data Use Ontology) below"),
        Column("Genes kept", True),
        Column("Genes fewer", True, "Submitted minus kept genes: lost or merged"),
        Column("UMIs lost", True, "Share of counts on genes not kept"),
    )
    return Grid("Registered cohorts", columns, tuple(rows), ("cohorts",), fold=40)


def ledger_grid(release: Release) -> Grid | None:
    """Fates of submitted genes per cohort."""
    ledger = release["gene_ledger"]
    if ledger.empty:
        return None
    fates = [
        name
        for name in ("kept", "renamed", "merged", "ambiguous", "lost")
        if (ledger["fate"] == name).any()
    ]
    fates += sorted(set(as_text(ledger["fate"])) - set(fates))
    rows = []
    for cohort, own in ledger.groupby("cohort_id", sort=True):
        numbers = own["fate"].value_counts()
        rows.append(
            (
                text_cell(cohort),
                number_cell(len(own)),
                *[number_cell(int(numbers.get(fate, 0))) for fate in fates],
            )
        )
    columns = (
        Column("Cohort"),
        Column("Submitted genes", True),
        *[Column(fate.capitalize(), True) for fate in fates],
    )
    return Grid("What became of the submitted genes", columns, tuple(rows), ("gene_ledger",), 40)


def qc_grid(release: Release) -> Grid:
    """Medians, thresholds and exclusions of each sample."""
    samples = release["qc"]
    rows = []
    order = sorted(samples.index, key=lambda i: natural_key(samples.at[i, "sample_id"]))
    for row in samples.loc[order].itertuples():
        kept = row.n_cells / row.n_cells_submitted if row.n_cells_submitted else None
        rows.append(
            (
                text_cell(row.sample_id),
                number_cell(row.n_cells_submitted),
                number_cell(row.n_cells),
                number_cell(kept, percent(kept, 0), bar=True),
                number_cell(row.median_total_counts),
                number_cell(row.median_genes_detected),
                number_cell(
                    row.median_share_mitochondrial, percent(row.median_share_mitochondrial)
                ),
                _range(row.min_total_counts, row.max_total_counts),
                number_cell(row.min_genes_detected, f"≥ {count(row.min_genes_detected)}"),
                number_cell(
                    row.max_share_mitochondrial, f"≤ {percent(row.max_share_mitochondrial)}"
                ),
                number_cell(row.max_doublet_score, f"≤ {decimal(row.max_doublet_score)}"),
                number_cell(row.n_low_counts),
                number_cell(row.n_high_counts),
                number_cell(row.n_low_genes),
                number_cell(row.n_high_mitochondrial),
                number_cell(row.n_doublets),
            )
        )
    columns = (
        Column("Sample", help="A cell may fall under several limits"),
        Column("Cells", True, "Submitted"),
        Column("Kept", True, "Passed QC"),
        Column("Kept (%)", True),
        Column("Median UMI", True),
        Column("Median genes", True),
        Column("Median mito", True, "Mitochondrial share"),
        Column("UMI limits", True),
        Column("Genes limit", True),
        Column("Mito limit", True),
        Column("Doublet limit", True),
        Column("Low UMI", True),
        Column("High UMI", True),
        Column("Low genes", True),
        Column("High mito", True),
        Column("Doublets", True),
    )
    return Grid("QC of each sample", columns, tuple(rows), ("qc",), fold=8)


def _range(low: object, high: object) -> Cell:
    if as_number(low) is None and as_number(high) is None:
        return Cell("–", tone="muted")
    return number_cell(low, f"{count(low)}–{count(high)}")


def cluster_grid(release: Release) -> Grid | None:
    """Labels of clusters with their evidence, abstentions included."""
    clusters = release["clusters"]
    if clusters.empty:
        return None
    symbols = _top_symbols(release["markers"])
    rows = []
    order = sorted(clusters.index, key=lambda i: natural_key(clusters.at[i, "cluster"]))
    for row in clusters.loc[order].itertuples():
        abstained = row.label_method == "abstained"
        rows.append(
            (
                text_cell(row.cluster),
                Cell("no label", tone="warn")
                if abstained
                else text_cell(row.cell_type, note=known(row.cell_type_ontology_term_id)),
                number_cell(row.cell_type_confidence, decimal(row.cell_type_confidence), bar=True),
                text_cell(row.label_evidence, note=str(row.label_method).replace("_", " ")),
                text_cell(symbols.get(str(row.cluster), ""), tone="gene"),
                number_cell(row.n_cells),
                number_cell(row.n_donors),
                number_cell(row.batch_entropy, decimal(row.batch_entropy), bar=True),
            )
        )
    columns = (
        Column("Cluster"),
        Column("Label", help="With its Cell Ontology term below"),
        Column("Confidence", True, _prose("clusters", "cell_type_confidence")),
        Column("Evidence", help="With the method below"),
        Column("Top markers"),
        Column("Cells", True),
        Column("Donors", True),
        Column("Batch entropy", True, _prose("clusters", "batch_entropy")),
    )
    return Grid("Clusters and their labels", columns, tuple(rows), ("clusters", "markers"), 40)


def _top_symbols(markers: pd.DataFrame) -> dict[str, str]:
    first = markers[markers["rank"] <= 4].sort_values(["cluster", "rank"])
    return {
        str(cluster): ", ".join(as_text(own["symbol"]))
        for cluster, own in first.groupby("cluster", sort=False)
    }


def gap_grid(release: Release) -> Grid | None:
    """Missing values and why they matter."""
    gaps = release["gaps"]
    if gaps.empty:
        return None
    rows = tuple(
        (
            text_cell(row.cohort_id),
            text_cell(row.table),
            text_cell(plain_name(str(row.column))),
            number_cell(row.n_missing),
            number_cell(row.n_rows),
            number_cell(
                row.n_missing / row.n_rows if row.n_rows else None,
                percent(row.n_missing / row.n_rows if row.n_rows else None, 0),
                bar=True,
            ),
            text_cell(row.why_it_matters),
        )
        for row in gaps.itertuples()
    )
    columns = (
        Column("Cohort"),
        Column("Table"),
        Column("Column"),
        Column("Missing", True),
        Column("Rows", True),
        Column("Missing (%)", True),
        Column("Why it matters"),
    )
    return Grid("Gaps", columns, rows, ("gaps",), fold=12)


def _prose(name: str, column: str) -> str:
    return table(name).field(column).prose
