"""The options of a step's command: its files as the table of steps has them, then its settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from pmcell.cli._job.memory import add_memory_options
from pmcell.cli._settings import add_settings
from pmcell.settings.table import SETTINGS
from pmcell.step import COHORT, OPTIONAL, Step
from pmcell.steps import BY_NAME, STEPS

ASKED: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "programmes": (
            "--programmes",
            {"nargs": "+", "default": [], "help": "programmes that the cohorts name"},
        ),
        "clinical_table": (
            "--clinical",
            {"help": "clinical values of donors and visits (TSV, CSV or Parquet)"},
        ),
        "gene_sets_file": (
            "--gene-sets",
            {"help": "GMT file, or TSV with source, target and weight"},
        ),
    }
)
"""Options that name files of the study itself, by what a step asks for."""


def add_options(parser: argparse.ArgumentParser, name: str, command: ModuleType) -> None:
    """Add the options of a command: of a step those that its row tells, then the command's own."""
    step = BY_NAME.get(name)
    # What is taken in, and what leaves the study, is named by folders of other kinds.
    if step is not None and step.reads and not step.is_product:
        _add_row(parser, step)
    if hasattr(command, "add_arguments"):
        command.add_arguments(parser)


def _add_row(parser: argparse.ArgumentParser, step: Step) -> None:
    """Add the files of a step, its cohort, `--config`, `--threads`, its settings, its memory."""
    for option, paths in step.reads.items():
        _add_read(parser, step, option, paths)
    for option, paths in step.writes.items():
        names = ", ".join(Path(path).name for path in paths)
        told = f"folder for {names}" if option == "out_dir" else f"{names} to write"
        parser.add_argument(_flag(option), type=Path, required=True, help=told)
    asked = [ASKED[option][0] for option in step.asks]
    for option in step.asks:
        flag, more = ASKED[option]
        parser.add_argument(flag, type=Path, dest=option, metavar="FILE", **more)
    if step.is_told_cohort:
        parser.add_argument("--cohort", required=True, help="identifier of the cohort")
    parser.add_argument("--config", type=Path, help="YAML file with a section named like the step")
    parser.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    model = SETTINGS[step.name]
    # A setting that names a file is the option by which the file is checked.
    leave_out = [key for key in model.model_fields if _flag(key) in asked]
    add_settings(parser, model, leave_out=leave_out)
    if step.streams:
        add_memory_options(parser)


def _add_read(
    parser: argparse.ArgumentParser, step: Step, option: str, paths: tuple[str, ...]
) -> None:
    kind: dict[str, Any] = {"type": Path, "required": option not in OPTIONAL}
    if option == "results":
        told = "folder with cohorts/, atlas/ and strata/"
    elif option == "cohort":
        kind = {"nargs": 2, "action": "append", "required": True, "metavar": ("ID", "DIR")}
        told = "cohort and its results folder; repeat"
    else:
        (path,) = paths
        told = f"{Path(path).name} of the step {_writer(path)}"
        if path.startswith(COHORT) and not step.per_cohort:
            kind |= {"nargs": "+", "action": "extend"}
            told += ", for every cohort"
        told += " (optional)" if option in OPTIONAL else ""
    parser.add_argument(_flag(option), help=told, **kind)


def _writer(path: str) -> str:
    return next(step.name for step in STEPS if path in step.outputs)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
