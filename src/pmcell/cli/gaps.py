"""Say who is missing from a release, what can be found with who is there, and whom to recruit next.

Groups of donors (programme, region, tissue, age, sex, ethnicity, stage) are held against the
other donors of their programme and tissue: power is the chance that Welch's t-test on one
value a donor finds the stated effect. The effect is a difference in a cell state, in standard
deviations between donors (--effect), or in the share of a cell type (--shares).

--prevalence FILE counts the people: a CSV with n_people and some of the columns programme,
region, tissue_ontology_term_id, age_band, sex_ontology_term_id,
self_reported_ethnicity_ontology_term_id, condition. Groups are then those of the file, and are
ranked by the share of all people for whom the effect would be missed.

Only donors of open cohorts are counted: those of others are in the column of donors on the
observatory page of the release, where they are enough to be counted.

Example:
  pmcell gaps results/release --prevalence people.csv --out gaps
  pmcell gaps results/release --shares 0.10 0.15 --icc 0.03 --cells 800
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.gaps.power import Effect
    from pmcell.gaps.prevalence import Prevalence

READ = ("cohorts", "donors", "visits", "samples")
MAX_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument(
        "--prevalence", type=Path, metavar="FILE", help="people in each group (CSV)"
    )
    parser.add_argument(
        "--effect", type=float, help="difference in a state (default 0.8 SD of donors)"
    )
    parser.add_argument(
        "--shares",
        type=float,
        nargs=2,
        metavar=("OTHERS", "GROUP"),
        help="shares of a cell type instead",
    )
    parser.add_argument(
        "--icc", type=float, help="share of variance, or correlation, within a donor"
    )
    parser.add_argument("--cells", type=int, help="cells counted in each donor")
    parser.add_argument(
        "--alpha", type=float, default=0.05, help="level of the test (default 0.05)"
    )
    parser.add_argument(
        "--power", type=float, default=0.8, help="power that is wanted (default 0.8)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all rows as CSV")
    parser.add_argument("--json", action="store_true", help="print all rows as JSON")


def run(args: argparse.Namespace) -> int:
    """Rank and print."""
    from pmcell.gaps.groups import described_samples
    from pmcell.gaps.prevalence import read_prevalence
    from pmcell.gaps.recruit import recruit_next
    from pmcell.io.atomic import atomic_path
    from pmcell.release.report_tables import read_release

    effect = _effect(args)
    release = read_release(args.release, only=READ)
    prevalence = read_prevalence(args.prevalence) if args.prevalence else None
    samples = described_samples(*(release[name] for name in READ))
    try:
        ranked = recruit_next(
            samples, prevalence=prevalence, effect=effect, alpha=args.alpha, powered=args.power
        )
    except ValueError as error:
        raise UsageError(f"--alpha and --power: {error}") from error
    if args.out is not None:
        with atomic_path(args.out) as temporary:
            ranked.map(_no_formula).to_csv(temporary, index=False)
    if args.json:
        plain = ranked.astype(object).where(ranked.notna(), None)
        print(json.dumps(plain.to_dict("records"), indent=2, ensure_ascii=False))
        return 0
    _show(ranked)
    if prevalence is not None:
        _say_uncounted(samples, prevalence)
    _say_withheld(release["cohorts"])
    if args.out is not None:
        print(f"Written: {args.out}")
    return 0


def _no_formula(value: object) -> object:
    """A value of a table that a spreadsheet opens: text of others must not run there."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _effect(args: argparse.Namespace) -> Effect:
    from pmcell.gaps.power import EFFECT, Composition, State

    given = {
        name: value
        for name, value in (("icc", args.icc), ("n_cells", args.cells))
        if value is not None
    }
    if args.shares and args.effect is not None:
        raise UsageError("--effect and --shares are two ways to state the effect: give one of them")
    try:
        if args.shares:
            others, group = args.shares
            return Composition(group, others, **given)
        return State(EFFECT if args.effect is None else args.effect, **given)
    except ValueError as error:
        raise UsageError(f"the effect cannot be: {error}") from error


HEADINGS = {
    "rank": "",
    "n_people": "people",
    "representation": "repr.",
    "n_donors": "donors",
    "n_other_donors": "others",
    "power": "power",
    "n_to_recruit": "recruit",
    "unseen": "unseen",
}
"""Columns that the terminal shows, and what they are called there."""


def _show(ranked: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    by = list(ranked.columns[: ranked.columns.get_loc("rank")])
    # A property that all groups share is said once.
    same = [name for name in by if ranked[name].nunique() == 1]
    own = [name for name in by if name not in same] or by
    if same and own != by:
        print("All groups: " + ", ".join(str(ranked[name].iloc[0]) for name in same) + ".")
    shown = ranked.head(MAX_SHOWN).dropna(axis=1, how="all")
    names = [name for name in HEADINGS if name in shown.columns]
    table = Table(title="Whom to recruit next")
    for name in names:
        table.add_column(HEADINGS[name], justify="right")
        if name == "rank":
            table.add_column("group", overflow="fold")
    for row in shown.to_dict("records"):
        rank, *numbers = (_text(row[name]) for name in names)
        table.add_row(rank, ", ".join(str(row[name]) for name in own), *numbers)
    Console().print(table)
    if len(ranked) > len(shown):
        print(f"{len(ranked) - len(shown)} further groups: see --out or --json.")


def _text(value: object) -> str:
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.2f}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def _say_uncounted(samples: pd.DataFrame, prevalence: Prevalence) -> None:
    """Say which donors stand in none of the file's groups."""
    by = list(prevalence.by)
    inside = [tuple(row) in prevalence.groups for row in samples[by].itertuples(index=False)]
    n_all = samples["donor_id"].nunique()
    n_inside = samples.loc[inside, "donor_id"].nunique()
    if n_inside < n_all:
        out = samples.loc[[not item for item in inside], by].drop_duplicates()
        listed = "; ".join(", ".join(map(str, row)) for row in out.head(5).itertuples(index=False))
        print(f"{n_all - n_inside} of {n_all} donors are in no group of the file: {listed}.")


def _say_withheld(cohorts: pd.DataFrame) -> None:
    closed = cohorts[(cohorts["access"] != "open") & (cohorts["status"] != "quarantined")]
    if len(closed):
        names = ", ".join(closed["cohort_id"])
        print(f"Donors of cohorts without open access are not counted here: {names}.")
