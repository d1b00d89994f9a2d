"""Export a published cohort in the profile of the Human Cell Atlas.

The HCA schema asks for facts that a release does not hold. They come from a
table of samples (--samples, such as the cohort's samples.tsv with further
columns) or are given once for all samples (--set); all that is missing is
listed at once. Where hca-schema-validator is set up, it judges the file.

Example:
  pmcell export-hca results/release liu_b1 --out hca/liu_b1.h5ad \\
    --samples config/cohorts/liu_b1/samples.tsv --set reference_genome=GRCh38 --study-pi "Liu, C."
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pmcell.cli._options import pairs
from pmcell.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("cohort", help="a cohort whose cells are in the release")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.h5ad)")
    parser.add_argument("--samples", type=Path, help="TSV with sample_id and the fields of HCA")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field that is the same for all samples; repeat it",
    )
    parser.add_argument(
        "--study-pi", action="append", default=[], metavar="NAME", help="repeat it for each"
    )


def run(args: argparse.Namespace) -> int:
    """Write the file and have it judged."""
    from pmcell.publish.profiles.hca import export_hca

    constants = pairs(args.set, "--set", "FIELD=VALUE")
    if args.samples and not args.samples.is_file():
        raise UsageError(f"--samples must be a file; {args.samples} is not one")
    export_hca(
        args.release,
        args.cohort,
        args.out,
        samples=args.samples,
        constants=constants,
        study_pi=args.study_pi,
    )
    print(f"Written: {args.out}")
    return _judge(args.out)


def _judge(file: Path) -> int:
    import dataclasses

    from rich.console import Console

    from pmcell.publish.validators import run_validators
    from pmcell.publish.validators.table import find

    validator = dataclasses.replace(find("hca-schema-validator"), targets=(file.name,))
    with Console(stderr=True).status("hca-schema-validator (about half a minute)"):
        (verdict,) = run_validators(file.parent, [validator])
    for check in verdict.checks:
        print(f"{verdict.name} {verdict.version}: {check.status.replace('_', ' ')} {check.reason}")
        for finding in check.findings:
            print(f"  - {finding['message']}", file=sys.stderr)
    return 3 if verdict.failures else 0
