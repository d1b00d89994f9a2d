"""Run the workflow on a study folder and say what became of each cohort.

This is a thin wrapper: it prints the snakemake command that it runs, shows
the steps as they finish, keeps Snakemake's own words in results/logs/run.log,
and passes its exit code on. Steps whose inputs and parameters are unchanged
are not repeated, so a run that was interrupted goes on where it stopped. A
cohort that fails its checks is quarantined and named at the end; the others
finish.

Example:
    pmcell run --directory my-study --cores 8
    pmcell run --profile slurm -- --jobs 50
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import (
    add_cores_option,
    add_profile_option,
    add_study_options,
    require_cores,
)
from pmcell.errors import UsageError
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell run`."""
    add_study_options(parser)
    add_cores_option(parser)
    add_profile_option(parser)
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="show what would be run, and why"
    )
    parser.add_argument(
        "--unlock", action="store_true", help="remove the lock that a killed run left behind"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "snakemake", nargs="*", metavar="-- ARGUMENT", help="passed on to snakemake as it is"
    )


def run(args: argparse.Namespace) -> int:
    """Run Snakemake and print the summary; Snakemake's exit code."""
    from pmcell import bundle
    from pmcell.cli.run import _lock, _study, _workflow
    from pmcell.registry.cohorts.registered import not_cohorts

    require_cores(args)
    if args.dry_run and args.unlock:
        raise UsageError("--dry-run changes nothing, and --unlock removes a lock: give one of them")
    study = _study.open_study(args.directory, args.config)
    for passed_over in not_cohorts(study.cohorts_dir):
        print(f"pmcell run: not read, in {study.cohorts_dir}: {passed_over}", file=sys.stderr)
    if not args.unlock:
        _study.decide_consent(study)
        _study.require_keys(study)
    profile = bundle.profile_folder(args.profile, study.folder)
    flags = ["--dry-run"] * args.dry_run + ["--unlock"] * args.unlock
    command = _workflow.snakemake_command(
        study, cores=args.cores, profile=profile, extra=[*flags, *args.snakemake]
    )
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    if renamed := _workflow.renamed_rules(profile):
        print(f"pmcell run: {renamed}", file=sys.stderr, flush=True)
    if args.unlock:
        _lock.release_lock(study.folder)
    if flags:
        # Snakemake keeps its records there in a dry run too: what a disk refuses is told before.
        (study.folder / _lock.LOCK.parent).mkdir(exist_ok=True)
        plain = [sys.executable, "-m", *command]
        return subprocess.run(plain, env=_workflow.environment(), check=False).returncode
    return run_and_summarise(
        study, command, executor=_workflow.executor_of(profile), as_json=args.json
    )


def run_and_summarise(
    study: Study, command: list[str], *, executor: str = "local", as_json: bool
) -> int:
    """Run the command, then tell what became of each cohort and where the release lies."""
    from pmcell.cli.run import _summary

    summary = run_workflow(study, command, executor=executor)
    print(json.dumps(summary, indent=2) if as_json else _summary.as_text(summary))
    return int(summary["exit_code"])


def run_workflow(study: Study, command: list[str], *, executor: str = "local") -> dict[str, Any]:
    """Run the command, alone in the study's folder; what became of it, as `summarise` has it."""
    from pmcell.cli.run import _clock, _lock, _slurm, _study, _summary, _workflow
    from pmcell.cli.run._progress import Progress

    progress = Progress()
    stop_jobs = partial(_slurm.stop_jobs, study.folder) if executor == "slurm" else None
    with _lock.only_run(study.folder, stop_jobs) as held:
        if stop_jobs:
            # A lock that was removed by hand says nothing of the jobs it stood for.
            stop_jobs()
        if n_ahead := _clock.date_anew(study):
            print(
                f"pmcell run: {plural(n_ahead, 'file was', 'files were')} dated ahead of this "
                "machine's clock, and are dated anew",
                file=sys.stderr,
            )
        _workflow.warm_up()
        before = _study.registered(study)
        code = _workflow.run_snakemake(study, command, progress)
        if code < 0:
            held.keep_for_next()
            print(
                f"pmcell run: Snakemake was killed ({signal.Signals(-code).name}), which is often "
                "for want of memory; the same command goes on from what is finished",
                file=sys.stderr,
            )
        changed = _study.changed_files(study, before) if code == 0 else []
        if changed:
            code = 1
            print(
                f"pmcell run: {', '.join(map(str, changed))} must stay as it is while a run works; "
                "it was changed, and steps may have used the old content or the new. Run it again: "
                "it repeats what the change requires.",
                file=sys.stderr,
            )
    return _summary.summarise(study, code, progress)
