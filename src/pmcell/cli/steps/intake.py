"""Check a submitted cohort and rewrite it canonically.

The submitted file is read in a child process with a memory limit. A cohort
that breaks the contract is quarantined: all outputs are written, empty, with
the reason in intake.json, and the exit code is 0, so that other cohorts go on.

Example:
  pmcell intake --cohort-dir config/cohorts/liu_b1 --out-dir results/cohorts/liu_b1
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pmcell.cli._settings import add_settings, step_settings
from pmcell.registry.cohorts.matrix_paths import allowed_paths
from pmcell.settings.cohort import IntakeSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell intake`."""
    from pmcell.io.submitted.sandbox import MEMORY_MB

    parser.add_argument(
        "--cohort-dir", type=Path, required=True, metavar="DIR", help="folder with cohort.yaml"
    )
    parser.add_argument(
        "--out-dir", type=Path, required=True, metavar="DIR", help="folder of the outputs"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML with a section 'intake', and matrix_paths"
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=MEMORY_MB,
        metavar="MB",
        help="address space of the reader (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_settings(parser, IntakeSettings)


def run(args: argparse.Namespace) -> int:
    """Take one cohort in; 0 also when it is quarantined."""
    from pmcell.registry.intake.intake import intake_cohort

    report = intake_cohort(
        args.cohort_dir,
        args.out_dir,
        config=step_settings(args, IntakeSettings),
        memory_mb=args.memory,
        allowed=allowed_paths(args.cohort_dir, args.config),
    )
    if args.json:
        print(json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        metrics = report["metrics"]
        print(
            f"{report['cohort_id']}: {report['status']}, {metrics['n_cells_submitted']} cells, "
            f"{metrics['n_genes']} of {metrics['n_genes_submitted']} genes, "
            f"{metrics['share_umis_lost']:.2%} of counts lost"
        )
    if report["status"] != "ok":
        print(f"{report['cohort_id']}: {report['reason']}: {report['message']}", file=sys.stderr)
    return 0
