"""How the paths and commands of a run are shown outside: relative, or the bare file name.

An absolute path tells user names, mounts and projects; it is cut to its last
part. Inside the working directory paths stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COHORTS = "cohorts"
QUOTED_PATH = re.compile(r"'(?:~|\.\.)?/[^']*'|\"(?:~|\.\.)?/[^\"]*\"")
LONG_PATH = re.compile(
    r"(?<![\w.:/}-])(?:~[\w-]*|(?:\.\./)*\.\.)?/(?:[^\s/'\"|;<>&()]+/)*[^\s/'\"|;<>&()]*"
)
KEPT = ("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr")


@dataclass(frozen=True)
class PathRules:
    """Where the run took place, and which of its cohorts are open to anyone.

    `results` is the results folder relative to `workdir`. Without `open_cohorts`
    nothing in the run is hidden.
    """

    workdir: Path
    results: str = ""
    open_cohorts: frozenset[str] | None = None

    def name(self, path: str) -> str:
        """The path below the working directory, or the last part of one that lies elsewhere."""
        if not path.startswith("/") and ".." not in path:
            return os.path.normpath(path)
        absolute = os.path.normpath(os.path.join(self.workdir, path))
        inside = os.path.relpath(absolute, self.workdir)
        return os.path.basename(absolute) if inside.startswith("..") else Path(inside).as_posix()

    def clear(self, text: str) -> str:
        """A command without the places that it names outside the working directory."""
        text = text.replace(f"{self.workdir}/", "")
        text = QUOTED_PATH.sub(lambda found: f"'{_last(found.group()[1:-1])}'", text)
        return LONG_PATH.sub(lambda found: _last(found.group()), text)

    def wildcards(self, outputs: tuple[str, ...]) -> Mapping[str, str]:
        """The cohort whose results a job wrote; Snakemake's records do not name wildcards."""
        names = {name for name in map(self._cohort, outputs) if name}
        return {"cohort": names.pop()} if len(names) == 1 else {}

    def is_closed(self, wildcards: Mapping[str, str]) -> bool:
        """Whether a job worked on a cohort of which nothing may be told."""
        cohort = wildcards.get("cohort")
        return self.open_cohorts is not None and bool(cohort) and cohort not in self.open_cohorts

    def _cohort(self, path: str) -> str:
        head = f"{self.results}/{COHORTS}/"
        return path.removeprefix(head).split("/")[0] if path.startswith(head) else ""


def without_places(value: Any) -> Any:
    """A value of the configuration without the places that it names outside the study.

    >>> without_places({"clinical": "/srv/ada/visits.tsv", "own": "data/x.tsv"})
    {'clinical': 'visits.tsv', 'own': 'data/x.tsv'}
    """
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(item) for item in value]
    if not isinstance(value, str):
        return value
    # A whole value is one path, spaces and all; else a sentence can have several in it.
    if re.match(r"(?:~[^/]*|\.\.)?/|~|file:|[A-Za-z]:\\", value) or "/../" in value:
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return LONG_PATH.sub(lambda found: _last(found.group()) or found.group(), value)


def as_pattern(name: str, wildcards: Mapping[str, str]) -> str:
    """The name with wildcards in the place of their values.

    >>> as_pattern("results/cohorts/b1/qc.parquet", {"cohort": "b1"})
    'results/cohorts/{cohort}/qc.parquet'
    """
    for wildcard, value in sorted(wildcards.items(), key=lambda item: -len(item[1])):
        if value and value in name:
            name = _with_mark(name, value, f"{{{wildcard}}}")
    return name


def _with_mark(name: str, value: str, mark: str) -> str:
    """The name with the mark where the value stands as a word of its own."""
    made, *rest = name.split(value)
    for piece in rest:
        is_word = not (_joins(made[-1:]) or _joins(piece[:1]))
        made += (mark if is_word else value) + piece
    return made


def _joins(character: str) -> bool:
    return character.isalnum() or (character != "" and character in "{}")


def _last(path: str) -> str:
    return path if path in KEPT else path.rstrip("/").rsplit("/", 1)[-1]
