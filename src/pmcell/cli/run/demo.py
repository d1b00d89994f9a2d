"""Run the main job on the embedded cohorts: real patients, offline, in minutes.

Inside a checkout of pmcell the results lie in its results/ folder. Anywhere
else a study folder pmcell-demo is made with copies of the embedded cohorts
(Liu et al. 2021, blood of patients with COVID-19 and healthy donors), which is
also a good place to try one's own cohort beside them.

Example:
    pmcell demo
    pmcell demo --out try-pmcell --threads 4
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell demo`."""
    parser.add_argument("--out", type=Path, help="study folder to make and run in")
    parser.add_argument(
        "--threads", "--cores", type=int, help="cores to use (default: all that are allowed)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the study folder where there is none, run it, say how to open the release."""
    from pmcell.bundle import EMBEDDED_COHORTS, bundle_folder, profile_folder
    from pmcell.cli.init import make_study
    from pmcell.cli.run import _study, _workflow
    from pmcell.cli.run._display import clock
    from pmcell.cli.run.run import run_and_summarise
    from pmcell.errors import UsageError

    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads must be at least 1, got {args.threads}")
    is_checkout = bundle_folder() == Path.cwd().resolve()
    folder = args.out or (Path() if is_checkout else Path("pmcell-demo"))
    if not (folder / "config" / "config.yaml").is_file():
        make_study(folder, cohorts=EMBEDDED_COHORTS)
    study = _study.open_study(folder, None)
    _study.decide_consent(study)
    command = _workflow.snakemake_command(
        study, cores=args.threads, profile=profile_folder("default", folder), extra=[]
    )
    start = time.monotonic()
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    code = run_and_summarise(study, command, as_json=args.json)
    if code == 0:
        print(f"Done in {clock(time.monotonic() - start)} min.", file=sys.stderr)
    return code
