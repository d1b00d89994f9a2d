"""Say before a run what it will need: core-hours, peak memory, disk and time.

Reads the headers of the registered cohorts and applies the model by which the
workflow's jobs ask for memory and time (workflow/resources.yaml). The sizes
are kept in results/sizes.json, from which the workflow takes them.

With --judge, the model is compared with finished runs: how many of their peaks
it covers, and by how much; exit code 1 where that is fewer than 95 % or one is
promised twice what it took. With --refit, a model is fitted to finished runs;
--out writes it, to be named in the configuration as `resources: FILE`. Both
together judge the fitted model by runs that it has not seen.

Example: pmcell estimate --directory my-study --cores 32
         pmcell estimate --refit my-study other-study --out config/resources.yaml
         pmcell estimate --refit my-study --judge other-study
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import add_study_options, require_cores
from pmcell.errors import UsageError
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.cli.run._resources import Model, Record, Size
    from pmcell.cli.run._study import Study

HEAD = """\
# What each step needs: a constant and slopes by size; workflow/scripts/resources.py says which and
# how they are used. `pmcell estimate --refit` writes this file anew from the benchmark records of
# finished runs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell estimate`."""
    add_study_options(parser)
    parser.add_argument(
        "--cores", type=int, default=8, help="cores that may run at a time (default 8)"
    )
    parser.add_argument(
        "--refit", type=Path, nargs="+", metavar="STUDY", help="studies with finished runs"
    )
    parser.add_argument(
        "--judge",
        type=Path,
        nargs="+",
        metavar="STUDY",
        help="studies with finished runs to judge by (default: those of --refit, in sample)",
    )
    parser.add_argument("--out", type=Path, help="with --refit: file to write the new model to")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Estimate a run, or compare the model with finished ones."""
    require_cores(args)
    if args.refit or args.judge:
        return _refit(args)
    if args.out:
        raise UsageError("--out goes with --refit STUDY: nothing else is written")
    from pmcell.cli.run._study import decide_consent, open_study

    study = open_study(args.directory, args.config)
    decide_consent(study, write=False)
    model, sizes, unread = study_sizes(study)
    value = estimate(model, sizes, args.cores) | {"headers_not_read": unread}
    print(json.dumps(value, indent=2) if args.json else _as_text(value))
    return 0


def estimate(model: Model, sizes: dict[str, Size], cores: int) -> dict[str, Any]:
    """What a whole run needs: `core_hours`, `peak_memory_mb` of its largest job, `disk_mb`, wall.

    The wall time is the longer of the work shared by all cores and the chain
    of steps that wait for each other, without the time jobs spend in a queue.
    """
    rows: dict[str, dict[str, Any]] = {}
    core_seconds = chain = disk = 0.0
    for step, _, size in model.jobs(sizes):
        needs = model.steps[step]
        seconds = model.formula.predict(model.values, step, "seconds", size)
        row = rows.setdefault(
            step, {"jobs": 0, "memory_mb": 0, "longest_s": 0.0, "core_hours": 0.0, "disk_mb": 0.0}
        )
        row["jobs"] += 1
        row["memory_mb"] = max(
            row["memory_mb"], round(model.formula.peak_mb(model.values, step, size))
        )
        row["longest_s"] = max(row["longest_s"], seconds)
        row["core_hours"] += seconds * min(needs["threads"], cores) / 3600
        row["disk_mb"] += model.formula.predict(model.values, step, "disk_mb", size)
    for row in rows.values():
        core_seconds += row["core_hours"] * 3600
        chain += row["longest_s"]
        disk += row["disk_mb"]
    cells, stored, *_ = model.formula.total(sizes.values())
    return {
        "n_cohorts": len(sizes),
        "n_cells": round(cells * 1e6),
        "n_stored": round(stored * 1e6),
        "cores": cores,
        "core_hours": core_seconds / 3600,
        "peak_memory_mb": max((row["memory_mb"] for row in rows.values()), default=0),
        "disk_mb": disk,
        "wall_seconds": max(chain, core_seconds / cores),
        "rules": rows,
    }


def study_sizes(study: Study) -> tuple[Model, dict[str, Size], list[str]]:
    """The study's model, the size of each cohort, and the cohorts whose header cannot be read."""
    from pmcell.cli.run._resources import Model
    from pmcell.registry.cohorts.registered import list_cohorts
    from pmcell.registry.intake.sizes import cohort_sizes

    model = Model(study.resources)
    cohorts_dir = study.cohorts_dir
    names = study.settings.study.cohorts or list_cohorts(cohorts_dir)
    folders = [cohorts_dir / name for name in names]
    folders = sorted(path for path in folders if path.is_dir())
    if not folders:
        raise UsageError(
            f"at least one cohort must be registered below {cohorts_dir}; there is none. "
            "Register one: pmcell register FILE.h5ad --id ID"
        )
    allowed = {path.name: study.settings.study.allowed(path.name, study.folder) for path in folders}
    read = cohort_sizes(folders, study.results, allowed)
    unread = sorted(path.name for path in folders if path.name not in read)
    sizes = model.sizes(folders, read, allowed)
    model.for_study(study.settings.given, sizes)
    return model, sizes, unread


