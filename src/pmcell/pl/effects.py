"""Effects with their intervals, one line each, under a heading for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.pl.style import (
    ACCENT,
    GRID,
    INK,
    MUTED,
    WARN,
    legend_row,
    new_figure,
    panel,
    shorten,
    styled,
    widest,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLOURS = {"confirmed": ACCENT, "not confirmed": WARN, "descriptive": MUTED}
ROW, HEADING = 15.0, 22.0


@styled
def effects(
    rows: pd.DataFrame, *, label: str = "effect", title: str = "", width: float = 560
) -> Figure:
    """Points with intervals for each row, in the order given; a line at 0.

    `rows` has `group`, `name`, `effect`, `low`, `high` and `inference`, which
    gives the colour: confirmed, not confirmed or descriptive.
    """
    for name in ("group", "name", "effect", "low", "high", "inference"):
        if name not in rows.columns:
            raise UsageError(
                f"effects needs a column {name!r}; found {sorted(map(str, rows.columns))}."
            )
    groups = list(dict.fromkeys(as_text(rows["group"])))
    height = len(rows) * ROW + len(groups) * HEADING
    head = 26.0 if title else 8.0
    left = max(70.0, min(widest(as_text(rows["name"]), 10) + 18, 290.0))
    figure = new_figure(width, head + height + 62)
    axes = panel(figure, left, head, width - left - 14, height, title=title)
    y = 0.0
    for group in groups:
        y += HEADING
        axes.annotate(
            shorten(group, 60),
            (0, y - 7),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=INK,
            fontsize=10,
            fontweight="bold",
            va="bottom",
        )
        axes.axhline(y - HEADING + 2, color=GRID, lw=0.8)
        for row in rows[as_text(rows["group"]) == group].itertuples():
            colour = COLOURS.get(str(row.inference), MUTED)
            axes.plot([row.low, row.high], [y + ROW / 2] * 2, color=colour, lw=1.6)
            axes.plot([row.effect], [y + ROW / 2], marker="o", ms=5, mew=0, color=colour)
            axes.annotate(
                shorten(str(row.name), 44),
                (0, y + ROW / 2),
                xycoords=("axes fraction", "data"),
                xytext=(-6, 0),
                textcoords="offset points",
                ha="right",
                va="center_baseline",
                fontsize=10,
                color=INK,
            )
            y += ROW
    axes.axvline(0, color=MUTED, lw=0.9, zorder=0)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.grid(axis="x", color=GRID, lw=0.7)
    axes.set_xlabel(label)
    shown = [name for name in COLOURS if (as_text(rows["inference"]) == name).any()]
    legend_row(figure, {name: COLOURS[name] for name in shown}, left, head + height + 40, width)
    return figure
