"""Draft a cohort folder from a submitted file, and decide what only a person can.

Proposes where the raw counts are, what the columns mean, and ontology terms for their values;
takes title, DOI, accession and region where the file has them. What is left is asked in the
terminal, by value and not by row, or answered with --set, or in one Excel workbook (--workbook).
Run again with the same --id, it goes on where it stopped: answers are kept. Without a terminal
nothing is asked, and what is open is listed. The file itself is neither copied nor changed, and no
answer is overwritten. A file outside the cohort's folder is added to matrix_paths of
config/config.yaml: only from there may a matrix be read.

Example: pmcell register counts.h5ad --id island_b2
         pmcell register --id island_b2 --set access=open --set "sex[1]=female" --rest unknown
         pmcell register counts.h5ad --id island_b2 --workbook island_b2.xlsx
         pmcell register counts.h5ad --id b2 --donors people.csv --measure "BMI=39156-5 kg/m2"
         pmcell register counts.h5ad --id b2 --donors people.xlsx --code-book codes.csv
         pmcell register lane/ --id island_b3 --format 10x_mtx --samples samples.csv
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import add_form_options
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.registry.draft.decisions import Decision
    from pmcell.registry.draft.register import Registered

DEFAULT_OUT = Path("config/cohorts")
COLUMNS = {
    "donor": "donor_id",
    "sample": "sample_id",
    "batch": "batch_id",
    "cell-type": "cell_type",
    "visit": "visit",
}
"""Options that name a column of the cells, by what it means."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell register`."""
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="submitted file or 10x folder"
    )
    parser.add_argument("--id", required=True, help="identifier of the cohort, its folder's name")
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        help="folder of all cohorts (default config/cohorts)",
    )
    add_form_options(parser)
    for name in COLUMNS:
        parser.add_argument(
            f"--{name}",
            metavar="COL",
            help=f"column of the cells with the {name.replace('-', ' ')} (default: auto)",
        )
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="COL",
        help="unused columns to keep in the cohort's own tables; no step reads them",
    )
    parser.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="'COL=LOINC UNIT'",
        help="a column of donors or samples that is a clinical value: its code on loinc.org and "
        "UCUM unit; it goes to measurements.tsv and from there into the release; repeat",
    )
    for kind in ("donors", "samples", "cells"):
        parser.add_argument(
            f"--{kind}",
            type=Path,
            metavar="TABLE",
            help=f"CSV, TSV or Excel with more of the {kind}, by their ids or barcodes",
        )
    parser.add_argument(
        "--code-book",
        type=Path,
        metavar="TABLE",
        help="CSV, TSV or Excel that says what values stand for: column, value, meaning; or "
        "column, choices ('1, male | 2, female'), as REDCap exports it",
    )
    parser.add_argument(
        "--workbook", type=Path, metavar="XLSX", help="write a workbook in place of the folder"
    )
    parser.add_argument(
        "--set",
        dest="answers",
        action="append",
        default=[],
        metavar="KEY=ANSWER",
        help="decide: a key that is listed as open, and a term's name or code; repeat",
    )
    parser.add_argument(
        "--rest", choices=("unknown",), help="answer unknown to all that may be unknown"
    )
    parser.add_argument("--no-ask", action="store_true", help="ask nothing, list what is open")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Write the draft, or go on with one; take answers, ask for others, say what to do next."""
    from pmcell.cli._conversation import decide, list_open
    from pmcell.errors import FaultsError, UsageError
    from pmcell.registry.draft.answers import split_answer

    given: dict[str, str] = {}
    for key, answer in map(split_answer, args.answers):
        if given.setdefault(key, answer) != answer:
            raise UsageError(f"--set must give {key} once; got {given[key]!r} and {answer!r}")
    folder = args.out / args.id
    is_there = (folder / "cohort.yaml").is_file()
    if args.file is None and not is_there:
        raise UsageError(
            f"FILE must be given for a cohort that is not drafted yet; there is no {folder}"
        )
    registered = None
    is_same = args.file is not None and is_there and _is_same(folder, args.file)
    is_again = is_same and not args.workbook and bool(args.keep or args.measure or args.code_book)
    if args.file is not None and (is_again or not is_same):
        registered = _draft(args, is_again=is_again)
        is_allowed = not registered.outside or _allow(registered, args.out)
        if args.workbook is not None:
            if given or args.rest:
                raise UsageError("--set and --rest are for the folder; write into the workbook")
            _print_workbook(args, registered, is_allowed)
            return 0
        if not args.json:
            _print(registered, args.out, is_allowed)
    elif args.workbook is not None:
        raise UsageError(
            f"--workbook starts a registration; {folder} is one already. Go on with --set, or name "
            "another --id."
        )
    elif args.keep or args.measure or args.code_book:
        raise UsageError(
            f"--keep, --measure and --code-book are for the draft: give FILE again with them, as "
            f"long as nothing in {folder} was decided"
        )
    elif not args.json:
        print(f"Going on with {folder}; what was decided stays.")
    is_asking = sys.stdin.isatty() and sys.stdout.isatty() and not (args.no_ask or args.json)
    try:
        still = decide(folder, given, rest=args.rest or "", is_asking=is_asking)
    except FaultsError as error:
        # What is wrong is what was typed, not the data.
        raise UsageError(str(error)) from error
    if args.json:
        _print_json(folder, registered, still)
        return 0
    list_open(folder, still, where="" if args.out == DEFAULT_OUT else f" --out {args.out}")
    return 0


def _is_same(folder: Path, file: Path) -> bool:
    """Whether a cohort's folder was drafted from a file."""
    from pmcell.registry.cohorts.cohort import read_matrix

    matrix = read_matrix(folder)
    return matrix is not None and matrix.path.resolve() == file.resolve()


