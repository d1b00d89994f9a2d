"""Add cohorts to a release without moving what it says: their people are placed, not clustered.

Only the cohorts' own jobs run: intake and QC, as `pmcell run` runs them. Cells get labels and
coordinates, people a place among the strata, all from the frozen reference of the release. The
new folder holds the older release as it was: its files of cells and counts, its reference, its
rows of each table, its clusters and strata. The older folder is not touched, and the command
does nothing where the new one is there already. Only cohorts with open access can be added.

Exit code 2 where the call forbids it, 3 where the data do: a damaged release, one of another
schema or study, a cohort that it holds already, people who are in it under another name,
another species or tissue, too few genes.

Example:
  pmcell release add liu_b3 --release results/release --directory my-study
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import (
    add_cores_option,
    add_profile_option,
    add_study_options,
    require_cores,
)
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("cohort", nargs="+", metavar="COHORT", help="a registered cohort")
    parser.add_argument(
        "--release", type=Path, required=True, help="folder of the release to add to; stays as is"
    )
    add_study_options(parser)
    parser.add_argument(
        "--out", type=Path, help="folder to write (default: beside the release, by its version)"
    )
    add_cores_option(parser)
    add_profile_option(parser)
    parser.add_argument(
        "--no-run", action="store_true", help="use the results of intake and QC that are there"
    )
    parser.add_argument("--no-report", action="store_true", help="leave report.html and site/ out")


def run(args: argparse.Namespace) -> int:
    """Run the cohorts' jobs, write the new release, say where people were placed."""
    from rich.console import Console

    from pmcell.cli.run import _study
    from pmcell.cli.run._readers import reading_results
    from pmcell.cli.steps.release import _report, _site
    from pmcell.io.modes import operators_umask
    from pmcell.publish.add.previous import open_previous, require_new
    from pmcell.publish.add.write import add_cohorts, is_added, next_version
    from pmcell.release.manifest import read_manifest
    from pmcell.settings.cohort import QcSettings
    from pmcell.settings.release import ReleaseSettings

    require_cores(args)
    study = _study.open_study(args.directory, args.config)
    manifest = read_manifest(args.release)
    require_new(manifest, args.cohort)
    _require_registered(study, args.cohort)
    options = study.settings.of(ReleaseSettings)
    version = options.version
    if version == manifest["version"]:
        version = next_version(version)
    target = args.out or args.release.absolute().parent / f"release-{version}"
    _require_consent(study, sorted(manifest["cohorts"]), args.cohort)
    console = Console(stderr=True)
    with console.status("release add: earlier release"):
        previous = open_previous(args.release, study.results)
    if not args.no_run and (code := _run_jobs(study, args)):
        return code
    if is_added(args.release, args.cohort, study.results, target):
        print(f"Nothing to do: {target} holds {', '.join(args.cohort)} already, intact.")
        return 0
    with (
        reading_results(study.folder, "release add"),
        console.status("release add") as status,
        operators_umask(),
    ):
        facts = add_cohorts(
            previous,
            args.cohort,
            results=study.results,
            target=target,
            options=options.model_copy(update={"version": version}),
            qc=_qc(study, QcSettings),
            report=None if args.no_report else _report,
            site=None if args.no_report else _site,
            progress=lambda part: status.update(f"release add: {part}"),
        )
    _tell(target, facts.options.version)
    return 0


def _qc(study: Study, model: Any) -> dict[str, Any]:
    """The options by which the study marks cells, as a reference notes them."""
    found: dict[str, Any] = study.settings.of(model).model_dump(
        mode="json", exclude={"min_cells_passing"}
    )
    return found


def _require_registered(study: Study, cohort_ids: list[str]) -> None:
    """`UsageError` for a cohort that is not registered, or whose people may not be shown."""
    from pmcell.errors import UsageError
    from pmcell.publish.add.previous import require_open
    from pmcell.registry.cohorts.cohort import read_registration
    from pmcell.registry.cohorts.registered import list_cohorts
    from pmcell.spelling import did_you_mean

    known = list_cohorts(study.cohorts_dir)
    for name in cohort_ids:
        if name not in known:
            raise UsageError(
                f"COHORT must be registered in {study.cohorts_dir}; there is no {name!r}. "
                f"{did_you_mean(name, known)}".strip()
            )
        registration, _ = read_registration(study.cohorts_dir / name)
        # What cannot be read is intake's to say.
        if registration is not None:
            require_open(name, registration.access)


def _require_consent(study: Study, earlier: list[str], added: list[str]) -> None:
    """Hold all cohorts to their terms, and the earlier ones to the consents they had."""
    from pmcell.consent.views import views_of_study
    from pmcell.errors import DataError
    from pmcell.io.atomic import read_json

    use = study.settings.study.use
    views, _ = views_of_study(study.cohorts_dir, earlier, study.results, use, write=False)
    for view in views:
        path = study.results / "cohorts" / view.cohort_id / "intake.json"
        told = read_json(path).get("consent") if path.is_file() else None
        if told != view.facts:
            raise DataError(
                f"consents in cohort {view.cohort_id!r} must be those with which the release was "
                "made; they have changed since. Take it in again and make a whole release: pmcell "
                "run",
                reason="consent",
            )
    _, warnings = views_of_study(study.cohorts_dir, added, study.results, use, write=True)
    for warning in warnings:
        print(f"pmcell: warning: {warning}", file=sys.stderr)


def _run_jobs(study: Study, args: argparse.Namespace) -> int:
    """Run intake and QC of the cohorts, and nothing else; Snakemake's exit code."""
    from functools import partial

    from pmcell import bundle
    from pmcell.cli.run import _lock, _slurm, _workflow
    from pmcell.cli.run._progress import Progress

    profile = bundle.profile_folder(args.profile, study.folder)
    command = jobs_command(study, args.cohort, cores=args.cores, profile=profile)
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    is_slurm = _workflow.executor_of(profile) == "slurm"
    stop_jobs = partial(_slurm.stop_jobs, study.folder) if is_slurm else None
    with _lock.only_run(study.folder, stop_jobs) as held:
        code = _workflow.run_snakemake(study, command, Progress())
        if code < 0:
            held.keep_for_next()
    return code


def jobs_command(
    study: Study, cohort_ids: Sequence[str], *, cores: int | None, profile: Path
) -> list[str]:
    """Return the snakemake command for the cohorts' own jobs, whatever cohorts the study names."""
    from pmcell.cli.run._workflow import snakemake_command

    targets = [f"results/cohorts/{name}/status.json" for name in sorted(cohort_ids)]
    named = ["--config", f"cohorts={json.dumps(sorted(cohort_ids))}"]
    return snakemake_command(study, cores=cores, profile=profile, extra=[*targets, *named])


def _tell(target: Path, version: str) -> None:
    from pmcell.release import open_release

    table = open_release(target).tables["additions"].to_pandas()
    print(f"Release {version} written to {target}, verified.")
    for row in table[table["release_version"] == version].itertuples():
        print(
            f"{row.cohort_id}: {plural(row.n_donors, 'donor')} at {plural(row.n_visits, 'visit')} "
            f"placed, not clustered: {row.n_assigned} assigned, {row.n_ambiguous} "
            f"ambiguous, {row.n_novel} novel, {row.n_not_placed} not placed."
        )
