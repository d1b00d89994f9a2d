"""Encrypt cohorts without open access to named recipients: results/controlled/<cohort>/.

Each package holds the cohort's cells (h5ad) and rows (Parquet) as Crypt4GH
files, which the archives EGA and FEGA accept, and a signed manifest of their
digests and lengths. The recipients' public keys are named in the section
`seal` of the configuration; PMCELL_SIGNING_KEY_FILE names the file of your
Ed25519 signing key (openssl genpkey -algorithm ed25519 -out KEY; chmod 600 KEY).

Example:
  pmcell seal --results results --out results/controlled --config config/config.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._settings import add_settings, given_configuration
from pmcell.settings.study import SealSettings
from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--results", type=Path, required=True, help="folder with cohorts/, atlas/ and strata/"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the packages")
    parser.add_argument("--config", type=Path, required=True, help="YAML file with section 'seal'")
    add_settings(parser, SealSettings)


def run(args: argparse.Namespace) -> int:
    """Seal and say what was sealed to whom."""
    from rich.console import Console

    from pmcell.io.atomic import read_json
    from pmcell.publish.sealed.controlled import write_controlled

    with Console(stderr=True).status("seal") as status:
        sealed = write_controlled(
            args.results,
            args.out,
            config=given_configuration(args, SealSettings),
            progress=lambda part: status.update(f"seal: {part}"),
        )
    if not sealed:
        print("Nothing to seal: every accepted cohort has open access.")
    for cohort_id in sealed:
        manifest = read_json(args.out / cohort_id / "manifest.json")
        names = ", ".join(manifest["recipients"])
        print(f"{args.out / cohort_id}: {plural(len(manifest['files']), 'file')} for {names}")
    return 0
