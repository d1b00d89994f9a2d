"""Which folders are cohorts, and where the matrix of one lies: read from others' files with care.

The Snakefile loads this file without importing pmcell, and pmcell loads the
same file, so that both list the same cohorts and read cohort.yaml under the
same limits. Only the standard library and PyYAML are used. What is in a
cohort's folder was written by others: nothing here follows it out of the
folder, waits for it, or takes more of it than the limits say. A matrix that
cannot be found so has no files here; intake names the fault.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

import yaml

ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""Form of a cohort's id, which is the name of its folder; it may not hold '..'."""
COHORT_FILE = "cohort.yaml"
REGISTRATION_FILES = (
    COHORT_FILE,
    "donors.tsv",
    "cells.tsv",
    "samples.tsv",
    "visits.tsv",
    "measurements.tsv",
)
"""Files of a registration that may be there; the matrix is found in cohort.yaml."""
_LIKE_COHORT_FILE = re.compile(r"cohort\.ya?ml(\.txt)?", re.IGNORECASE)
LEDGER_FILE = "consent.jsonl"
"""The consent ledger: what counts of it is the view that is made of it before the run."""
VIEW_FILE = "consent.json"
MATRIX_PARTS = tuple(
    f"{name}{end}"
    for name in ("matrix.mtx", "barcodes.tsv", "features.tsv", "genes.tsv")
    for end in ("", ".gz")
)
"""Endings of the files of a 10x folder."""
STORE_MARKS = ("zarr.json", ".zgroup")
"""Files that make a folder a zarr store."""
MAX_BYTES = 1_000_000
MAX_NODES = 20_000
"""Keys and values of a file, together."""
MAX_DEPTH = 20
MAX_PARTS = 100_000
MAX_SAMPLE_DEPTH = 4
"""How deep below a folder of samples their matrices are looked for."""
MAX_PATH_BYTES, MAX_PART_BYTES = 3000, 255
MUST_LIE_THERE = "must lie in the cohort's own folder"
A_LINK = "a link that leads out of it"
PUT_IT_THERE = "Put the file itself in the place of the link."

# The one in C is ten times as quick, and there where PyYAML was built with libyaml.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnsafeYamlError(ValueError):
    """YAML that could do harm; `must`, `found` and `fix` are for a person, `line` is from 1."""

    def __init__(
        self, must: str, found: str, fix: str, line: int | None = None, reason: str = "invalid"
    ) -> None:
        super().__init__(f"{must}; found {found}")
        self.must, self.found, self.fix, self.line, self.reason = must, found, fix, line, reason


def is_cohort_id(name: str) -> bool:
    """Whether a folder of this name can be a cohort."""
    return re.fullmatch(ID, name) is not None and ".." not in name


def list_cohorts(folder: Path) -> list[str]:
    """Ids of the cohorts below a folder, sorted: folders with a valid name and a cohort.yaml.

    What archives and version control leave there (`__MACOSX`, `.git`), and
    folders with other names, are no cohorts.
    """
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if is_cohort_id(entry.name) and os.path.lexists(os.path.join(entry.path, COHORT_FILE))
    )


def not_cohorts(folder: Path) -> list[str]:
    """What keeps folders from being cohorts, a line each: their names, or that of cohort.yaml."""
    if not folder.is_dir():
        return []
    found = []
    for place in sorted(folder.iterdir()):
        if not place.is_dir() or place.name.startswith("."):
            continue
        names = sorted(os.listdir(place)) if os.access(place, os.R_OK | os.X_OK) else []
        alike = next((name for name in names if _LIKE_COHORT_FILE.fullmatch(name)), "")
        if alike and not is_cohort_id(place.name):
            rule = "must be an id (letters, digits, _ . -)"
            found.append(f"{place.name!r} {rule}: rename the folder, and the id in it")
        elif alike and COHORT_FILE not in names:
            old, new = shlex.quote(str(place / alike)), shlex.quote(str(place / COHORT_FILE))
            found.append(f"{place.name!r} has {alike!r} and no {COHORT_FILE}: mv {old} {new}")
    return found


