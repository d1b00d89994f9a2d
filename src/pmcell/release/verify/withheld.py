"""Is anything in the release that must not be: withheld donors, or labels of withheld strata?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.io.atomic import read_json
from pmcell.schema.verdict import STRATA

FIX = "Do not pass this release on; write it again and report the fault."


def withheld_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    """Faults of disclosure."""
    faults = _strata_faults(folder, manifest)
    prefixes = tuple(
        f"{name}:"
        for name, cohort in sorted(manifest["cohorts"].items())
        if cohort["access"] != "open"
    )
    if prefixes:
        faults += [
            Fault(
                name,
                "must not name a donor, sample or cell of a cohort without open access",
                f"an id that starts with {prefix!r}",
                FIX,
                column=column,
                reason="withheld",
            )
            for name, column, prefix in _leaks(folder, prefixes)
        ]
    return faults


def _strata_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    import h5py
    import pyarrow.parquet as pq

    decision = read_json(folder / "strata.json").get("decision")
    if decision != manifest["strata_decision"]:
        must = f"decision must be that of manifest.json, {manifest['strata_decision']!r}"
        return [
            Fault("strata.json", must, repr(decision), "Write the release again.", reason="strata")
        ]
    if decision == STRATA:
        return []
    faults = []
    must = f"must hold no stratum, because the decision is {decision!r}"
    n_strata = pq.read_metadata(folder / "tables" / "strata.parquet").num_rows
    if n_strata:
        found = f"{n_strata} rows"
        faults.append(Fault("tables/strata.parquet", must, found, FIX, reason="strata_withheld"))
    table = pq.read_table(
        folder / "tables" / "assignments.parquet",
        columns=["stratum", "candidate_stratum", "conformal_set"],
    )
    for column in table.column_names:
        labels = len(table) - table.column(column).null_count
        if labels:
            name, found = "tables/assignments.parquet", f"{labels} labels"
            faults.append(Fault(name, must, found, FIX, column=column, reason="strata_withheld"))
    for path in [folder / "donors.h5ad", *sorted((folder / "cells").glob("*.h5ad"))]:
        with h5py.File(path, "r", locking=False) as file:
            places = [name for name in file["obs"] if "stratum" in name or name == "conformal_set"]
            blocks = [name for name in ("uns/clustering/consensus",) if name in file]
            for column in places + blocks:
                name = path.relative_to(folder).as_posix()
                faults.append(
                    Fault(name, must, "it is there", FIX, column=column, reason="strata_withheld")
                )
    return faults


def _leaks(folder: Path, prefixes: tuple[str, ...]) -> Iterator[tuple[str, str | None, str]]:
    """(file, column, prefix) of text that names someone; each file once a prefix."""
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        found: dict[str, str | None] = {}
        for column, values in _texts(path):
            for prefix in prefixes:
                if prefix not in found and any(_names(value, prefix) for value in values):
                    found[prefix] = column
        for prefix, column in sorted(found.items()):
            yield name, column, prefix


def _names(text: str, prefix: str) -> bool:
    """Whether an id of the cohort stands in the text; `cohort: ` in prose is no id."""
    start = text.find(prefix)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(prefix) : start + len(prefix) + 1]
        if not (before.isalnum() or (before in ("_", "-", ".") and before)) and after.isalnum():
            return True
        start = text.find(prefix, start + 1)
    return False


def _texts(path: Path) -> Iterator[tuple[str | None, list[str]]]:
    if path.suffix == ".parquet":
        yield from _parquet_texts(path)
    elif path.suffix == ".h5ad":
        yield from _h5ad_texts(path)
    else:
        # Text of any kind, and what stands in clear in other files.
        yield None, [path.read_text(encoding="utf-8", errors="replace")]


def _parquet_texts(path: Path) -> Iterator[tuple[str, list[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        for batch in file.iter_batches():
            for field, values in zip(batch.schema, batch.columns, strict=True):
                values = values.flatten() if pa.types.is_list(field.type) else values
                if pa.types.is_string(values.type):
                    yield field.name, [text for text in values.unique().to_pylist() if text]


def _h5ad_texts(path: Path) -> Iterator[tuple[str, list[str]]]:
    import h5py

    names: list[str] = []
    with h5py.File(path, "r", locking=False) as file:
        file.visit(names.append)
        for name in names:
            yield name, [name.rsplit("/", 1)[-1], *map(str, file[name].attrs.values())]
            if isinstance(file[name], h5py.Dataset) and file[name].dtype.kind == "O":
                values = file[name].asstr()[()]
                yield (
                    name,
                    [values]
                    if isinstance(values, str)
                    else [str(value) for value in values.ravel()],
                )
