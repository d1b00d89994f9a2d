"""`manifest.json`: what the release consists of and what it was made from.

It lists every file but itself with size, SHA-256 of the bytes and SHA-256 of
the content, and ends with the digest of its own text, so that a flipped byte
anywhere is found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pmcell.io.atomic import sha256_file, write_text
from pmcell.publish.facts import Cohort, Facts
from pmcell.release.digest import combined_sha256, content_sha256
from pmcell.release.manifest import MANIFEST, OWN_DIGEST, Entries, manifest_text, own_digest
from pmcell.schema import SCHEMA_VERSION
from pmcell.version import __version__

Sources = Mapping[str, str]
"""Content digests of what a cohort's files were made of, by their keys in the manifest."""


def file_entries(folder: Path, known: Entries | None = None) -> Entries:
    """Size and digests of each file below `folder`, by path; `known` ones are not read again."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    paths = {path.relative_to(folder).as_posix(): path for path in found}
    names = [name for name in paths if name != MANIFEST]

    def entry(name: str) -> dict[str, Any]:
        return (known or {}).get(name) or file_entry(paths[name])

    with ThreadPoolExecutor(max(len(os.sched_getaffinity(0)), 1)) as pool:
        return dict(zip(names, pool.map(entry, names), strict=True))


def file_entry(path: Path) -> dict[str, Any]:
    """Size and digests of a file, as a manifest lists them."""
    return {
        "size": path.stat().st_size,
        "sha256": sha256_file(path),
        "content_sha256": content_sha256(path),
    }


def sources_of(cohort: Cohort) -> Sources:
    """Content digests of a cohort's counts and QC.

    Of other cohorts than open ones not even a digest leaves: it would confirm a guess of the
    content.
    """
    return {
        f"{path.stem}_sha256": content_sha256(path)
        for path in (cohort.folder / "intake.h5ad", cohort.folder / "qc.parquet")
        if cohort.is_open and path.is_file()
    }


def write_manifest(
    facts: Facts, folder: Path, entries: Entries, sources: Mapping[str, Sources]
) -> None:
    """Write the manifest of `folder`; equal inputs and versions give equal content digests.

    `sources` has what `sources_of` gives of each cohort.
    """
    value: dict[str, Any] = {
        "pmcell": __version__,
        "schema_version": SCHEMA_VERSION,
        "title": facts.title,
        "version": facts.options.version,
        "parameters": facts.parameters,
        "min_donors": facts.options.min_donors,
        "strata_decision": facts.strata.decision,
        "cohorts": {
            cohort.cohort_id: cohort_entry(cohort, sources[cohort.cohort_id])
            for cohort in facts.cohorts
        },
        "content_sha256": combined_sha256(
            {name: entry["content_sha256"] for name, entry in entries.items()}
        ),
        "files": entries,
    }
    if facts.revises is not None:
        value["revises"] = {
            "version": facts.revises.version,
            "content_sha256": facts.revises.content_sha256,
            "added": list(facts.revises.added),
        }
    value[OWN_DIGEST] = own_digest(value)
    write_text(folder / MANIFEST, manifest_text(value))


def cohort_entry(cohort: Cohort, sources: Sources) -> dict[str, Any]:
    """Return what the manifest says of a cohort: verdict, access, digests of open ones."""
    return {
        "status": cohort.status,
        "access": cohort.access,
        "published": cohort.published,
        **sources,
    }
