"""Freeze the model of cells onto which `pmcell map` maps new people.

The release links these files and adds its donors. Where a cohort is not open nothing is frozen,
and they are empty: a model of genes that a person's cells shaped tells of the person.
`freeze: false` in the settings leaves it out as well.

Example:
  pmcell reference --results results --out-dir results/atlas
"""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    """Write reference.json and the arrays of the model."""
    from pmcell.cli._job.run import require_files
    from pmcell.cli._settings import step_settings
    from pmcell.publish.content.cell_model import prepare_cells
    from pmcell.publish.facts import read_cohorts
    from pmcell.settings.release import ReferenceSettings
    from pmcell.step import files_of
    from pmcell.steps import BY_NAME

    settings = step_settings(args, ReferenceSettings)
    cohorts = read_cohorts(args.results)
    accepted = [cohort.cohort_id for cohort in cohorts if cohort.accepted]
    require_files([args.results / path for path in files_of(BY_NAME["reference"].inputs, accepted)])
    record = prepare_cells(args.results, cohorts, args.out_dir, freeze=settings.freeze)
    if not record:
        said = "a cohort is not open: no model"
    else:
        said = record["cannot_map"] or f"{record['n_cells_learned_from']} cells learned from"
    print(f"{said} -> {args.out_dir / 'reference.json'}")
    return 0
