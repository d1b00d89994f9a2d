"""Check that every value is a raw count, and rewrite counts in canonical gene space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from pmcell.core.counts.decode import MAX_COUNT, copy_counts
from pmcell.core.counts.rewritten import over_columns
from pmcell.errors import DataError, Fault
from pmcell.io.submitted.submission import Submission
from pmcell.registry.intake.count_layers import choose_counts

MIN_COUNTS_OF_A_CELL = 10
"""Barcodes with fewer hold no cell: droplets catch that much from the solution."""
EXACT_FLOATS = {"float16": 2**11, "float32": 2**24}
"""From this value on, floats of a type do not hold every whole number."""


def check_counts(
    block: sp.csr_matrix, start: int, submission: Submission, layer: str
) -> sp.csr_matrix:
    """The block in int32; `DataError` unless it holds counts whose sum in each cell fits, too.

    Counts are whole, finite and not negative. `start` is the position of the block's first cell.
    Nothing is rounded: 3.0 is a count, 3.0000001 is not.
    """
    counts = np.empty(block.nnz, np.int32)
    if copy_counts(block.data, counts) < 0:
        totals = row_totals(block.indptr, counts)
    else:
        totals = _refuse(block, start, submission, layer)
    if totals.max(initial=0) > MAX_COUNT:
        cell = start + int(np.argmax(totals))
        raise DataError(
            f"{submission.path.name}: a cell may hold {MAX_COUNT} counts in all; cell {cell + 1} "
            "holds "
            f"{totals.max():.0f}. Check that {layer} holds counts.",
            reason="count_too_large",
        )
    return sp.csr_matrix((counts, block.indices, block.indptr), block.shape)


def row_totals(indptr: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum of each row's counts (int64)."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return np.diff(before[indptr])


def empty_droplets(totals: np.ndarray, file: str, max_share: float) -> Fault | None:
    """The fault of a matrix from before cells were called, by the counts of its barcodes.

    The limits of QC lie around the median of a sample: among empty droplets, cells are outliers.
    """
    n = int((totals < MIN_COUNTS_OF_A_CELL).sum())
    if n <= max_share * totals.size:
        return None
    return Fault(
        file,
        f"at most {max_share:.0%} of the barcodes may have fewer than {MIN_COUNTS_OF_A_CELL} "
        "counts (intake.max_share_empty)",
        f"{n:,} of {totals.size:,}",
        "Take the matrix after cells were called (filtered_feature_bc_matrix of Cell Ranger, "
        "filtered of STARsolo), or call them (EmptyDrops, CellBender). Where these are cells, "
        "raise intake.max_share_empty in config/config.yaml.",
        reason="empty_droplets",
    )


def _refuse(block: sp.csr_matrix, start: int, submission: Submission, layer: str) -> np.ndarray:
    """Raise for the first kind of values that are no counts; sums of cells where all are large."""
    real = block.data.astype(np.float64, copy=False)
    for reason, must, broken in (
        ("not_finite", "be finite numbers", ~np.isfinite(real)),
        ("negative_counts", "not be negative", real < 0),
        ("not_counts", "be whole numbers", real != np.floor(real)),
    ):
        if broken.any():
            raise _not_counts(block, start, submission, layer, reason, must, broken)
    # Sums of the block itself are integers, which wrap around.
    sums = sp.csr_matrix((real, block.indices, block.indptr), block.shape).sum(axis=1)
    return np.asarray(sums).ravel()


@dataclass
class Projection:
    """From submitted to canonical genes: adds the counts of merged genes, sums what each gene held.

    `gene_ids` are the canonical ids in sorted order; `umis` the counts of every submitted gene.
    """

    targets: Sequence[str | None]
    gene_ids: list[str] = field(init=False)
    umis: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.gene_ids = sorted({gene_id for gene_id in self.targets if gene_id is not None})
        place = {gene_id: column for column, gene_id in enumerate(self.gene_ids)}
        self._columns = np.array(
            [-1 if gene_id is None else place[gene_id] for gene_id in self.targets], dtype=np.int32
        )
        self.umis = np.zeros(len(self.targets), dtype=np.int64)

    def apply(self, block: sp.csr_matrix) -> sp.csr_matrix:
        """The block's cells over canonical genes (int32 counts), positions sorted."""
        counts = block.data.astype(np.int32, copy=False)
        rows = block.indptr.astype(np.int64), block.indices, counts
        indptr, positions, counts = over_columns(rows, self._columns, self.umis)
        result = sp.csr_matrix((block.shape[0], len(self.gene_ids)), dtype=np.int32)
        result.data, result.indices, result.indptr = counts, positions, indptr.astype(np.int32)
        result.has_canonical_format = True
        return result


def _not_counts(
    block: sp.csr_matrix,
    start: int,
    submission: Submission,
    layer: str,
    reason: str,
    must: str,
    broken: np.ndarray,
) -> DataError:
    place = int(np.flatnonzero(broken)[0])
    row = int(np.searchsorted(block.indptr, place, "right")) - 1
    gene = submission.var_of(layer).index[int(block.indices[place])]
    summary = submission.summary_of(layer)
    seen = (
        f"{np.mean(broken):.0%} of the values break this"
        if broken.mean() >= 0.01
        else "a few do not"
    )
    looks = f"; they look like {summary.looks_like}"
    if summary.looks_like in (
        "counts",
        "too_large",
        "negative",
        "not_finite",
        "empty",
        "no_numbers",
    ):
        looks = ""
    return DataError(
        f"{submission.path.name}: raw counts in {layer} must {must}; {seen} (first: cell "
        f"{start + row + 1}, gene {gene!r}: {block.data[place]:g}; largest "
        f"{np.nanmax(block.data):.4g}){looks}. {_where_counts_are(submission, layer)}",
        reason=reason,
    )


def _where_counts_are(submission: Submission, layer: str) -> str:
    choice = choose_counts(submission)
    if choice.name and choice.name != layer:
        return (
            f"{choice.name} of the file looks like counts: "
            f"set matrix.counts: {choice.name} in cohort.yaml."
        )
    listed = ", ".join(f"{name} ({one.looks_like})" for name, one in submission.layers.items())
    held = f" The file holds {listed}." if len(submission.layers) > 1 else ""
    helps = choice.fix or "Ask the source for raw counts."
    return f"Nothing is rounded or un-logged here. {helps}{held}"
