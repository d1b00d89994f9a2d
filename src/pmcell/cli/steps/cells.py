"""Write a cohort's cells and expression as the release shows them, and a record of their digests.

The release links these files and does not write them again. A cohort that is not published gets
empty ones: nothing of it is prepared for a release.

Example:
  pmcell cells --results results --cohort liu_b1 --out-dir results/cohorts/liu_b1
"""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    """Write cells.h5ad, expression.parquet and cells.json."""
    from pmcell.publish.cohort_files import prepare_cohort
    from pmcell.publish.plan import planned_facts

    facts, cohort = planned_facts(args.results, args.cohort)
    n_cells = prepare_cohort(facts, cohort, args.out_dir)
    said = f"{n_cells} cells" if cohort.published else "not published: empty files"
    print(f"{args.cohort}: {said} -> {args.out_dir}")
    return 0
