"""Every number that a release tells, in whatever file, by where it stands: what an attacker reads.

Two releases that tell a number at the same place tell their difference, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pmcell.schema import TABLES

Key = tuple[str, ...]
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w])")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?")
"""When a job ran: another time for each release."""
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]+>", re.DOTALL)
KEYS = {f"{table.name}.parquet": list(table.key) for table in TABLES}


def numbers_of(folder: Path) -> dict[Key, float]:
    """Every number of a release, by file and place in it; of one that stands twice the first."""
    found: dict[Key, float] = {}
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        for place, number in _in_file(path):
            found.setdefault((name, *place), number)
    return found


def differences(before: Mapping[Key, float], after: Mapping[Key, float]) -> dict[Key, float]:
    """What two releases tell together: numbers at the same place that are not the same."""
    found = {key: after[key] - number for key, number in before.items() if key in after}
    return {key: number for key, number in found.items() if number and np.isfinite(number)}


def _in_file(path: Path) -> Iterator[tuple[Key, float]]:
    if path.suffix == ".parquet":
        yield from _in_table(path)
    elif path.suffix in (".json", ".jsonld"):
        yield from _in_json(json.loads(path.read_text()), ())
    elif path.suffix == ".h5ad":
        yield from _in_hdf5(path)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                yield from _in_array(arrays[name], (name,))
    elif path.suffix in (".html", ".md", ".ttl", ".cff", ".svg", ".csv", ".js", ".txt", ".yaml"):
        yield from _in_text(path.read_text())


def _in_table(path: Path) -> Iterator[tuple[Key, float]]:
    frame = pd.read_parquet(path)
    key = [name for name in KEYS.get(path.name, []) if name in frame]
    yield ("rows",), float(len(frame))
    for number, row in enumerate(frame.to_dict("records")):
        own = tuple(str(row[name]) for name in key) or (str(number),)
        for name, value in row.items():
            if isinstance(value, int | float | np.number) and not isinstance(value, bool):
                yield (*own, str(name)), float(value)
            elif isinstance(value, str):
                for place, inside in _in_text(value):
                    yield (*own, str(name), *place), inside


def _in_json(value: Any, place: Key) -> Iterator[tuple[Key, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _in_json(item, (*place, str(key)))
    elif isinstance(value, list):
        yield (*place, "length"), float(len(value))
        for number, item in enumerate(value):
            told = item.get("@id", item.get("name")) if isinstance(item, Mapping) else None
            yield from _in_json(item, (*place, str(told or number)))
    elif isinstance(value, str):
        for inner, number in _in_text(value):
            yield (*place, *inner), number
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, float(value)


def _in_hdf5(path: Path) -> Iterator[tuple[Key, float]]:
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in ["/", *names]:
            for key, value in file[name].attrs.items():
                yield from _in_array(np.asarray(value), (name, key))
            if isinstance(file[name], h5py.Dataset):
                yield from _in_array(np.asarray(file[name][()]), (name,))


def _in_array(values: np.ndarray, place: Key) -> Iterator[tuple[Key, float]]:
    yield (*place, "size"), float(values.size)
    if values.dtype.kind in "iuf":
        for number, value in enumerate(values.ravel()[:2000].tolist()):
            yield (*place, str(number)), float(value)


def _in_text(text: str) -> Iterator[tuple[Key, float]]:
    """Numbers with the words before them."""
    plain = _TAG.sub(" ", _TIME.sub(" ", text))
    for found in _NUMBER.finditer(plain):
        words = re.sub(r"[\d\s]+", " ", plain[max(found.start() - 60, 0) : found.start()])
        yield (words.strip(),), float(found[0].replace(",", ""))
