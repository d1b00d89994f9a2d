"""Options that several commands have: where the study is, how much it may use, how a file lies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pmcell.errors import UsageError


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """Add `--directory` and `--config`."""
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="study folder (default: this folder)"
    )
    parser.add_argument(
        "--config", type=Path, help="configuration file (default: config/config.yaml of the study)"
    )


def add_cores_option(parser: argparse.ArgumentParser) -> None:
    """Add `--cores`."""
    parser.add_argument("--cores", type=int, help="cores to use (default: all that are allowed)")


def require_cores(args: argparse.Namespace) -> None:
    """`UsageError` unless `--cores` is left out or a number from 1."""
    if args.cores is not None and args.cores < 1:
        raise UsageError(f"--cores must be at least 1, got {args.cores}")


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Add `--profile`."""
    parser.add_argument(
        "--profile", default="default", help="name of a profile, or its folder (default: default)"
    )


def pairs(given: Sequence[str], option: str, form: str) -> dict[str, str]:
    """The values of an option that is repeated, by name; `UsageError` where a name comes twice."""
    found: dict[str, str] = {}
    for item in given:
        name, sign, value = item.partition("=")
        if not sign or not name:
            raise UsageError(f"{option} must look like {form}; got {item!r}")
        if found.setdefault(name, value) != value:
            raise UsageError(f"{option} must give {name} once; got {found[name]!r} and {value!r}")
    return found


def add_form_options(parser: argparse.ArgumentParser) -> None:
    """Add `--format` and `--orientation` of a submitted file."""
    parser.add_argument("--format", help="h5ad, zarr, 10x_h5, 10x_mtx, csv or tsv (default: auto)")
    parser.add_argument(
        "--orientation",
        choices=("auto", "genes_by_cells", "cells_by_genes"),
        default="auto",
        help="how a text table or a square matrix folder lies (default: by its content)",
    )
