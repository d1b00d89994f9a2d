"""Cell-type composition of donors, one stacked bar a donor and visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.pl.style import (
    INK,
    MUTED,
    in_order,
    is_unknown,
    legend_height,
    legend_row,
    new_figure,
    palette,
    panel,
    shorten,
    styled,
    widest,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch


BAR = 0.92
"""Width of a bar, of the distance between two."""
NARROW = 560
"""Width in pixels below which names do not fit beside the bars."""


@styled
def composition(
    shares: pd.DataFrame,
    *,
    group: str = "condition",
    colours: dict[str, str] | None = None,
    strip: str | None = None,
    strip_colours: dict[str, str] | None = None,
    width: float = 860,
    height: float = 300,
) -> Figure:
    """Stacked shares of cell types, a bar per donor and visit, in blocks of `group`.

    `shares` has `donor_id`, `visit`, `cell_type`, `share` and the columns
    `group` and `strip` (a coloured strip under the bars, such as the cohort).
    Within a block, bars are ordered by the share of the type that varies most.
    The names of types stand beside the bars, below 560 pixels of width under them.
    """
    import numpy as np

    table, groups, strips = _wide(shares, group, strip)
    if colours is None:
        colours = palette(in_order(table.columns))
    types = _stack_order(table)
    is_narrow = width < NARROW
    right = 8.0 if is_narrow else widest([shorten(name, 44) for name in types], 10) + 26
    left, head, foot = 38.0, 40.0, 14.0
    tints = (strip_colours or palette(in_order(strips))) if strip else {}
    tints = {name: tints[name] for name in in_order(strips)} if strip else {}
    if strip:
        foot = 30.0 + legend_height(list(tints), width - left - right)
    below = legend_height(types, width - left - right) + 12 if is_narrow else 0.0
    figure = new_figure(width, head + height + foot + below)
    axes = panel(figure, left, head, width - left - right, height)
    order, blocks = _order(table, groups, types)
    positions = _positions(blocks)
    low = np.zeros(len(order))
    for name in types:
        high = low + table.loc[order, name].to_numpy(float)
        axes.add_patch(_bars(positions, low, high, colours[name]))
        low = high
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.8, (positions[-1] if positions else 0) + 0.8)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    _block_titles(axes, blocks, positions)
    if is_narrow:
        shown = {name: colours[name] for name in types}
        legend_row(figure, shown, left, head + height + foot + 6, width - left - right)
    else:
        _direct_labels(axes, types, table.loc[order].mean() if order else None, colours, height)
    if strip and order:
        legend_row(figure, tints, left, head + height + 26, width - left - right)
        for place, key in zip(positions, order, strict=True):
            axes.add_patch(_tile(place, tints[strips[key]]))
    return figure


def _wide(
    shares: pd.DataFrame, group: str, strip: str | None
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    keys = ["donor_id", "visit"]
    table = shares.pivot_table(
        index=keys, columns="cell_type", values="share", aggfunc="sum", observed=True
    ).fillna(0.0)
    first = shares.drop_duplicates(keys).set_index(keys)
    groups = as_text(first[group])
    return table, groups, as_text(first[strip]) if strip else groups


def _stack_order(table: pd.DataFrame) -> list[str]:
    """Most abundant at the bottom; unknown on top."""
    means = table.mean()
    return sorted(table.columns, key=lambda name: (is_unknown(str(name)), -means[name], str(name)))


def _order(
    table: pd.DataFrame, groups: pd.Series, types: list[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, int]]]:
    if table.empty:
        return [], []
    lead = max(types, key=lambda name: (float(table[name].var(ddof=0)), str(name)))
    order: list[tuple[str, str]] = []
    blocks = []
    for name in in_order(groups):
        own = table.loc[[key for key in table.index if groups[key] == name]]
        own = own.iloc[(-own[lead]).argsort(kind="stable")]
        order += list(own.index)
        blocks.append((name, len(own)))
    return order, blocks


def _positions(blocks: list[tuple[str, int]]) -> list[float]:
    positions: list[float] = []
    place = 0.0
    total = sum(size for _, size in blocks)
    gap = max(1.0, 0.02 * total)
    for _, size in blocks:
        positions += [place + index for index in range(size)]
        place += size + gap
    return positions


def _block_titles(axes: Axes, blocks: list[tuple[str, int]], positions: list[float]) -> None:
    start = 0
    pixels = axes.get_window_extent().width / max(axes.get_xlim()[1] - axes.get_xlim()[0], 1e-9)
    for index, (name, size) in enumerate(blocks):
        left, right = positions[start], positions[start + size - 1]
        room = max(4, int(((right - left + 1) * pixels) / 5.6))
        lift = 1.045 if index % 2 == 0 or room >= len(name) + 7 else 1.10
        axes.plot([left - 0.46, right + 0.46], [1.02] * 2, color=INK, lw=1, clip_on=False)
        label = f"{name} (n={size})" if room >= len(name) + 7 else shorten(name, max(room, 8))
        axes.text(left - 0.46, lift, label, fontsize=10, color=INK, clip_on=False)
        start += size


def _direct_labels(
    axes: Axes,
    types: list[str],
    means: pd.Series | None,
    colours: dict[str, str],
    height: float,
) -> None:
    """Names at the right, beside their mean place in the bars, pushed apart to be readable."""
    if means is None:
        return
    step = 14.5 / height
    places, low = [], 0.0
    for name in types:
        places.append(low + float(means[name]) / 2)
        low += float(means[name])
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + step)
    excess = places[-1] - (1 - step / 2) if places else 0.0
    if excess > 0:
        places[-1] -= excess
        for index in range(len(places) - 2, -1, -1):
            places[index] = min(places[index], places[index + 1] - step)
    for name, place in zip(types, places, strict=True):
        axes.annotate(
            shorten(name, 44),
            (1, place),
            xycoords="axes fraction",
            xytext=(18, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=10,
            color=MUTED if is_unknown(name) else INK,
        )
        axes.plot(
            [1 + 0.010],
            [place],
            marker="s",
            ms=8,
            mew=0,
            color=colours[name],
            transform=axes.transAxes,
            clip_on=False,
        )


def _bars(positions: list[float], low: np.ndarray, high: np.ndarray, colour: str) -> Patch:
    """All bars of a type as one path: a patch for each takes longer than all else in a figure."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    x = np.asarray(positions, float)
    across = np.stack([x - BAR / 2, x - BAR / 2, x + BAR / 2, x + BAR / 2], axis=1)
    corners = np.stack([across, np.stack([low, high, high, low], axis=1)], axis=2)
    path = Path.make_compound_path_from_polys(corners) if x.size else Path(np.zeros((0, 2)))
    return PathPatch(path, facecolor=colour, lw=0)


def _tile(place: float, colour: str) -> Patch:
    from matplotlib.patches import Rectangle

    return Rectangle((place - BAR / 2, -0.06), BAR, 0.035, color=colour, lw=0, clip_on=False)
