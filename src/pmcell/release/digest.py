"""Digests of what a file says, not of how its bytes are laid out.

HDF5, Parquet and zip files of equal content can differ in chunking, padding
and library version. Their content digest walks names, types, shapes and
values; all other files are digested by their bytes. What validators said of a
release is no part of what it says: `validation/` is left out of the digest of
a release, and what the site tells of it out of the page's. Documents about the
release are digested without the day of publication and without the sizes and
byte digests they list, and the RO-Crate without the record of the run: times,
threads and computers differ between runs that give the same. For that reason
what jobs took (`tables/runtime.parquet`) counts by its jobs, not its numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.io.atomic import sha256_file
from pmcell.io.filters import register_filters
from pmcell.io.json_text import parse_json
from pmcell.release.table_digest import TableDigest

BLOCK_VALUES = 1 << 20
BATCH_ROWS = 1 << 18
CRATE = "ro-crate-metadata.json"
DOCUMENTS = (CRATE, "croissant.json", "datacite.json", "datapackage.json")
DATED = ("CITATION.cff", "dcat.ttl")
DAYS = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
EVIDENCE = "validation/"
LAYOUT_MARKS = re.compile(r"<!--layout-->.*?<!--/layout-->", re.DOTALL)
"""Around what a page says of sizes and digests of other files, of the day of publication, or of
the validators that were set up where the release was written."""
LAYOUT_KEYS = (
    "bytes",
    "citeAs",
    "contentSize",
    "created",
    "datePublished",
    "dates",
    "hash",
    "publicationYear",
    "sha256",
    "sizes",
)

RUN_IDS = (
    "#run",
    "https://w3id.org/ro/wfrun/",
    "https://bioschemas.org/profiles/FormalParameter/",
)
"""Starts of the ids of the crate that belong to one run, or name what is recorded of it."""
SOFTWARE_TYPES = ("SoftwareApplication", "ComputerLanguage")


def content_sha256(path: Path, known: Mapping[str, str] | None = None) -> str:
    """Hexadecimal SHA-256 of a file's content, in bounded memory; an empty file has that of ''.

    `known` are digests of the values of an h5ad's datasets, by name, which its writer took.
    """
    if not path.stat().st_size:
        return sha256_file(path)
    if path.suffix == ".h5ad":
        return _h5ad(path, known or {})
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".npz":
        return _npz(path)
    if path.suffix == ".html":
        return _hex(LAYOUT_MARKS.sub("", path.read_text(encoding="utf-8")))
    if path.name in DATED:
        return _hex(DAYS.sub("", path.read_text(encoding="utf-8")))
    if path.name in DOCUMENTS:
        value = _without_layout(parse_json(path.read_text(encoding="utf-8")))
        if path.name == CRATE:
            value = _without_run(value)
        return _hex(json.dumps(value, sort_keys=True))
    return sha256_file(path)


def combined_sha256(digests: dict[str, str]) -> str:
    """One digest of many named digests, without what validators said of them.

    Which validators are set up on a machine is no part of what a release says.
    """
    judged = {name: digest for name, digest in digests.items() if not name.startswith(EVIDENCE)}
    return _hex(json.dumps(sorted(judged.items())))


def _h5ad(path: Path, known: Mapping[str, str]) -> str:
    import h5py

    total = hashlib.sha256()
    names: list[str] = []
    with h5py.File(path, "r", locking=False) as file:
        register_filters(file)
        file.visit(names.append)
        for name in ["/", *sorted(names)]:
            item = file[name]
            attributes = {key: _plain(item.attrs[key]) for key in sorted(item.attrs)}
            total.update(json.dumps([name, attributes], sort_keys=True).encode())
            if isinstance(item, h5py.Dataset):
                form = ["text" if item.dtype.kind == "O" else item.dtype.str, list(item.shape)]
                total.update(json.dumps([*form, known.get(name) or _values(item, path)]).encode())
    return total.hexdigest()


def _values(item: Any, path: Path) -> str:
    """Digest of the values of a dataset."""
    total, is_text = hashlib.sha256(), item.dtype.kind == "O"
    blocks: Iterable[Any]
    if item.shape == ():
        blocks = [item[()]]
    elif not is_text and item.ndim == 1 and item.shape[0] > BLOCK_VALUES:
        from pmcell.io.counts.stored import read_ahead

        blocks = read_ahead(item, path)
    else:
        width = int(np.prod(item.shape[1:])) or 1
        step = max(BLOCK_VALUES // width, 1)
        blocks = (item[start : start + step] for start in range(0, item.shape[0], step))
    for block in blocks:
        if is_text:
            values = np.asarray(block, dtype=object).ravel()
            total.update(b"".join(bytes(value) + b"\0" for value in values))
        else:
            total.update(np.ascontiguousarray(block).data)
    return total.hexdigest()


def _parquet(path: Path) -> str:
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        schema = pq.read_schema(stream)
        # Text mostly comes in long runs; that of the column which rows are sorted by last need not.
        order = parse_json((schema.metadata or {}).get(b"pmcell:row_order", b"[]"))
        text = [field.name for field in schema if field.type == "string"]
        coded = [name for name in text if name not in order[-1:]]
        stream.seek(0)
        file = pq.ParquetFile(stream, read_dictionary=coded)
        digest = TableDigest(schema)
        for batch in file.iter_batches(BATCH_ROWS, columns=digest.names):
            digest.add(batch)
    return digest.hexdigest()


def _npz(path: Path) -> str:
    total = hashlib.sha256()
    with np.load(path, allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            array = arrays[name]
            total.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _without_layout(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_layout(item) for key, item in value.items() if key not in LAYOUT_KEYS}
    if isinstance(value, list):
        return [_without_layout(item) for item in value]
    return value


def _without_run(value: Any) -> Any:
    """The crate without entities of the run and the software, and without references to them."""
    if isinstance(value, dict) and str(value.get("@id", "")).startswith(RUN_IDS):
        return None
    if isinstance(value, dict) and value.get("@type") in SOFTWARE_TYPES:
        return None
    if isinstance(value, dict):
        rest = {key: _without_run(item) for key, item in value.items()}
        return {key: item for key, item in rest.items() if item not in (None, [])}
    if isinstance(value, list):
        kept = [item for item in map(_without_run, value) if item is not None]
        return kept[0] if len(kept) == 1 else kept
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
