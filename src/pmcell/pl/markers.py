"""Marker genes of clusters as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.pl.style import (
    GRID,
    INK,
    MUTED,
    natural_key,
    new_figure,
    panel,
    sequential,
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
    from numpy.typing import NDArray

_SIZES = (0.25, 0.5, 1.0)


@styled
def dotplot(
    markers: pd.DataFrame,
    *,
    labels: dict[str, str] | None = None,
    n_genes: int = 3,
    cell: float = 17,
) -> Figure:
    """Clusters × top marker genes: area is the share of cells, colour the log2 fold change.

    `markers` has `cluster`, `gene_id`, `symbol`, `rank`, `log2_fold_change`
    and `share_in`; where a cluster has no row for a gene there is no dot.
    `labels` names clusters. Genes are the first `n_genes` of each cluster.
    """
    import numpy as np

    missing = {"cluster", "gene_id", "symbol", "rank", "log2_fold_change", "share_in"} - set(
        markers.columns
    )
    if missing:
        raise UsageError(
            f"dotplot needs the columns of the markers table; missing {sorted(missing)}."
        )
    labels = labels or {}
    clusters = sorted(as_text(markers["cluster"]).unique(), key=natural_key)
    genes = _top_genes(markers, clusters, n_genes)
    names = [_row_name(cluster, labels) for cluster in clusters]
    symbols = [shorten(symbol, 16) for symbol in genes.values()]
    left = widest(names, 10) + 14
    head = widest(symbols, 9.5) + 12
    width = left + cell * len(genes) + 92
    figure = new_figure(width, head + max(cell * len(clusters), 176) + 10)
    axes = panel(figure, left, head, cell * max(len(genes), 1), cell * max(len(clusters), 1))
    shown = markers[markers["gene_id"].isin(list(genes))]
    column = {gene: index for index, gene in enumerate(genes)}
    row = {cluster: index for index, cluster in enumerate(clusters)}
    change = shown["log2_fold_change"].to_numpy(dtype=np.float64)
    finite = change[np.isfinite(change)]
    top = float(np.ceil(np.quantile(finite, 0.98))) if len(finite) else 1.0
    dots = axes.scatter(
        [column[gene] for gene in shown["gene_id"]],
        [row[cluster] for cluster in as_text(shown["cluster"])],
        s=_area(shown["share_in"].to_numpy(dtype=np.float64), cell),
        c=change,
        cmap=sequential(),
        vmin=0,
        vmax=max(top, 1.0),
        linewidths=0.5,
        edgecolors="#8fa9c0",
    )
    axes.set_xlim(-0.6, len(genes) - 0.4)
    axes.set_ylim(len(clusters) - 0.4, -0.6)
    axes.set_xticks(
        range(len(genes)), symbols, rotation=90, fontsize=9.5, color=INK, style="italic"
    )
    axes.set_yticks(range(len(clusters)), names, fontsize=10, color=INK)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=4)
    axes.grid(color=GRID, lw=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _keys(figure, dots, left + cell * len(genes) + 22, head, cell, max(top, 1.0))
    return figure


def _top_genes(markers: pd.DataFrame, clusters: list[str], n_genes: int) -> dict[str, str]:
    """Gene id → symbol, cluster after cluster, each gene once."""
    genes: dict[str, str] = {}
    for cluster in clusters:
        own = markers[as_text(markers["cluster"]) == cluster].sort_values("rank")
        added = 0
        for gene, symbol in zip(own["gene_id"], own["symbol"], strict=True):
            if added == n_genes:
                break
            if gene not in genes:
                genes[gene] = str(symbol) or str(gene)
                added += 1
    return genes


def _row_name(cluster: str, labels: dict[str, str]) -> str:
    return f"{cluster}  {shorten(labels[cluster], 40)}" if labels.get(cluster) else cluster


def _area(share: NDArray[np.float64], cell: float) -> NDArray[np.float64]:
    return share * (cell * 0.86) ** 2


def _keys(figure: Figure, dots: object, left: float, top: float, cell: float, high: float) -> None:
    import numpy as np

    key: Axes = panel(figure, left, top + 14, 60, 52)
    key.scatter([0] * 3, range(3), s=_area(np.array(_SIZES), cell), c="#8fa9c0", linewidths=0)
    for place, share in enumerate(_SIZES):
        key.text(0.9, place, f"{100 * share:.0f} %", fontsize=9, color=MUTED, va="center_baseline")
    key.set_xlim(-0.6, 3.4)
    key.set_ylim(2.6, -0.6)
    key.axis("off")
    key.set_title("cells", loc="left", fontsize=9, color=MUTED, pad=2)
    bar_axes = panel(figure, left, top + 104, 9, 60)
    bar = figure.colorbar(dots, cax=bar_axes)  # type: ignore[arg-type]
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar_axes.set_yticks([0, high], ["0", f"≥ {high:.0f}"])
    bar_axes.tick_params(length=0, labelsize=9)
    bar_axes.set_title("log2 FC", loc="left", fontsize=9, color=MUTED, pad=9)
