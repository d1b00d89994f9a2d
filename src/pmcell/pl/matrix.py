"""A matrix of numbers as tiles, for associations, drivers and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.pl.style import (
    INK,
    MUTED,
    diverging,
    new_figure,
    panel,
    sequential,
    shorten,
    styled,
    text_width,
    widest,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@styled
def matrix(
    values: pd.DataFrame,
    *,
    marks: pd.DataFrame | None = None,
    signed: bool = False,
    high: float = 1.0,
    key: str = "",
    title: str = "",
    cell: tuple[float, float] = (68, 22),
    number: str = "{:.2f}",
) -> Figure:
    """Rows × columns as coloured tiles with their numbers; `marks` are texts set after the number.

    NaN is drawn as an empty tile. `signed` takes a diverging scale from
    `-high` to `high`, else light to dark from 0 to `high`.
    """
    import numpy as np

    rows = [shorten(str(name), 56) for name in values.index]
    columns = [shorten(str(name), 30) for name in values.columns]
    need = widest(columns, 10) + 8
    cell = (max(cell[0], need if need <= 112 else 0), cell[1])
    upright = need <= cell[0]
    left = widest(rows, 10.5) + 14
    head = (24.0 if upright else widest(columns, 10) * 0.72 + 20) + (20 if title else 0)
    wide, tall = cell[0] * len(columns), cell[1] * len(rows)
    margin = 26.0 if upright else max(26.0, widest(columns[-1:], 10) * 0.7)
    key_width = min(150.0, max(wide, 90)) + 16 + text_width(key, 9.5) if key else 0.0
    figure = new_figure(left + max(wide + margin, key_width), head + tall + (40 if key else 6))
    axes = panel(figure, left, head, max(wide, 1), max(tall, 1))
    if title:
        height = float(figure.get_size_inches()[1]) * 72
        figure.text(0.004, 1 - 12 / height, title, fontsize=11, fontweight="bold", color=INK)
    data = values.to_numpy(dtype=np.float64)
    scale = diverging() if signed else sequential()
    low = -high if signed else 0.0
    mesh = axes.pcolormesh(
        np.arange(len(columns) + 1) - 0.5,
        np.arange(len(rows) + 1) - 0.5,
        np.ma.masked_invalid(data),
        cmap=scale,
        vmin=low,
        vmax=high,
        edgecolors="white",
        linewidth=2,
    )
    for row in range(len(rows)):
        for column in range(len(columns)):
            value = data[row, column]
            if np.isnan(value):
                axes.text(column, row, "–", ha="center", va="center_baseline", color=MUTED)
                continue
            mark = "" if marks is None else str(marks.iloc[row, column])
            depth = abs(value) / high if high else 0.0
            axes.text(
                column,
                row,
                _number(value, number) + mark,
                ha="center",
                va="center_baseline",
                fontsize=9.5,
                color="white" if depth > (0.75 if signed else 0.6) else INK,
            )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows, fontsize=10.5, color=INK)
    axes.xaxis.tick_top()
    if upright:
        axes.set_xticks(range(len(columns)), columns, fontsize=10, color=MUTED)
    else:
        axes.set_xticks(
            range(len(columns)), columns, fontsize=10, color=MUTED,
            rotation=40, ha="left", rotation_mode="anchor",
        )  # fmt: skip
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if key:
        place = panel(figure, left, head + tall + 10, min(150.0, max(wide, 90)), 8)
        bar = figure.colorbar(mesh, cax=place, orientation="horizontal")
        bar.outline.set_visible(False)  # type: ignore[operator]
        place.set_xticks([low, high], [f"{low:g}", f"{high:g}"])
        place.tick_params(length=0, labelsize=9)
        place.text(
            1.08, 0.5, key, transform=place.transAxes, fontsize=9.5, color=MUTED, va="center"
        )
    return figure


def _number(value: float, form: str) -> str:
    """The number as `form` says, without a minus before zero."""
    text = form.format(value)
    return form.format(0.0) if text.startswith("-") and not text.strip("-0.") else text
