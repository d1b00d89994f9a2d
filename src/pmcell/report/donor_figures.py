"""Figures of donors: the map, the test for strata, their stability, associations and drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.pl.style import in_order, natural_key
from pmcell.report import strata as verdicts
from pmcell.report.colours import donor_colours
from pmcell.report.parts import Figure, Picture, p_text, picture, plain_name
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

MAX_SHIFTS = 6
"""Cell types drawn for a stratum."""


def donor_figure(release: Release) -> Figure | None:
    """The donor map by stratum or condition, and beside it by cohort where there are several."""
    rows = release["assignments"]
    visits = release["visits"][["donor_id", "visit", "cohort_id", "condition", "visit_day"]]
    rows = rows[rows["axis_1"].notna()].merge(visits, on=["donor_id", "visit"], how="left")
    if rows.empty:
        return None
    colours = donor_colours(release)
    shares = verdicts.explained(release)
    pictures: list[Picture] = []
    panels = [("condition", "By condition")]
    if rows["cohort_id"].nunique() > 1:
        panels.append(("cohort_id", "By cohort"))
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
            size=420 if len(panels) < 3 else 278,
        )
        pictures.append(
            picture(drawn, name=f"donors-{column}", title=f"Donor map {title.lower()}", least=270)
        )
    stability = (
        " In the first panel the fill fades as fewer resampled runs agree with the stratum "
        "(full: all, empty: half or less)."
        if verdicts.is_published(release)
        else " No strata are published, so none are drawn."
    )
    has_cohorts = "cohort_id" in dict(panels)
    technical = " Colours by cohort show what may be technical." if has_cohorts else ""
    return Figure(
        "donors",
        "Donor map",
        f"Each dot is a donor at a visit (n = {plural(len(rows), 'visit')} of "
        f"{plural(rows['donor_id'].nunique(), 'donor')}); near means alike in cells, and lines "
        f"join the visits of a donor.{stability}{technical} Axes: principal coordinates of "
        "the donor distances, with their share of the variation.",
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
        f"The observed statistic (line) against {len(null):,} draws of the null model "
        f"(bars; unit: draws); p = {p_text(p)}."
    )
    n_views = verdicts.existence(release).n_views or 1
    if n_views > 1:
        text += (
            f" It is {n_views} times the share of draws that are as extreme, since the clearest of "
            f"{n_views} combinations of feature sets was chosen."
        )
    measures = verdicts.candidates(release)
    if measures.shape[1] > 1 and len(measures):
        drawn = pl.selection(
            measures, chosen=verdicts.chosen_k(release), reference="without strata"
        )
        pictures.append(picture(drawn, name="selection", title="Number of strata", least=320))
        text += (
            " Beside it, each number of strata: the silhouette of the data and the mean of the "
            "draws (dashed), and the share of donor pairs that resampled runs neither keep "
            "together "
            "nor keep apart; the ring marks the number that was chosen."
        ) + verdicts.enough(release)
    return Figure("existence", "Test for strata", text, ("strata.json",), tuple(pictures))


def stability_figure(release: Release) -> Figure | None:
    """How often resampled runs put two donors together."""
    if release.consensus is None or not verdicts.is_published(release):
        return None
    rows = release.consensus.rows
    found = release["assignments"].set_index(["donor_id", "visit"])["stratum"]
    names = [found.get(key) for key in zip(rows["donor_id"], rows["visit"], strict=True)]
    groups = [name if isinstance(name, str) else "not assigned" for name in names]
    drawn = pl.consensus(
        release.consensus.values, groups, colours=donor_colours(release)["stratum"]
    )
    return Figure(
        "stability",
        "Stability of the strata",
        f"Share of the resampled runs with both donors in which the two fell into one stratum "
        f"(n = {len(groups):,} donors, each at one visit). Each run takes a part of the donors and "
        "draws "
        "their cells again. Sharp blocks: stable strata.",
        ("consensus", "assignments"),
        (picture(drawn, name="stability", title="Consensus of resampled runs", least=320),),
    )


def association_figure(release: Release) -> Figure | None:
    """Effects of technical and clinical covariates on strata and axes."""
    rows = release["associations"]
    rows = rows[as_text(rows["family"]) != "design"]
    if rows.empty:
        return None
    marks = rows.assign(mark=["*" if q <= 0.05 else "" for q in rows["q_value"].fillna(1.0)])
    pictures: list[Picture] = []
    for family in sorted(as_text(rows["family"]).unique(), reverse=True):
        own = marks[as_text(marks["family"]) == family].assign(
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
        "Effect sizes from 0 to 1 with their names in the table below; * q ≤ 0.05 within the "
        "family. "
        f"The unit is the donor (n up to {int(rows['n_donors'].max()):,}). A large technical "
        "effect "
        "means that strata and batch cannot be told apart.",
        ("associations",),
        tuple(pictures),
    )


def survival_figure(release: Release) -> Figure | None:
    """Curves of the time to the declared event, a stratum each."""
    curves = release["survival"]
    if curves.empty:
        return None
    parameters = release.verdict.parameters if release.verdict else None
    options = ((parameters.strata if parameters else None) or {}).get("survival") or {}
    time, event = str(options.get("time", "time")), str(options.get("event", "the event"))
    drawn = pl.survival(curves, colours=donor_colours(release).get("stratum"), time=time)
    n = int(curves.groupby("stratum")["n_at_risk"].max().sum())
    return Figure(
        "survival",
        f"Time to {event} by stratum",
        f"Kaplan-Meier estimate with 95 % log-log intervals (up to {n:,} donors at risk, "
        f"{int(curves['n_events'].sum()):,} events; unit: donors). Donors still observed without "
        "the event count until then. Tests and hazard ratios: table of clinical outcomes.",
        ("survival", "outcomes"),
        (picture(drawn, name="survival", title=f"Time to {event}", least=320),),
    )


def shift_figure(release: Release) -> Figure | None:
    """The cell types that each stratum or condition has more or less of, with intervals."""
    rows = release["composition_shifts"]
    if rows.empty:
        return None
    # Of two strata, what one has more of the other has less of.
    is_stratum = rows["contrast"] == "stratum"
    names = in_order(rows.loc[is_stratum, "level"])
    if len(names) == 2:
        rows = rows[~is_stratum | (rows["level"] == names[0])]
    # The longer the way from 0 in widths of the interval, the surer.
    sure = (rows["log2_ratio"] / (rows["ratio_high"] - rows["ratio_low"])).abs()
    shown = rows.assign(sure=sure.fillna(0.0)).sort_values(
        ["contrast", "level", "sure"], ascending=[False, True, False], key=_natural, kind="stable"
    )
    shown = shown.groupby(["contrast", "level"], observed=True).head(MAX_SHIFTS)
    groups = [
        f"{row.level} ({row.n_donors} donors against {row.n_donors_others}"
        f"{f', {row.n_donors_paired} paired' if row.n_donors_paired else ''})"
        for row in shown.itertuples()
    ]
    table = shown.rename(
        columns={
            "cell_type": "name",
            "log2_ratio": "effect",
            "ratio_low": "low",
            "ratio_high": "high",
        }
    ).assign(group=groups, inference="descriptive")
    drawn = pl.effects(table, label="log2 ratio to the other donors, 95 % interval")
    how = "within batches" if rows["within_batch"].all() else "not all within batches"
    strata = "The strata were sought in the same donors, so their intervals describe, not test. "
    return Figure(
        "shifts",
        "Cell types that a group has more or less of",
        f"Share of a type in the donors of a group over its share in the others, the median type "
        f"taken as unchanged; 1 is twice as much, -1 half (unit: donors, compared {how}, those in "
        f"both groups with themselves). The up to {MAX_SHIFTS} surest of "
        f"{rows['cell_type'].nunique()} types of each group. "
        f"{strata if (rows['contrast'] == 'stratum').any() else ''}",
        ("composition_shifts",),
        (
            picture(
                drawn, name="shifts", title="Differences of cell types between groups", least=320
            ),
        ),
    )


def _natural(column: pd.Series) -> pd.Series:
    return column.map(natural_key) if column.name in ("stratum", "level") else column


def _pools(release: Release, means: pd.DataFrame) -> str:
    """Which types the pools among the drivers are made of."""
    cell_types = release.verdict.cell_types if release.verdict else None
    pools = (cell_types.pools_of_rare_types if cell_types else None) or {}
    named = [name for name in pools if name in set(as_text(means["cell_type"]))]
    if not named:
        return ""
    made_of = "; ".join(f"{name}: {', '.join(pools[name])}" for name in named)
    return f" Types too rare to be compared alone are grouped: {made_of}."


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
    means["what"] = as_text(means["channel"]) + " · " + as_text(means["cell_type"])
    wide = means.pivot(index="what", columns="stratum", values="mean")
    wide = wide[in_order(wide.columns)]
    strongest = wide.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:12]
    wide = wide.loc[strongest]
    high = float(wide.abs().to_numpy().max()) or 1.0
    drawn = pl.matrix(
        wide, signed=True, high=float(f"{high:.1g}"), key="mean contribution", number="{:.3f}"
    )
    return Figure(
        "drivers",
        "What separates the strata",
        "Mean over the stratum's visits of each contribution to the distance between the nearest "
        "other "
        f"and the own stratum (n = {len(strata):,} visits); contributions of a visit add up to the "
        "whole. "
        f"The {len(wide)} strongest of {means['what'].nunique()} are shown; positive: speaks for "
        f"the stratum.{_pools(release, means)}",
        ("drivers", "assignments"),
        (picture(drawn, name="drivers", title="Drivers of strata", least=320),),
    )
