"""The stratification beside its peers: recovery of known groups, batch, and processor time.

Peers run in an environment of their own, made once by uv from requirements.txt.
Every matrix is clustered by the same two algorithms, at the true k and at the k
of the best silhouette; pmcell besides by its own answer. Results are kept one
row a data set and method, and what is there is not computed again.

Example:
  python tests/benchmarks/strata/peers.py --out peers --seeds 5
  python tests/benchmarks/strata/peers.py --out peers --liu-cohorts study/config/cohorts
  python tests/benchmarks/strata/peers.py --out peers --table
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from simulator import SCENARIOS, simulate
from sklearn.metrics import adjusted_rand_score, f1_score
from study import mean_interval

import pmcell as pm
from pmcell.core.spectral import (
    ordered_labels,
    pairwise_squared,
    principal_coordinates,
    spectral_partitions,
)
from pmcell.core.spectral import silhouette as width_of
from pmcell.strata import slots

HERE = Path(__file__).parent
FIRST_SEED = 80_000
FAST = ("PILOT", "pseudobulk", "grouped pseudobulk", "MOFA", "CLR composition", "random")
SLOW = ("GloScope_py",)
OURS = "pmcell"
EVERY = "pmcell, every channel"
GATES: dict[str, dict[str, object]] = {
    OURS: {},
    EVERY: {"channels": "all", "max_batch_share": 0.3},
}
ANSWER = ("ari_own", "decision", "own_k")
N_PERMUTATIONS = 200
KS = range(2, 5)


@dataclass(frozen=True)
class Task:
    """Cells with obs donor_id, visit, batch_id, cell_type; `group` of each sample is the truth."""

    name: str
    seed: int
    cells: ad.AnnData
    basis: str
    group: pd.Series


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("peers"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--liu-cohorts", type=Path, help="from make_demo_cohorts.py --full --out")
    parser.add_argument("--env", type=Path, help="the peers' environment; made where it is not")
    parser.add_argument("--without-slow", action="store_true", help="leave GloScope_py out")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results = args.out / "peers.csv"
    done = pd.read_csv(results) if results.exists() else pd.DataFrame(columns=["task", "seed"])
    if not args.table:
        python = environment(args.env or args.out / "env")
        methods = FAST if args.without_slow else (*FAST, *SLOW)
        for task in tasks(args, done):
            rows = compare(task, python, methods, args.out)
            pd.DataFrame(rows).to_csv(results, mode="a", header=not results.exists(), index=False)
            print(f"{task.name} {task.seed}: {len(rows)} methods", file=sys.stderr, flush=True)
    print(table(pd.read_csv(results)))
    print("\npmcell " + version("pmcell") + "; " + (args.out / "versions.txt").read_text())


def environment(folder: Path) -> Path:
    """The Python of the peers' environment."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--python", "3.11", str(folder)], check=True)
        wanted = ["--requirement", str(HERE / "requirements.txt")]
        subprocess.run(["uv", "pip", "install", "--python", str(python), *wanted], check=True)
    return python


def tasks(args: argparse.Namespace, done: pd.DataFrame) -> Iterator[Task]:
    """Every data set that is not in the results yet."""
    known = set(done[["task", "seed"]].itertuples(index=False, name=None))
    if args.liu_cohorts:
        missing = [name for name in LIU if (name, 0) not in known]
        if missing:
            cells = liu(args.liu_cohorts)
            group = cells.obs.drop_duplicates("sample").set_index("sample")["condition"]
            yield from (Task(name, 0, cells, LIU[name], group) for name in missing)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name, world in SCENARIOS.items():
            if (name, seed) in known:
                continue
            cells, truth = simulate(world, seed)
            cells.obs["sample"] = cells.obs["donor_id"].astype(str)
            group = pd.Series(truth.stratum.astype(str), index=truth.donor_id)
            yield Task(name, seed, cells, "X_integrated", group)


LIU = {"Liu, PCA": "X_pca", "Liu, integrated": "X_integrated"}


