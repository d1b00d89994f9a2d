"""The stratification beside its peers: recovery of known groups, batch, and processor time.

Peers run in an environment of their own, made once by uv from requirements.txt.
Every matrix is clustered by the same two algorithms, at the true k and at the k
of the best silhouette; pmcell besides by its own answer. Distances of the peers
and rows of the table are kept, a file a data set and method, and made again only
when the cells have changed, or with `--again`: pmcell is measured, peers' rows are
made from their kept distances. A run goes on where it was stopped.

Example:
  python tests/benchmarks/strata/peers.py --out peers --seeds 10
  python tests/benchmarks/strata/peers.py --out peers --liu-cohorts study/config/cohorts
  python tests/benchmarks/strata/peers.py --out peers --methods GloScope_py MOFA
  python tests/benchmarks/strata/peers.py --out peers --again pmcell "pmcell, every channel"
  python tests/benchmarks/strata/peers.py --out peers --table
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import anndata as ad
import numpy as np
import pandas as pd
from simulator import SCENARIOS, simulate
from sklearn.metrics import adjusted_rand_score, f1_score
from study import mean_interval

import pmcell as pm
from pmcell.core.donors.spectral import (
    ordered_labels,
    pairwise_squared,
    principal_coordinates,
    spectral_partitions,
)
from pmcell.core.donors.spectral import silhouette as width_of
from pmcell.io.atomic import read_json, write_json
from pmcell.io.h5ad import write_h5ad
from pmcell.strata.profiles import slots

HERE = Path(__file__).parent
LIU = {"Liu, PCA": "X_pca", "Liu, integrated": "X_integrated"}
PEERS = (
    "GloScope_py",
    "GloScope_py, 10 dimensions",
    "GloScope_py, square roots",
    "PILOT",
    "pseudobulk",
    "grouped pseudobulk",
    "MOFA",
    "CLR composition",
    "random",
)
GATES: dict[str, dict[str, Any]] = {
    "pmcell": {},
    "pmcell, every channel": {"channels": "all", "max_batch_share": 0.3},
}
METHODS = (*PEERS, *GATES)
N_PERMUTATIONS = 200
KS = range(2, 5)


@dataclass(frozen=True)
class Task:
    """Cells with obs donor_id, visit, sample, batch_id, cell_type, group (the truth)."""

    name: str
    seed: int
    cells: ad.AnnData
    basis: str

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample, by name: donor_id, batch_id, group, and whether its donor's first."""
        rows = self.cells.obs[["sample", "donor_id", "batch_id", "group"]].astype(str)
        rows = rows.drop_duplicates("sample").set_index("sample").sort_index()
        return rows.assign(first=~rows["donor_id"].duplicated())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what a peer is given: distances of other cells are not this task's."""
        keys = pd.util.hash_pandas_object(self.cells.obs[["sample", "cell_type"]].astype(str))
        seen = hashlib.sha256(keys.to_numpy().tobytes())
        seen.update(np.asarray(self.cells.obsm[self.basis], np.float32).tobytes())
        return seen.hexdigest()


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("peers"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=80_000)
    parser.add_argument("--liu-cohorts", type=Path, help="from make_demo_cohorts.py --full --out")
    parser.add_argument("--env", type=Path, help="the peers' environment; made where it is not")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these")
    parser.add_argument("--again", nargs="+", choices=METHODS, default=(), help="rows made anew")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    if not args.table:
        run(args)
    print(tables(args.out))


def run(args: argparse.Namespace) -> None:
    """Make the rows that are missing, data set by data set."""
    sets = [(name, 0) for name in LIU if args.liu_cohorts]
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    sets += [(name, seed) for seed in seeds for name in SCENARIOS]
    methods = [name for name in METHODS if name in {*args.methods, *args.again}]
    for item in sets:
        for method in args.again:
            row_file(args.out, *item, method).unlink(missing_ok=True)
    files = {item: [row_file(args.out, *item, name) for name in methods] for item in sets}
    unfinished = [item for item in sets if not all(path.exists() for path in files[item])]
    for task in tasks(unfinished, args.liu_cohorts):
        seconds = compare(task, methods, args.out, args.env or args.out / "env")
        took = ", ".join(f"{method} {value} s" for method, value in seconds.items())
        print(f"{task.name} {task.seed}: {took}", file=sys.stderr, flush=True)


