"""What the step commands share: options of a configuration section, threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.errors import UsageError
from pmcell.steps import OLD_NAMES, with_new_names


def add_step_options(parser: argparse.ArgumentParser, *, seed: bool = False) -> None:
    """Options that every step has: `--config`, `--threads` and, where it draws, `--seed`."""
    parser.add_argument("--config", type=Path, help="YAML file with a section named like the step")
    parser.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")


def add_cohorts_option(parser: argparse.ArgumentParser) -> None:
    """`--cohort ID DIR`, once for each cohort, for steps across cohorts."""
    parser.add_argument(
        "--cohort",
        nargs=2,
        action="append",
        required=True,
        metavar=("ID", "DIR"),
        help="cohort and its results folder; repeat",
    )


def add_aggregate_option(parser: argparse.ArgumentParser) -> None:
    """`--aggregate FILE …`, the sums of every cohort."""
    parser.add_argument(
        "--aggregate",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="aggregate.npz of every cohort",
    )


def section(config: Path | None, name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """The defaults of a step, overridden by its section of the configuration file.

    Raises `UsageError` for keys that the step does not know.
    """
    given = read_config(config).get(name) or {} if config else {}
    if not isinstance(given, dict):
        raise UsageError(f"section {name!r} of {config} must be a mapping, found {given!r}")
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise UsageError(
            f"section {name!r} of {config} has unknown keys {unknown}; known are {sorted(defaults)}"
        )
    return {**defaults, **given}


def read_config(path: Path) -> dict[str, Any]:
    """A YAML configuration file as a mapping; `UsageError` when it cannot be read.

    Sections under the old name of a step are found under its name.
    """
    import yaml

    if not path.is_file():
        raise UsageError(f"--config must name a file; there is no {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} must be valid YAML: {error}") from error
    if values is not None and not isinstance(values, dict):
        raise UsageError(f"{path} must hold a mapping of keys, found {type(values).__name__}")
    try:
        return with_new_names(values or {}, OLD_NAMES)
    except ValueError as error:
        raise UsageError(f"{path}: section {error}") from error


def use_threads(n_threads: int) -> None:
    """Let numba's kernels use `n_threads` threads, or as many as the machine allows."""
    if n_threads < 1:
        raise UsageError(f"--threads must be at least 1, got {n_threads}")
    import numba

    allowed = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(n_threads, allowed))


def require_files(*paths: Path) -> None:
    """`UsageError` for the first path that is not a file."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path} must be a file of an earlier step; there is no such file")
