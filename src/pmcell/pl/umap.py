"""The cells on the UMAP plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.errors import UsageError
from pmcell.pl.style import (
    INK,
    MUTED,
    in_order,
    legend_height,
    legend_row,
    new_figure,
    palette,
    panel,
    shorten,
    styled,
)
from pmcell.schema import UNKNOWN, X_UMAP
from pmcell.schema.text import as_text
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LEGEND = 12
"""More categories than this are labelled on the map only."""


@styled
def umap(
    data: Any,
    *,
    color: str,
    labels: str = "auto",
    colours: dict[str, str] | None = None,
    title: str = "",
    size: float = 420,
    seed: int = 0,
) -> Figure:
    """Cells coloured by a categorical column, drawn in random order so that none hides the others.

    `data` is an AnnData with `obsm["X_umap"]`, or a frame with `umap_1` and
    `umap_2`; cells without coordinates are left out. `labels` is `"on"` (at
    the median of each category), `"legend"`, or `"auto"`: on the map where the
    categories are separate places, else a legend. Points are rasterised.
    """
    import numpy as np

    points, values = _points(data, color)
    names = in_order(values)
    if colours is None:
        colours = palette(names)
    if labels == "auto":
        labels = "on" if len(names) > MAX_LEGEND or _are_places(points, values, names) else "legend"
    shown = {name: colours[name] for name in names}
    head = 22 if title else 4
    foot = 0.0 if labels == "on" else legend_height(list(shown), size - 8) + 6
    figure = new_figure(size, head + size * 0.9 + foot)
    axes = panel(figure, 4, head, size - 8, size * 0.9, title=title)
    order = np.random.default_rng(seed).permutation(len(points))
    axes.scatter(
        points[order, 0],
        points[order, 1],
        c=_rgba(values[order], colours),
        s=_point_size(len(points)),
        linewidths=0,
        alpha=0.85 if len(points) < 50_000 else 0.5,
        rasterized=True,
    )
    _bare(axes, points)
    if labels == "on":
        _label_medians(axes, points, values, names)
    else:
        legend_row(figure, shown, 4, head + size * 0.9 + 6, size - 8)
    return figure


def _rgba(values: np.ndarray, colours: dict[str, str]) -> np.ndarray:
    """Colour of each point (points, 4): matplotlib reads a name for each point one by one."""
    import numpy as np
    from matplotlib.colors import to_rgba_array

    names = list(colours)
    place = {name: at for at, name in enumerate(names)}
    codes = np.fromiter((place[value] for value in values), np.int64, len(values))
    return np.asarray(to_rgba_array([colours[name] for name in names]))[codes]


def _points(data: Any, color: str) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    if hasattr(data, "obsm"):
        if X_UMAP not in data.obsm:
            raise UsageError(
                f"umap needs obsm[{X_UMAP!r}]; found {sorted(data.obsm)}. Run pmcell.tl.umap first."
            )
        frame, points = data.obs, np.asarray(data.obsm[X_UMAP], dtype=np.float64)[:, :2]
    else:
        frame = data
        for name in ("umap_1", "umap_2"):
            _require_column(frame, name)
        points = frame[["umap_1", "umap_2"]].to_numpy(dtype=np.float64, na_value=np.nan)
    _require_column(frame, color)
    placed = np.isfinite(points).all(axis=1)
    values = as_text(frame[color])
    return points[placed], values.to_numpy(dtype=object)[placed]


def _require_column(frame: pd.DataFrame, name: str) -> None:
    if name in frame.columns:
        return
    hint = did_you_mean(name, frame.columns) or f"There are {sorted(map(str, frame.columns))}."
    raise UsageError(f"the cells must have a column {name!r}, and have none. {hint}")


def _are_places(points: np.ndarray, values: np.ndarray, names: list[str]) -> bool:
    """Whether most categories lie apart: their median spread is small against the whole map."""
    import numpy as np

    if len(points) == 0:
        return False
    whole = np.median(np.abs(points - np.median(points, axis=0)).sum(axis=1))
    spreads = []
    for name in names:
        own = points[values == name]
        spreads.append(np.median(np.abs(own - np.median(own, axis=0)).sum(axis=1)))
    return bool(np.median(spreads) < 0.6 * whole)


def _point_size(n: int) -> float:
    return float(min(9.0, max(0.6, 26_000 / max(n, 1))))


def _bare(axes: Axes, points: np.ndarray) -> None:
    import numpy as np

    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    if len(points):
        low, high = np.quantile(points, [0.0005, 0.9995], axis=0)
        pad = 0.06 * (high - low) + 1e-9
        axes.set_xlim(low[0] - pad[0], high[0] + pad[0])
        axes.set_ylim(low[1] - pad[1], high[1] + pad[1])


def _label_medians(axes: Axes, points: np.ndarray, values: np.ndarray, names: list[str]) -> None:
    """Write each category at its median cell; a line leads to labels that had to move."""
    import numpy as np
    from matplotlib.patheffects import withStroke

    size = 9.0 if len(names) > 18 else 10.0
    low, high = np.array(axes.get_xlim()), np.array(axes.get_ylim())
    box = axes.get_window_extent()
    unit = np.array([(low[1] - low[0]) / box.width, (high[1] - high[0]) / box.height])
    counts = {name: int((values == name).sum()) for name in names}
    taken: list[tuple[float, float, float, float]] = []
    for name in sorted(names, key=lambda name: (-counts[name], name)):
        own = points[values == name]
        centre = np.median(own, axis=0)
        spot = own[np.argmin(((own - centre) ** 2).sum(axis=1))]
        label = _two_lines(shorten(name, 56))
        lines = label.count("\n") + 1
        half = np.array([0.5 * 0.56 * size * max(map(len, label.split("\n"))), 0.6 * size * lines])
        half = half * unit
        place = _free_place(spot, half, unit, size, taken, (low, high))
        taken.append((place[0], place[1], half[0], half[1]))
        if np.abs((place - spot) / unit).max() > 1.3 * size:
            axes.plot(*np.transpose([spot, place]), color=MUTED, lw=0.7, clip_on=False)
        axes.text(
            place[0],
            place[1],
            label,
            ha="center",
            va="center",
            linespacing=1.05,
            fontsize=size,
            color=INK if name != UNKNOWN else MUTED,
            fontweight="bold" if len(label) <= 3 else "normal",
            path_effects=[withStroke(linewidth=3, foreground="white")],
            clip_on=False,
        )


def _free_place(
    spot: np.ndarray,
    half: np.ndarray,
    unit: np.ndarray,
    size: float,
    taken: list[tuple[float, float, float, float]],
    bounds: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The nearest place, on rings around `spot`, where the label hides no other."""
    import numpy as np

    (left, right), (bottom, top) = bounds
    for ring in range(14):
        for angle in np.linspace(0, 2 * np.pi, 1 if ring == 0 else 12, endpoint=False):
            move = np.array([1.6 * np.sin(angle), np.cos(angle)]) * 0.7 * size * ring * unit
            place = spot + move
            place[0] = min(max(place[0], left + half[0]), right - half[0])
            place[1] = min(max(place[1], bottom + half[1]), top - half[1])
            if all(
                abs(place[0] - x) >= half[0] + w or abs(place[1] - y) >= half[1] + h
                for x, y, w, h in taken
            ):
                return np.asarray(place)
    return spot


def _two_lines(label: str) -> str:
    """Break a long label at the space nearest its middle."""
    if len(label) <= 18 or " " not in label:
        return label
    spaces = [index for index, letter in enumerate(label) if letter == " "]
    middle = min(spaces, key=lambda index: abs(index - len(label) / 2))
    return label[:middle] + "\n" + label[middle + 1 :]