def row_file(out: Path, task: str, seed: int, method: str) -> Path:
    """Where the row of a data set and method is kept; distances are beside it, as .npz."""
    task, method = (re.sub("[^a-z0-9]+", "-", name.lower()) for name in (task, method))
    return out / task / str(seed) / f"{method}.json"


def tasks(sets: Collection[tuple[str, int]], liu_cohorts: Path) -> Iterator[Task]:
    """The data sets, made one after the other."""
    cells = liu(liu_cohorts) if any(name in LIU for name, _ in sets) else None
    for name, seed in sets:
        if name in LIU:
            yield Task(name, seed, cells, LIU[name])
        else:
            made, truth = simulate(SCENARIOS[name], seed)
            made.obs["sample"] = made.obs["donor_id"].astype(str)
            group = dict(zip(truth.donor_id, truth.stratum.astype(str), strict=True))
            made.obs["group"] = made.obs["sample"].map(group)
            yield Task(name, seed, made, "X_integrated")


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
    obs["visit"] = obs["sample"] = obs["sample_id"].astype(str)
    obs["cell_type"] = obs["mergedcelltype"].astype(str)
    obs["group"] = obs["cond_group"].astype(str)
    return cells


def compare(task: Task, methods: Collection[str], out: Path, env: Path) -> dict[str, object]:
    """Write the rows that are missing, or of other cells; seconds by method."""
    files = {method: row_file(out, task.name, task.seed, method) for method in methods}
    files = {name: path for name, path in files.items() if about(path)["cells"] != task.digest}
    kept = {name: path.with_suffix(".npz") for name, path in files.items() if name in PEERS}
    stale = {name: path for name, path in kept.items() if about(path)["cells"] != task.digest}
    if stale:
        measure(task, stale, env)
    took = {}
    for method, path in files.items():
        if method in PEERS:
            distance, result = np.load(kept[method])["distance"], about(kept[method])
        else:
            distance, result = ours(task, GATES[method])
        row = {"task": task.name, "seed": task.seed, "method": method}
        write_json(path, row | result | scores(task, distance))
        took[method] = result["seconds"]
    return took


def about(path: Path) -> dict[str, Any]:
    """What is kept of a row or of distances: digest of the cells, seconds, version."""
    if not path.exists():
        return {"cells": None}
    text = path.read_text() if path.suffix == ".json" else str(np.load(path)["about"])
    return dict(json.loads(text))


def ours(task: Task, gate: dict[str, Any]) -> tuple[np.ndarray, dict[str, object]]:
    """Distances between samples; seconds, and how good the answer is."""
    for _ in range(2):  # The first loads the kernels; the peers' first run is not timed either.
        start = time.process_time()
        donors = pm.strata.profile(task.cells, basis=task.basis)
        pm.strata.distances(donors, **gate)
        seconds = round(time.process_time() - start, 3)
    pm.strata.cluster(donors, n_bootstraps=50, seed=task.seed)
    pm.strata.existence(donors, n_null=199, seed=task.seed)
    single = task.cells.obs["visit"].nunique() == 1
    sample = donors.obs["donor_id" if single else "visit"].astype(str)
    order = pd.Index(sample).get_indexer(task.samples.index)
    found = donors.obs.iloc[order]
    chosen = found[slots.DISCOVERY].to_numpy(bool)
    labels = found[slots.CANDIDATE].astype(str).to_numpy()[chosen]
    ari = adjusted_rand_score(task.samples["group"].to_numpy()[chosen], labels)
    report = donors.uns["existence"]
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(order, order)]
    result = {"cells": task.digest, "seconds": seconds, "version": f"pmcell {version('pmcell')}"}
    result |= {"ari_own": ari, "decision": report["decision"], "own_k": int(report["k"])}
    return np.sqrt(np.maximum(squared, 0.0)), result


