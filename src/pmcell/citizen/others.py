"""Look through a person's package for anybody else before it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pmcell.citizen.person import Person
from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.tables import read_table
from pmcell.schema.text import text_array

MIN_BARE = 6
"""Signs that an id without its cohort must have to be looked for."""

_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:#+/|-]*")


def other_ids(results: Path, person: Person) -> frozenset[str]:
    """Return ids of all other donors and samples, and of others' cells in the person's cohort.

    Ids of donors and samples also stand without their cohort, where they are long enough to be
    nothing else.
    """
    found: set[str] = set()
    for path in sorted(results.glob("cohorts/*/samples.parquet")):
        frame = read_table(path, ["sample_id", "donor_id"])
        found |= {*frame["sample_id"], *frame["donor_id"]}
        found |= set(read_table(path.with_name("donors.parquet"), ["donor_id"])["donor_id"])
    own = {name.partition(":")[2] for name in (person.donor_id, *person.samples)}
    bare = {name.partition(":")[2] for name in found}
    found |= {name for name in bare if len(name) >= MIN_BARE} - own
    found |= set(text_array(person.counts.cell_ids).tolist())
    return frozenset(found - person.ids)


def require_alone(folder: Path, others: frozenset[str]) -> None:
    """Raise `FaultsError` for every file that names somebody else; the message names nobody."""
    faults = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(folder))
        places = sorted({place for place, text in _texts(path) if others & _tokens(text)})
        faults += [
            Fault(
                name,
                "must be about one person alone",
                f"ids of others in {place}",
                "Report this: nothing was written.",
                reason="other_people",
            )
            for place in places
        ]
    if faults:
        raise FaultsError(faults)


def require_own_cells(path: Path, person: Person) -> None:
    """Raise `DataError` unless an h5ad holds the person's cells, count by count, and no others."""
    import anndata as ad
    import numpy as np

    written = ad.read_h5ad(path)
    own = text_array(person.counts.cell_ids)[person.rows]
    expected = person.counts.read_rows(person.rows)
    is_same = written.obs_names.tolist() == own.tolist() and written.shape == expected.shape
    if not is_same or (written.X.astype(np.int64) != expected.astype(np.int64)).nnz:
        raise DataError(
            f"{path.name} must hold the cells of one person as they were taken in; it does not. "
            "Report this: nothing was written.",
            reason="other_people",
        )


def _tokens(text: str) -> set[str]:
    """A text, and the words of it that can be ids."""
    return {text, *_WORDS.findall(text)}


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Every text in a file, with the place in it: names, values, attributes, metadata."""
    yield "the name", path.name
    if path.suffix == ".parquet":
        yield from _of_parquet(path)
    elif path.suffix == ".h5ad":
        yield from _of_hdf5(path)
    else:
        yield "the text", path.read_text(encoding="utf-8", errors="replace")


def _of_parquet(path: Path) -> Iterator[tuple[str, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    metadata = [*(table.schema.metadata or {}).items()]
    for field in table.schema:
        metadata += [*(field.metadata or {}).items()]
    for key, value in metadata:
        yield "metadata", f"{key.decode()} {value.decode()}"
    for name in table.column_names:
        column = table.column(name)
        values = column.unique().to_pylist() if _is_text(column.type) else []
        for value in values if values or not _is_list(column.type) else column.to_pylist():
            yield f"column {name}", str(value)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind))


def _of_hdf5(path: Path) -> Iterator[tuple[str, str]]:
    import h5py

    found: list[tuple[str, str]] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found.append((f"object {name}", name))
        found.extend((f"attribute of {name}", str(value)) for value in item.attrs.values())
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "OSU":
            values = item[()]
            listed = values.ravel().tolist() if hasattr(values, "ravel") else [values]
            found.extend((name, v.decode() if isinstance(v, bytes) else str(v)) for v in listed)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    yield from found
