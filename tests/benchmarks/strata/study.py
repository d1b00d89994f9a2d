"""How often the stratification is right about made-up donors whose strata are known.

Every data set goes through the public functions as a user's would, told the
site column and nothing else. Results go to two CSV files, one row a data set
and one row a donor; what is there is not computed again, so the study can be
stopped and goes on where it was.

Example:
  python tests/benchmarks/strata/study.py --out study --null 200 --strata 50
  python tests/benchmarks/strata/study.py --out study --table
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, spearmanr
from simulator import CONFOUNDED, DEPTH, SCENARIOS, WITHOUT_STRATA, WORLDS, World, simulate
from sklearn.metrics import adjusted_rand_score

import pmcell as pm
import pmcell.strata.discovery.existence as test_of_existence
from pmcell.strata.discovery.null import compare_with_null
from pmcell.strata.profiles import slots

FIRST_SEED = 70_000
"""No seed from here on was looked at while the method was made."""

FEW = 40
"""Sets of each world without strata besides the two that carry the claim."""

CLAIMED = ("nothing", "line")


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("study"))
    parser.add_argument("--null", type=int, default=200, help="sets of `nothing` and of `line`")
    parser.add_argument("--few", type=int, default=FEW, help="sets of every other world")
    parser.add_argument("--strata", type=int, default=50, help="sets of each of the five scenarios")
    parser.add_argument("--worlds", nargs="*", choices=list(WORLDS), help="only these")
    parser.add_argument("--n-null", type=int, default=199)
    parser.add_argument("--bootstraps", type=int, default=100)
    parser.add_argument(
        "--channels",
        choices=["all", "clearest", "composition", "state", "cluster_free"],
        default="clearest",
    )
    parser.add_argument("--max-batch-share", type=float, default=0.9)
    parser.add_argument("--min-reliability", type=float, default=0.5)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--verdicts", action="store_true", help="verdicts only, p is a bound")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        for name, seed in todo(args):
            gate = {
                "channels": args.channels,
                "max_batch_share": args.max_batch_share,
                "min_reliability": args.min_reliability,
            }
            with verdicts_alone() if args.verdicts else nullcontext():
                row, donors = judge(WORLDS[name], seed, args.n_null, args.bootstraps, gate)
            append(
                args.out / "donors.csv", [{"world": name, "seed": seed} | each for each in donors]
            )
            append(args.out / "sets.csv", [{"world": name, "seed": seed} | row])
    placed = args.out / "donors.csv"
    donors = pd.read_csv(placed) if placed.exists() else pd.DataFrame({"world": []})
    print(table(pd.read_csv(args.out / "sets.csv"), donors))


@contextmanager
def verdicts_alone(alpha: float = 0.05) -> Iterator[None]:
    """Leave out of the existence test what cannot change its verdict; p is a lower bound then.

    That is the other nulls after one that is not rejected, for the largest p counts, and the
    number of donors needed.
    """
    settled = partial(compare_with_null, settled=alpha)
    with (
        patch.object(test_of_existence, "compare_with_null", settled),
        patch.object(test_of_existence, "donors_needed", lambda *_: ""),
    ):
        yield


def todo(args: argparse.Namespace) -> list[tuple[str, int]]:
    """World and seed of every set that is not in the results yet, worlds in turn."""
    wanted = dict.fromkeys(WORLDS, args.few)
    wanted |= dict.fromkeys(CLAIMED, args.null) | dict.fromkeys(SCENARIOS, args.strata)
    path = args.out / "sets.csv"
    done = set()
    if path.exists():
        done = set(pd.read_csv(path)[["world", "seed"]].itertuples(index=False, name=None))
    sets = [
        (name, args.first_seed + number)
        for number in range(max(wanted.values()))
        for name in args.worlds or WORLDS
        if number < wanted[name]
    ]
    return [item for item in sets if item not in done]


def judge(
    world: World, seed: int, n_null: int, n_bootstraps: int, gate: dict[str, object] | None = None
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """All steps on one data set: what was said, and how right it is; per donor as well.

    `gate` are options of `distances`.
    """
    cells, truth = simulate(world, seed)
    start = time.process_time()
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, **(gate or {}))
    pm.strata.cluster(donors, n_bootstraps=n_bootstraps, seed=seed)
    pm.strata.existence(donors, n_null=n_null, seed=seed)
    pm.strata.place(donors, seed=seed)
    report = donors.uns["existence"]
    row: dict[str, object] = {
        "decision": report["decision"],
        "k": report["k"],
        "p": report.get("p", float("nan")),
        "used": "+".join(donors.uns["channels"]["used"]),
        "seconds": round(time.process_time() - start, 2),
        "rho_cells": depth_dependence(donors),
    }
    if (truth.stratum < 0).any():
        return row, []
    labels = donors.obs[slots.CANDIDATE].astype(str).to_numpy()
    ks = [int(k) for k in donors.uns["clustering"]["ks"]]
    known_k = donors.obsm[slots.LABELS][:, ks.index(world.n_strata)]
    row["ari"] = adjusted_rand_score(truth.stratum, labels)
    row["ari_known_k"] = adjusted_rand_score(truth.stratum, known_k)
    if report["k"] >= 2:
        table = pm.strata.drivers(donors, candidates=True)
        mean = table.groupby(["channel", "cell_type"])["contribution"].mean()
        row["recall_state"] = recall(mean, "state", truth.state_types)
        row["recall_composition"] = recall(mean, "composition", truth.composition_types)
        row["recall_shifts"] = recall(
            squared_shifts(donors), "composition", truth.composition_types
        )
    return row, per_donor(donors, truth.stratum) if report["decision"] == "strata" else []


def depth_dependence(donors: object) -> float:
    """Spearman correlation of a donor's cells with its mean distance to the others."""
    squared = np.asarray(donors.obsp[slots.DISTANCE])
    n_cells = donors.obs["n_cells"].to_numpy()
    if np.unique(n_cells).size < 2:
        return float("nan")
    far = np.sqrt(np.maximum(squared, 0)).sum(axis=1)
    return float(spearmanr(far, n_cells).statistic)


