"""Write a cohort's cells and expression as the release shows them, and a record of their digests.

The release links these files and does not write them again. A cohort that is not published gets
empty ones: nothing of it is prepared for a release.

Example:
  pmcell cells --results results --cohort liu_b1 --out-dir results/cohorts/liu_b1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import add_step_options, require_files, use_threads
from pmcell.settings.release import CellsSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--results", type=Path, required=True, help="folder with cohorts/, atlas/ and strata/"
    )
    parser.add_argument("--cohort", required=True, help="identifier of the cohort")
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="folder of the cohort's results"
    )
    add_step_options(parser, CellsSettings)


def run(args: argparse.Namespace) -> int:
    """Write cells.h5ad, expression.parquet and cells.json."""
    from pmcell.publish.cohort_files import prepare_cohort
    from pmcell.publish.plan import planned_facts
    from pmcell.steps import BY_NAME, files_of

    use_threads(args.threads)
    inputs = files_of(BY_NAME["cells"].inputs, [args.cohort])
    require_files(*(args.results / path for path in inputs))
    facts, cohort = planned_facts(args.results, args.cohort)
    n_cells = prepare_cohort(facts, cohort, args.out_dir)
    said = f"{n_cells} cells" if cohort.published else "not published: empty files"
    print(f"{args.cohort}: {said} -> {args.out_dir}")
    return 0