def liu(folder: Path) -> ad.AnnData:
    """The full cohorts as a user would embed them: quality control aside, all steps by default."""
    parts = []
    for path in sorted(folder.glob("liu_b*")):
        part = ad.read_h5ad(next(path.glob("*.h5ad")))
        part.obs["batch_id"] = path.name
        parts.append(part)
    cells = ad.concat(parts, join="inner", index_unique="-")
    pm.pp.qc(cells)
    pm.pp.highly_variable_genes(cells)
    pm.tl.pca(cells)
    pm.tl.integrate(cells)
    obs = cells.obs
    obs["donor_id"] = obs["Donor"].astype(str)
    obs["visit"] = obs["sample_id"].astype(str)
    obs["sample"] = obs["visit"]
    obs["cell_type"] = obs["mergedcelltype"].astype(str)
    obs["condition"] = obs["cond_group"].astype(str)
    return cells


def compare(
    task: Task, python: Path, methods: tuple[str, ...], out: Path
) -> list[dict[str, object]]:
    """One row a method."""
    samples = np.unique(task.cells.obs["sample"].astype(str))
    per_sample = task.cells.obs.drop_duplicates("sample").set_index("sample").loc[samples]
    donor = per_sample["donor_id"].astype(str).to_numpy()
    batch = per_sample["batch_id"].astype(str).to_numpy()
    group = task.group.loc[samples].to_numpy(str)
    matrices, seconds = peers(task, python, methods, out)
    answers = {}
    for name, gate in GATES.items():
        matrices[name], seconds[name], answers[name] = ours(task, samples, gate)
    first = answers[OURS]["first"]
    rows = []
    for name, matrix in matrices.items():
        row: dict[str, object] = {"task": task.name, "seed": task.seed, "method": name}
        row["seconds"] = seconds[name]
        row |= clusterings(matrix[np.ix_(first, first)], group[first], donor[first], task.seed)
        row |= {column: answers.get(name, {}).get(column) for column in ANSWER}
        row["f1_group"] = neighbour_score(matrix, group, donor)
        row["f1_batch"] = neighbour_score(matrix, batch, donor)
        rows.append(row)
    return rows


def ours(
    task: Task, samples: np.ndarray, gate: dict[str, object]
) -> tuple[np.ndarray, float, dict[str, object]]:
    """Distances between samples, seconds, the answer, and each donor's first sample."""
    start = time.process_time()
    donors = pm.strata.profile(task.cells, basis=task.basis)
    pm.strata.distances(donors, **gate)
    seconds = round(time.process_time() - start, 3)
    pm.strata.cluster(donors, n_bootstraps=50, seed=task.seed)
    pm.strata.existence(donors, n_null=199, seed=task.seed)
    visit = donors.obs["visit"].astype(str).to_numpy()
    single = task.cells.obs["visit"].nunique() == 1
    sample = donors.obs["donor_id"].astype(str).to_numpy() if single else visit
    order = np.array([list(sample).index(name) for name in samples])
    found = donors.obs.iloc[order]
    first = np.flatnonzero(found[slots.DISCOVERY].to_numpy())
    group = task.group.loc[samples].to_numpy(str)
    ari = adjusted_rand_score(group[first], found[slots.CANDIDATE].astype(str).to_numpy()[first])
    report = donors.uns["existence"]
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(order, order)]
    own = dict(zip(ANSWER, (ari, report["decision"], report["k"]), strict=True)) | {"first": first}
    return np.sqrt(np.maximum(squared, 0.0)), seconds, own


