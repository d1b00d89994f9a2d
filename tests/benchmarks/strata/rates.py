"""The error rates that README.md and docs/strata.md print, and where each comes from.

`rates.tsv` beside this file holds them: what was measured, its 95 % interval, on how many data
sets, by which command and on which tree. Both pages are made of it: docs/strata.md when the
documentation is built, README.md by `--update-readme`; a test holds it to the table.

Example:
  python tests/benchmarks/strata/rates.py take sets/placed.csv --command "sets.py --sets 10" \\
    --tree 0123abc
  python tests/benchmarks/strata/rates.py --update-readme
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).with_name("rates.tsv")
README = Path(__file__).resolve().parents[3] / "README.md"
BEGIN, END = "<!-- error rates: begin -->", "<!-- error rates: end -->"


@dataclass(frozen=True)
class Asked:
    """What a rate is the answer to: asked of whom, what happened, and whether README prints it."""

    of: str
    happened: str
    in_readme: bool = False


RATES = {
    "same_batches": Asked("a donor never seen", "true stratum in the 90 % set", True),
    "new_batch": Asked("the same, in a new batch", "true stratum in the 90 % set", True),
    "absent": Asked("a donor of a stratum never seen", "assigned to another", True),
    "known_novel": Asked("a donor never seen", "called novel"),
    "known_assigned": Asked("a donor never seen", "assigned, else ambiguous or novel"),
    "calibration": Asked("the probability of a stratum", "how far it is off", True),
    "calibration_wrong": Asked("the same, number of strata wrong", "how far it is off", True),
    "k_right": Asked("three strata that were found", "found as three", True),
    "genes_planted": Asked("strata in the genes of all types", "found", True),
    "genes_beside": Asked("strata in all types, beside stronger factors", "found", True),
    "genes_unequal": Asked("three strata of unequal size, in genes", "found as three", True),
    "genes_one_type": Asked("strata in one type of eight", "found", True),
    "thinned": Asked("200 of 1,000 genes a type halved in half of 40 real donors", "found", True),
    "thinned_few": Asked("40 of 1,000 genes a type halved in half of them", "found", True),
    "genes_null": Asked("donors without strata, in genes", "strata claimed", True),
    "genes_batches": Asked(
        "batches without strata, in genes", "called not separable, though nothing was there", True
    ),
    "genes_confounded": Asked("strata that are the batch, in genes", "called not separable", True),
    "nothing": Asked("donors without groups, in an embedding", "strata claimed", True),
    "line": Asked("donors along a line", "strata claimed", True),
    "both": Asked("strata in state and composition", "found"),
    "composition": Asked("strata in composition alone", "found, else a continuum", True),
    "half_confounded": Asked("half of a stratum follows the batch", "found"),
    "confounded": Asked("strata that are the batch", "called not separable", True),
}
"""Each rate by its key, in the order of the pages."""


CONFOUNDED_WHOLLY = {"confounding 1", "confounding 1, state", "nested batches"}


@dataclass(frozen=True)
class Measured:
    """A rate with its 95 % interval, in shares of 1, over `n` data sets."""

    key: str
    share: float
    low: float
    high: float
    n: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["take"], nargs="?")
    parser.add_argument("output", type=Path, nargs="?", help="what a program wrote with --out")
    parser.add_argument("--command", default="")
    parser.add_argument("--tree", default="", help="commit that was measured")
    parser.add_argument("--update-readme", action="store_true")
    args = parser.parse_args()
    if args.what == "take":
        take(args.output, args.command, args.tree)
    if args.update_readme:
        README.write_text(with_rates(README.read_text(encoding="utf-8")), encoding="utf-8")


def take(output: Path, command: str, tree: str) -> None:
    """Put the rates of one program's output into the table, in the place of older ones."""
    kept = {row["key"]: row for row in rows()}
    # Told by its name: names of worlds hold blanks, of which a guess makes separators.
    separator = "\t" if output.suffix == ".tsv" else ","
    for measured in measure(pd.read_csv(output, sep=separator)):
        new = {name: str(value) for name, value in asdict(measured).items()}
        for name in ("share", "low", "high"):
            new[name] = f"{float(new[name]):.4f}"
        kept[measured.key] = new | {"command": command, "tree": tree}
    frame = pd.DataFrame([kept[key] for key in RATES if key in kept])
    frame.to_csv(TABLE, sep="\t", index=False, lineterminator="\n")


