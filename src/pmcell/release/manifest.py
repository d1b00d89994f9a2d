"""`manifest.json`: its form, its digest of itself, and how it is read from a stranger's folder."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, UsageError
from pmcell.io.json_text import parse_json
from pmcell.io.outputs import MANIFEST as MANIFEST
from pmcell.release.folder import MAX_TEXT, is_safe_name
from pmcell.schema import SCHEMA_VERSION

OWN_DIGEST = "manifest_sha256"

Entries = dict[str, dict[str, Any]]

REFETCH = "Fetch the release again."
_HEX = re.compile(r"[0-9a-f]{64}")


def manifest_text(value: dict[str, Any]) -> str:
    """The one way in which a manifest is written down."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def own_digest(value: dict[str, Any]) -> str:
    """Digest of a manifest without its own digest."""
    rest = {key: item for key, item in value.items() if key != OWN_DIGEST}
    return hashlib.sha256(manifest_text(rest).encode()).hexdigest()


def _near(folder: Path) -> str:
    """What to name in place of a folder that is no release."""
    for place in ("release", "results/release"):
        if (folder / place / MANIFEST).is_file():
            return f"Did you mean {str(folder / place)!r}?"
    return "Name the folder that `pmcell release --out` wrote."


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release that this pmcell can read.

    Raises
    ------
    UsageError
        The folder holds no manifest, so it is no release.
    DataError
        The release has another major schema, or its manifest is not of the
        form that pmcell writes: paths that leave the folder, sizes or digests
        that are none, cohorts without verdict.
    """
    try:
        if not (folder / MANIFEST).is_file():
            # A pipe would be waited for.
            raise FileNotFoundError(folder / MANIFEST)
        with (folder / MANIFEST).open("rb") as stream:
            raw = stream.read(MAX_TEXT + 1)
        if len(raw) > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT >> 20} MiB")
        value: dict[str, Any] = parse_json(raw)
        version = str(value["schema_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"pmcell needs the folder of a release, with its {MANIFEST}; {folder} has none that "
            f"can be read ({type(error).__name__}). {_near(folder)}"
        ) from error
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise DataError(
            f"this pmcell reads releases of schema {SCHEMA_VERSION}; {folder} has schema "
            f"{version}. Use pmcell {value.get('pmcell', '')}.",
            reason="schema_version",
        )
    for where, must, found in _form_faults(value):
        raise DataError(
            f"{folder / MANIFEST}: {where} must be {must}, got {found!r:.80}. {REFETCH}",
            reason="damaged",
        )
    return value


def _form_faults(value: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """(place, what it must be, what was found) of everything that is not of the form."""
    faults: list[tuple[str, str, Any]] = []
    for key, kind in (("files", dict), ("cohorts", dict), ("parameters", dict)):
        if not isinstance(value.get(key), kind):
            faults.append((key, "an object", value.get(key)))
    for key in ("title", "version", "pmcell", "content_sha256"):
        if not isinstance(value.get(key), str):
            faults.append((key, "text", value.get(key)))
    if faults:
        return faults
    for name, entry in value["files"].items():
        if not is_safe_name(name):
            faults.append(("a name in files", "a relative path within the release", name))
        if not isinstance(entry, dict):
            faults.append((f"files[{name!r}]", "an object", entry))
            continue
        size = entry.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            faults.append((f"files[{name!r}].size", "a number of bytes", size))
        for key in ("sha256", "content_sha256"):
            if not isinstance(entry.get(key), str) or not _HEX.fullmatch(entry[key]):
                faults.append((f"files[{name!r}].{key}", "a SHA-256", entry.get(key)))
    for name, cohort in value["cohorts"].items():
        if not is_safe_name(name) or "/" in name:
            faults.append(("a name in cohorts", "a cohort's id", name))
        if not isinstance(cohort, dict) or not isinstance(cohort.get("published"), bool):
            faults.append((f"cohorts[{name!r}].published", "true or false", cohort))
            continue
        for key in ("status", "access"):
            if not isinstance(cohort.get(key), str):
                faults.append((f"cohorts[{name!r}].{key}", "text", cohort.get(key)))
    return faults