def registration_files(folder: Path) -> list[Path]:
    """The registration files of a cohort's folder that are regular files, and lie there."""
    paths = (folder / name for name in REGISTRATION_FILES)
    return [path for path in paths if path.is_file() and leads_to(path, [folder]) is None]


def permitted_digest(folder: Path, results: Path, today: str) -> str:
    """The digest of whom a cohort's consents permit; empty for a cohort without a ledger.

    `ValueError` where that was not decided for the ledger as it is, and this day.
    """
    ledger, view = folder / LEDGER_FILE, results / "cohorts" / folder.name / VIEW_FILE
    if not ledger.exists() and not view.exists():
        return ""
    try:
        value = json.loads(view.read_text(encoding="utf-8"))
        head = json.loads(ledger.with_name(f"{LEDGER_FILE}.head.json").read_text(encoding="utf-8"))
        until = value["valid_until"]
        if value["head"]["sha256"] == head["sha256"] and (until is None or today < until):
            return str(value["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        f"it must be decided which donors of {folder.name} may be used before anything runs: "
        "start the workflow with `pmcell run`, or run `pmcell consent views` first"
    )


def leads_to(path: Path, homes: Sequence[Path]) -> Path | None:
    """The real place of a path, links followed, where it is in none of the `homes`; else None."""
    place = Path(os.path.realpath(path))
    if any(place.is_relative_to(os.path.realpath(home)) for home in homes):
        return None
    return place


def matrix_outside(matrix: Path, homes: Sequence[Path]) -> tuple[Path, Path] | None:
    """What of a matrix leads out of the `homes`, itself or a link in its folder, and whereto.

    The homes are the cohort's folder and what the operator allows it (`matrix_paths`).
    """
    place = leads_to(matrix, homes)
    if place is not None:
        return matrix, place
    if not matrix.is_dir():
        return None
    for link in sorted(item for item in _below(matrix) if item.is_symlink()):
        place = leads_to(link, homes)
        if place is not None:
            return link, place
    return None


def _below(folder: Path) -> list[Path]:
    """What lies in a matrix folder, and in the folders of its samples; no link is followed.

    Of a zarr store only its top: its reader follows no link.
    """
    found: list[Path] = []
    deep = 0 if is_store(folder) else MAX_SAMPLE_DEPTH
    for place, folders, names in os.walk(folder):
        here = Path(place)
        found += [here / name for name in (*folders, *names)]
        if len(here.relative_to(folder).parts) >= deep or len(found) >= MAX_PARTS:
            folders.clear()
    return found


def read_small(path: Path, max_bytes: int = MAX_BYTES, *, may_lead_out: bool = False) -> bytes:
    """The bytes of a regular file; `UnsafeYamlError` for a larger one, a pipe or a device.

    So it is for a link out of the file's folder, unless it `may_lead_out`.
    """
    if not may_lead_out and leads_to(path, [path.parent]) is not None:
        raise UnsafeYamlError(MUST_LIE_THERE, A_LINK, PUT_IT_THERE, reason="outside")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeYamlError(
            "must be a regular file", "a folder, device or pipe", "Put a file in its place."
        )
    with open(descriptor, "rb") as stream:
        raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise UnsafeYamlError("must be small", f"over {max_bytes:,} bytes", "Keep data out of it.")
    return raw


def yaml_events(text: str):
    """The events of a YAML text, one by one, before anything is built of them.

    Raises `UnsafeYamlError` at the first anchor or alias, with which a short text
    stands for one of gigabytes, where it nests deeper than `MAX_DEPTH`, and where it
    has more than `MAX_NODES` keys and values; `yaml.YAMLError` where it is no YAML.
    """
    depth = n_nodes = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UnsafeYamlError("must not use anchors or aliases", "one", "Write it out.", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                must, found = f"must be nested at most {MAX_DEPTH} deep", "more"
                raise UnsafeYamlError(must, found, "Write plain keys and values.", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        n_nodes += isinstance(event, yaml.NodeEvent)
        if n_nodes > MAX_NODES:
            must = f"must have at most {MAX_NODES:,} keys and values"
            raise UnsafeYamlError(must, "more", "Keep data out of it.", line, "too_big")
        yield event


def matrix_path(folder: Path) -> str:
    """What `matrix.path` in a cohort's cohort.yaml says; empty where it says nothing sound."""
    try:
        text = read_small(folder / COHORT_FILE).decode("utf-8-sig")
        return _text_at(yaml_events(text), ["matrix", "path"])
    except (OSError, ValueError, yaml.YAMLError):
        return ""


def is_open(folder: Path) -> bool:
    """Whether a cohort's cohort.yaml says that everyone may have its cells."""
    try:
        text = read_small(folder / COHORT_FILE).decode("utf-8-sig")
        return _text_at(yaml_events(text), ["access"]) == "open"
    except (OSError, ValueError, yaml.YAMLError):
        return False


def programme_files(folder: Path) -> list[Path]:
    """The file of the programme that a cohort names, by which its clinical values are read."""
    try:
        text = read_small(folder / COHORT_FILE).decode("utf-8-sig")
        name = _text_at(yaml_events(text), ["programme"])
    except (OSError, ValueError, yaml.YAMLError):
        return []
    # As the cohort's own files, relative: a study that is moved runs nothing again.
    home = Path(os.path.realpath(folder)) if folder.is_symlink() else folder
    path = home.parent.parent / "programmes" / f"{name}.yaml"
    return [path] if is_cohort_id(name) and path.is_file() else []


def _text_at(events, path: list[str]) -> str:
    """The text at a path of keys; the last one where a key is there twice."""
    keys: list[str | None] = []  # The key in hand of each open mapping; None in a list.
    waits_for_key: list[bool] = []
    found = ""
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            keys.pop()
            waits_for_key.pop()
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            is_key = bool(waits_for_key) and waits_for_key[-1]
            if waits_for_key and keys[-1] is not None:
                waits_for_key[-1] = not is_key
            if isinstance(event, yaml.ScalarEvent):
                if is_key:
                    keys[-1] = event.value
                elif keys == path:
                    found = event.value
            else:
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                keys.append("" if is_mapping else None)
                waits_for_key.append(is_mapping)
    return found


def is_usable(path: str) -> bool:
    """Whether the system takes a text for a path: no zero byte, no part and no whole too long."""
    raw = os.fsencode(path.encode("utf-8", "replace").decode())
    return (
        0 < len(raw) <= MAX_PATH_BYTES
        and b"\0" not in raw
        and all(len(part) <= MAX_PART_BYTES for part in raw.split(b"/"))
    )


def matrix_files(folder: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The submitted file, the files of a 10x folder or of its samples, or a zarr store's folder.

    Empty where there is none, or where it cannot be read without harm: also where
    it lies neither in the cohort's folder nor in an `allowed` place.
    """
    text = matrix_path(folder)
    if not is_usable(text):
        return []
    matrix = folder / text
    try:
        if matrix_outside(matrix, [folder, *allowed]):
            return []
        if is_store(matrix):
            return [matrix]
        if matrix.is_dir():
            parts = sorted(
                item
                for item in _below(matrix)
                if item.name.endswith(MATRIX_PARTS) and item.is_file()
            )
            own = [item for item in parts if item.parent == matrix]
            return (own or parts)[:MAX_PARTS]
        return [matrix] if matrix.is_file() else []
    except OSError:  # No permission, or a disk that does not answer.
        return []


def is_store(path: Path) -> bool:
    """Whether a path is the folder of a zarr store: thousands of files that count as one."""
    return any((path / name).is_file() for name in STORE_MARKS)


def files_below(path: Path) -> list[Path]:
    """The file itself, or all files of a zarr store's folder; no link in it is followed."""
    if not path.is_dir():
        return [path]
    found = (Path(place, name) for place, _, names in os.walk(path) for name in names)
    return sorted(item for item in found if item.is_file() and not item.is_symlink())


def can_be_input(path: Path) -> bool:
    """Whether Snakemake can have a path as an input: it takes braces for wildcards.

    A change of a file that cannot is noticed by the digest among the parameters.
    """
    text = str(path)
    return "{" not in text and "}" not in text and text.isprintable()
