"""The figures of the report, each made from tables of the release and captioned with n and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.pl.style import in_order
from pmcell.report import flow as cell_flow
from pmcell.report.cell_figures import (
    composition_figure,
    marker_figure,
    qc_figure,
    umap_figure,
)
from pmcell.report.donor_figures import (
    association_figure,
    donor_figure,
    driver_figure,
    existence_figure,
    shift_figure,
    stability_figure,
    survival_figure,
)
from pmcell.report.explanation import effect_figure
from pmcell.report.parts import PHONE, Figure, picture, plain_name
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release


def all_figures(release: Release) -> dict[str, Figure]:
    """Every figure that the release has data for, by key."""
    made = (
        donor_figure(release),
        flow_figure(release),
        qc_figure(release),
        umap_figure(release),
        marker_figure(release),
        composition_figure(release),
        existence_figure(release),
        stability_figure(release),
        association_figure(release),
        survival_figure(release),
        driver_figure(release),
        shift_figure(release),
        effect_figure(release),
        gap_figure(release),
    )
    return {figure.key: figure for figure in made if figure is not None}


def flow_figure(release: Release) -> Figure:
    """Submitted → intake → QC → donor map."""
    stages = cell_flow.stages(release)
    return Figure(
        "flow",
        "Flow of cells and donors",
        "Who was submitted, who was left out at each step and why. A cell with more than one "
        "reason is counted once. A visit is one donor at one time point.",
        ("cohorts", "cells", "donors", "visits", "samples", "assignments"),
        (
            picture(
                pl.flow(stages),
                name="flow",
                title="Flow of cells and donors",
                least=720,
                narrow=pl.flow(stages, width=PHONE),
            ),
        ),
    )


def gap_figure(release: Release) -> Figure | None:
    """Share of values missing, cohort by column."""
    gaps = release["gaps"]
    gaps = gaps[gaps["n_rows"] > 0]
    if gaps.empty:
        return None
    rows = gaps.assign(
        what=as_text(gaps["table"]) + " · " + gaps["column"].map(lambda n: plain_name(str(n))),
        share=100 * gaps["n_missing"] / gaps["n_rows"],
    )
    wide = rows.pivot_table(index="what", columns="cohort_id", values="share", aggfunc="max")
    wide = wide.reindex(columns=in_order({*wide.columns, *cell_flow.accepted_cohorts(release)}))
    drawn = pl.matrix(wide.fillna(0.0), high=100, key="missing (%)", number="{:.0f}")
    return Figure(
        "gaps",
        "What the cohorts did not supply",
        "Share of a cohort's rows whose value is unknown, in %; 0: nothing is missing. Columns "
        "that "
        "every cohort supplied in full are not listed.",
        ("gaps",),
        (picture(drawn, name="gaps", title="Missing values", least=320),),
    )
