"""Look at a submitted file before any reader does, and refuse what could harm.

An HDF5 file can point at other files of this machine (external links, external
raw storage, virtual datasets), declare terabytes in kilobytes, or load code
(filter plug-ins: `pmcell.io.filters` says which are let in). The scan is an
allow-list after the HDF Group's h5policy: it opens objects through hard links
only, reads no data, and names what it refuses. zarr stores are looked at by
`pmcell.io.submitted.preflight_zarr`. Text files are bounded while they are read
(`pmcell.io.textfile`).
"""

from __future__ import annotations

import math
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.filters import PLUGIN_FILTERS
from pmcell.io.submitted.limits import Limits
from pmcell.io.submitted.preflight_zarr import scan_zarr

if TYPE_CHECKING:
    import h5py

BESIDE = frozenset({"uns", "obsm", "varm", "obsp", "varp"})
"""Groups of AnnData of which nothing is taken in."""


def preflight(path: Path | str, fmt: str, limits: Limits | None = None) -> None:
    """Raise `FaultsError` (a `DataError`) with every reason to refuse the file or folder at `path`.

    Reasons: file_missing, not_a_file, empty_file, not_hdf5, truncated,
    external_link, soft_link, external_storage, virtual_dataset,
    filter_not_allowed, bomb, too_deep, too_many_objects, aliased_object,
    named_datatype, entry_not_allowed, not_zarr, unreadable.
    """
    path = Path(path)
    if fmt == "10x_mtx":
        _must_be(path, path.is_dir(), "not_a_folder", "the 10x matrix must be a folder")
        return
    if fmt != "zarr" or not path.is_dir():
        _check_regular(path)
    scan = {"h5ad": scan_hdf5, "10x_h5": scan_hdf5, "zarr": scan_zarr}.get(fmt)
    faults = scan(path, limits or Limits()) if scan else []
    if faults:
        raise FaultsError(faults)


def scan_hdf5(path: Path, limits: Limits) -> list[Fault]:
    """Faults of an HDF5 file, at most `limits.max_faults`; follows no link, reads no data."""
    try:
        file = open_hdf5(path)
    except OSError as error:
        return [_unopenable(path, str(error))]
    with file:
        return scan_open_hdf5(file, path.name, limits)