def peers(
    task: Task, python: Path, methods: tuple[str, ...], out: Path
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The peers' distances and their seconds, by method."""
    obs = task.cells.obs[["sample", "cell_type"]].astype(str).astype("category")
    x = np.asarray(task.cells.obsm[task.basis], np.float32)
    source, target = out / "cells.h5ad", out / "distances.npz"
    ad.AnnData(obs=obs, obsm={"X_cells": x}).write_h5ad(source)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [str(python), str(HERE / "peer_distances.py"), str(source), str(target), *methods]
    subprocess.run(command, check=True, env=alone, stdout=subprocess.DEVNULL)
    with np.load(target) as found:
        versions = json.loads(str(found["versions"]))
        text = ", ".join(f"{name} {number}" for name, number in versions.items())
        (out / "versions.txt").write_text(text + "\n")
        return {name: found[name] for name in methods}, json.loads(str(found["seconds"]))


def clusterings(
    distance: np.ndarray, group: np.ndarray, donor: np.ndarray, seed: int
) -> dict[str, float]:
    """ARI of spectral clusters and of medoids at the true k, and of spectral at the best k."""
    squared = pairwise_squared(principal_coordinates(distance**2)[0])
    labels = spectral_partitions(squared, KS)
    true_k = np.unique(group).size
    matched = labels[KS.index(true_k)]
    widths = [width_of(squared, own) for own in labels]
    low, high = bootstrap_interval(group, matched, seed)
    return {
        "ari": adjusted_rand_score(group, matched),
        "ari_low": low,
        "ari_high": high,
        "ari_pam": adjusted_rand_score(group, medoids(distance, true_k, seed)),
        "ari_chosen": adjusted_rand_score(group, labels[int(np.nanargmax(widths))]),
    }


def bootstrap_interval(group: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the ARI when donors are drawn again, their labels kept."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, group.size, (1000, group.size))
    values = [adjusted_rand_score(group[rows], labels[rows]) for rows in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def medoids(distance: np.ndarray, k: int, seed: int, n_starts: int = 10) -> np.ndarray:
    """Labels of the k medoids of least total distance, from random starts."""
    rng = np.random.default_rng(seed)
    best, labels = np.inf, np.zeros(len(distance), np.int64)
    for _ in range(n_starts):
        chosen = rng.choice(len(distance), k, replace=False)
        for _ in range(100):
            own = distance[:, chosen].argmin(axis=1)
            members = [np.flatnonzero(own == index) for index in range(k)]
            moved = np.array(
                [
                    rows[distance[np.ix_(rows, rows)].sum(axis=1).argmin()] if rows.size else old
                    for rows, old in zip(members, chosen, strict=True)
                ]
            )
            if (moved == chosen).all():
                break
            chosen = moved
        total = distance[:, chosen].min(axis=1).sum()
        if total < best:
            best, labels = total, distance[:, chosen].argmin(axis=1)
    return ordered_labels(labels)


def neighbour_score(distance: np.ndarray, label: np.ndarray, donor: np.ndarray) -> float:
    """Macro F1 of 3 neighbours of other donors, 0 at the mean of permuted labels, 1 at best.

    Labels are permuted between donors where a donor has one label, else between samples.
    """
    far = np.where(donor[:, None] == donor[None, :], np.inf, distance)
    near = np.argsort(far, axis=1, kind="stable")[:, :3]
    names, code = np.unique(label, return_inverse=True)
    if names.size < 2:
        return float("nan")
    unit = np.unique(donor, return_inverse=True)[1]
    if any(np.unique(code[unit == index]).size > 1 for index in range(unit.max() + 1)):
        unit = np.arange(code.size)
    of_unit = np.array([code[unit == index][0] for index in range(unit.max() + 1)])

    def score(values: np.ndarray) -> float:
        votes = np.stack([(values[near] == index).sum(axis=1) for index in range(names.size)])
        # Of equal votes the nearest neighbour's wins.
        votes = votes + 0.5 * (values[near[:, 0]][None, :] == np.arange(names.size)[:, None])
        return float(f1_score(values, votes.argmax(axis=0), average="macro"))

    rng = np.random.default_rng(0)
    chance = np.mean([score(rng.permutation(of_unit)[unit]) for _ in range(N_PERMUTATIONS)])
    return float((score(code) - chance) / (1 - chance))


def table(rows: pd.DataFrame) -> str:
    """ARI at the true k with its interval, method × data set, and the other measures' means."""
    names = list(dict.fromkeys(rows["task"]))
    lines = [
        "| method | " + " | ".join(names) + " | PAM | k chosen | group F1 | batch F1 | CPU s |",
        "|---" * (len(names) + 6) + "|",
    ]
    answer = rows[rows["method"].isin(GATES)]
    answer = answer.assign(method=answer["method"] + ": its own answer")
    answer = answer.assign(ari=answer["ari_own"], ari_low=np.nan, ari_high=np.nan)
    for name, own in pd.concat([rows, answer]).groupby("method", sort=False):
        cells = []
        for task in names:
            each = own[own["task"] == task]
            if len(each) == 1 and each["ari_low"].isna().all():
                cells.append("{ari:.2f}".format(**each.iloc[0]))
            elif len(each) == 1:
                cells.append("{ari:.2f} ({ari_low:.2f} to {ari_high:.2f})".format(**each.iloc[0]))
            else:
                interval = mean_interval(each["ari"].to_numpy(float))
                cells.append("{:.2f} ({:.2f} to {:.2f})".format(*interval))
        means = own[["ari_pam", "ari_chosen", "f1_group", "f1_batch", "seconds"]].mean()
        lines.append(f"| {name} | " + " | ".join([*cells, *(f"{v:.2f}" for v in means)]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