def recall(mean: pd.Series, channel: str, planted: tuple[str, ...]) -> float:
    """Share of the planted types among as many types that drive most; NaN where none is.

    Types with too few cells for the channel, or pooled with others, cannot be found in it and
    do not count.
    """
    if channel not in mean.index.get_level_values(0):
        return float("nan")
    seen = set(planted) & set(mean[channel].index)
    top = mean[channel].nlargest(len(seen)).index
    return len(set(top) & seen) / len(seen) if seen else float("nan")


def squared_shifts(donors: object) -> pd.Series:
    """Σ over strata of each type's squared log ratio, as if of the composition channel."""
    table = pm.strata.composition_shifts(donors, contrasts=("stratum",), candidates=True)
    squared = (table["log2_ratio"].astype(float) ** 2).groupby(table["cell_type"]).sum()
    return pd.concat({"composition": squared})


def per_donor(donors: object, truth: np.ndarray) -> list[dict[str, object]]:
    """Probability, and whether the stratum is the true one."""
    obs = donors.obs
    label = np.array([int(name[1:]) - 1 for name in obs[slots.CANDIDATE]])
    size = max(label.max(), truth.max()) + 1
    overlap = np.zeros((size, size))
    np.add.at(overlap, (label, truth), 1.0)
    true_of = linear_sum_assignment(-overlap)[1]
    return [
        {
            "donor": name,
            "stratum": obs[slots.CANDIDATE].iloc[row],
            "probability": round(float(obs[slots.PROBABILITY].iloc[row]), 4),
            "right": int(true_of[label[row]] == truth[row]),
            "status": obs[slots.STATUS].iloc[row],
            "k_right": int(np.unique(label).size == np.unique(truth).size),
        }
        for row, name in enumerate(obs["donor_id"])
    ]


