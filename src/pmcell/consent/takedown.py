"""Take a superseded release down: what was made of a cohort, tombstones, and the removal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.io.atomic import read_json, sha256_file, write_json
from pmcell.io.stamps import FOLDER as STAMPS

TOMBSTONES = "tombstones"
MANIFEST = "manifest.json"
TAKEN_DOWN = ".taken_down"
"""Ends the name of a release that is being removed."""


def artefacts(results: Path, cohort_id: str) -> dict[str, str]:
    """Every file that was made of a cohort, by the provenance of the results, with its SHA-256.

    Those are what the cohort's intake wrote, what was made of that, and so on, and all of the
    release and of the sealed packages.
    """
    made: dict[str, tuple[str, set[str]]] = {}
    for stamp in sorted(results.glob(f"**/{STAMPS}/*.json")):
        value = read_json(stamp)
        made[str(value["result"])] = (str(value["sha256"]), set(value["inputs"]))
    touched = {name for name in made if name.startswith(f"cohorts/{cohort_id}/")}
    before = 0
    while len(touched) > before:
        before = len(touched)
        touched |= {name for name, (_, inputs) in made.items() if inputs & touched}
    found = {name: made[name][0] for name in touched}
    folders = [results / "release", results / "controlled", *added_releases(results, cohort_id)]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(results))] = sha256_file(path)
    return dict(sorted(found.items()))


def take_down(study: Path, results: Path, release: Mapping[str, Any], *, day: str) -> None:
    """Put a tombstone in the place of the release that is superseded, and remove it.

    The tombstone says which release it was, since when it is down and why, and of nobody.
    """
    for left in results.glob(f".*{TAKEN_DOWN}"):
        shutil.rmtree(left, ignore_errors=True)
    if release:
        remove_release(study, results / "release", release, day=day)


def added_releases(results: Path, cohort_id: str) -> list[Path]:
    """Other releases beside `release` that hold a cohort, as `pmcell release add` writes them.

    They share files with it.
    """
    places = [path.parent for path in sorted(results.glob(f"[!.]*/{MANIFEST}"))]
    return [
        place
        for place in places
        if place != results / "release"
        and cohort_id in (read_json(place / MANIFEST).get("cohorts") or ())
    ]


def remove_release(study: Path, place: Path, release: Mapping[str, Any], *, day: str) -> None:
    """Write the tombstone of a release, then remove its folder where it still holds it."""
    away = _away(place)
    stone = study / TOMBSTONES / f"{release['content_sha256'][:16]}.json"
    if not stone.exists():
        said = {
            **release,
            "state": "taken down",
            "taken_down_on": day,
            "why": "superseded after the withdrawal of consent; do not use copies of it",
        }
        write_json(stone, said)
    manifest = place / MANIFEST
    if (
        manifest.is_file()
        and read_json(manifest).get("content_sha256") == release["content_sha256"]
    ):
        place.rename(away)
        shutil.rmtree(away)


def _away(place: Path) -> Path:
    return place.with_name(f".{place.name}{TAKEN_DOWN}")


def release_facts(results: Path) -> dict[str, Any]:
    """What identifies the release that is there; nothing where there is none."""
    return facts_of(results / "release" / MANIFEST)


def facts_of(manifest: Path) -> dict[str, Any]:
    """What identifies a release by its manifest; nothing where there is none."""
    if not manifest.is_file():
        return {}
    value = read_json(manifest)
    keys = ("content_sha256", "version", "title", "identifier")
    facts = {name: value[name] for name in keys if value.get(name)}
    return {**facts, "cohorts": sorted(value["cohorts"])} if value.get("cohorts") else facts
