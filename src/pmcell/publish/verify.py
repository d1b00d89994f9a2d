"""Is a release what it claims to be? Digests, schema, keys, cells, and what must not be there.

Needs nothing but the folder. Every check returns its faults; none stops the
others, except that files whose bytes changed are not read further.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pmcell.errors import Fault, UsageError
from pmcell.io.atomic import sha256_file
from pmcell.publish.digest import combined_sha256, content_sha256
from pmcell.publish.manifest import MANIFEST, OWN_DIGEST, manifest_text, own_digest
from pmcell.publish.verify_cells import cell_faults
from pmcell.publish.verify_expression import expression_faults
from pmcell.publish.verify_tables import table_faults
from pmcell.publish.verify_withheld import withheld_faults
from pmcell.schema import SCHEMA_VERSION

REFETCH = "The copy is damaged or was changed: fetch or write the release again."
REWRITE = "Write the release again."


def verify_release(folder: Path | str) -> list[Fault]:
    """All faults of a release, none when it is intact; `UsageError` if there is no folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"a release must be a folder; {folder} is not one")
    manifest, faults = _read_manifest(folder)
    if manifest is None:
        return faults
    damaged = _file_faults(folder, manifest)
    faults += damaged
    if not damaged:
        faults += table_faults(folder)
        faults += cell_faults(folder, manifest)
        faults += expression_faults(folder, manifest)
        faults += withheld_faults(folder, manifest)
    return faults


def _read_manifest(folder: Path) -> tuple[dict[str, Any] | None, list[Fault]]:
    must = "must be the manifest that pmcell wrote"
    try:
        raw = (folder / MANIFEST).read_bytes()
        value = json.loads(raw)
        intact = value[OWN_DIGEST] == own_digest(value) and raw == manifest_text(value).encode()
    except FileNotFoundError:
        return None, [
            Fault(MANIFEST, must, "no such file", "Name the folder of a release.", reason="missing")
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, [Fault(MANIFEST, must, "text that is not one", REFETCH, reason="damaged")]
    if not intact:
        return None, [
            Fault(MANIFEST, must, "a digest that differs from its own", REFETCH, reason="damaged")
        ]
    if value["schema_version"] != SCHEMA_VERSION:
        return None, [
            Fault(
                MANIFEST,
                f"the release must have schema {SCHEMA_VERSION} to be verified by this pmcell",
                f"schema {value['schema_version']}",
                f"Use pmcell {value['pmcell']}, or write the release again with this one.",
                reason="schema_version",
            )
        ]
    return value, []


def _file_faults(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
    faults = []
    files = manifest["files"]
    for name, entry in sorted(files.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            faults.append(
                Fault(
                    name, "must be a file of the release", "no such file", REFETCH, reason="missing"
                )
            )
        elif path.stat().st_size != entry["size"]:
            found = f"{path.stat().st_size} bytes"
            faults.append(
                Fault(name, f"must have {entry['size']} bytes", found, REFETCH, reason="size")
            )
        elif (digest := sha256_file(path)) != entry["sha256"]:
            must = f"must have SHA-256 {entry['sha256'][:12]}…"
            faults.append(Fault(name, must, f"{digest[:12]}…", REFETCH, reason="digest"))
        elif content_sha256(path) != entry["content_sha256"]:
            must = "must have the content digest of the manifest"
            faults.append(Fault(name, must, "another one", REWRITE, reason="content_digest"))
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