def append(path: Path, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    columns = SET_COLUMNS if path.name == "sets.csv" else list(rows[0])
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


SET_COLUMNS = [
    "world",
    "seed",
    "decision",
    "k",
    "p",
    "used",
    "seconds",
    "rho_cells",
    "ari",
    "ari_known_k",
    "recall_state",
    "recall_composition",
    "recall_shifts",
]


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion."""
    if n == 0:
        return float("nan"), float("nan")
    z = norm.ppf(0.5 + level / 2)
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean over data sets with its 95 % percentile bootstrap interval."""
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).choice(values, (2000, values.size)).mean(axis=1)
    return float(values.mean()), *np.quantile(drawn, [0.025, 0.975])


def calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |mean probability - share right| over equal-width bins."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    parts = [
        abs(probability[place == b].mean() - right[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(parts))


def table(sets: pd.DataFrame, donors: pd.DataFrame) -> str:
    """The results as Markdown."""
    lines = ["| world | sets | `strata` (95 %) | other answers | CPU s |", "|---|---|---|---|---|"]
    for name in [*WITHOUT_STRATA, *SCENARIOS, *CONFOUNDED, *DEPTH]:
        own = sets[sets["world"] == name]
        if len(own) == 0:
            continue
        hits = int((own["decision"] == "strata").sum())
        low, high = wilson(hits, len(own))
        others = own.loc[own["decision"] != "strata", "decision"].value_counts()
        other = ", ".join(f"{count} {decision}" for decision, count in others.items())
        lines.append(
            f"| {name} | {len(own)} | {hits / len(own):.3f} ({low:.3f} to {high:.3f}) | {other} "
            f"| {own['seconds'].median():.1f} |"
        )
    lines += [
        "",
        "| scenario | ARI, k chosen | ARI, k = 3 | k chosen is 3 | drivers, state | "
        "drivers, composition | shifts of types |",
        "|---|---|---|---|---|---|---|",
    ]
    known = sets[sets["world"].isin(SCENARIOS)]
    for name in [*SCENARIOS, "mean"]:
        own = known if name == "mean" else known[known["world"] == name]
        if len(own) == 0:
            continue
        cells = [
            "{:.3f} ({:.3f} to {:.3f})".format(*mean_interval(own[column].to_numpy(float)))
            for column in ("ari", "ari_known_k")
        ]
        cells.append(f"{(own['k'] == 3).mean():.2f}")
        cells += [
            "{:.2f} ({:.2f} to {:.2f})".format(*mean_interval(own[column].to_numpy(float)))
            for column in ("recall_state", "recall_composition", "recall_shifts")
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| scenario | donors | ECE | ECE, k right | right | mean probability |",
        "|---|---|---|---|---|---|",
    ]
    known_donors = donors[donors["world"].isin(SCENARIOS)]
    for name in [*SCENARIOS, "all"]:
        own = known_donors if name == "all" else known_donors[known_donors["world"] == name]
        if len(own) == 0:
            continue
        of_right_k = own[own["k_right"] == 1]
        lines.append(
            f"| {name} | {len(own)} | {_error(own):.3f} | {_error(of_right_k):.3f} "
            f"| {own['right'].mean():.3f} | {own['probability'].mean():.3f} |"
        )
    deep = sets[sets["world"].isin(DEPTH)]
    if len(deep):
        lines += ["", "Spearman correlation of a donor's cells with its mean distance:"]
        for name, own in deep.groupby("world"):
            interval = mean_interval(own["rho_cells"].to_numpy(float))
            lines.append("- {}: {:.3f} ({:.3f} to {:.3f})".format(name, *interval))
    return "\n".join(lines)


def _error(frame: pd.DataFrame) -> float:
    return calibration_error(frame["probability"].to_numpy(), frame["right"].to_numpy(float))


if __name__ == "__main__":
    main()
