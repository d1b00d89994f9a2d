"""What a step is, and where its files lie; `pmcell.steps` says which steps there are.

Standard library only, and nothing of the package: anything may import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

COHORT = "cohorts/{cohort}"
"""Folder of a cohort's results, below the results folder as every path of this module."""

FOLDER_OPTIONS = ("out_dir", "cohort", "results")
"""Options that name a folder in which a step's files lie; any other option names a file."""

OPTIONAL = ("labels",)
"""Options that name files a step also works without."""

VERDICTS = "atlas/cohorts.json"
"""Which cohorts are in the atlas, and why the others are not."""

Files = Mapping[str, tuple[str, ...]]
"""Option of a command and the files that it names, below the results folder."""


def files(**options: str | tuple[str, ...]) -> Files:
    """Return files by the option of the command that names them, one or several an option."""
    return MappingProxyType(
        {option: (item,) if isinstance(item, str) else item for option, item in options.items()}
    )


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what it reads and writes, and the version of its results.

    Attributes
    ----------
    name
        Command, rule, section of the configuration, row of the resource model, log, benchmark.
    summary
        What `pmcell --help` says of it.
    reads, writes
        Files by the option of the command that names them.
    drops
        Files that earlier versions of it wrote: removed when it has run, since nothing would
        keep them true of who takes part.
    version
        Number of its results. Raise it when the same input gives other results than before:
        every study then runs the step and what follows it again. Leave it when results stay
        the same (documentation, speed, messages).
    per_cohort
        Whether it runs once for each cohort and sees no other; else once, across cohorts.
    is_told_cohort
        Whether its command must be told which cohort it is (`--cohort ID`).
    asks
        Options that name files of the study itself, which no step makes.
    settings
        Settings of another step's section (`section.key`) that its results rest on too.
    streams
        Whether it reads counts in blocks that fit the memory it is told (`--memory`).
    is_product
        Whether it writes what leaves the study, under a manifest instead of stamps.
    old_name, old_rule
        What its command and section, and its rule, were called in version 0.1.0.
    """

    name: str
    summary: str
    reads: Files
    writes: Files
    version: int
    per_cohort: bool = False
    is_told_cohort: bool = False
    asks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    streams: bool = False
    is_product: bool = False
    drops: Files = field(default_factory=files)
    old_name: str = ""
    old_rule: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every file it reads; one of a cohort has `{cohort}` in its path."""
        return _every(self.reads)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every file it writes; one of a cohort has `{cohort}` in its path."""
        return _every(self.writes)

    def job(self, cohort: str = "") -> str:
        """Name of a job, which is that of its log and benchmark: `qc/liu_b1`, or `umap`."""
        return f"{self.name}/{cohort}" if self.per_cohort else self.name


def _every(files: Files) -> tuple[str, ...]:
    return tuple(path for paths in files.values() for path in paths)


def files_of(paths: Iterable[str], cohorts: Iterable[str]) -> Iterator[str]:
    """The paths with those of a cohort once for each of `cohorts`.

    >>> list(files_of(["atlas/umap.parquet", "cohorts/{cohort}/qc.parquet"], ["a", "b"]))
    ['atlas/umap.parquet', 'cohorts/a/qc.parquet', 'cohorts/b/qc.parquet']
    """
    names = list(cohorts)
    for path in paths:
        if "{cohort}" in path:
            yield from (path.format(cohort=name) for name in names)
        else:
            yield path


def files_named(args: Any, files: Files) -> Iterator[tuple[str, Path]]:
    """Each option of a command that names files of a step, with one of the files it names.

    `--results` names every file by its place below the results folder: those of the cohort that
    `--cohort` names, where one is named, else those of each cohort of the atlas.
    """
    for option, paths in files.items():
        value = getattr(args, option, None)
        if value is None:
            continue
        if option == "results":
            yield from ((option, value / path) for path in files_of(paths, _cohorts(args)))
        elif option in FOLDER_OPTIONS:
            folders = [folder for _, folder in value] if option == "cohort" else [value]
            names = [Path(path).name for path in paths]
            yield from ((option, Path(folder) / name) for folder in folders for name in names)
        else:
            yield from ((option, Path(item)) for item in _as_list(value))


def _cohorts(args: Any) -> list[str]:
    if getattr(args, "cohort", None):
        return _as_list(args.cohort)
    verdicts = args.results / VERDICTS
    return sorted(json.loads(verdicts.read_text("utf-8"))) if verdicts.is_file() else []


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def with_new_names(values: Mapping[str, Any], old_names: Mapping[str, str]) -> dict[str, Any]:
    """The mapping with each key of `old_names` under its new name.

    Raises
    ------
    ValueError
        Where a key stands under both names.

    Examples
    --------
    >>> with_new_names({"gram": 1, "umap": 2}, {"gram": "covariance"})
    {'covariance': 1, 'umap': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = old_names.get(key, key)
        if name in found or (name != key and name in values):
            raise ValueError(f"{key!r} is the old name of {name!r}: only one of them may be given")
        found[name] = value
    return found


def benchmark_path(results: Path, step: Step, cohort: str = "") -> Path:
    """Where the benchmark record of a job lies; one of a run under the old name stays there."""
    place = results / "benchmarks" / f"{step.job(cohort)}.tsv"
    old = results / "benchmarks" / f"{step.job(cohort).replace(step.name, step.old_name, 1)}.tsv"
    return old if step.old_name and old.is_file() and not place.is_file() else place


def as_yaml(steps: Sequence[Step]) -> str:
    """What the Snakefile must know of each step, as `workflow/steps.yaml` holds it."""
    read = {path for step in steps for path in step.inputs}
    lines = [
        "# Version of each step's results, the names it had before, and which of its files no step",
        "# reads, so that the study itself asks for them. Written from",
        "# src/pmcell/steps.py, which says when to raise a number:",
        "#   python -m pmcell.steps > workflow/steps.yaml",
    ]
    for step in steps:
        facts = {"version": step.version, "old_name": step.old_name, "old_rule": step.old_rule}
        told = ", ".join(f"{key}: {value}" for key, value in facts.items() if value)
        if step.settings:
            told += f", settings: [{', '.join(step.settings)}]"
        unread = [f'"{path}"' for path in step.outputs if path not in read]
        if unread and not step.is_product:
            told += f", unread: [{', '.join(unread)}]"
        lines.append(f"{step.name}: {{{told}}}")
    return "\n".join(lines) + "\n"
