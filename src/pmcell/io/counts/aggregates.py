"""Read and write `aggregate.npz`: sums per sample, cluster, label and gene of one cohort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.counts.aggregate import Aggregate, Groups
from pmcell.core.counts.sums import COUNTS, N_DETECTED, SUM_Q, SUM_Q2, Sums
from pmcell.errors import DataError, UsageError
from pmcell.io.arrays import array_names, read_arrays, write_arrays
from pmcell.schema.text import text_array

_LABELS = ("sample_ids", "sample_donors", "sample_tissues", "clusters", "labels", "gene_ids")
_GROUPS = ("group_sample", "group_cluster", "group_label", "group_half", "group_n_cells")
_SUMS = {COUNTS: "counts", N_DETECTED: "n_detected", SUM_Q: "sum_q", SUM_Q2: "sum_q2"}


@dataclass(frozen=True)
class StoredSums:
    """The sums of a file, of which each kind is read when it is asked for; most steps use one."""

    path: Path
    n_genes: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.indptr.size - 1

    @property
    def values(self) -> NDArray[np.int64]:
        """All four, one column each, as `GroupedSums` has them."""
        return np.stack([self.column(column) for column in _SUMS], axis=1)

    def matrix(self, column: int) -> sparse.csr_matrix:
        """One of the sums (COUNTS, N_DETECTED, SUM_Q, SUM_Q2): groups × genes, CSR, int64."""
        shape = (self.n_groups, self.n_genes)
        return sparse.csr_matrix((self.column(column), self.indices, self.indptr), shape=shape)

    def column(self, column: int) -> NDArray[np.int64]:
        """One of the sums of each entry."""
        name = _SUMS[column]
        return _arrays(self.path, [name])[name].astype(np.int64)


def write_aggregate(target: Path | str, aggregate: Aggregate) -> None:
    """Write one cohort's sums; equal content gives equal bytes.

    The arrays are named as the fields of `Aggregate`; `indptr` and `indices`
    (groups × genes, CSR) are shared by `counts`, `n_detected`, `sum_q` and `sum_q2`, each of which
    has the smallest type that holds it.
    """
    labels = {name: text_array(getattr(aggregate, name)) for name in _LABELS}
    groups = {name: getattr(aggregate, name) for name in _GROUPS}
    sums = {name: partial(_smallest, aggregate.sums, column) for column, name in _SUMS.items()}
    entries = {"indptr": aggregate.sums.indptr, "indices": aggregate.sums.indices}
    write_arrays(target, **labels, **groups, **entries, **sums)


def _smallest(sums: Sums, column: int) -> NDArray[Any]:
    """Sums, which are not below zero, in the smallest type that holds them."""
    values = sums.column(column)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def read_aggregate(path: Path | str) -> Aggregate:
    """Open one cohort's sums; `DataError` when the file is missing or not an aggregate."""
    names = [*_LABELS, *_GROUPS, "indptr", "indices"]
    _require(path, [*names, *_SUMS.values()], array_names(path))
    arrays = _arrays(path, names)
    sums = StoredSums(
        Path(path),
        arrays["gene_ids"].size,
        arrays["indptr"].astype(np.int64, copy=False),
        arrays["indices"].astype(np.int32, copy=False),
    )
    return Aggregate(**_fields(arrays), sums=sums)


def read_groups(path: Path | str) -> Groups:
    """What one cohort's sums are over; the sums themselves are not read."""
    return Groups(**_fields(_arrays(path, [*_LABELS, *_GROUPS])))


def _arrays(path: Path | str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    arrays = read_arrays(path, names)
    _require(path, names, arrays)
    return arrays


def _require(path: Path | str, names: Iterable[str], known: Iterable[str]) -> None:
    missing = sorted(set(names) - set(known))
    if missing:
        raise DataError(
            f"{path} must be a file that 'pmcell aggregate' wrote; arrays {missing} are missing. "
            "Run aggregate again.",
            reason="corrupt_intermediate",
        )


def _fields(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    labels = {name: arrays[name].astype(object) for name in _LABELS}
    return labels | {name: arrays[name].astype(np.int64, copy=False) for name in _GROUPS}


def open_aggregates(paths: Sequence[Path | str]) -> AggregateFiles:
    """Aggregate files of several cohorts, in the order of their names; each may be given once."""
    files = tuple(sorted(Path(path) for path in paths))
    for path in files:
        if files.count(path) > 1:
            raise UsageError(
                f"each aggregate file must be given once; {path} is given {files.count(path)} times"
            )
        if not path.is_file():
            raise UsageError(
                f"{path} must be a file that 'pmcell aggregate' wrote; there is no such file"
            )
    return AggregateFiles(files)


@dataclass(frozen=True)
class AggregateFiles(Sequence[Aggregate]):
    """Aggregate files as a sequence that holds one cohort in memory at a time."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, item: int) -> Aggregate: ...
    @overload
    def __getitem__(self, item: slice) -> AggregateFiles: ...
    def __getitem__(self, item: int | slice) -> Aggregate | AggregateFiles:
        if isinstance(item, slice):
            return AggregateFiles(self.paths[item])
        return read_aggregate(self.paths[item])

    def __iter__(self) -> Iterator[Aggregate]:
        for path in self.paths:
            yield read_aggregate(path)

    def groups(self) -> list[Groups]:
        """The groups of each cohort, without the sums."""
        return [read_groups(path) for path in self.paths]
