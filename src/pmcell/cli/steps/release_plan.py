"""Decide which cohorts a release shows, and what each of its files says of it.

Title, licence and version, and whether anyone is withheld, are the same for all cohorts. They
are decided here, so that the job that writes one cohort's cells reads nothing of the others.

Example:
  pmcell release_plan --results results --out results/atlas/release_plan.json \\
    --config config/config.yaml
"""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    """Write release_plan.json."""
    from pmcell.io.atomic import write_json
    from pmcell.publish.facts import read_facts
    from pmcell.publish.plan import plan_of
    from pmcell.settings.load import load_settings

    config = load_settings(args.config).given if args.config else {}
    facts = read_facts(args.results, config=config)
    write_json(args.out, plan_of(facts))
    print(f"{len(facts.published)} of {len(facts.cohorts)} cohorts are to be shown -> {args.out}")
    return 0
