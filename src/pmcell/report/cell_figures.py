"""Figures of cells: QC, UMAP, markers, composition."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.report import flow as cell_flow
from pmcell.report.colours import colours_of
from pmcell.report.parts import PHONE, Figure, picture
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

MAX_CELLS = 100_000
"""More cells than this are thinned (seeded) before they are drawn."""


def qc_figure(release: Release) -> Figure:
    """One panel per cohort, a row per sample."""
    from pmcell.pl.qc import qc_limits

    cells, samples = release["cells"], release["qc"]
    limits = qc_limits(cells)
    pictures = []
    for number, cohort in enumerate(cell_flow.accepted_cohorts(release)):
        own = samples[samples["cohort_id"] == cohort]
        if own.empty:
            continue
        drawn = pl.qc(cells[cells["cohort_id"] == cohort], own, limits=limits, title=str(cohort))
        pictures.append(
            picture(drawn, name=f"qc{number}", title=f"QC of the samples of {cohort}", least=720)
        )
    return Figure(
        "qc",
        "QC of each sample",
        f"{plural(len(samples), 'sample')}, {plural(len(cells), 'cell')} before exclusion. "
        "Dot: median; thick bar: middle half; thin line: 2nd to 98th percentile; orange: "
        "threshold applied to the sample. Counts and genes on a logarithmic axis; thresholds "
        "beyond an axis are not drawn.",
        ("cells", "qc"),
        tuple(pictures),
    )


def umap_figure(release: Release) -> Figure | None:
    """The cells by label, cluster, batch and condition."""
    cells = release["cells"]
    cells = cells[cells["umap_1"].notna()]
    if cells.empty:
        return None
    n_all = len(cells)
    if n_all > MAX_CELLS:
        cells = cells.sample(MAX_CELLS, random_state=0)
    condition = release["samples"].set_index("sample_id")["condition"]
    cells = cells.assign(condition=cells["sample_id"].map(condition).astype(object))
    panels = [("cell_type", "Cell-type label", "on"), ("cluster", "Cluster", "on")]
    same = as_text(cells["batch_id"]).equals(as_text(cells["cohort_id"]))
    one_to_one = cells.groupby("cohort_id")["batch_id"].nunique().max() == 1
    if not (same or one_to_one):
        panels.append(("batch_id", "Batch", "legend"))
    panels += [("cohort_id", "Cohort", "legend"), ("condition", "Condition", "legend")]
    colours = colours_of(release)
    pictures = []
    for column, title, labels in panels:
        if labels == "legend" and cells[column].nunique() > 24:
            continue
        drawn = pl.umap(
            cells, color=column, labels=labels, title=title, colours=colours.get(column)
        )
        pictures.append(
            picture(drawn, name=f"umap-{column}", title=f"UMAP by {title.lower()}", least=300)
        )
    drawn_of = "" if len(cells) == n_all else f", {len(cells):,} of them drawn at random"
    return Figure(
        "umap",
        "UMAP of the cells",
        f"{plural(n_all, 'cell')} that passed QC{drawn_of}, in random drawing order. Names stand "
        "at "
        "the median of their cells. Distances on a UMAP have no unit and no direct meaning.",
        ("cells", "samples"),
        tuple(pictures),
    )


def marker_figure(release: Release) -> Figure | None:
    """Top markers per cluster as dots."""
    markers = release["markers"]
    if markers.empty:
        return None
    clusters = release["clusters"]
    labels = dict(zip(as_text(clusters["cluster"]), as_text(clusters["cell_type"]), strict=True))
    n_clusters = markers["cluster"].nunique()
    n_genes = 3 if n_clusters <= 14 else 2 if n_clusters <= 24 else 1
    drawn = pl.dotplot(markers, labels=labels, n_genes=n_genes)
    return Figure(
        "markers",
        "Top marker genes of the clusters",
        f"The first {n_genes} genes of each of {n_clusters} clusters by Welch's t. Area: share of "
        "the "
        "cluster's cells with a count; colour: log2 fold change, cluster over rest. No dot: the "
        "gene "
        "is not among the markers recorded for the cluster. Cells are not replicates; the ranking "
        "describes clusters and tests nothing about donors.",
        ("markers", "clusters"),
        (picture(drawn, name="markers", title="Marker genes of clusters", least=760),),
    )


def composition_figure(release: Release) -> Figure | None:
    """Stacked shares of cell types per donor and visit."""
    shares = release["composition"]
    if shares.empty:
        return None
    visits = release["visits"][["donor_id", "visit", "cohort_id", "condition"]]
    shares = shares.merge(visits, on=["donor_id", "visit"], how="inner")
    colours = colours_of(release)
    n = len(shares.drop_duplicates(["donor_id", "visit"]))
    draw = partial(
        pl.composition,
        shares,
        strip="cohort_id",
        colours=colours["cell_type"],
        strip_colours=colours["cohort_id"],
    )
    pictures = [
        picture(
            draw(),
            name="composition",
            title="Cell-type composition of donors",
            least=720,
            narrow=draw(width=PHONE),
        )
    ]
    return Figure(
        "composition",
        "Cell-type composition of donors",
        f"One bar a donor and visit (n = {n:,} visits of {shares['donor_id'].nunique():,} donors), "
        "in "
        "blocks by condition; within a block by the share of the type that varies most between "
        "donors. "
        "Share of the visit's cells that passed QC, in %. The strip under the bars shows the "
        "cohort. "
        "Shares follow how cells were sampled and sorted as well as biology.",
        ("composition", "visits"),
        tuple(pictures),
    )
