"""What a submitted file holds, told from its headers and a sample of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.decode import MAX_COUNT
from pmcell.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("h5ad", "zarr", "10x_h5", "10x_mtx", "csv", "tsv")

MAX_LN_CPM = 13.9
"""ln(1e6 + 1): no natural logarithm of counts per million is larger."""
MIN_WHOLE_OF_FRACTIONS = 0.03
"""Share of whole values from which the others are corrected counts: hardly a logarithm is whole."""
MAX_NOISE = 1e-3
"""How far from a whole number a count may lie that arithmetic has moved, and never a logarithm."""
MIN_ROUNDED_CELLS = 10
"""Cells from which equal sums of normalised values are no chance."""
MIN_ROUNDED_SUM = 5_000
"""Ten thousand, the least that cells are normalised to, after some values were rounded away."""
MIN_TOLD_VALUES = 1_000
"""Values above zero among which counts have ones, and more than ones."""
MIN_BINS = 10
"""Largest number from which the same one in each cell is no chance."""
MIN_MEDIAN_OF_BINS = 0.2
"""Share of the largest number that the median of ranks and of equally filled bins is above."""
MAX_LOG = 25.0
"""No logarithm of counts (per million) comes near; larger fractions are normalised values."""


@dataclass(frozen=True)
class LayerSummary:
    """One matrix of a submission; minimum, maximum and kind come from a sample of its values.

    `looks_like` is counts, fractions (counts of which some are not whole), noisy (counts a hair
    from whole), rounded (whole numbers that add up alike in each cell), multiplied, presence and
    binned (`_kind_of_whole`), too_large (more than a cell may hold), negative (whole numbers below
    zero), not_finite, log1p, log2, scaled, normalised, empty or no_numbers.
    """

    name: str
    dtype: str
    shape: tuple[int, int]
    n_stored: int
    sampled_min: float
    sampled_max: float
    is_integer: bool
    share_integer: float
    looks_like: str


@dataclass(frozen=True)
class Submission:
    """A submitted file: tables of cells and genes, and a summary of each matrix.

    `obs` and `var` are indexed by barcode and gene as submitted (text). The
    matrix `raw.X` may have genes of its own: ask `var_of(layer)`. `detail`
    belongs to the reader of the format. `beside` names the columns of `obs` that
    the file does not have: they come from a table beside it. `by_visit` names columns of that
    table that were not taken, for a person has a value at each visit; `told` has columns of the
    file by the meaning that such a table told.
    """

    path: Path
    format: str
    obs: pd.DataFrame
    var: pd.DataFrame
    layers: Mapping[str, LayerSummary]
    raw_var: pd.DataFrame | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    by_visit: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_cells(self) -> int:
        """Cells in the file."""
        return len(self.obs)

    @property
    def n_genes(self) -> int:
        """Genes of the main matrix."""
        return len(self.var)

    def var_of(self, layer: str) -> pd.DataFrame:
        """The gene table that the columns of `layer` follow; `DataError` for an unknown layer."""
        self.summary_of(layer)
        if layer.startswith("raw") and self.raw_var is not None:
            return self.raw_var
        return self.var

    def summary_of(self, layer: str) -> LayerSummary:
        """The summary of `layer`; `DataError` naming the layers there are."""
        if layer not in self.layers:
            raise DataError(
                f"{self.path.name}: matrix.counts must name a matrix of the file; found {layer!r}, "
                f"there are {', '.join(self.layers) or 'none'}",
                reason="layer_missing",
            )
        return self.layers[layer]


def summarise(
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, int],
    n_stored: int,
    sampled_cells: Sequence[np.ndarray],
    *,
    by_cell: bool = True,
) -> LayerSummary:
    """Judge a matrix from the stored values of a few cells (of a few genes when not `by_cell`)."""
    nothing = np.zeros(0, dtype=np.float64)
    values = np.concatenate([nothing, *(np.asarray(cell, np.float64) for cell in sampled_cells)])
    finite = values[np.isfinite(values)]
    share = float(np.mean(finite == np.floor(finite))) if finite.size else 1.0
    return LayerSummary(
        name=name,
        dtype=str(dtype),
        shape=(int(shape[0]), int(shape[1])),
        n_stored=int(n_stored),
        sampled_min=float(finite.min()) if finite.size else 0.0,
        sampled_max=float(finite.max()) if finite.size else 0.0,
        is_integer=share == 1.0 and finite.size == values.size,
        share_integer=share,
        looks_like=_looks_like(values, sampled_cells if by_cell else ()),
    )


def no_numbers(name: str, dtype: np.dtype[Any], shape: tuple[int, int]) -> LayerSummary:
    """The summary of a matrix whose values are no real numbers: no counts, whatever they are."""
    sides = (int(shape[0]), int(shape[1]))
    return LayerSummary(name, str(dtype), sides, 0, 0.0, 0.0, False, 0.0, "no_numbers")


def _looks_like(values: np.ndarray, cells: Sequence[np.ndarray]) -> str:
    if values.size == 0 or not np.any(values):
        return "empty"
    if not np.isfinite(values).all():
        return "not_finite"
    whole = bool(np.all(values == np.floor(values)))
    if values.min() < 0:
        return "negative" if whole else "scaled"
    if whole:
        if max([values.max(), *(np.sum(cell, dtype=np.float64) for cell in cells)]) > MAX_COUNT:
            return "too_large"
        return "rounded" if _cells_add_up_alike(cells) else _kind_of_whole(values, cells)
    if np.abs(values - np.rint(values)).max() < MAX_NOISE and np.rint(values).all():
        return "noisy"
    for kind, inverse in (
        ("log1p", np.expm1),
        ("log2", lambda x: np.exp2(x) - 1.0),
        ("normalised", lambda x: x),
    ):
        if kind != "normalised" and values.max() > MAX_LOG:
            continue
        if _cells_are_scaled_counts(cells, inverse):
            return kind
    broken = values[values != np.floor(values)]
    for kind, inverse in (("log1p", np.expm1), ("log2", lambda x: np.exp2(x) - 1.0)):
        if values.max() <= MAX_LOG and _are_whole(inverse(broken)):
            return kind
    if broken.size <= (1 - MIN_WHOLE_OF_FRACTIONS) * values.size:
        return "fractions"
    if values.max() > MAX_LOG:
        return "normalised"
    return "log1p" if values.max() <= MAX_LN_CPM else "log2"


def _kind_of_whole(values: np.ndarray, cells: Sequence[np.ndarray]) -> str:
    """Counts, or whole numbers that no counting gives.

    Among many counts some are 1, some are more and most are small; cells differ in their largest.
    """
    positive = values[values > 0]
    if positive.size >= MIN_TOLD_VALUES and positive.min() > 1:
        return "multiplied"
    if positive.size >= MIN_TOLD_VALUES and positive.max() == 1:
        return "presence"
    largest = {float(np.max(cell, initial=0)) for cell in cells}
    if len(cells) < MIN_ROUNDED_CELLS or len(largest) > 1 or min(largest) < MIN_BINS:
        return "counts"
    return "binned" if np.median(positive) >= MIN_MEDIAN_OF_BINS * min(largest) else "counts"


def _cells_add_up_alike(cells: Sequence[np.ndarray]) -> bool:
    """Whether each cell's whole numbers add up to about one power of ten, as rounded CPM do."""
    sums = np.array([np.asarray(cell, np.float64).sum() for cell in cells])
    if sums.size < MIN_ROUNDED_CELLS or sums.min() < MIN_ROUNDED_SUM:
        return False
    # Rounding moves a sum by less than half a count a value.
    moved = max(len(cell) for cell in cells) / 2
    target = 10.0 ** np.rint(np.log10(sums[0]))
    return bool(np.abs(sums - target).max() <= moved) and bool(np.unique(sums).size > 1)


def _are_whole(values: np.ndarray) -> bool:
    """Whether nearly all values small enough to tell are whole numbers."""
    told = values[values < 100]
    return told.size > 0 and bool(np.mean(np.abs(told - np.rint(told)) < 0.005) > 0.99)


def _cells_are_scaled_counts(cells: Sequence[np.ndarray], inverse: Any) -> bool:
    """Whether each cell's values, put through `inverse`, are multiples of the cell's smallest."""
    agree = tried = 0
    for cell in cells:
        stored = np.asarray(cell, dtype=np.float64)
        stored = stored[stored > 0]
        if stored.size < 10:
            continue
        ratio = inverse(stored)
        ratio = ratio / ratio.min()
        ratio = ratio[ratio < 1000]
        tried += 1
        agree += bool(
            np.ptp(ratio) > 0.5 and np.mean(np.abs(ratio - np.rint(ratio)) < 0.01 * ratio) > 0.99
        )
    return tried > 0 and agree > 0.8 * tried
