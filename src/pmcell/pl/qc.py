"""QC of samples: where the cells of each sample lie, and where the thresholds cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.pl.style import (
    ACCENT,
    GRID,
    INK,
    MUTED,
    WARN,
    natural_key,
    new_figure,
    panel,
    shorten,
    styled,
    widest,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)


@dataclass(frozen=True)
class Metric:
    """One QC measure: its column of the cells, the columns of its thresholds, how it is shown."""

    column: str
    title: str
    low: str = ""
    high: str = ""
    log: bool = False
    percent: bool = False


METRICS = (
    Metric("total_counts", "Counts (UMI)", "min_total_counts", "max_total_counts", log=True),
    Metric("n_genes_detected", "Genes detected", "min_genes_detected", log=True),
    Metric(
        "share_mitochondrial", "Mitochondrial (%)", high="max_share_mitochondrial", percent=True
    ),
    Metric("doublet_score", "Doublet score", high="max_doublet_score"),
)


@styled
def qc(
    cells: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    limits: dict[str, tuple[float, float]] | None = None,
    title: str = "",
    width: float = 860,
) -> Figure:
    """A row per sample: median, middle half and 2-98 % of each QC measure, thresholds, cells kept.

    `cells` has `sample_id`, `passes_qc` and the columns of `METRICS` (before
    exclusion); `samples` has `sample_id` and the thresholds of the QC table.
    `limits` fixes the axes, so that figures of several cohorts compare.
    """
    names = sorted(as_text(samples["sample_id"]), key=natural_key)
    short = [shorten(name.split(":", 1)[-1], 28) for name in names]
    row = min(16.0, max(3.0, 2400 / max(len(names), 1)))
    left = (widest(short, 9.5) if row >= 9 else 0) + 12
    head, foot, gap = 26.0 + (22 if title else 0), 26.0, 16.0
    kept_width = 110.0
    each = (width - left - kept_width - gap * len(METRICS) - 8) / len(METRICS)
    height = row * len(names)
    figure = new_figure(width, head + height + foot)
    limits = limits or qc_limits(cells)
    if title:
        figure.text(
            6 / width, 1 - 13 / (head + height + foot), title, fontsize=12, fontweight="bold"
        )
    for index, metric in enumerate(METRICS):
        axes = panel(figure, left + index * (each + gap), head, each, height, title=metric.title)
        _rows(axes, len(names), row)
        _strips(axes, cells, samples.set_index("sample_id"), names, metric, row)
        _scale(axes, metric, limits.get(metric.column, (0.0, 1.0)), each)
        _sample_labels(axes, short if index == 0 and row >= 9 else [])
    start = left + len(METRICS) * (each + gap)
    axes = panel(figure, start, head, kept_width, height, title="Cells kept (%)")
    _rows(axes, len(names), row)
    _kept(axes, cells, names, row)
    _sample_labels(axes, [])
    return figure


def qc_limits(cells: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Limits of each measure over all cells, without the outermost 0.1 %."""
    import numpy as np

    limits = {}
    for metric in METRICS:
        values = _values(cells, metric)
        values = values[np.isfinite(values) & ((values > 0) if metric.log else True)]
        if len(values):
            low, high = np.quantile(values, [0.001, 0.999])
            if metric.log:
                limits[metric.column] = (float(low * 0.8), float(max(high, low * 2) * 1.8))
            else:
                limits[metric.column] = (0.0, float(high * 1.08 or 1.0))
    return limits


def _values(cells: pd.DataFrame, metric: Metric) -> Any:
    import numpy as np

    values = cells[metric.column].to_numpy(dtype=np.float64, na_value=np.nan)
    return values * 100 if metric.percent else values


def _rows(axes: Axes, n: int, row: float) -> None:
    axes.set_ylim(n - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    if row >= 9:
        odd = range(0, n, 2)
        axes.barh(odd, 1, height=1, color="#f6f8fa", zorder=0, transform=axes.get_yaxis_transform())


def _strips(
    axes: Axes,
    cells: pd.DataFrame,
    thresholds: pd.DataFrame,
    names: Sequence[str],
    metric: Metric,
    row: float,
) -> None:
    import numpy as np

    values = _values(cells, metric)
    groups = cells.groupby(as_text(cells["sample_id"]), sort=False).indices
    quantiles = np.full((len(names), len(QUANTILES)), np.nan)
    for index, name in enumerate(names):
        own = values[groups.get(name, [])]
        own = own[np.isfinite(own)]
        if len(own):
            quantiles[index] = np.quantile(own, QUANTILES)
    known = np.flatnonzero(np.isfinite(quantiles[:, 0]))
    low, q1, median, q3, high = quantiles[known].T
    axes.hlines(known, low, high, color="#9fb6cc", lw=1)
    axes.hlines(known, q1, q3, color="#5b8db8", lw=row * 0.38)
    axes.plot(median, known, marker="o", ms=min(4.0, row * 0.3), color=ACCENT, mew=0, ls="none")
    for column in (metric.low, metric.high):
        if column:
            cuts = thresholds[column].reindex(names).to_numpy(dtype=np.float64, na_value=np.nan)
            at = np.flatnonzero(np.isfinite(cuts))
            scale = 100.0 if metric.percent else 1.0
            axes.vlines(cuts[at] * scale, at - 0.4, at + 0.4, color=WARN, lw=1.3)


def _scale(axes: Axes, metric: Metric, limits: tuple[float, float], width: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = limits
    if metric.log:
        low = max(low, 0.1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_log_ticks(low, high, width)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short_number(value)))
    axes.grid(axis="x", color=GRID, lw=0.7)
    axes.spines["bottom"].set_color(GRID)


def _log_ticks(low: float, high: float, width: float) -> list[float]:
    """Powers of 10, with 3 times each where `width` pixels have room for the labels."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    finest = [factor * 10.0**power for power in powers for factor in (1, 3)]
    every = width / math.log10(high / low)
    needed = widest(_short_number(tick) for tick in finest if low <= tick <= high) + 6
    is_fine = needed <= every * math.log10(3)
    chosen = finest if is_fine else finest[:: 2 * math.ceil(needed / every)]
    return [tick for tick in chosen if low <= tick <= high]


def _kept(axes: Axes, cells: pd.DataFrame, names: Sequence[str], row: float) -> None:
    import numpy as np

    passing = cells["passes_qc"].astype(bool).groupby(as_text(cells["sample_id"])).mean()
    shares = 100 * passing.reindex(names)
    axes.barh(range(len(names)), shares, height=0.62, color="#5b8db8", lw=0)
    if row >= 9:
        for index, share in enumerate(shares):
            text = "–" if np.isnan(share) else f"{share:.0f}"
            axes.text(103, index, text, fontsize=9, va="center_baseline", color=INK)
    axes.set_xlim(0, 128)
    axes.set_xticks([0, 50, 100])
    axes.spines["bottom"].set_color(GRID)


def _sample_labels(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=9.5, color=MUTED)
    axes.tick_params(axis="y", length=0)


def _short_number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