def measure(task: Task, targets: dict[str, Path], env: Path) -> None:
    """Have the peers write their distances."""
    obs = task.cells.obs[["sample", "cell_type"]].astype(str).astype("category")
    x = np.asarray(task.cells.obsm[task.basis], np.float32)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cells.h5ad"
        write_h5ad(source, ad.AnnData(obs=obs, obsm={"X_cells": x}))
        job = {"source": source, "targets": targets, "digest": task.digest}
        jobs, answers = peer_process(env)
        print(json.dumps(job, default=str), file=jobs, flush=True)
        if not answers.readline():
            sys.exit(f"peer_distances.py ended at {task.name} {task.seed}: see its error above")


@cache
def peer_process(env: Path) -> tuple[IO[str], IO[str]]:
    """The peers' interpreter, one for all sets, as GloScope_py compiles for a minute."""
    python = env / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--python", "3.11", str(env)], check=True)
        wanted = ["--requirement", str(HERE / "requirements.txt")]
        subprocess.run(["uv", "pip", "install", "--python", str(python), *wanted], check=True)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command, pipe = [str(python), str(HERE / "peer_distances.py")], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=alone)
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def scores(task: Task, distance: np.ndarray) -> dict[str, float]:
    """All measures of one matrix; clusters are of each donor's first sample."""
    group, donor, batch = (
        task.samples[key].to_numpy(str) for key in ("group", "donor_id", "batch_id")
    )
    first = np.flatnonzero(task.samples["first"])
    return clusterings(distance[np.ix_(first, first)], group[first], task.seed) | {
        "f1_group": neighbour_score(distance, group, donor),
        "f1_batch": neighbour_score(distance, batch, donor),
    }


def clusterings(distance: np.ndarray, group: np.ndarray, seed: int) -> dict[str, float]:
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


def tables(out: Path) -> str:
    """The simulated and the real data sets' tables, and the versions."""
    rows = pd.DataFrame([read_json(path) for path in sorted(out.glob("*/[0-9]*/[a-z]*.json"))])
    if rows.empty:
        return f"There are no rows in {out}."
    parts = [table(rows, tuple(names)) for names in (SCENARIOS, LIU)]
    return "\n\n".join([*filter(None, parts), "; ".join(sorted(set(rows["version"])))])


def table(rows: pd.DataFrame, names: tuple[str, ...]) -> str:
    """ARI at the true k with its interval, method × data set, and the other measures' means.

    A method that is not measured on as many sets as others says on how many.
    """
    rows = rows[rows["task"].isin(names)]
    names = tuple(name for name in names if name in set(rows["task"]))
    if not names:
        return ""
    lines = [
        "| method | sets | "
        + " | ".join(names)
        + " | PAM | k chosen | group F1 | batch F1 | CPU s |",
        "|---" * (len(names) + 7) + "|",
    ]
    answer = rows.assign(ari=rows.get("ari_own"), ari_low=np.nan, ari_high=np.nan)
    shown = {method: rows[rows["method"] == method] for method in METHODS}
    shown |= {f"{name}: its own answer": answer[answer["method"] == name] for name in GATES}
    most = max(map(len, shown.values()))
    for method, own in shown.items():
        if own.empty:
            continue
        cells = [str(most) if len(own) == most else f"{len(own)} of {most}"]
        cells += [interval(own[own["task"] == name]) for name in names]
        means = own[["ari_pam", "ari_chosen", "f1_group", "f1_batch", "seconds"]].mean()
        lines.append(f"| {method} | " + " | ".join([*cells, *(f"{v:.2f}" for v in means)]) + " |")
    return "\n".join(lines)


def interval(rows: pd.DataFrame) -> str:
    """The mean ARI and its 95 % interval, over the sets or over the donors of the only one."""
    if rows.empty:
        return "–"
    if len(rows) > 1:
        return "{:.2f} ({:.2f} to {:.2f})".format(*mean_interval(rows["ari"].to_numpy(float)))
    known = (
        "{ari:.2f}"
        if rows["ari_low"].isna().all()
        else "{ari:.2f} ({ari_low:.2f} to {ari_high:.2f})"
    )
    return known.format(**rows.iloc[0])


if __name__ == "__main__":
    main()
