"""The register of releases: whose aggregates were published, so that no difference tells of one.

Two exact sums whose donors differ by one person give that person's own. So a
release is refused when the donors behind an aggregate differ from those of any
earlier release in fewer donors than a group must have. Donors are kept as
HMAC-SHA256 under a key of the register's own, which lies beside it and is
readable by its owner alone: without the key the register says nothing of anyone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, UsageError
from pmcell.io.atomic import write_text
from pmcell.io.keys import key_file
from pmcell.io.modes import umask_of

NAME = "disclosure_register.jsonl"
KEY_SUFFIX = ".key"

Sets = Mapping[str, frozenset[str]]
"""Aggregate → donors of cohorts without open access who enter it."""


def register_of(results: Path) -> Path:
    """The register beside the results folder: outside of every release."""
    return results.absolute().parent / NAME


def read_register(path: Path) -> list[dict[str, Any]]:
    """Entries of earlier releases; none without a register, `DataError` if it is damaged."""
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise DataError(
            f"{path.name} must hold one JSON object a line; {error}. Restore it from a backup: "
            "without it nobody can tell what earlier releases give away.",
            reason="register",
        ) from error


def register_faults(path: Path, sets: Sets, least: Mapping[str, int]) -> list[Fault]:
    """Aggregates whose donors differ in too few from those of an earlier release."""
    entries = read_register(path)
    if not entries:
        return []
    now = {name: set(_marks(path, donors)) for name, donors in sets.items()}
    faults = []
    for entry in entries:
        for name in sorted(set(now) & set(entry["donors"])):
            n_differing = len(now[name] ^ set(entry["donors"][name]))
            if 0 < n_differing < least[name]:
                faults.append(
                    Fault(
                        name,
                        "donors without open access behind an aggregate must be those of each "
                        f"earlier release, or differ from them in at least {least[name]}",
                        f"a difference of {n_differing} to release {entry['version']!r}",
                        "Whoever holds both can subtract one from the other. Publish again when "
                        "more donors differ, or leave the cohort out (`cohorts` of the config). "
                        "If that release was never handed out, delete it and its line in "
                        f"{path.name}.",
                        reason="differencing",
                    )
                )
    return faults


def add_release(path: Path, sets: Sets, *, version: str, content_sha256: str) -> None:
    """Append this release, unless no donor is behind any aggregate or it is there already."""
    if not any(sets.values()):
        return
    entries = read_register(path)
    entry = {
        "version": version,
        "content_sha256": content_sha256,
        "donors": {name: sorted(_marks(path, donors)) for name, donors in sorted(sets.items())},
    }
    if entry not in entries:
        lines = [json.dumps(item, sort_keys=True) for item in [*entries, entry]]
        with umask_of(0o077):
            write_text(path, "\n".join(lines) + "\n")


def _marks(path: Path, donors: frozenset[str]) -> list[str]:
    key = _key(path.with_name(path.name + KEY_SUFFIX))
    return [hmac.new(key, donor.encode(), hashlib.sha256).hexdigest() for donor in sorted(donors)]


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
