"""Name every fault of registered cohorts, or of one file, with its fix, in seconds.

Of a study it reads the configuration, and cohort.yaml, donors.tsv and samples.tsv of each cohort,
then compares them with the header of the submitted file (in a sandbox; of the counts only a
sample is read). Works offline and changes nothing.

A FILE needs no study: told are where its raw counts are, its genes, species and people, dates and
other text that identifies, batches that cannot be told from groups, cells that stand twice, and
what a submission would lack.

Example: pmcell check liu_b1 liu_b2
         pmcell check counts.h5ad
         pmcell check --workbook island_b2.xlsx
         pmcell check --cohorts-dir config/cohorts --json

Exit codes: 0 no fault (warnings may remain), 1 faults, 2 wrong call.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import UsageError
from pmcell.io.outputs import require_input
from pmcell.spelling import plural, visible

if TYPE_CHECKING:
    from pmcell.errors import Fault
    from pmcell.registry.intake.check import CohortCheck
    from pmcell.settings.study import StudySettings


FILE_SUFFIXES = (".h5ad", ".h5", ".zarr", ".csv", ".tsv", ".gz", ".xlsx")
"""Ends of names that are meant as files, not as ids of cohorts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell check`."""
    parser.add_argument(
        "cohorts",
        nargs="*",
        metavar="COHORT|FILE",
        help="id or folder of a cohort, or a file (default: all cohorts of the configuration)",
    )
    parser.add_argument("--config", type=Path, help="configuration (default config/config.yaml)")
    parser.add_argument("--cohorts-dir", type=Path, help="folder with one folder a cohort")
    parser.add_argument(
        "--tables-only", action="store_true", help="do not open the submitted files"
    )
    parser.add_argument(
        "--workbook",
        type=Path,
        metavar="XLSX",
        help="check a workbook of `pmcell register`, mark its faults, or write the cohort's folder",
    )
    parser.add_argument("--format", help="of a FILE: h5ad, zarr, 10x_h5, 10x_mtx, csv or tsv")
    parser.add_argument(
        "--deep", action="store_true", help="of a large FILE: read all counts, not a sample"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Check the cohorts, or the files; 0 when none has a fault, else 1."""
    if args.workbook is not None:
        return _check_workbook(args)
    files = [Path(name) for name in args.cohorts if _is_matrix(Path(name))]
    if files:
        return _check_files(args, files)
    for name in args.cohorts:
        if Path(name).suffix.lower() in FILE_SUFFIXES:
            require_input(Path(name))
    from pmcell.registry.cohorts.matrix_paths import CONFIG_FILE
    from pmcell.registry.intake.check import CohortCheck, check_cohorts

    config = args.config
    if config is None and args.cohorts_dir is None and CONFIG_FILE.is_file():
        config = CONFIG_FILE
    study, faults = _configuration(config)
    # The configuration's own faults are told first, and beside them those of every cohort.
    checks = [CohortCheck(str(config), faults, {})] if faults else []
    try:
        folders = _folders(args.cohorts, study, args.cohorts_dir)
    except UsageError:
        if not faults:
            raise
        folders = []
    checks += check_cohorts(
        folders, with_matrix=not args.tables_only, allowed=_allowed(folders, args.config)
    )
    checks += _consent(folders, study)
    return _answer(checks, args.json)


def _check_workbook(args: argparse.Namespace) -> int:
    """Check a workbook; its cells are marked, or its registration is written."""
    from pmcell.registry.intake.check import CohortCheck
    from pmcell.registry.workbook.check import check_workbook

    if args.cohorts:
        raise UsageError(f"give cohorts or --workbook, not both; got {args.cohorts[0]!r}")
    parent = args.cohorts_dir or Path(_configuration(args.config)[0].cohorts_dir)
    found = check_workbook(args.workbook, parent)
    code = _answer([CohortCheck(found.cohort_id, found.faults, {})], args.json)
    if not args.json and found.folder is None:
        print(f"Marked in {args.workbook}: open it, correct the red cells, and check it again.")
    elif not args.json:
        print(f"Wrote {found.folder}. Next: pmcell check {found.cohort_id}")
    return code


def _is_matrix(path: Path) -> bool:
    """Whether an argument is a submitted file or matrix folder, not a cohort."""
    if path.is_dir():
        from pmcell.io.submitted.sample_folders import holds_matrices

        if any(path.glob("cohort.yaml")) or any(path.glob("*/cohort.yaml")):
            return False
        return path.suffix.lower() == ".zarr" or holds_matrices(path)
    return path.is_file()


def _check_files(args: argparse.Namespace, files: Sequence[Path]) -> int:
    """Check files without a study."""
    from pmcell.io.submitted.readers import FORMATS
    from pmcell.registry.health.report import file_health

    others = [name for name in args.cohorts if Path(name) not in files]
    if others:
        raise UsageError(f"give files or cohorts, not both; {others[0]!r} is no file")
    if args.format is not None and args.format not in FORMATS:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}, got {args.format!r}")
    for file in files:
        require_input(file)
    checks = [file_health(file, fmt=args.format, is_deep=args.deep) for file in files]
    return _answer(checks, args.json)


def _consent(folders: Sequence[Path], study: StudySettings) -> list[CohortCheck]:
    """Return what stands against the declared use, in cohorts' terms and consent ledgers."""
    from pmcell.registry.cohorts.registered import LEDGER_FILE
    from pmcell.registry.intake.check import CohortCheck

    if study.use is None and not any((folder / LEDGER_FILE).exists() for folder in folders):
        return []
    from pmcell.consent.views import enforce, today
    from pmcell.errors import Fault, FaultsError

    try:
        _, faults = enforce(folders, Path("results"), use=study.use, day=today(), write=False)
    except FaultsError as error:
        faults = list(error.faults)
    except UsageError as error:
        fix = "See docs/consent.md."
        faults = [Fault("use", "must be complete", str(error), fix, reason="consent")]
    return [CohortCheck("consent", tuple(faults), {})] if faults else []


def _configuration(path: Path | None) -> tuple[StudySettings, tuple[Fault, ...]]:
    """Return where the cohorts are and which are used, by default where there are faults."""
    from pmcell.settings.load import SettingsError, load_settings
    from pmcell.settings.study import StudySettings

    if path is None:
        return StudySettings(), ()
    try:
        return load_settings(path, study=Path()).study, ()
    except SettingsError as error:
        return StudySettings(), error.faults


def _allowed(folders: Sequence[Path], config: Path | None) -> dict[str, list[Path]]:
    """Return, by cohort, what its matrix may be read from besides its own folder."""
    from pmcell.registry.cohorts.matrix_paths import allowed_paths
    from pmcell.settings.load import SettingsError

    try:
        return {folder.name: allowed_paths(folder, config) for folder in folders}
    except SettingsError:
        # Its faults are named; until they are mended nothing is allowed.
        return {}


def _folders(named: Sequence[str], study: StudySettings, cohorts_dir: Path | None) -> list[Path]:
    from pmcell.registry.cohorts.cohort import list_cohorts
    from pmcell.registry.cohorts.registered import not_cohorts
    from pmcell.spelling import did_you_mean

    parent = cohorts_dir or Path(study.cohorts_dir)
    paths = [Path(name) for name in named]
    if paths and all((path / "cohort.yaml").is_file() or len(path.parts) > 1 for path in paths):
        missing = [str(path) for path in paths if not path.is_dir()]
        if missing:
            raise UsageError(f"COHORT must be an id or a folder; there is no folder {missing[0]!r}")
        return paths
    known = list_cohorts(parent)
    for passed_over in not_cohorts(parent):
        print(f"pmcell check: not read, in {parent}: {passed_over}", file=sys.stderr)
    for name in named:
        if name not in known and not (parent / name).is_dir():
            raise UsageError(
                f"COHORT must be one of {', '.join(known) or 'none'} in {parent}; got {name!r}. "
                f"{did_you_mean(name, known)}".strip()
            )
    chosen = list(named or study.cohorts or known)
    if not chosen:
        raise UsageError(f"there is no cohort in {parent}; draft one with `pmcell register`")
    return [parent / name for name in chosen]


def _answer(checks: Sequence[CohortCheck], as_json: bool) -> int:
    """Print what was found; 1 where a fault was, else 0."""
    from pmcell.cli._file_health import print_health

    if as_json:
        _print_json(checks)
    else:
        for check in checks:
            _print_check(check)
            print_health(check.metrics)
        _print_summary(checks)
    return 1 if any(check.errors for check in checks) else 0


def _print_check(check: CohortCheck) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    seen = visible(_seen(check.metrics))
    name = escape(visible(check.cohort_id))
    if not check.errors:
        console.print(f"[bold]{name}[/bold]  [green]ok[/green]  {escape(seen)}")
    else:
        verdict = f"[red]{plural(len(check.errors), 'fault')}[/red]"
        console.print(f"[bold]{name}[/bold]  {verdict}  {escape(seen)}")
    if not check.faults:
        return
    table = Table(show_lines=True, expand=True)
    for header, ratio in (("where", 3), ("must hold", 3), ("found", 3), ("how to fix", 4)):
        table.add_column(header, ratio=ratio, overflow="fold")
    for alike in _grouped([*check.errors, *check.warnings]):
        fault = alike[0]
        mark = "" if fault.severity == "error" else "\n[yellow]warning[/yellow]"
        table.add_row(
            f"{escape(visible(_place(alike)))}{mark}",
            *(escape(visible(text)) for text in (fault.must, fault.found, fault.fix)),
        )
    console.print(table)


def _grouped(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Faults that differ in nothing but their row, together."""
    groups: dict[tuple[str | None, ...], list[Fault]] = {}
    for fault in faults:
        same = (fault.file, fault.column, fault.must, fault.found, fault.fix)
        groups.setdefault(same, []).append(fault)
    return list(groups.values())


def _place(alike: Sequence[Fault]) -> str:
    fault = alike[0]
    place = fault.file
    rows = [str(item.row) for item in alike if item.row is not None]
    if rows:
        noun = "line" if fault.file.endswith(".yaml") else "row"
        shown = ", ".join(rows[:6]) + (f", … ({len(rows)} in all)" if len(rows) > 6 else "")
        place += f"\n{noun}{'s' if len(rows) > 1 else ''} {shown}"
    if fault.column:
        place += f"\n{fault.column}"
    return place


def _seen(metrics: Any) -> str:
    if "n_cells" not in metrics:
        return ""
    parts = [f"{metrics['n_cells']:,} cells × {metrics['n_genes']:,} features"]
    if metrics.get("n_cells_left_out"):
        reasons = "; ".join(f"{item['reason']} {item['n_cells']:,}" for item in metrics["left_out"])
        parts.append(f"{metrics['n_cells_left_out']:,} left out ({reasons})")
    if "n_samples" in metrics:
        parts.append(plural(metrics["n_samples"], "sample"))
    if "share_genes_mapped" in metrics:
        parts.append(f"{metrics['share_genes_mapped']:.1%} of genes mapped")
    return ", ".join(parts)


def _print_summary(checks: Sequence[CohortCheck]) -> None:
    n_faults = sum(len(check.errors) for check in checks)
    n_warnings = sum(len(check.warnings) for check in checks)
    n_bad = sum(bool(check.errors) for check in checks)
    print(
        f"{len(checks)} checked: {len(checks) - n_bad} ok, {n_bad} with faults "
        f"({plural(n_faults, 'fault')}, {plural(n_warnings, 'warning')})"
    )


def _print_json(checks: Sequence[CohortCheck]) -> None:
    import json
    from dataclasses import asdict

    answer = [
        {
            "cohort_id": check.cohort_id,
            "ok": not check.errors,
            "faults": [asdict(fault) for fault in check.faults],
            "metrics": dict(check.metrics),
        }
        for check in checks
    ]
    print(json.dumps(answer, indent=2, ensure_ascii=False))
