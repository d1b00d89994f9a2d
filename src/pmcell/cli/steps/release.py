"""Write the release folder: cells, tables, donors, strata, model, README, crate and manifest.

The folder is made beside --out, verified, and put in its place as a whole; an
older release there stays untouched on any error. Cohorts whose access is not
open are counted in the analysis, but their cells and donors are left out.
`pmcell release diff A B` tells what differs between two releases, `pmcell release add` adds
cohorts to one without moving what it says.

Example:
  pmcell release --results results --out results/release --config config/config.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.cli._settings import add_settings, given_configuration
from pmcell.schema import UNKNOWN
from pmcell.settings.release import ReleaseSettings
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.publish.facts import Cohort, Facts
    from pmcell.release.manifest import Entries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--results", type=Path, required=True, help="folder with cohorts/, atlas/ and strata/"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the release; replaced as a whole"
    )
    parser.add_argument(
        "--cohort",
        action="append",
        default=[],
        metavar="ID",
        help="a cohort of the release; repeat it for each (default: all of atlas/cohorts.json)",
    )
    parser.add_argument("--config", type=Path, help="YAML file; its section 'release' is used")
    parser.add_argument("--no-report", action="store_true", help="leave report.html and site/ out")
    add_settings(parser, ReleaseSettings)


def run(args: argparse.Namespace) -> int:
    """Write the release and print where it is and how to open it."""
    from rich.console import Console

    from pmcell.io.modes import operators_umask
    from pmcell.publish import write_release
    from pmcell.publish.metadata.dcat.sources import described as described_cohorts

    console = Console(stderr=True)
    with console.status("release") as status, operators_umask():
        facts = write_release(
            args.results,
            args.out,
            cohort_ids=args.cohort,
            config=given_configuration(args, ReleaseSettings),
            report=None if args.no_report else _report,
            site=None if args.no_report else _site,
            progress=lambda part: status.update(f"release: {part}"),
        )
    print(f"Release written to {args.out}: {plural(len(facts.published), 'cohort')}, verified.")
    if facts.withheld:
        names = ", ".join(cohort.cohort_id for cohort in facts.withheld)
        print(f"Not published, because access is not open: {names}.")
    described = {cohort.cohort_id for cohort in described_cohorts(facts)}
    if absent := [item.cohort_id for item in facts.withheld if item.cohort_id not in described]:
        print(
            f"Not in dcat.ttl: {', '.join(absent)}. Their cohort.yaml lacks what HealthDCAT-AP "
            "requires: `pmcell check` says what."
        )
    print(f"How to open it: {args.out / 'README.md'}")
    return 0


def _report(folder: Path) -> None:
    from pmcell.report import write_report

    write_report(folder, folder / "report.html")


def _site(folder: Path, facts: Facts, entries: Entries) -> None:
    import json

    from pmcell.publish.content.gaps import policy_of
    from pmcell.publish.metadata.contents import FOLDERS, describe
    from pmcell.publish.metadata.schema_org import json_ld, signposting
    from pmcell.report.site import Extras, write_site

    links = signposting(facts, entries)
    extras = Extras(
        description=facts.options.description,
        json_ld=json.dumps(json_ld(facts, folder, entries), ensure_ascii=False, sort_keys=True),
        links=tuple((link["rel"], link["href"], link.get("type", "")) for link in links),
        people={cohort.cohort_id: _people(cohort) for cohort in facts.cohorts},
        policy={cohort.cohort_id: policy_of(cohort) for cohort in facts.cohorts},
        prose={**FOLDERS, **{name: describe(facts, name) for name in entries}},
    )
    write_site(folder, extras=extras)


def _people(cohort: Cohort) -> dict[str, str]:
    """Who answers for a cohort, as far as the registration says."""
    found = {
        "steward": cohort.text("steward", "name"),
        "organisation": cohort.text("steward", "organisation"),
        "publisher": cohort.text("publisher", "name"),
        "purpose": cohort.text("purpose"),
        "license_note": cohort.text("catalogue", "license_note"),
        "description": cohort.text("description"),
    }
    return {key: value for key, value in found.items() if value != UNKNOWN}
