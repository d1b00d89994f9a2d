"""Where a person's data went before: older releases, and packages that others hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pmcell.consent.takedown import MANIFEST, TOMBSTONES
from pmcell.errors import DataError
from pmcell.io.atomic import DamagedJsonError, read_json
from pmcell.publish.disclosure.register_file import register_of, releases_with
from pmcell.schema import UNKNOWN

BY_REGISTER = "the register of releases: you are behind its sums"
BY_COHORT = "its tombstone: your cohort was in it; of single people nothing is kept"
BY_TOMBSTONE = "its tombstone, which does not say which cohorts were in it"


def older_releases(results: Path, cohort_id: str, donor_id: str) -> list[dict[str, Any]]:
    """Return releases of a study, but the one that is there, that held or may have held a person.

    Parameters
    ----------
    results
        The study's results; the register and the tombstones lie beside them.
    cohort_id, donor_id
        Who, as the results call them.

    Returns
    -------
    list of dict
        `version`, `content_sha256`, `state` and `known_from` of each, oldest first by the
        register; those of tombstones alone after them.
    """
    stones = {item["content_sha256"]: item for item in tombstones(results.absolute().parent)}
    manifest = results / "release" / MANIFEST
    current = read_json(manifest).get("content_sha256") if manifest.is_file() else None
    found: dict[str, dict[str, Any]] = {}
    for entry in releases_with(register_of(results), donor_id):
        found[entry["content_sha256"]] = {**entry, "known_from": BY_REGISTER}
    for digest, stone in stones.items():
        cohorts = stone.get("cohorts")
        if digest in found or (cohorts is not None and cohort_id not in cohorts):
            continue
        facts = {"version": stone.get("version", UNKNOWN), "content_sha256": digest}
        known_from = BY_TOMBSTONE if cohorts is None else BY_COHORT
        found[digest] = {**facts, "known_from": known_from}
    found.pop(str(current), None)
    return [{**item, "state": _state(stones.get(digest))} for digest, item in found.items()]


def tombstones(study: Path) -> list[dict[str, Any]]:
    """Return the tombstones of a study, by the day on which their releases were taken down."""
    found = []
    for path in sorted((study / TOMBSTONES).glob("*.json")):
        stone: dict[str, Any] = {}
        with suppress(DamagedJsonError):
            stone = read_json(path)
        if "content_sha256" not in stone:
            raise DataError(
                f"{path} must be a tombstone of a release; it is not. Restore it from a backup."
            )
        found.append(stone)
    return sorted(found, key=lambda stone: str(stone.get("taken_down_on", "")))


def packages_of(results: Path, cohort_id: str) -> list[dict[str, Any]]:
    """Return the sealed packages of a cohort that are there, with the names of the recipients."""
    path = results / "controlled" / cohort_id / MANIFEST
    if not path.is_file():
        return []
    manifest = read_json(path)
    if not isinstance(manifest.get("recipients"), dict):
        raise DataError(f"{path} must name its recipients; it does not. Seal the cohort again.")
    return [
        {
            "cohort_id": cohort_id,
            "recipients": manifest["recipients"],
            "release_version": manifest.get("release_version", UNKNOWN),
            "files": sorted(manifest.get("files", {})),
        }
    ]


def _state(stone: Mapping[str, Any] | None) -> str:
    if stone is None:
        return "not here any more; there is no tombstone of it"
    return f"taken down on {stone.get('taken_down_on', UNKNOWN)}"
