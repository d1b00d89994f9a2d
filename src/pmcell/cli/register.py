"""Draft a cohort folder (cohort.yaml, donors.tsv, samples.tsv) from a submitted file.

Proposes where the raw counts are, what the columns mean, and ontology terms for
their values. What only a person can decide is marked TODO. The file itself is
neither copied nor changed, and nothing is overwritten. A file outside the
cohort's folder is added to matrix_paths of config/config.yaml: only from there
may a matrix be read.

Example: pmcell register counts.h5ad --id island_b2
         pmcell register filtered_feature_bc_matrix/ --id island_b3 --format 10x_mtx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pmcell.registry.draft.register import Registered

DEFAULT_OUT = Path("config/cohorts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell register`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="submitted file or 10x folder")
    parser.add_argument("--id", required=True, help="identifier of the cohort, its folder's name")
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        help="folder of all cohorts (default config/cohorts)",
    )
    parser.add_argument("--format", help="h5ad, zarr, 10x_h5, 10x_mtx, csv or tsv (default: told)")
    parser.add_argument(
        "--orientation",
        choices=("auto", "genes_by_cells", "cells_by_genes"),
        default="auto",
        help="how a text table lies (default: told from its names)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Write the draft and say what to do next."""
    from pmcell.registry.draft.register import register_file

    registered = register_file(
        args.file, args.id, args.out, fmt=args.format, orientation=args.orientation
    )
    is_allowed = not registered.outside or _allow(registered, args.out)
    if args.json:
        _print_json(registered, is_allowed)
    else:
        _print(registered, args.out, is_allowed)
    return 0


def _allow(registered: Registered, out: Path) -> bool:
    """Let the cohort's matrix be read from where it is; False where the study cannot be told."""
    from pmcell.registry.cohorts.matrix_paths import CONFIG_FILE, add_matrix_paths

    if out != DEFAULT_OUT and not CONFIG_FILE.is_file():
        return False
    return add_matrix_paths(CONFIG_FILE, registered.folder.name, registered.outside)


def _print(registered: Registered, out: Path, is_allowed: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pmcell.registry.cohorts.matrix_paths import CONFIG_FILE, as_line

    console = Console(highlight=False)
    seen = registered.seen
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("file", f"{seen['n_cells']:,} cells × {seen['n_features']:,} features")
    counts = "none" if seen["counts"] == "TODO" else seen["counts"]
    table.add_row("raw counts", escape(f"{counts} ({seen['counts_are']})"))
    table.add_row("genes", escape(f"var {seen['genes']}"))
    for meaning, column in seen["columns"].items():
        table.add_row(meaning, escape(column))
    donors = "donors unknown" if "TODO" in seen["donors"] else f"{len(seen['donors'])} donors"
    table.add_row("people", f"{donors}, {seen['n_samples']} samples")
    console.print(table)
    if registered.notes:
        console.print("\n[bold]Look at[/bold]")
        for note in registered.notes:
            console.print(f"  - {escape(note)}")
    where = "" if out == DEFAULT_OUT else f" --cohorts-dir {out}"
    if registered.outside:
        line = as_line(registered.folder.name, registered.outside)
        said = (
            f"Wrote into {CONFIG_FILE} that this cohort's matrix may be read from there:"
            if is_allowed
            else f"Write into {CONFIG_FILE} of the study, so that the matrix may be read:"
        )
        console.print(f"\n{said}\n  matrix_paths:\n    {escape(line)}", soft_wrap=True)
    noun = "place" if registered.n_todo == 1 else "places"
    console.print(
        f"\nWrote {escape(str(registered.folder))}/cohort.yaml, donors.tsv and samples.tsv.\n"
        f"Next: replace TODO in {registered.n_todo} {noun}, then run\n"
        f"  pmcell check {escape(registered.folder.name)}{escape(where)}"
    )


def _print_json(registered: Registered, is_allowed: bool) -> None:
    import json

    answer = {
        "folder": str(registered.folder),
        "n_todo": registered.n_todo,
        "notes": list(registered.notes),
        "seen": registered.seen,
        "matrix_paths": list(registered.outside),
        "matrix_paths_written": is_allowed,
    }
    print(json.dumps(answer, indent=2, ensure_ascii=False))
