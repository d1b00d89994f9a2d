"""The map of donors, the test for strata, and how stable strata are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.pl.style import (
    ACCENT,
    GRID,
    MUTED,
    WARN,
    in_order,
    legend_height,
    legend_row,
    natural_key,
    new_figure,
    palette,
    panel,
    sequential,
    styled,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAST_LABEL = 20
"""Pixels beside an axis: half of the label of a tick at its end, such as -0.75."""


@styled
def donor_map(
    donors: pd.DataFrame,
    *,
    color: str,
    colours: dict[str, str] | None = None,
    explained: Sequence[float | None] = (),
    title: str = "",
    size: float = 420,
) -> Figure:
    """Donors and visits on the first two principal coordinates; a line joins a donor's visits.

    `donors` has `donor_id`, `visit`, `axis_1`, `axis_2`, the column `color`
    and, if known, `probability` (0 to 1): the fill fades with it and the ring
    stays. `visit_day`, if present, orders the visits. `explained` gives the
    share of the variation on each axis.
    """
    for name in ("donor_id", "axis_1", "axis_2", color):
        if name not in donors.columns:
            raise UsageError(
                f"donor_map needs a column {name!r}; found {sorted(map(str, donors.columns))}."
            )
    placed = donors.dropna(subset=["axis_1", "axis_2"])
    values = as_text(placed[color], missing="not assigned")
    names = in_order(values)
    colours = {**palette(names), **(colours or {})}
    shown = {name: colours[name] for name in names}
    head = 24 if title else 6
    square = size - 48 - LAST_LABEL
    foot = 40 + legend_height(list(shown), size - 50)
    figure = new_figure(size, head + square + foot)
    axes = panel(figure, 48, head, square, square, title=title)
    _join_visits(axes, placed)
    alphas = _alphas(placed)
    fill = [_fade(colours[value], alpha) for value, alpha in zip(values, alphas, strict=True)]
    axes.scatter(
        placed["axis_1"],
        placed["axis_2"],
        s=46,
        facecolors=fill,
        edgecolors=[colours[value] for value in values],
        linewidths=1.3,
        zorder=3,
    )
    axes.axhline(0, color=GRID, lw=0.8, zorder=0)
    axes.axvline(0, color=GRID, lw=0.8, zorder=0)
    axes.margins(0.08)
    axes.set_xlabel(_axis_name(1, explained))
    axes.set_ylabel(_axis_name(2, explained))
    legend_row(figure, shown, 44, head + square + 38, size - 50)
    return figure


def _join_visits(axes: Axes, placed: pd.DataFrame) -> None:
    for _, own in placed.groupby(as_text(placed["donor_id"]), sort=True):
        if len(own) > 1:
            order = (
                own["visit_day"].rank(method="first")
                if "visit_day" in own.columns and own["visit_day"].notna().all()
                else own["visit"].map(natural_key)
            )
            own = own.loc[order.sort_values(kind="stable").index]
            axes.plot(own["axis_1"], own["axis_2"], color="#9aa4af", lw=0.9, zorder=2)


def _alphas(placed: pd.DataFrame) -> list[float]:
    if "probability" not in placed.columns:
        return [0.75] * len(placed)
    if placed["probability"].isna().all():
        return [0.75] * len(placed)
    known = placed["probability"].fillna(0.0).clip(0, 1)
    return [0.05 + 0.85 * max(0.0, (float(p) - 0.5) / 0.5) for p in known]


def _fade(colour: str, alpha: float) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - alpha + alpha * part for part in to_rgb(colour))
    return (red, green, blue, 1.0)


def _axis_name(number: int, explained: Sequence[float | None]) -> str:
    share = explained[number - 1] if len(explained) >= number else None
    known = "" if share is None else f" ({100 * share:.0f} %)"
    return f"Coordinate {number}{known}"


@styled
def existence(
    null: Sequence[float],
    observed: float,
    *,
    statistic: str = "statistic",
    width: float = 420,
    height: float = 230,
) -> Figure:
    """The observed statistic against its distribution under the null model."""
    import numpy as np

    values = np.asarray(null, dtype=np.float64)
    figure = new_figure(width, height)
    axes = panel(figure, 46, 14, width - 66, height - 58)
    low, high = min(*null, observed), max(*null, observed)
    pad = 0.06 * (high - low) or 1.0
    edges = np.linspace(low - pad, high + pad, 32)
    axes.hist(values, bins=edges.tolist(), color="#b9cbdc", lw=0)
    axes.axvline(observed, color=WARN, lw=2)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.16)
    side = "right" if observed > (low + high) / 2 else "left"
    axes.annotate(
        "observed",
        (observed, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if side == "right" else 5, -4),
        textcoords="offset points",
        ha=side,
        va="top",
        color=WARN,
        fontsize=10,
        fontweight="bold",
    )
    axes.set_xlabel(statistic)
    axes.set_ylabel("null draws")
    return figure


@styled
def consensus(
    matrix: np.ndarray,
    groups: Sequence[str],
    *,
    colours: dict[str, str] | None = None,
    size: float = 420,
) -> Figure:
    """Share of resampled runs that put two donors together; donors are ordered by group.

    `matrix` is square with values from 0 to 1 (NaN: never drawn together), in
    the order of `groups`.
    """
    import numpy as np

    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) != len(groups):
        raise UsageError(
            f"consensus needs a square matrix with one row a group label; "
            f"got shape {values.shape} and {len(groups)} labels."
        )
    order = _by_group(values, list(groups))
    colours = {**palette(in_order(groups)), **(colours or {})}
    shown = {name: colours[name] for name in in_order(groups)}
    square = size - 70
    figure = new_figure(size, 18 + square + 16 + legend_height(list(shown), size - 60))
    axes = panel(figure, 18, 14, square, square)
    axes.set_facecolor("#eeeeee")
    image = axes.imshow(
        values[np.ix_(order, order)], cmap=sequential(), vmin=0, vmax=1, interpolation="nearest"
    )
    _frame(axes)
    for place, index in enumerate(order):
        axes.plot(
            [-0.025],
            [1 - (place + 0.5) / len(order)],
            marker="s",
            ms=max(2.0, square / len(order)),
            mew=0,
            color=colours[groups[index]],
            transform=axes.transAxes,
            clip_on=False,
        )
    bar = figure.colorbar(image, cax=panel(figure, 18 + square + 10, 14, 9, square * 0.5))
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    legend_row(figure, shown, 12, 14 + square + 10, size - 60)
    return figure


def _by_group(values: np.ndarray, groups: list[str]) -> list[int]:
    import numpy as np
    from scipy.cluster.hierarchy import leaves_list, linkage

    order: list[int] = []
    for name in in_order(groups):
        own = [index for index, group in enumerate(groups) if group == name]
        if len(own) > 2:
            rows = np.nan_to_num(values[np.ix_(own, range(len(values)))], nan=0.5)
            own = [own[leaf] for leaf in leaves_list(linkage(rows, "average"))]
        order += own
    return order


@styled
def selection(
    candidates: pd.DataFrame,
    *,
    chosen: int | None = None,
    reference: str = "",
    width: float = 420,
    height: float = 210,
) -> Figure:
    """One small panel for each measure of the candidate numbers of strata.

    `candidates` has `k` and a column for each measure; `chosen` is marked. The
    column `reference` is drawn dashed in the first panel.
    """
    measures = [name for name in candidates.columns if name not in ("k", reference)]
    figure = new_figure(width, height)
    each = (width - 20) / max(len(measures), 1)
    for index, name in enumerate(measures):
        axes = panel(figure, 40 + index * each, 28, each - 48, height - 72, title=name)
        axes.plot(candidates["k"], candidates[name], color=ACCENT, lw=1.4, marker="o", ms=4, mew=0)
        if chosen is not None and (candidates["k"] == chosen).any():
            value = candidates.loc[candidates["k"] == chosen, name]
            axes.plot([chosen], value, marker="o", ms=9, mfc="none", mec=WARN, mew=1.6, ls="none")
        if index == 0 and reference in candidates.columns:
            axes.plot(candidates["k"], candidates[reference], color=MUTED, lw=1.2, ls="--")
        axes.set_xticks(candidates["k"].tolist())
        axes.set_xlabel("number of strata")
        axes.grid(axis="y", color=GRID, lw=0.7)
        axes.margins(0.12)
    return figure


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