def scan_open_hdf5(file: Any, name: str, limits: Limits) -> list[Fault]:
    """Faults of an open HDF5 file that is called `name`, as `scan_hdf5` finds them."""
    faults = []
    try:
        for fault in _walk(file, name, limits):
            faults.append(fault)
            if len(faults) >= limits.max_faults:
                break
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        faults.append(
            Fault(
                file=name,
                must="every object of the file must be readable",
                found=f"{type(error).__name__}: {error}",
                fix="The file is damaged: copy or write it again and compare checksums.",
                reason="unreadable",
            )
        )
    return faults


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, without locks: file systems of clusters may have none.

    Where this process has the file open with locks, HDF5 wants the same again.
    """
    import h5py

    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        return h5py.File(path, "r")


def _check_regular(path: Path) -> None:
    _must_be(path, path.exists(), "file_missing", "the matrix must exist")
    _must_be(
        path, stat.S_ISREG(path.stat().st_mode), "not_a_file", "the matrix must be a regular file"
    )
    _must_be(path, path.stat().st_size > 0, "empty_file", "the matrix must not be empty")


def _must_be(path: Path, holds: bool, reason: str, must: str) -> None:
    if not holds:
        other_form = "Set matrix.format in cohort.yaml to what it is, or copy it again."
        found, fix = {
            "file_missing": (
                "a link that leads nowhere" if path.is_symlink() else "no such file",
                "Copy it there, or name the file where it is now.",
            ),
            "empty_file": ("0 bytes", "Copy it again from the source."),
            "not_a_folder": ("something else", other_form),
            "not_a_file": ("a folder, device or pipe", other_form),
        }[reason]
        raise FaultsError(
            [
                Fault(
                    file=path.name,
                    must=must,
                    found=found,
                    fix=fix,
                    reason=reason,
                )
            ]
        )


def _unopenable(path: Path, message: str) -> Fault:
    if "truncated" in message or "eof" in message.lower():
        return Fault(
            file=path.name,
            must="the file must be complete",
            found=f"only {path.stat().st_size} bytes of it (truncated)",
            fix="Copy it again from the source and compare checksums.",
            reason="truncated",
        )
    if "signature not found" in message:
        return Fault(
            file=path.name,
            must="the file must be HDF5",
            found="another kind of file",
            fix="Set matrix.format in cohort.yaml to what it is, or copy the file again.",
            reason="not_hdf5",
        )
    if "already open for" in message or "consistency flags" in message:
        return Fault(
            file=path.name,
            must="the file must have been closed by what wrote it",
            found="it is marked as open for writing: that still runs, or was stopped",
            fix="Let it end, or write the file again. Where the file is known to be whole, a copy "
            "of it can be unmarked: h5clear -s, of the HDF5 tools.",
            reason="unreadable",
        )
    return Fault(
        file=path.name,
        must="the file must open",
        found=message,
        fix="The file is damaged: copy it again and compare checksums.",
        reason="unreadable",
    )


def _walk(file: Any, name: str, limits: Limits) -> Iterator[Fault]:
    from h5py import h5d, h5g, h5l, h5o

    def fault(reason: str, place: str, must: str, found: str, fix: str) -> Fault:
        return Fault(file=f"{name}:{place}", must=must, found=found, fix=fix, reason=reason)

    rewrite = "Read it with anndata where it came from and write it again with adata.write_h5ad()."
    root = h5o.get_info(file.id)
    seen = {(root.fileno, root.addr)}
    pending: list[tuple[str, Any, int]] = [("", file.id, 0)]
    n_objects = 0
    declared_in_all = 0
    yield from _attribute_faults(file.id, "/", limits, fault)
    while pending:
        path, group, depth = pending.pop()
        if depth > limits.max_depth:
            yield fault(
                "too_deep", path, f"groups may nest {limits.max_depth} deep", "more", rewrite
            )
            continue
        for link_name in group:
            place = f"{path}/{link_name.decode('utf-8', 'replace')}"
            n_objects += 1
            if n_objects > limits.max_objects:
                must = f"the file may hold {limits.max_objects} objects"
                yield fault("too_many_objects", path or "/", must, "more", rewrite)
                return
            link = group.links.get_info(link_name)
            if link.type != h5l.TYPE_HARD:
                kind = {h5l.TYPE_EXTERNAL: "external_link", h5l.TYPE_SOFT: "soft_link"}.get(
                    link.type, "link_not_allowed"
                )
                found = kind.replace("_", " ")
                yield fault(
                    kind,
                    place,
                    "data must lie in the file itself, not behind a link",
                    found,
                    rewrite,
                )
                continue
            item = h5o.open(group, link_name)
            info = h5o.get_info(item)
            key = (info.fileno, info.addr)
            if key in seen:
                must = "each object must be reached by one path"
                yield fault("aliased_object", place, must, "an alias or a loop", rewrite)
                continue
            seen.add(key)
            yield from _attribute_faults(item, place, limits, fault)
            if isinstance(item, h5g.GroupID):
                pending.append((place, item, depth + 1))
            elif isinstance(item, h5d.DatasetID):
                declared, faults = _check_dataset(item, place, limits, fault, rewrite)
                declared_in_all += declared
                yield from faults
            else:
                yield fault(
                    "named_datatype",
                    place,
                    "only groups and datasets are allowed",
                    "a named type",
                    rewrite,
                )
    if declared_in_all > limits.max_declared:
        must = f"the file may declare {limits.max_declared / 1e9:.0f} GB"
        yield fault("bomb", "/", must, f"{declared_in_all / 1e9:.0f} GB", rewrite)


def _check_dataset(
    item: Any, place: str, limits: Limits, fault: Any, rewrite: str
) -> tuple[int, list[Fault]]:
    from h5py import h5d

    plist = item.get_create_plist()
    faults = []
    if plist.get_external_count():
        must = "values must be stored in the file itself"
        return 0, [fault("external_storage", place, must, "external raw storage", rewrite)]
    if plist.get_layout() == h5d.VIRTUAL:
        must = "values must be stored in the file itself"
        return 0, [fault("virtual_dataset", place, must, "a virtual dataset", rewrite)]
    filters = [int(plist.get_filter(k)[0]) for k in range(plist.get_nfilters())]
    compressors, helpers = _allowed_filters()
    refused = [number for number in filters if number not in compressors | helpers]
    # One compressor in another would hide how much comes out of how little.
    several = len(compressors.intersection(filters)) > 1
    if refused or several or len(set(filters)) < len(filters):
        faults.append(
            fault(
                "filter_not_allowed",
                place,
                "values must be stored plain or with one of gzip, lzf, zstd, blosc and lz4, "
                "beside shuffle or fletcher32",
                f"HDF5 filters {filters}",
                "Write it again where it came from with adata.write_h5ad(path, "
                "compression='gzip').",
            )
        )
    itemsize = int(item.get_type().get_size())
    declared = math.prod(int(side) for side in item.shape or ()) * itemsize
    stored = int(item.get_storage_size())
    if declared > limits.max_declared or (
        declared > limits.ratio_from and declared > limits.max_ratio * max(stored, 1)
    ):
        must = f"a dataset may declare at most {limits.max_ratio} times what it stores"
        found = f"{declared / 1e9:.2f} GB declared, {stored} bytes stored"
        faults.append(fault("bomb", place, must, found, rewrite))
    if place.split("/")[1] not in BESIDE:
        faults += _unwritten(item, place, stored, fault)
    if plist.get_layout() == h5d.CHUNKED:
        chunk = math.prod(int(side) for side in plist.get_chunk()) * itemsize
        if chunk > limits.max_chunk:
            must = f"a chunk may hold {limits.max_chunk / 2**30:.0f} GiB"
            faults.append(fault("bomb", place, must, f"{chunk / 2**30:.1f} GiB", rewrite))
    return declared, faults


def _unwritten(item: Any, place: str, stored: int, fault: Any) -> Iterator[Fault]:
    """What was declared and never written reads as zeros, as if nothing had been counted there."""
    from h5py import h5d

    shape, plist = item.shape or (0,), item.get_create_plist()
    n_wanted, n_found = int(math.prod(shape) > 0), int(stored > 0)
    if plist.get_layout() == h5d.CHUNKED:
        n_wanted = math.prod(-(-n // c) for n, c in zip(shape, plist.get_chunk(), strict=True))
        n_found = item.get_num_chunks()
    if n_found < n_wanted:
        yield fault(
            "truncated",
            place,
            "every chunk of values must have been written",
            f"{n_found:,} of {n_wanted:,} chunks; the others read as zeros",
            "Writing it was interrupted: write it again where it came from. Where these are zeros, "
            "read it with anndata and write it again with adata.write_h5ad().",
        )


def _attribute_faults(item: Any, place: str, limits: Limits, fault: Any) -> Iterator[Fault]:
    from h5py import h5a

    for k in range(h5a.get_num_attrs(item)):
        attribute = h5a.open(item, index=k)
        size = math.prod(int(side) for side in attribute.shape or ()) * int(
            attribute.get_type().get_size()
        )
        if size > limits.max_attribute:
            must = f"an attribute may hold {limits.max_attribute / 2**20:.0f} MiB"
            yield fault(
                "bomb",
                place,
                must,
                f"{size / 2**20:.0f} MiB",
                "Remove it and write the file again.",
            )


def _allowed_filters() -> tuple[frozenset[int], frozenset[int]]:
    """Filters that compress, and those that only arrange or check."""
    from h5py import h5z

    compressors = {h5z.FILTER_DEFLATE, h5z.FILTER_LZF, *PLUGIN_FILTERS.values()}
    helpers = {
        h5z.FILTER_SHUFFLE,
        h5z.FILTER_FLETCHER32,
        h5z.FILTER_NBIT,
        h5z.FILTER_SCALEOFFSET,
    }
    return frozenset(compressors), frozenset(helpers)


def unreadable(path: Path, what: str, error: Exception) -> DataError:
    """The `DataError` for a library's failure to read `what` from `path`."""
    text = str(error)
    if isinstance(error, MemoryError) or "allocat" in text.lower() or _met_memory_limit():
        return DataError(
            f"{path.name}: reading {what} must fit the memory limit; it did not ({text}). "
            "Allow more with --memory if the file is sound.",
            reason="memory_limit",
        )
    return DataError(
        f"{path.name}: {what} must be readable; reading it failed ({type(error).__name__}: "
        f"{text}). "
        "The file is damaged or of another format: write it again from the source.",
        reason="unreadable",
    )


def _met_memory_limit() -> bool:
    """Whether this process came near its limit of address space: HDF5 does not always say so."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    status = Path("/proc/self/status")
    if limit == resource.RLIM_INFINITY or not status.exists():
        return False
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmPeak"))
    return int(peak.split()[1]) * 1024 > 0.8 * limit
