"""The figures of the report, each made from tables of the release and captioned with n and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.pl.style import in_order, natural_key
from pmcell.report import flow as cell_flow
from pmcell.report import strata as verdicts
from pmcell.report.parts import Figure, Picture, p_text, picture, plain_name, plural

if TYPE_CHECKING:
    from pmcell.report.read import Release

MOST_CELLS = 200_000
"""More cells than this are thinned (seeded) before they are drawn."""


def all_figures(release: Release) -> dict[str, Figure]:
    """Every figure that the release has data for, by key."""
    made = (
        flow_figure(release),
        qc_figure(release),
        umap_figure(release),
        marker_figure(release),
        composition_figure(release),
        donor_figure(release),
        existence_figure(release),
        stability_figure(release),
        association_figure(release),
        driver_figure(release),
        gap_figure(release),
    )
    return {figure.key: figure for figure in made if figure is not None}


def flow_figure(release: Release) -> Figure:
    """Submitted → intake → QC → donor map."""
    drawn = pl.flow(cell_flow.stages(release))
    return Figure(
        "flow",
        "Flow of cells and donors",
        "Who was submitted, who was left out at each step and why. A cell with more than one "
        "reason is counted once. A visit is one donor at one time point.",
        ("cohorts", "cells", "donors", "visits", "samples", "assignments"),
        (picture(drawn, name="flow", title="Flow of cells and donors", least=720),),
    )


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
        "threshold applied to the sample. Counts and genes on a logarithmic axis.",
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
    if n_all > MOST_CELLS:
        cells = cells.sample(MOST_CELLS, random_state=0)
    condition = release["samples"].set_index("sample_id")["condition"]
    cells = cells.assign(condition=cells["sample_id"].map(condition).astype(object))
    panels = [("cell_type", "Cell-type label", "on"), ("cluster", "Cluster", "on")]
    same = cells["batch_id"].astype(str).equals(cells["cohort_id"].astype(str))
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
        f"{plural(n_all, 'cell')} that passed QC{drawn_of}, in random drawing order. Names stand at "
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
    labels = dict(
        zip(clusters["cluster"].astype(str), clusters["cell_type"].astype(str), strict=True)
    )
    n_clusters = markers["cluster"].nunique()
    n_genes = 3 if n_clusters <= 20 else 2 if n_clusters <= 32 else 1
    drawn = pl.dotplot(markers, labels=labels, n_genes=n_genes)
    return Figure(
        "markers",
        "Top marker genes of the clusters",
        f"The first {n_genes} genes of each of {n_clusters} clusters by Welch's t. Area: share of the "
        "cluster's cells with a count; colour: log2 fold change, cluster over rest. No dot: the gene "
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
    pictures = [
        picture(
            pl.composition(
                shares,
                strip="cohort_id",
                colours=colours["cell_type"],
                strip_colours=colours["cohort_id"],
            ),
            name="composition",
            title="Cell-type composition of donors",
            least=720,
        )
    ]
    return Figure(
        "composition",
        "Cell-type composition of donors",
        f"One bar a donor and visit (n = {n:,} visits of {shares['donor_id'].nunique():,} donors), in "
        "blocks by condition; within a block by the share of the type that varies most between donors. "
        "Share of the visit's cells that passed QC, in %. The strip under the bars shows the cohort. "
        "Shares follow how cells were sampled and sorted as well as biology.",
        ("composition", "visits"),
        tuple(pictures),
    )


def donor_figure(release: Release) -> Figure | None:
    """The donor map by stratum or condition, and by cohort beside it."""
    rows = release["assignments"]
    visits = release["visits"][["donor_id", "visit", "cohort_id", "condition", "visit_day"]]
    rows = rows[rows["axis_1"].notna()].merge(visits, on=["donor_id", "visit"], how="left")
    if rows.empty:
        return None
    colours = colours_of(release)
    shares = verdicts.explained(release)
    pictures: list[Picture] = []
    panels = [("condition", "By condition"), ("cohort_id", "By cohort")]
    if verdicts.is_published(release):
        panels = [("stratum", "By stratum"), *panels]
    for column, title in panels:
        faded = rows if column == "stratum" else rows.drop(columns="probability")
        drawn = pl.donor_map(
            faded,
            color=column,
            colours=colours.get(column),
            title=title,
            explained=shares,
            size=420 if len(panels) < 3 else 284,
        )
        pictures.append(
            picture(drawn, name=f"donors-{column}", title=f"Donor map {title.lower()}", least=280)
        )
    stability = (
        " In the first panel the fill fades as fewer resampled runs agree with the stratum "
        "(full: all, empty: half or less)."
        if verdicts.is_published(release)
        else " No strata are published, so none are drawn."
    )
    return Figure(
        "donors",
        "Donor map",
        f"Principal coordinates of the donor distances; each dot is a donor at a visit "
        f"(n = {len(rows):,} visits of {rows['donor_id'].nunique():,} donors), lines join the visits "
        f"of a donor; % is the share of the variation.{stability} The panel by cohort shows what is technical.",
        ("assignments", "visits"),
        tuple(pictures),
    )


def existence_figure(release: Release) -> Figure | None:
    """Observed statistic against the null."""
    null, value = verdicts.null_values(release), verdicts.observed(release)
    if len(null) < 2 or value is None:
        return None
    p = verdicts.test_p(release)
    drawn = pl.existence(null, value, statistic=verdicts.STATISTIC)
    pictures = [picture(drawn, name="existence", title="Existence test", least=320)]
    text = (
        f"The observed statistic (line) against {len(null):,} draws of the model without strata "
        f"(bars; unit: draws); p = {p_text(p)}."
    )
    measures = verdicts.candidates(release)
    if measures.shape[1] > 1 and len(measures):
        drawn = pl.selection(
            measures, chosen=verdicts.chosen_k(release), reference="without strata"
        )
        pictures.append(picture(drawn, name="selection", title="Number of strata", least=320))
        text += (
            " Beside it, each number of strata k: the silhouette of the data and the mean of the draws "
            "(dashed), and the share of donor pairs that resampled runs neither keep together nor keep "
            "apart; the ring marks the k with the largest statistic."
        )
    return Figure("existence", "Test for strata", text, ("strata.json",), tuple(pictures))


def stability_figure(release: Release) -> Figure | None:
    """How often resampled runs put two donors together."""
    if release.consensus is None or not verdicts.is_published(release):
        return None
    rows = release.consensus.rows
    found = release["assignments"].set_index(["donor_id", "visit"])["stratum"]
    names = [found.get(key) for key in zip(rows["donor_id"], rows["visit"], strict=True)]
    groups = [name if isinstance(name, str) else "not assigned" for name in names]
    drawn = pl.consensus(release.consensus.values, groups, colours=colours_of(release)["stratum"])
    return Figure(
        "stability",
        "Stability of the strata",
        f"Share of the resampled runs with both donors in which the two fell into one stratum "
        f"(n = {len(groups):,} donors, each at one visit). Each run takes a part of the donors and draws "
        "their cells again. Sharp blocks: stable strata.",
        ("donors.h5ad", "assignments"),
        (picture(drawn, name="stability", title="Consensus of resampled runs", least=320),),
    )


def association_figure(release: Release) -> Figure | None:
    """Effects of technical and clinical covariates on strata and axes."""
    rows = release["associations"]
    if rows.empty:
        return None
    marks = rows.assign(mark=["*" if q <= 0.05 else "" for q in rows["q_value"].fillna(1.0)])
    pictures = []
    for family in sorted(rows["family"].astype(str).unique(), reverse=True):
        own = marks[marks["family"].astype(str) == family].assign(
            covariate=lambda frame: frame["covariate"].map(lambda name: plain_name(str(name))),
            outcome=lambda frame: frame["outcome"].map(lambda name: plain_name(str(name))),
        )
        own = own.drop_duplicates(["covariate", "outcome"])
        wide = own.pivot(index="covariate", columns="outcome", values="effect")
        wide = wide[sorted(wide.columns, key=natural_key)]
        starred = own.pivot(index="covariate", columns="outcome", values="mark").reindex(
            columns=wide.columns
        )
        drawn = pl.matrix(wide, marks=starred.fillna(""), key="effect size", title=family)
        pictures.append(
            picture(drawn, name=f"assoc{len(pictures)}", title=f"{family} associations", least=320)
        )
    return Figure(
        "associations",
        "Associations of strata and axes with covariates",
        f"Effect sizes from 0 to 1 with their names in the table below; * q ≤ 0.05 within the family. "
        f"The unit is the donor (n up to {int(rows['n_donors'].max()):,}). A large technical effect "
        "means that strata and batch cannot be told apart.",
        ("associations",),
        tuple(pictures),
    )


def driver_figure(release: Release) -> Figure | None:
    """Mean contribution of each channel and cell type, per stratum."""
    drivers = release["drivers"]
    strata = release["assignments"][["donor_id", "visit", "stratum"]].dropna(subset=["stratum"])
    rows = drivers.merge(strata, on=["donor_id", "visit"], how="inner")
    if rows.empty:
        return None
    visits = rows.drop_duplicates(["donor_id", "visit"]).groupby("stratum").size()
    total = rows.groupby(["stratum", "channel", "cell_type"])["contribution"].sum()
    means = (total / visits).rename("mean").reset_index()
    means["what"] = means["channel"].astype(str) + " · " + means["cell_type"].astype(str)
    wide = means.pivot(index="what", columns="stratum", values="mean")
    wide = wide[in_order(wide.columns)]
    strongest = wide.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:16]
    wide = wide.loc[strongest]
    high = float(wide.abs().to_numpy().max()) or 1.0
    drawn = pl.matrix(wide, signed=True, high=round(high, 2) or high, key="mean contribution")
    return Figure(
        "drivers",
        "What separates the strata",
        f"Mean over the stratum's visits of each contribution to the distance between the nearest other "
        f"and the own stratum (n = {len(strata):,} visits); contributions of a visit add up to the whole. "
        f"The {len(wide)} strongest of {means['what'].nunique()} are shown; positive: speaks for the stratum.",
        ("drivers", "assignments"),
        (picture(drawn, name="drivers", title="Drivers of strata", least=320),),
    )


def gap_figure(release: Release) -> Figure | None:
    """Share of values missing, cohort by column."""
    gaps = release["gaps"]
    gaps = gaps[gaps["n_rows"] > 0]
    if gaps.empty:
        return None
    rows = gaps.assign(
        what=gaps["table"].astype(str) + " · " + gaps["column"].map(lambda n: plain_name(str(n))),
        share=100 * gaps["n_missing"] / gaps["n_rows"],
    )
    wide = rows.pivot_table(index="what", columns="cohort_id", values="share", aggfunc="max")
    wide = wide.reindex(columns=in_order({*wide.columns, *cell_flow.accepted_cohorts(release)}))
    drawn = pl.matrix(wide.fillna(0.0), high=100, key="missing (%)", number="{:.0f}")
    return Figure(
        "gaps",
        "What the cohorts did not supply",
        "Share of a cohort's rows whose value is unknown, in %; 0: nothing is missing. Columns that "
        "every cohort supplied in full are not listed.",
        ("gaps",),
        (picture(drawn, name="gaps", title="Missing values", least=320),),
    )


def colours_of(release: Release) -> dict[str, dict[str, str]]:
    """One colour a name throughout the report."""
    cells, visits = release["cells"], release["visits"]
    types = [str(name) for name in cells["cell_type"].dropna().unique()]
    conditions = [*visits["condition"].dropna(), *release["samples"]["condition"].dropna()]
    types += [str(name) for name in release["composition"]["cell_type"].unique()]
    return {
        "cell_type": pl.palette(in_order(types)),
        "cohort_id": pl.palette(in_order(cell_flow.accepted_cohorts(release))),
        "condition": pl.palette(in_order(["unknown", *conditions])),
        "stratum": pl.palette(in_order(release["strata"]["stratum"])),
    }
