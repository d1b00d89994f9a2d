"""Whether sets hold the true stratum of donors never seen, and whether the unknown is told.

Every data set has four strata and four batches. Training sees 40 donors of the first three
strata in the first three batches; the fourth stratum and the fourth batch are absent. The others
are placed on the result and judged by what they are in truth, whatever number of strata was
found. The true stratum is the one matched one to one with a found stratum by most training
donors in common; a true stratum without a match (two found as one) cannot be in a set and
counts against it. Beside this strict count stands a kind one: the set holds a part of the true
stratum, or that which most of its donors are in.

Results go to a CSV file, one row a donor; what is there is not computed again.

Example:
  python tests/benchmarks/strata/sets.py --out sets --sets 10
  python tests/benchmarks/strata/sets.py --out sets --table
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from simulator import SCENARIOS, STANDARD, World, simulate

import pmcell as pm
from pmcell.strata.discovery.refit import without_donors
from pmcell.strata.profiles import slots

FIRST_SEED = 61_000
"""No seed from here on was looked at while the method was made; it was made on 60000 to 60999."""

N_TRAINING = 40
ABSENT = 3
"""Number of the stratum and of the batch that training does not see."""

HARD = {
    "uneven": replace(STANDARD, sizes=(0.35, 0.25, 0.15, 0.25), batch_sd=0.4),
    "t5 a donor": replace(STANDARD, donor_df=5.0, batch_sd=0.4),
}
"""Strata of unequal size, and donors of whom a few are far out in everything."""

SETS_WORLDS = {
    name: replace(world, n_donors=128, n_strata=4, n_batches=4)
    for name, world in (SCENARIOS | HARD).items()
}

KINDS = {
    "same": "known stratum, same batches",
    "new": "known stratum, new batch",
    "absent": "absent stratum, same batches",
    "absent, new": "absent stratum, new batch",
}


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("sets"))
    parser.add_argument("--sets", type=int, default=10, help="data sets of each world")
    parser.add_argument("--worlds", nargs="*", choices=list(SETS_WORLDS), help="only these")
    parser.add_argument("--n-null", type=int, default=99)
    parser.add_argument("--bootstraps", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "placed.csv"
    done = set()
    if path.exists():
        done = set(pd.read_csv(path)[["world", "seed"]].itertuples(index=False, name=None))
    for seed in range(args.first_seed, args.first_seed + args.sets):
        for name in args.worlds or SETS_WORLDS:
            if args.table or (name, seed) in done:
                continue
            rows = judge(SETS_WORLDS[name], seed, args.n_null, args.bootstraps)
            frame = pd.DataFrame([{"world": name, "seed": seed} | row for row in rows])
            frame.to_csv(path, mode="a", header=not path.exists(), index=False)
    print(table(pd.read_csv(path)))


def judge(world: World, seed: int, n_null: int, n_bootstraps: int) -> list[dict[str, object]]:
    """Strata of the training donors, and a row for each donor: what it is and what is said of it.

    One row without a donor where no strata are said to be there.
    """
    cells, truth = simulate(world, seed)
    batch = np.arange(world.n_donors) % world.n_batches
    training = training_donors(truth.stratum, batch, seed)
    donors = without_donors(pm.strata.profile(cells), training)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=n_bootstraps, seed=seed)
    pm.strata.existence(donors, n_null=n_null, seed=seed)
    head = {
        "decision": donors.uns["existence"]["decision"],
        "k": int(donors.uns["existence"]["k"]),
    }
    if head["decision"] != "strata":
        return [head]
    pm.strata.place(donors, seed=seed)
    label = np.array([int(name[1:]) - 1 for name in donors.obs[slots.CANDIDATE]])
    matched, parts = found_strata(label[training], truth.stratum[training])
    rows = []
    for index, donor in enumerate(truth.donor_id):
        own = int(truth.stratum[index])
        obs = donors.obs.iloc[index]
        text = obs[slots.CONFORMAL]
        inside = {int(name[1:]) - 1 for name in text.split(";") if name not in ("", "none")}
        known = own != ABSENT
        rows.append(
            head
            | {
                "donor": donor,
                "kind": kind_of(training[index], own, int(batch[index])),
                "has_set": int(text != ""),
                "size": len(inside),
                "in_set": int(matched.get(own, -1) in inside) if known else "",
                "part_in_set": int(bool(parts[own] & inside)) if known else "",
                "right": int(matched.get(own, -1) == label[index]) if known else "",
                "probability": round(float(obs[slots.PROBABILITY]), 4),
                "ood_p": round(float(obs[slots.OOD]), 4),
                "status": obs[slots.STATUS],
            }
        )
    return rows


def training_donors(stratum: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
    """Which donors are learned from, at random among those of known strata and batches."""
    known = np.flatnonzero((stratum != ABSENT) & (batch != ABSENT))
    chosen = np.random.default_rng(seed).choice(known, N_TRAINING, replace=False)
    return np.isin(np.arange(stratum.size), chosen)


def kind_of(training: bool, stratum: int, batch: int) -> str:
    if training:
        return "training"
    name = "absent" if stratum == ABSENT else "same"
    if batch != ABSENT:
        return name
    return "new" if name == "same" else "absent, new"


def found_strata(
    label: np.ndarray, truth: np.ndarray
) -> tuple[dict[int, int], dict[int, set[int]]]:
    """For each true stratum the found one matched with it, and those that are parts of it.

    Parts are the found strata most of whose donors are of it; where there is none, the one that
    holds most of it.
    """
    overlap = np.zeros((label.max() + 1, truth.max() + 1))
    np.add.at(overlap, (label, truth), 1.0)
    found, true = linear_sum_assignment(-overlap)
    matched = {int(t): int(f) for f, t in zip(found, true, strict=True) if overlap[f, t] > 0}
    most = overlap.argmax(axis=1)
    parts = {
        int(t): {int(f) for f in np.flatnonzero(most == t)} or {int(overlap[:, t].argmax())}
        for t in range(overlap.shape[1])
    }
    return matched, parts


Bounds = tuple[float, float, float]
"""A figure, and the ends of its 95 % interval from drawing data sets anew."""


def share_over_sets(frame: pd.DataFrame, column: str) -> str:
    """Share of all donors and its interval, as text."""
    return _as_text(bounds(frame, frame[column])) if len(frame) else ""


def bounds(frame: pd.DataFrame, hit: pd.Series) -> Bounds:
    """Share of the donors that are a hit."""
    sums = hit.astype(float).groupby([frame["world"], frame["seed"]]).agg(["sum", "count"])
    return interval(sums.to_numpy(), lambda total: total[..., 0] / total[..., 1])


def error_over_sets(frame: pd.DataFrame) -> str:
    """Expected calibration error and its interval, as text."""
    return _as_text(calibration_bounds(frame))


def calibration_bounds(frame: pd.DataFrame, bins: int = 10) -> Bounds:
    """Expected calibration error (`study.calibration_error`)."""
    place = np.minimum((frame["probability"] * bins).astype(int), bins - 1)
    excess = frame["probability"] - frame["right"].astype(float)
    of_set = [frame["world"], frame["seed"]]
    by_bin = excess.groupby([*of_set, place]).sum().unstack(fill_value=0.0)
    sums = np.column_stack([by_bin.to_numpy(), excess.groupby(of_set).size()])
    return interval(sums, lambda total: np.abs(total[..., :-1]).sum(axis=-1) / total[..., -1])


def interval(sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> Bounds:
    """A figure of the sums over data sets (sets, sums), and of sets drawn with replacement."""
    drawn = np.random.default_rng(0).integers(0, len(sums), (2000, len(sums)))
    low, high = np.quantile(figure(sums[drawn].sum(axis=1)), [0.025, 0.975])
    return float(figure(sums.sum(axis=0))), float(low), float(high)


def _as_text(found: Bounds) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*found)


def table(rows: pd.DataFrame) -> str:
    """The results as Markdown."""
    sets = rows.drop_duplicates(["world", "seed"])
    n_found = int((sets["decision"] == "strata").sum())
    rows = rows[rows["decision"] == "strata"].assign(
        k_right=lambda frame: np.where(frame["k"] == ABSENT, "right", "wrong")
    )
    for status in ("assigned", "ambiguous", "novel", "new_batch"):
        rows[status] = (rows["status"] == status).astype(float)
    lines = [f"{n_found} of {len(sets)} data sets have strata; the others have no sets."]
    lines += ["", *coverage(rows), "", *verdicts(rows), "", *calibration(rows), "", *by_world(rows)]
    return "\n".join(lines)


def _by_k(rows: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    yield "all", rows
    yield from rows.groupby("k_right")


def coverage(rows: pd.DataFrame) -> list[str]:
    lines = [
        "| donors | k | data sets | donors with a set | true stratum in the 90 % set "
        "| a part of it in the set | strata a set | donors without a set |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("same", "new"):
        for name, own in _by_k(rows[rows["kind"] == kind]):
            with_set = own[own["has_set"] == 1]
            lines.append(
                f"| {KINDS[kind]} | {name} | {own.groupby(['world', 'seed']).ngroups} "
                f"| {len(with_set)} | {share_over_sets(with_set, 'in_set')} "
                f"| {share_over_sets(with_set, 'part_in_set')} "
                f"| {with_set['size'].mean():.2f} | {1 - own['has_set'].mean():.3f} |"
            )
    return lines


def verdicts(rows: pd.DataFrame) -> list[str]:
    lines = [
        "| donors | k | n | assigned | ambiguous | novel | new_batch |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, text in ({"training": "training"} | KINDS).items():
        for name, own in _by_k(rows[rows["kind"] == kind]):
            cells = [share_over_sets(own, status) for status in ("assigned", "ambiguous", "novel")]
            lines.append(
                f"| {text} | {name} | {len(own)} | {' | '.join(cells)} "
                f"| {own['new_batch'].mean():.3f} |"
            )
    return lines


def calibration(rows: pd.DataFrame) -> list[str]:
    lines = [
        "| donors | k | n | calibration error | mean probability | right |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("training", "same", "new"):
        known = rows[(rows["kind"] == kind) & rows["probability"].notna()]
        for name, own in _by_k(known):
            lines.append(
                f"| {KINDS.get(kind, kind)} | {name} | {len(own)} | {error_over_sets(own)} "
                f"| {own['probability'].mean():.3f} | {own['right'].astype(float).mean():.3f} |"
            )
    return lines


def by_world(rows: pd.DataFrame) -> list[str]:
    lines = [
        "| world | data sets | k right | in the set, same batches | in the set, new batch "
        "| absent: assigned | absent: novel | known: novel |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in SETS_WORLDS:
        own = rows[rows["world"] == name]
        if len(own) == 0:
            continue
        of = {kind: own[own["kind"] == kind] for kind in KINDS}
        with_set = {kind: frame[frame["has_set"] == 1] for kind, frame in of.items()}
        sets = own.drop_duplicates("seed")
        lines.append(
            f"| {name} | {len(sets)} | {(sets['k_right'] == 'right').mean():.2f} "
            f"| {with_set['same']['in_set'].mean():.3f} | {with_set['new']['in_set'].mean():.3f} "
            f"| {of['absent']['assigned'].mean():.3f} | {of['absent']['novel'].mean():.3f} "
            f"| {of['same']['novel'].mean():.3f} |"
        )
    return lines


if __name__ == "__main__":
    main()