def rows() -> list[dict[str, str]]:
    """The table, in the order of `RATES`."""
    frame = pd.read_csv(TABLE, sep="\t", dtype=str, keep_default_na=False)
    found = {row["key"]: row for row in frame.to_dict("records")}
    return [found[key] for key in RATES if key in found]


def page(*, readme: bool = False) -> Iterator[str]:
    """The lines of a page's table."""
    yield "| asked of | what happened | % | 95 % | data sets |"
    yield "|---|---|---|---|---|"
    for row in rows():
        asked = RATES[row["key"]]
        if asked.in_readme or not readme:
            share, low, high = (100 * float(row[name]) for name in ("share", "low", "high"))
            yield (
                f"| {asked.of} | {asked.happened} | {share:.1f} | {low:.1f} to {high:.1f} "
                f"| {row['n']} |"
            )


def with_rates(text: str) -> str:
    """README.md with the table between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    table = "\n".join(page(readme=True))
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def measure(frame: pd.DataFrame) -> Iterator[Measured]:
    """The rates of what `sets.py`, `genes.py` or `study.py` wrote."""
    if "donor" in frame:
        yield from of_donors(frame)
    elif "data" in frame:
        yield from of_genes(frame)
    else:
        yield from of_study(frame)


def of_donors(frame: pd.DataFrame) -> Iterator[Measured]:
    from sets import ABSENT, bounds, calibration_bounds

    sets = frame.drop_duplicates(["world", "seed"])
    found = sets[sets["decision"] == "strata"]
    yield _share("k_right", found["k"] == ABSENT)
    frame = frame[frame["decision"] == "strata"]
    kind = dict(list(frame.groupby("kind")))
    for key, name in (("same_batches", "same"), ("new_batch", "new")):
        own = kind[name][kind[name]["has_set"] == 1]
        yield Measured(key, *bounds(own, own["in_set"]), len(found))
    for key, name, status in (
        ("absent", "absent", "assigned"),
        ("known_novel", "same", "novel"),
        ("known_assigned", "same", "assigned"),
    ):
        yield Measured(key, *bounds(kind[name], kind[name]["status"] == status), len(found))
    known = kind["training"][kind["training"]["probability"].notna()]
    wrong = known[known["k"] != ABSENT]
    yield Measured("calibration", *calibration_bounds(known), len(found))
    yield Measured(
        "calibration_wrong", *calibration_bounds(wrong), int((found["k"] != ABSENT).sum())
    )


def of_genes(frame: pd.DataFrame) -> Iterator[Measured]:
    from genes import CONFOUNDED, NULL, PLANTED

    beside, one_type = {"strong factors beside"}, {"one type of eight"}
    for key, worlds, decision in (
        ("genes_planted", {*PLANTED} - beside - one_type, "strata"),
        ("genes_beside", beside, "strata"),
        ("genes_one_type", one_type, "strata"),
        ("thinned", {"200 genes of real donors thinned"}, "strata"),
        ("thinned_few", {"40 genes of real donors thinned"}, "strata"),
        ("genes_null", {*NULL}, "strata"),
        ("genes_batches", {"batches"}, "not separable from batch"),
        ("genes_confounded", {*CONFOUNDED}, "not separable from batch"),
    ):
        # Some of the worlds alone say less than the rate on the page.
        if worlds <= {*frame["data"]}:
            yield _share(key, frame[frame["data"].isin(worlds)]["decision"] == decision)
    unequal = frame[frame["data"] == "unequal strata"]
    if len(unequal):
        yield _share("genes_unequal", unequal["k"] == len(PLANTED["unequal strata"].shares))


def of_study(frame: pd.DataFrame) -> Iterator[Measured]:
    for key, worlds, decision in (
        ("nothing", {"nothing"}, "strata"),
        ("line", {"line"}, "strata"),
        ("both", {"both"}, "strata"),
        ("composition", {"composition"}, "strata"),
        ("half_confounded", {"confounding 0.5"}, "strata"),
        ("confounded", CONFOUNDED_WHOLLY, "not separable from batch"),
    ):
        own = frame[frame["world"].isin(worlds)]
        if len(own):
            yield _share(key, own["decision"] == decision)


def _share(key: str, hit: pd.Series) -> Measured:
    from study import wilson

    low, high = wilson(int(hit.sum()), len(hit))
    return Measured(key, float(hit.mean()), low, high, len(hit))


if __name__ == "__main__":
    main()