def _refit(args: argparse.Namespace) -> int:
    """Fit, write and judge a model; exit code 1 where the one judged misses its promise."""
    from pmcell.cli.run import _resources
    from pmcell.io.atomic import write_text

    seen = _records(args.refit or [])
    judged = _records(args.judge) if args.judge else seen
    if not judged or (args.refit and not seen):
        raise UsageError("--refit and --judge need finished runs: no study has results/benchmarks")
    model = _resources.Model()
    value: dict[str, Any] = {"shipped": _resources.compare(model, model.values, judged)}
    if args.refit and (args.out or args.judge):
        fitted = _resources.refit(model, seen)
        value["fitted"] = _resources.compare(model, fitted, judged)
        if args.out:
            write_text(args.out, _resources.as_yaml(fitted, HEAD))
    print(json.dumps(value, indent=2) if args.json else _as_verdict(value))
    last = list(value.values())[-1]
    kept = last["covered"] >= _resources.COVERED and last["below_twice"] == 1
    return 0 if kept or not args.judge else 1


def _records(studies: list[Path]) -> list[Record]:
    from pmcell.cli.run import _resources
    from pmcell.cli.run._study import open_study

    records: list[Record] = []
    for folder in studies:
        study = open_study(folder, None)
        model, sizes, _ = study_sizes(study)
        records += _resources.read_records(model, study.results, sizes)
    return records


def _as_verdict(value: dict[str, Any]) -> str:
    lines = []
    for name, item in value.items():
        lines.append(
            f"{name}: {item['n_records']} records; peak covered in {item['covered']:.1%}; promised "
            f"over measured: median {item['median']:.2f}, highest {item['highest']:.2f}, below 2 "
            f"in {item['below_twice']:.1%}"
        )
        lines += [
            f"  {step:<24} {part['n']:>4} records  highest peak {part['peak_mb']:6.0f} MB  "
            f"promised over measured {part['least']:.2f} to {part['most']:.2f}"
            for step, part in item["rules"].items()
        ]
    return "\n".join(lines)


def _as_text(value: dict[str, Any]) -> str:
    lines = [
        f"{plural(value['n_cohorts'], 'cohort')}, {value['n_cells']:,} cells, "
        f"{value['n_stored']:,} counts",
        "",
        f"  core-hours    {value['core_hours']:10.2f}",
        f"  peak memory   {value['peak_memory_mb'] / 1000:10.1f} GB, of the largest job",
        f"  disk          {value['disk_mb'] / 1000:10.1f} GB",
        f"  wall          {_clock(value['wall_seconds']):>10} on {value['cores']} cores, "
        "without time in a queue",
        "",
        "  step                      jobs  memory GB   longest  core-hours  disk GB",
    ]
    lines += [
        f"  {step:<24} {row['jobs']:>5} {row['memory_mb'] / 1000:>10.1f} "
        f"{_clock(row['longest_s']):>9} {row['core_hours']:>11.2f} {row['disk_mb'] / 1000:>8.1f}"
        for step, row in value["rules"].items()
    ]
    for name in value["headers_not_read"]:
        lines.append(
            f"\n{name}: its header cannot be read, so its size is guessed; see pmcell check"
        )
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
