"""Kaplan-Meier curves of groups of donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.pl.style import in_order, new_figure, palette, panel, styled
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@styled
def survival(
    curves: pd.DataFrame,
    *,
    colours: dict[str, str] | None = None,
    time: str = "time",
    width: float = 560,
    height: float = 300,
) -> Figure:
    """Share of donors without the event over time, a curve and its 95 % band for each stratum.

    `curves` has the columns of schema.SURVIVAL; `time` names the axis. The last
    value is drawn to the last event of any group.
    """
    import numpy as np

    for name in ("stratum", "time", "survival", "low", "high"):
        if name not in curves.columns:
            raise UsageError(
                f"survival needs a column {name!r}; found {sorted(map(str, curves.columns))}."
            )
    names = in_order(as_text(curves["stratum"]))
    shown = {**palette(names), **(colours or {})}
    figure = new_figure(width, height)
    axes = panel(figure, 52, 14, width - 120, height - 58)
    end = float(curves["time"].max()) if len(curves) else 1.0
    for name in names:
        own = curves[as_text(curves["stratum"]) == name].sort_values("time")
        x = np.r_[0.0, own["time"].to_numpy(float), end]
        lines = {
            key: np.r_[1.0, own[key].to_numpy(float), own[key].iloc[-1]]
            for key in ("survival", "low", "high")
        }
        axes.fill_between(
            x, lines["low"], lines["high"], step="post", color=shown[name], alpha=0.15, lw=0
        )
        axes.step(x, lines["survival"], where="post", color=shown[name], lw=2)
        axes.annotate(
            name,
            (end, lines["survival"][-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=shown[name],
            fontweight="bold",
        )
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, end)
    axes.set_xlabel(time)
    axes.set_ylabel("without the event")
    return figure
