"""What the register of releases keeps of people, and how: nobody is named in it.

People are kept as HMAC-SHA256 under a key of the register's own, which lies beside it and is
readable by its owner alone: without the key the register says nothing of anyone. So are the
groups in which they were counted, and those of open cohorts, whose people are shown one by one: an
open cohort may be closed later, and its rows are out then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_text
from pmcell.io.crypt.keys import key_file
from pmcell.io.json_text import parse_json
from pmcell.io.modes import umask_of
from pmcell.publish.disclosure.counted import Counted
from pmcell.publish.disclosure.people import Prints

NAME = "disclosure_register.jsonl"
KEY_SUFFIX = ".key"

Sets = Mapping[str, frozenset[str]]
"""Aggregate → donors of cohorts without open access who enter it."""
Shown = Mapping[str, Counted]
"""Open cohort → the groups that its rows show, see `shown.py`."""


def register_of(results: Path) -> Path:
    """The register beside the results folder: outside of every release."""
    return results.absolute().parent / NAME


def read_register(path: Path) -> list[dict[str, Any]]:
    """Entries of earlier releases; none without a register, `DataError` if it is damaged."""
    if not path.is_file():
        return []
    try:
        return [parse_json(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise DataError(
            f"{path.name} must hold one JSON object a line; {error}. Restore it from a backup: "
            "without it nobody can tell what earlier releases give away.",
            reason="register",
        ) from error


def releases_with(path: Path, donor: str) -> list[dict[str, Any]]:
    """Version and digest of each release in the register with `donor` behind an aggregate."""
    entries = read_register(path)
    if not entries:
        return []
    mark = donor_mark(register_key(path), donor)
    return [
        {"version": entry["version"], "content_sha256": entry["content_sha256"]}
        for entry in entries
        if mark in marks_of(entry)
    ]


def add_release(
    path: Path,
    sets: Sets,
    *,
    version: str,
    content_sha256: str,
    prints: Prints | None = None,
    counted: Mapping[str, Counted] | None = None,
    shown: Shown | None = None,
) -> None:
    """Append this release, unless it tells of nobody or is there already.

    For `sets`, `prints` and `counted` see `register_faults`; `shown` are the open cohorts.
    """
    if not any(sets.values()) and not shown:
        return
    entries = read_register(path)
    entry = {
        "version": version,
        "content_sha256": content_sha256,
        **marked(path, sets, prints or {}, counted or {}, shown or {}),
    }
    if entry not in entries:
        lines = [json.dumps(item, sort_keys=True) for item in [*entries, entry]]
        with umask_of(0o077):
            write_text(path, "\n".join(lines) + "\n")


def marked(
    path: Path,
    sets: Sets,
    prints: Prints,
    counted: Mapping[str, Counted] | None = None,
    shown: Shown | None = None,
) -> dict[str, Any]:
    """What an entry says of people: the donors of each aggregate, hashes of their cells, and in
    which groups they were counted or shown, by their places among all marks in order."""
    key = register_key(path)
    of_open = [people or frozenset() for _, _, _, people in _groups(shown or {})]
    donors = sorted(frozenset().union(*sets.values(), *of_open))
    mark = {donor: donor_mark(key, donor) for donor in donors}
    place = {item: number for number, item in enumerate(sorted(mark.values()))}

    def placed(groups: Mapping[str, Counted]) -> dict[str, dict[str, dict[str, Any]]]:
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for cohort_id, grouping, name, people in _groups(groups):
            own = found.setdefault(cohort_id, {})
            of_grouping = own.setdefault(group_mark(key, cohort_id, grouping), {})
            of_grouping[group_mark(key, cohort_id, grouping, name)] = (
                None if people is None else sorted(place[mark[donor]] for donor in people)
            )
        return found

    counts = placed(counted or {}).values()
    return {
        "donors": {name: sorted(mark[donor] for donor in found) for name, found in sets.items()},
        "people": {mark[donor]: sorted(prints.get(donor, ())) for donor in donors},
        "counted": {name: groups for cohort in counts for name, groups in cohort.items()},
        **({"open": placed(shown)} if shown else {}),
    }


def _groups(of: Mapping[str, Counted]) -> Iterator[tuple[str, str, str, frozenset[str] | None]]:
    for cohort_id, groupings in of.items():
        for grouping, groups in groupings.items():
            for name, people in groups.items():
                yield cohort_id, grouping, name, people


def marks_of(entry: Mapping[str, Any]) -> list[str]:
    """What stands for the people of an entry, in the order by which its groups count them."""
    closed = {mark for found in entry["donors"].values() for mark in found}
    return sorted(closed.union(entry.get("people", ())))


def group_mark(key: bytes, *names: str) -> str:
    """What stands for a grouping of a cohort, or for a group of it, in the register."""
    return donor_mark(key, "\n".join(names))


def donor_mark(key: bytes, donor: str) -> str:
    """What stands for a donor in the register."""
    return hmac.new(key, donor.encode(), hashlib.sha256).hexdigest()


def register_key(path: Path) -> bytes:
    """The key of the register at `path`; made the first time."""
    return _key(path.with_name(path.name + KEY_SUFFIX))


def _key(path: Path) -> bytes:
    """The register's key; made the first time."""
    if not path.exists():
        if path.with_suffix("").is_file():
            raise UsageError(
                f"the key of the register, {path.name}, is missing: restore it from a backup. "
                "Without it this release cannot be compared with earlier ones."
            )
        with umask_of(0o077):
            write_text(path, os.urandom(32).hex())
    key_file(path, "the key of the register of releases", secret=True)
    return bytes.fromhex(path.read_text(encoding="ascii").strip())
