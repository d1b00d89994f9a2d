"""Read and write `aggregate.npz`: sums per sample, cluster, label and gene of one cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import Aggregate
from pmcell.core.counts.grouped import COUNTS, N_DETECTED, SUM_Q, SUM_Q2, GroupedSums
from pmcell.errors import DataError, UsageError
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.schema.text import text_array

_LABELS = ("sample_ids", "sample_donors", "sample_tissues", "clusters", "labels", "gene_ids")
_GROUPS = ("group_sample", "group_cluster", "group_label", "group_half", "group_n_cells")
_SUMS = {"counts": COUNTS, "n_detected": N_DETECTED, "sum_q": SUM_Q, "sum_q2": SUM_Q2}


def write_aggregate(target: Path | str, aggregate: Aggregate) -> None:
    """Write one cohort's sums; equal content gives equal bytes.

    The arrays are named as the fields of `Aggregate`; `indptr` and `indices`
    (groups × genes, CSR) are shared by `counts`, `n_detected`, `sum_q` and `sum_q2`.
    """
    labels = {name: text_array(getattr(aggregate, name)) for name in _LABELS}
    groups = {name: getattr(aggregate, name) for name in _GROUPS}
    sums = {name: aggregate.sums.values[:, column] for name, column in _SUMS.items()}
    entries = {"indptr": aggregate.sums.indptr, "indices": aggregate.sums.indices}
    write_arrays(target, **labels, **groups, **entries, **sums)


def read_aggregate(path: Path | str) -> Aggregate:
    """Read one cohort's sums; `DataError` when the file is missing or not an aggregate.

    The sums themselves, which are nearly all of the file, are read when they are first asked for:
    many look through the names of all cohorts before.
    """
    arrays = read_arrays(path, (*_LABELS, *_GROUPS))
    _check_names(path, arrays, (*_LABELS, *_GROUPS))
    labels = {name: arrays[name].astype(object) for name in _LABELS}
    groups = {name: arrays[name].astype(np.int64) for name in _GROUPS}
    return Aggregate(**labels, **groups, sums=StoredSums(path, labels["gene_ids"].size))


class StoredSums(GroupedSums):
    """Sums of a file, which are read when one of them is first asked for."""

    def __init__(self, path: Path | str, n_genes: int) -> None:
        # The class is frozen; what is read is kept beside these, as a field of its name.
        vars(self).update(path=path, n_genes=n_genes)

    def __getattr__(self, name: str) -> Any:
        if name not in ("indptr", "indices", "values"):
            raise AttributeError(name)
        vars(self).update(_read_sums(vars(self)["path"]))
        return vars(self)[name]


def _read_sums(path: Path | str) -> dict[str, NDArray[Any]]:
    names = ("indptr", "indices", *_SUMS)
    arrays = read_arrays(path, names)
    _check_names(path, arrays, names)
    values = np.empty((arrays["indices"].size, len(_SUMS)), np.int64)
    for name, column in _SUMS.items():
        values[:, column] = arrays.pop(name)
    return {
        "indptr": arrays["indptr"].astype(np.int64, copy=False),
        "indices": arrays["indices"].astype(np.int32, copy=False),
        "values": values,
    }


def _check_names(
    path: Path | str, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> None:
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise DataError(
            f"{path} must be a file that 'pmcell aggregate' wrote; arrays {missing} are missing. "
            "Run aggregate again.",
            reason="corrupt_intermediate",
        )


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