def _draft(args: argparse.Namespace, *, is_again: bool) -> Registered:
    from pmcell.errors import UsageError
    from pmcell.registry.draft.measured_columns import split_measured
    from pmcell.registry.draft.register import register_file
    from pmcell.registry.workbook.register import register_workbook

    named = {role: getattr(args, name.replace("-", "_")) for name, role in COLUMNS.items()}
    tables = {
        kind: getattr(args, kind.replace("-", "_"))
        for kind in ("cells", "samples", "donors", "code-book")
    }
    options: dict[str, Any] = {
        "fmt": args.format,
        "orientation": args.orientation,
        "given": {role: column for role, column in named.items() if column},
        "keep": args.keep,
        "tables": {kind: path for kind, path in tables.items() if path},
    }
    if args.workbook is not None:
        if args.measure:
            raise UsageError("--measure is for the folder; the workbook asks on its sheet columns")
        return register_workbook(args.file, args.id, args.out, args.workbook, **options)
    measured = [split_measured(one) for one in args.measure]
    return register_file(
        args.file, args.id, args.out, measured=measured, is_again=is_again, **options
    )


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
    donors = "donors unknown" if "TODO" in seen["donors"] else plural(len(seen["donors"]), "donor")
    table.add_row("people", f"{donors}, {plural(seen['n_samples'], 'sample')}")
    console.print(table)
    if registered.notes:
        console.print("\n[bold]Look at[/bold]")
        for note in registered.notes:
            console.print(f"  - {escape(note)}")
    if seen["unused"]:
        console.print("\n[bold]Columns that are not used[/bold]")
        for column in seen["unused"]:
            console.print(f"  - {escape(column)}")
        if seen["keepable"]:
            console.print(
                "  --measure 'COLUMN=LOINC UNIT' takes numbers of donors and samples into the "
                "release, as measurements; --keep COLUMN … keeps any of them in the cohort's own "
                "tables, which no step reads. Run the same command again with them."
            )
        for known in seen["measurable"]:
            console.print(f"    --measure {escape(shlex.quote(known))}", soft_wrap=True)
    if registered.outside:
        line = as_line(registered.folder.name, registered.outside)
        said = (
            f"Wrote into {CONFIG_FILE} that this cohort's matrix may be read from there:"
            if is_allowed
            else f"Write into {CONFIG_FILE} of the study, so that the matrix may be read:"
        )
        console.print(f"\n{said}\n  matrix_paths:\n    {escape(line)}", soft_wrap=True)
    has_measured = (registered.folder / "measurements.tsv").is_file()
    names = (
        "donors.tsv, samples.tsv and measurements.tsv"
        if has_measured
        else "donors.tsv and samples.tsv"
    )
    console.print(f"\nWrote {escape(str(registered.folder))}/cohort.yaml, {names}.", soft_wrap=True)


def _print_workbook(args: argparse.Namespace, registered: Registered, is_allowed: bool) -> None:
    import json

    if args.json:
        answer = {
            "workbook": str(args.workbook),
            "n_open": registered.n_todo,
            "notes": list(registered.notes),
            "seen": registered.seen,
            "matrix_paths": list(registered.outside),
            "matrix_paths_written": is_allowed,
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for note in registered.notes:
        print(f"  - {note}")
    print(
        f"Wrote {args.workbook}. Fill in the {plural(registered.n_todo, 'yellow line')}, save it, "
        f"then run\n"
        f"  pmcell check --workbook {args.workbook}"
    )


def _print_json(folder: Path, registered: Registered | None, still: Sequence[Decision]) -> None:
    import json
    from dataclasses import asdict

    answer: dict[str, Any] = {
        "folder": str(folder),
        "n_todo": len(still),
        "open": [asdict(one) for one in still],
    }
    if registered is not None:
        answer |= {
            "notes": list(registered.notes),
            "seen": registered.seen,
            "matrix_paths": list(registered.outside),
            "matrix_paths_written": True,
        }
    print(json.dumps(answer, indent=2, ensure_ascii=False))
