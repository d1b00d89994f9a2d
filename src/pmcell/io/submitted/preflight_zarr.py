"""Look at a submitted zarr store before the library does, and refuse what could harm.

Formats 2 and 3, as a folder or in a zip file. An allow-list, as for HDF5: only
regular files within the store, arrays of plain types and text, codecs that only
decompress, and no array that declares more than it can hold. Chunks are not read.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import Fault
from pmcell.io.json_text import parse_json
from pmcell.io.submitted.limits import Limits
from pmcell.io.zarr_store import METADATA, list_entries, prefix_of, read_entry

CODECS = frozenset({"bytes", "transpose", "blosc", "zstd", "gzip", "crc32c", "vlen-utf8"})
COMPRESSORS = frozenset({"blosc", "zstd", "gzip", "zlib", "lz4"})
TEXT_BYTES = 16
"""What a text counts for: a pointer and a length."""
MAX_FILES = 5_000_000
REWRITE = "Read it with anndata where it came from and write it again with adata.write_zarr()."
COPY = "Copy the store again and compare checksums."


@dataclass
class _Node:
    """A group or array of the store, as its metadata and its files say."""

    array: dict[str, Any] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    n_metadata: int = 0
    n_chunks: int = 0
    stored: int = 0


def scan_zarr(path: Path, limits: Limits) -> list[Fault]:
    """Faults of a zarr store, at most `limits.max_faults`; reads metadata only."""
    faults: list[Fault] = []
    try:
        for fault in _scan(path, limits):
            faults.append(fault)
            if len(faults) >= limits.max_faults:
                break
    # What is stored is foreign: JSON of any shape, a damaged zip file.
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError),
        *(RecursionError, zipfile.BadZipFile, NotImplementedError, RuntimeError),
    ) as error:
        must, found = "every part of the store must be readable", f"{type(error).__name__}: {error}"
        fix = f"The store is damaged. {COPY}"
        faults.append(Fault(path.name, must, found, fix, reason="unreadable"))
    return faults


def _scan(path: Path, limits: Limits) -> Iterator[Fault]:
    def fault(reason: str, place: str, must: str, found: str, fix: str = REWRITE) -> Fault:
        return Fault(f"{path.name}:/{place}", must, found, fix, reason=reason)

    nodes: dict[str, _Node] = {}
    entries, refused = [], False
    for entry in list_entries(path):
        if entry.refused:
            must = "a store must hold regular files within it, each once, as plain zip or folder"
            reason = "soft_link" if entry.refused == "a link" else "entry_not_allowed"
            yield fault(reason, entry.key, must, entry.refused)
            refused = True
        entries.append(entry)
        if len(entries) > MAX_FILES:
            must = f"a store may hold {MAX_FILES} files"
            yield fault("too_many_objects", "", must, "more", "Write larger chunks.")
            return
    if refused:
        return
    top = "" if path.is_dir() else prefix_of([entry.key for entry in entries])
    chunks = []
    for entry in entries:
        folder, _, name = entry.key.rpartition("/")
        if name not in METADATA:
            chunks.append(entry)
            if entry.size > max(limits.ratio_from, limits.max_ratio * entry.stored):
                yield _bomb(fault, entry.key, entry.size, entry.stored, limits)
            continue
        if entry.size > limits.max_attribute:
            must = f"metadata may hold {limits.max_attribute / 2**20:.0f} MiB"
            yield fault("bomb", entry.key, must, f"{entry.size / 2**20:.0f} MiB")
            return
        if name != ".zmetadata":
            _take(nodes.setdefault(folder, _Node()), name, parse_json(read_entry(path, entry.key)))
    if not any(node.n_metadata for name, node in nodes.items() if name == top):
        must = "the store must hold a zarr group at its root"
        fix = "Unpack it, and give the file or folder inside."
        if path.is_dir():
            fix = "Set matrix.format in cohort.yaml to what it is."
        yield fault("not_zarr", "", must, "none", fix)
        return
    _count_chunks(nodes, chunks)
    yield from _judge(nodes, limits, fault)


def _take(node: _Node, name: str, value: dict[str, Any]) -> None:
    if name == ".zattrs":
        node.attributes = value
        return
    node.n_metadata += 1
    if name == "zarr.json":
        node.attributes = value.get("attributes") or {}
    if name == ".zarray" or value.get("node_type") == "array":
        node.array = value


def _count_chunks(nodes: dict[str, _Node], chunks: Sequence[Any]) -> None:
    """Give each file that is no metadata to the array in whose folder it lies."""
    for entry in chunks:
        place = entry.key
        while "/" in place:
            place = place.rpartition("/")[0]
            node = nodes.get(place)
            if node is not None and node.array is not None:
                node.n_chunks += 1
                node.stored += entry.stored
                break


def _judge(nodes: dict[str, _Node], limits: Limits, fault: Any) -> Iterator[Fault]:
    if len(nodes) > limits.max_objects:
        must = f"the store may hold {limits.max_objects} groups and arrays"
        yield fault("too_many_objects", "", must, str(len(nodes)))
        return
    declared = 0
    for place, node in sorted(nodes.items()):
        parents = [place[: cut.start()] for cut in re.finditer("/", place)]
        if len(parents) > limits.max_depth:
            yield fault("too_deep", place, f"groups may nest {limits.max_depth} deep", "more")
        if node.n_metadata != 1 or any(
            nodes[parent].array is not None for parent in parents if parent in nodes
        ):
            must = "each place of the store must be one group or one array, none inside an array"
            yield fault("aliased_object", place, must, "several, or none")
            continue
        if node.array is None:
            continue
        problem = _codec_problem(node.array)
        if problem:
            must = (
                "values must be numbers or text, stored plain or with blosc, zstd, gzip, zlib or "
                "lz4"
            )
            yield fault("filter_not_allowed", place, must, problem)
            continue
        shape, outer, inner, itemsize = _layout(node.array)
        size = math.prod(shape) * itemsize
        declared += size
        if size > limits.max_declared or size > max(
            limits.ratio_from, limits.max_ratio * max(node.stored, 1)
        ):
            yield _bomb(fault, place, size, node.stored, limits)
        if math.prod(inner) * itemsize > limits.max_chunk:
            must = f"a chunk may hold {limits.max_chunk / 2**30:.0f} GiB"
            yield fault("bomb", place, must, f"{math.prod(inner) * itemsize / 2**30:.1f} GiB")
        yield from _missing_chunks(nodes, place, node, shape, outer, fault)
    if declared > limits.max_declared:
        must = f"the store may declare {limits.max_declared / 1e9:.0f} GB"
        yield fault("bomb", "", must, f"{declared / 1e9:.0f} GB")


def _missing_chunks(
    nodes: dict[str, _Node],
    place: str,
    node: _Node,
    shape: Sequence[int],
    chunk: Sequence[int],
    fault: Any,
) -> Iterator[Fault]:
    """A missing chunk reads as zeros or no text: a broken copy looks so.

    Writers leave out a chunk of zeros, which may be right of a column and of a dense matrix. No
    sparse matrix, names of cells and genes or labels are written so.
    """
    parent, _, name = place.rpartition("/")
    above = nodes[parent].attributes if parent in nodes else {}
    kind, index = str(above.get("encoding-type", "")), above.get("_index")
    wanted = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
    is_matrix = kind in ("csr_matrix", "csc_matrix") and name in ("data", "indices")
    is_names = kind == "dataframe" and name == index
    is_labels = kind == "categorical" and name == "categories" and shape != [1]
    if is_matrix or is_names or is_labels:
        if node.n_chunks < wanted:
            what = "a sparse matrix" if is_matrix else "names" if is_names else "labels"
            must = f"all {wanted} chunks of {what} must be there"
            yield fault("truncated", place, must, str(node.n_chunks), COPY)
    elif node.n_chunks > wanted:
        must = f"an array of {wanted} chunks may hold no more files"
        yield fault("entry_not_allowed", place, must, str(node.n_chunks), COPY)


def _layout(array: Mapping[str, Any]) -> tuple[list[int], list[int], list[int], int]:
    """Shape, shape of the stored chunks, shape of what is decoded at once, bytes of a value."""
    shape = _sides(array["shape"])
    if "chunks" in array:
        chunk = _sides(array["chunks"], least=1)
        return shape, chunk, chunk, _itemsize(array["dtype"])
    outer = inner = _sides(array["chunk_grid"]["configuration"]["chunk_shape"], least=1)
    for codec in array["codecs"]:
        if codec["name"] == "sharding_indexed":
            inner = _sides(codec["configuration"]["chunk_shape"], least=1)
    return shape, outer, inner, _itemsize(array["data_type"])


def _sides(value: Any, *, least: int = 0) -> list[int]:
    if not isinstance(value, list) or not all(type(n) is int and n >= least for n in value):
        raise ValueError(f"shapes must be lists of whole numbers from {least}, found {value!r:.60}")
    return value


def _itemsize(kind: Any) -> int:
    if isinstance(kind, dict):
        return int(kind["configuration"]["length_bytes"])
    return TEXT_BYTES if kind in ("|O", "string") else np.dtype(kind).itemsize


def _codec_problem(array: Mapping[str, Any]) -> str:
    """What of an array's type and codecs is not on the list; empty where all is."""
    if "chunks" in array:
        kind, filters = array["dtype"], array.get("filters") or []
        names = [str(item["id"]) for item in filters]
        if kind == "|O" and names != ["vlen-utf8"]:
            return f"objects with filters {names}"
        if not isinstance(kind, str) or (kind != "|O" and np.dtype(kind).kind not in "biufSU"):
            return f"type {kind!r:.60}"
        compressor = array.get("compressor")
        names += [str(compressor["id"])] if compressor else []
        known = COMPRESSORS | {"vlen-utf8"}
        return next((f"codec {name!r:.60}" for name in names if name not in known), "")
    kind = array["data_type"]
    named = kind.get("name") if isinstance(kind, dict) else kind
    if named not in ("string", "fixed_length_utf32") and (
        isinstance(kind, dict) or not re.fullmatch(r"bool|u?int(8|16|32|64)|float(16|32|64)", kind)
    ):
        return f"type {kind!r:.60}"
    if array["chunk_grid"]["name"] != "regular" or array.get("storage_transformers"):
        return "another chunk grid, or storage transformers"
    return _chain_problem(array["codecs"])


def _chain_problem(codecs: Sequence[Mapping[str, Any]], *, nested: bool = False) -> str:
    names = [str(codec["name"]) for codec in codecs]
    for name, codec in zip(names, codecs, strict=True):
        if name == "sharding_indexed" and not nested:
            inner = codec["configuration"]
            problem = _chain_problem(inner["codecs"], nested=True) or _chain_problem(
                inner.get("index_codecs") or [], nested=True
            )
            if problem:
                return problem
        elif name not in CODECS:
            return f"codec {name!r:.60}"
    if len(COMPRESSORS.intersection(names)) > 1 or len(set(names)) < len(names):
        return f"codecs {names}"
    return ""


def _bomb(fault: Any, place: str, size: int, stored: int, limits: Limits) -> Fault:
    must = f"nothing may declare more than {limits.max_ratio} times what is stored"
    found = f"{size / 1e9:.2f} GB declared, {stored} bytes stored"
    result: Fault = fault("bomb", place, must, found)
    return result
