"""Is a release what it claims to be? Digests, schema, keys, cells, and what must not be there.

Needs nothing but the folder. Every check returns its faults; none stops the
others, except that files whose bytes changed are not read further.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, UsageError
from pmcell.io.atomic import sha256_file
from pmcell.io.json_text import parse_json
from pmcell.release.digest import combined_sha256, content_sha256
from pmcell.release.folder import ReleaseFolder, check_contents
from pmcell.release.manifest import (
    MANIFEST,
    OWN_DIGEST,
    Entries,
    manifest_text,
    own_digest,
    read_manifest,
)
from pmcell.release.verify.cells import cell_faults
from pmcell.release.verify.expression import expression_faults
from pmcell.release.verify.tables import table_faults
from pmcell.release.verify.withheld import withheld_faults
from pmcell.schema import SCHEMA_VERSION

UNREADABLE = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(RuntimeError, EOFError, OverflowError, zipfile.BadZipFile),
)
"""What readers raise for bytes that somebody made up; those of Arrow are kinds of these."""
REFETCH = "The copy is damaged or was changed: fetch or write the release again."
REWRITE = "Write the release again."


def verify_release(
    folder: Path | str, *, digested: Entries | None = None, has_read: bool = False
) -> list[Fault]:
    """All faults of a release, none when it is intact; `UsageError` if there is no folder.

    `digested` are digests that this process itself has taken of these files, by path: where a
    file's bytes are still those, its content is not digested a second time. With `has_read` it
    asked for `row_faults` after that.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"a release must be a folder; {folder} is not one")
    manifest, faults = _read_manifest(folder)
    if manifest is None:
        return faults
    damaged = _file_faults(folder, manifest, digested or {})
    faults += damaged
    if not damaged:
        faults += [] if has_read else row_faults(folder, manifest)
        faults += _run(partial(withheld_faults, folder, manifest))
    return faults


def row_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    """What is wrong with the rows of tables, cells and expression; their bytes are trusted."""
    # Side by side, not cohort by cohort: numba's kernels must not be entered from two threads,
    # and only the check of cells does.
    checks = (
        partial(table_faults, folder),
        partial(cell_faults, folder, manifest),
        partial(expression_faults, folder, manifest),
    )
    with ThreadPoolExecutor(len(checks)) as pool:
        return [fault for found in pool.map(_run, checks) for fault in found]


def _run(check: Callable[[], list[Fault]]) -> list[Fault]:
    """The faults that a check finds, or the one that its reader stumbles on."""
    try:
        return check()
    except UNREADABLE as error:
        must = "every file must be what pmcell writes, whatever its manifest says"
        found = f"what cannot be read ({type(error).__name__}: {error})"
        return [Fault(MANIFEST, must, found, REWRITE, reason="unreadable")]


def _read_manifest(folder: Path) -> tuple[dict[str, Any] | None, list[Fault]]:
    must = "must be the manifest that pmcell wrote"
    if not (folder / MANIFEST).is_file():
        fix = "Name the folder of a release."
        return None, [Fault(MANIFEST, must, "no such file", fix, reason="missing")]
    try:
        value = read_manifest(folder)
    except UsageError:
        return None, [Fault(MANIFEST, must, "text that is not one", REFETCH, reason="damaged")]
    except DataError as error:
        if error.reason != "schema_version":
            return None, [Fault(MANIFEST, must, str(error), REFETCH, reason=error.reason)]
        found = parse_json((folder / MANIFEST).read_bytes())
        return None, [_other_schema(found)]
    raw = (folder / MANIFEST).read_bytes()
    if value.get(OWN_DIGEST) != own_digest(value) or raw != manifest_text(value).encode():
        found = "a digest that differs from its own"
        return None, [Fault(MANIFEST, must, found, REFETCH, reason="damaged")]
    if value["schema_version"] != SCHEMA_VERSION:
        return None, [_other_schema(value)]
    return value, []


def _other_schema(manifest: dict[str, Any]) -> Fault:
    return Fault(
        MANIFEST,
        f"the release must have schema {SCHEMA_VERSION} to be verified by this pmcell",
        f"schema {manifest['schema_version']}",
        f"Use pmcell {manifest.get('pmcell', '')}, or write the release again with this one.",
        reason="schema_version",
    )


def _file_faults(folder: Path, manifest: dict[str, Any], digested: Entries) -> list[Fault]:
    files = manifest["files"]

    def one(name: str) -> list[Fault]:
        return _one_file(ReleaseFolder(folder), name, files[name], digested.get(name))

    with ThreadPoolExecutor(max(len(os.sched_getaffinity(0)), 1)) as pool:
        faults = [fault for found in pool.map(one, sorted(files)) for fault in found]
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted(present - set(files) - {MANIFEST}):
        fix = "Take it out of the release folder; a release is never edited in place."
        faults.append(
            Fault(name, "must be listed in manifest.json", "not listed", fix, reason="extra")
        )
    whole = combined_sha256({name: entry["content_sha256"] for name, entry in files.items()})
    if whole != manifest["content_sha256"]:
        must = "content_sha256 must be made from the digests of the files"
        faults.append(Fault(MANIFEST, must, "another one", REWRITE, reason="content_digest"))
    return faults


def _one_file(
    folder: ReleaseFolder, name: str, entry: dict[str, Any], digested: dict[str, Any] | None
) -> list[Fault]:
    """Size, digests and form of one file, in the order in which nothing harmful is opened."""
    must = "must be a file of the release"
    try:
        path = folder.place(name)
    except DataError:
        return [Fault(name, must, "no such file", REFETCH, reason="missing")]
    if not path.is_file():
        return [Fault(name, must, "no such file", REFETCH, reason="missing")]
    if path.stat().st_size != entry["size"]:
        must, found = f"must have {entry['size']} bytes", f"{path.stat().st_size} bytes"
        return [Fault(name, must, found, REFETCH, reason="size")]
    if (digest := sha256_file(path)) != entry["sha256"]:
        must = f"must have SHA-256 {entry['sha256'][:12]}…"
        return [Fault(name, must, f"{digest[:12]}…", REFETCH, reason="digest")]
    try:
        check_contents(path)
    except DataError as error:
        must = "must hold what it declares, and point nowhere else"
        return [Fault(name, must, str(error), REFETCH, reason=error.reason)]
    if entry == digested:
        return []
    must, found = "must have the content digest of the manifest", "another one"
    try:
        if content_sha256(path) == entry["content_sha256"]:
            return []
    # Whoever wrote the manifest anew may list any bytes.
    except UNREADABLE as error:
        found = f"content that cannot be read ({type(error).__name__}: {error})"
    return [Fault(name, must, found, REWRITE, reason="content_digest")]
