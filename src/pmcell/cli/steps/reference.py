"""Freeze the model of cells and donors onto which `pmcell map` maps new people.

The release links these files. Where a cohort is not open nothing is frozen, and they are empty:
a model of genes that a person's cells shaped tells of the person.

Example:
  pmcell reference --results results --out-dir results/atlas
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import add_step_options, require_files, use_threads
from pmcell.settings.release import ReferenceSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--results", type=Path, required=True, help="folder with cohorts/, atlas/ and strata/"
    )
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="folder of the atlas, where the model lies"
    )
    add_step_options(parser, ReferenceSettings)


def run(args: argparse.Namespace) -> int:
    """Write reference.json and the arrays of the model."""
    from pmcell.publish.content.reference import prepare_reference
    from pmcell.publish.facts import read_facts
    from pmcell.steps import BY_NAME, files_of

    use_threads(args.threads)
    facts = read_facts(args.results)
    accepted = [cohort.cohort_id for cohort in facts.cohorts if cohort.accepted]
    inputs = files_of(BY_NAME["reference"].inputs, accepted)
    require_files(*(args.results / path for path in inputs))
    record = prepare_reference(facts, args.out_dir)
    if facts.withheld:
        said = "a cohort is not open: no model"
    else:
        said = record["cannot_map"] or f"{record['n_cells_learned_from']} cells learned from"
    print(f"{said} -> {args.out_dir / 'reference.json'}")
    return 0
