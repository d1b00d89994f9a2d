"""What the steps of a finished study found, in a few numbers that any machine finds again.

Sums of whole numbers are exact everywhere; what comes after a decomposition or a neighbour graph
agrees between machines and library versions only about so far, and a drawn map not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

EXACT = ("intake", "gene_stats", "hvg", "covariance")
SHAPE_ONLY = ("umap",)
ROUGH = 0.1
"""Largest relative difference of a mean that counts as the same result of an inexact step."""

Summary = dict[str, dict[str, list[float]]]


def summaries(results: Path) -> Summary:
    """Step → name of a value → its size and mean absolute value, over all stamped files.

    Of texts the number of different ones.
    """
    found: Summary = {}
    for stamp in sorted(results.glob("*/.stamps/*.json")) + sorted(
        results.glob("cohorts/*/.stamps/*.json")
    ):
        step = json.loads(stamp.read_text(encoding="utf-8"))["step"]
        path = stamp.parent.parent / stamp.name.removesuffix(".json")
        found.setdefault(step, {})
        for name, values in _values(path):
            key = f"{path.relative_to(results).as_posix()}:{name}"
            found[step][key] = _numbers(values, step, is_map=name.endswith("X_umap"))
    return found


def differences(step: str, found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Values of a step that are not what was expected, within what the step can promise."""
    tolerance = 1e-9 if step in EXACT else ROUGH
    return [
        f"{name}: expected {expected.get(name)}, found {found.get(name)}"
        for name in sorted(found.keys() | expected.keys())
        if not _agree(found.get(name), expected.get(name), tolerance)
    ]


def _agree(one: list[float] | None, other: list[float] | None, tolerance: float) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return bool(np.allclose(one, other, rtol=tolerance, atol=1e-9 + tolerance / 10))


def _numbers(values: np.ndarray, step: str, *, is_map: bool) -> list[float]:
    if is_map or step in SHAPE_ONLY:
        return [float(values.size)]
    if values.dtype.kind not in "iufb":
        different = len({str(value) for value in values.ravel()})
        return [float(values.size), *([float(different)] if step in EXACT else [])]
    finite = values[np.isfinite(values)].astype(np.float64)
    return [float(values.size), float(np.abs(finite).mean()) if finite.size else 0.0]


def _values(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if not path.stat().st_size:
        return  # What a cohort that is not published has.
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path.open("rb")).to_pandas()
        yield from ((name, table[name].to_numpy()) for name in table.columns)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            yield from ((name, file[name]) for name in file.files)
    elif path.suffix == ".h5ad":
        yield from _datasets(path)


def _datasets(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    import h5py

    found: list[str] = []
    with h5py.File(path, "r", locking=False) as file:
        file.visititems(lambda name, item: found.append(name) if hasattr(item, "dtype") else None)
        # How an AnnData is encoded is its library's matter; the arrays are ours.
        for name in found:
            if name.split("/")[0] in ("X", "obsm", "obsp"):
                yield name, np.atleast_1d(np.asarray(file[name]))
