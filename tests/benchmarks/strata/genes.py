"""Strata in gene space: what is found, what is found where nothing is, beside pseudobulk.

Three kinds of data: counts drawn for donors with planted strata or without (`worlds`); real
donors in half of whom some genes are thinned (`thin`); real donors with a known label (`label`).
The embedding of simulated cells knows nothing of the strata. Seeds below 64000, and 90000
to 90019, were looked at while the method was made; what batches are asked since 2026-12-01 is
judged on seeds from 71000 on.

Example:
  python tests/benchmarks/strata/genes.py worlds --sets 10 --first-seed 64000
  python tests/benchmarks/strata/genes.py worlds --only null --channels genes --n-null 59 --verdicts
  python tests/benchmarks/strata/genes.py thin onek1k.h5ad --type cell_type --sets 10
  python tests/benchmarks/strata/genes.py label kang.h5ad --donor sample_id --type cell_type \
    --label condition
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score
from study import mean_interval, verdicts_alone, wilson

import pmcell as pm
from pmcell.core.counts.aggregate import Aggregate
from pmcell.core.counts.sums import COUNTS
from pmcell.core.donors.donor_map import partition
from pmcell.strata.profiles import slots

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_GENES, DEPTH, DISPERSION = 2500, 2000, 0.5


@dataclass(frozen=True)
class World:
    """How donors differ in their genes (natural log); `planted` genes a type move in a stratum.

    Where it is `confounded` the stratum of a donor is its batch.
    """

    n_strata: int = 3
    planted: int = 40
    effect: float = 0.7
    of_all: float = 0.0
    n_types_moved: int = 8
    shares: tuple[float, ...] = ()
    n_batches: int = 1
    confounded: bool = False
    cells: tuple[int, int] = (400, 2000)
    own: float = 0.18
    own_of_type: float = 0.10
    factor: float = 0.15
    gradient: bool = False
    t3: bool = False
    n_donors: int = 42
    n_types: int = 8


PLANTED = {
    "40 genes a type": World(),
    "40 genes a type, batches": World(n_batches=3),
    "40 genes a type, 40 to 260 cells": World(cells=(40, 260)),
    "all genes, weak": World(of_all=0.12),
    "one type of eight": World(n_types_moved=1),
    "unequal strata": World(shares=(0.6, 0.2, 0.2)),
    "strong factors beside": World(factor=0.35),
}
NONE = World(effect=0.0)
NULL = {
    "own genes and two factors": NONE,
    "batches": replace(NONE, n_batches=3),
    "strong factors": replace(NONE, factor=0.4),
    "even gradient": replace(NONE, factor=0.4, gradient=True),
    "one t3 scale a donor": replace(NONE, t3=True),
    "40 to 1200 cells": replace(NONE, cells=(40, 1200)),
}
CONFOUNDED = {
    "strata are the batch": World(n_batches=3, confounded=True),
    "strata are the batch, all genes, weak": World(n_batches=3, confounded=True, of_all=0.12),
}
KINDS = {"planted": PLANTED, "null": NULL, "confounded": CONFOUNDED}
WORLDS = PLANTED | NULL | CONFOUNDED


@dataclass(frozen=True)
class Study:
    """Cells with an embedding, their sums, and the stratum of each donor, in the donors' order."""

    cells: ad.AnnData
    sums: Aggregate
    stratum: dict[str, int] = field(default_factory=dict)


def simulate(world: World, seed: int) -> Study:
    """Draw donors, then the counts of each donor, type and half of its cells."""
    rng = np.random.default_rng(seed)
    n_donors, n_types = world.n_donors, world.n_types
    stratum = rng.permutation(_strata(world))
    batch = rng.integers(0, world.n_batches, n_donors)
    batch = stratum if world.confounded else batch
    scale = np.sqrt(3 / rng.chisquare(3, n_donors)) if world.t3 else np.ones(n_donors)
    base = rng.normal(0, 1.9, N_GENES)
    own = rng.normal(0, world.own, (n_donors, N_GENES)) * scale[:, None]
    factors = rng.normal(0, 1, (n_donors, 2)) * scale[:, None]
    if world.gradient:
        factors[:, 0] = rng.uniform(-1.7, 1.7, n_donors)
    of_batch = rng.normal(0, 0.25, (world.n_batches, N_GENES)) * (world.n_batches > 1)
    depth = DEPTH * np.exp(rng.normal(0, 0.3, world.n_batches))[batch]
    total = rng.integers(*world.cells, n_donors)
    share = rng.dirichlet(np.full(n_types, 4.0))
    n = np.array([rng.multinomial(cells, rng.dirichlet(share * 40)) for cells in total])
    counts = np.zeros((n_donors, n_types, 2, N_GENES), np.int64)
    halves = np.zeros((n_donors, n_types, 2), np.int64)
    halves[:, :, 0] = rng.binomial(n, 0.5)
    halves[:, :, 1] = n - halves[:, :, 0]
    for kind in range(n_types):
        log = base + (rng.random(N_GENES) < 0.15) * rng.normal(0.5, 1.2, N_GENES) + own
        log = log + rng.normal(0, world.own_of_type, log.shape) * scale[:, None]
        log += factors @ _loadings(world, rng)
        log += _moved(world, kind, rng)[stratum] + of_batch[batch]
        rate = np.exp(log)
        rate *= depth[:, None] / rate.sum(axis=1, keepdims=True)
        for half in (0, 1):
            cells = halves[:, kind, half, None]
            gamma = rng.gamma(np.maximum(cells, 1e-9) / DISPERSION, DISPERSION, rate.shape)
            counts[:, kind, half] = rng.poisson(rate * gamma) * (cells > 0)
    donors = [f"d{number:03d}" for number in range(n_donors)]
    cells = _embedded(donors, n, [f"b{code}" for code in batch], rng)
    genes = np.array([f"G{number:05d}" for number in range(N_GENES)], object)
    sums = _sums(donors, counts, halves, genes)
    return Study(cells, sums, dict(zip(donors, (int(level) for level in stratum), strict=True)))


def real(
    path: Path, donor: str, cell_type: str, batch: str, thinned: int = 0, seed: int = 0
) -> Study:
    """Real cells; in half of the donors `thinned` genes of each type keep half of their counts."""
    cells = ad.read_h5ad(path)
    counts = cells.X.tocsr()
    obs = pd.DataFrame(
        {
            "donor_id": cells.obs[donor].astype(str),
            "sample_id": cells.obs[donor].astype(str),
            "cell_type": cells.obs[cell_type].astype(str),
            "visit": "v",
            "batch_id": cells.obs[batch].astype(str) if batch else "b",
        }
    )
    donors = sorted(set(obs["donor_id"]))
    rng = np.random.default_rng(seed)
    half = rng.permutation(np.arange(len(donors)) % 2)
    stratum = dict(zip(donors, (int(value) for value in half), strict=True))
    if thinned:
        counts = _thinned(cells.X.tocsr().astype(np.int64), obs, stratum, thinned, rng)
    made = ad.AnnData(counts.astype(np.float32), obs=obs, var=cells.var[[]].copy())
    made.var_names_make_unique()
    sums = pm.tl.aggregate(made, by=("sample_id", "cell_type"))
    # The embedding of the cells as a user has it: components of log counts.
    import scanpy as sc

    log = made.copy()
    sc.pp.normalize_total(log, target_sum=1e4)
    sc.pp.log1p(log)
    sc.pp.pca(log, n_comps=30, random_state=0)
    made.obsm["X_integrated"] = log.obsm["X_pca"]
    return Study(made, sums, stratum)


def profiled(study: Study) -> ad.AnnData:
    """The donors, with the sums of their genes."""
    donors = pm.strata.profile(study.cells)
    visits = dict.fromkeys((str(name) for name in study.sums.sample_ids), "v")
    types = {str(name): str(name) for name in study.sums.clusters}
    pm.strata.add_genes(donors, aggregates=[study.sums], visits=visits, cell_types=types)
    return donors


def judge(study: Study, seed: int, channels: str, n_null: int, k: int) -> dict[str, Any]:
    """What pmcell says of a study, and how well it and pseudobulk recover the strata at k."""
    started = time.process_time()
    donors = profiled(study)
    pm.strata.distances(donors, channels=channels)
    pm.strata.cluster(donors, n_bootstraps=20, seed=seed)
    pm.strata.existence(donors, n_null=n_null, seed=seed)
    told, own = donors.uns["existence"], donors.obs[slots.DISCOVERY].to_numpy()
    truth = np.array([study.stratum[name] for name in donors.obs["donor_id"][own]])
    row = {
        "decision": told["decision"],
        "p": told.get("p"),
        "k": int(told["k"]),
        "used": "+".join(donors.uns["channels"]["used"]),
        "cpu_s": round(time.process_time() - started, 1),
        "ari": adjusted_rand_score(truth, donors.obs[slots.CANDIDATE][own]),
    }
    if k > 1:
        squared = np.asarray(donors.obsp[slots.DISTANCE_GENES])[np.ix_(own, own)]
        known = np.isfinite(squared).all()
        found = partition(squared, range(k, k + 1), 1).labels[0] if known else np.zeros(truth.size)
        row["genes, true k"] = adjusted_rand_score(truth, found)
        for name, labels in peers(study, donors, k).items():
            row[name] = adjusted_rand_score(truth, labels[own])
    return row


def peers(study: Study, donors: ad.AnnData, k: int) -> dict[str, Ints]:
    """k-means on components of log counts per million: of all cells, and of each type by itself.

    Batches are centred, genes are not scaled; of each type the genes are centred and scaled to
    unit norm together.
    """
    rows = {str(name): place for place, name in enumerate(donors.obs["donor_id"])}
    counts = np.zeros((len(rows), study.sums.clusters.size, study.sums.gene_ids.size))
    sample = np.array([rows.get(str(name), -1) for name in study.sums.sample_donors])
    matrix = study.sums.sums.matrix(COUNTS).toarray()
    np.add.at(counts, (sample[study.sums.group_sample], study.sums.group_cluster), matrix)
    batch = donors.obs["batch_id"].to_numpy()

    def log_cpm(values: Floats) -> Floats:
        out = np.log1p(1e6 * values / np.maximum(values.sum(axis=1, keepdims=True), 1))
        for name in np.unique(batch):
            out[batch == name] -= out[batch == name].mean(axis=0)
        return np.asarray(out / max(float(np.linalg.norm(out)), 1e-12))

    views = {
        "pseudobulk": log_cpm(counts.sum(axis=1)),
        "grouped pseudobulk": np.hstack([log_cpm(counts[:, t]) for t in range(counts.shape[1])]),
    }
    out = {}
    for name, x in views.items():
        left, values, _ = np.linalg.svd(x, full_matrices=False)
        for n_axes in (2, 5):
            axes = left[:, :n_axes] * values[:n_axes]
            out[f"{name}, {n_axes}"] = KMeans(k, n_init=20, random_state=0).fit_predict(axes)
    return out


def neighbours_share(
    squared: Floats, label: NDArray[Any], n_permutations: int = 200
) -> tuple[float, float]:
    """Balanced accuracy of the 3 nearest donors; its 95th percentile with permuted labels."""

    def accuracy(values: NDArray[Any]) -> float:
        far = squared + np.diag(np.full(values.size, np.inf))
        near = np.argsort(far, axis=1, kind="stable")[:, :3]
        votes = [pd.Series(values[row]).mode().iloc[0] for row in near]
        return float(balanced_accuracy_score(values, votes))

    rng = np.random.default_rng(0)
    null = [accuracy(rng.permutation(label)) for _ in range(n_permutations)]
    return accuracy(label), float(np.quantile(null, 0.95))


def _strata(world: World) -> Ints:
    """Stratum of each donor, in order."""
    if not world.shares:
        return np.arange(world.n_donors) % world.n_strata
    sizes = [round(share * world.n_donors) for share in world.shares[1:]]
    sizes = [world.n_donors - sum(sizes), *sizes]
    return np.repeat(np.arange(len(sizes)), sizes)


def _loadings(world: World, rng: np.random.Generator) -> Floats:
    """What a unit of each of two factors adds to one gene in ten."""
    return (rng.random((2, N_GENES)) < 0.1) * rng.normal(0, world.factor, (2, N_GENES))


def _moved(world: World, kind: int, rng: np.random.Generator) -> Floats:
    """What each stratum adds to a type's genes."""
    out = np.zeros((max(world.n_strata, len(world.shares)), N_GENES))
    if world.effect == 0 or kind >= world.n_types_moved:
        return out
    for level in range(out.shape[0]):
        if world.of_all:
            out[level] = rng.normal(0, world.of_all, N_GENES)
        else:
            genes = rng.choice(N_GENES, world.planted, replace=False)
            out[level, genes] = rng.normal(0, world.effect, world.planted)
    return out


def _embedded(donors: list[str], n: Ints, batch: list[str], rng: np.random.Generator) -> ad.AnnData:
    """Cells in an embedding that tells types, and of donors only what is theirs alone."""
    n_donors, n_types = n.shape
    donor = np.repeat(np.repeat(np.arange(n_donors), n_types), n.ravel())
    kind = np.repeat(np.tile(np.arange(n_types), n_donors), n.ravel())
    centre = rng.normal(0, 3, (n_types, 10))
    own = rng.normal(0, 0.25, (n_donors, n_types, 10))
    x = centre[kind] + own[donor, kind] + rng.normal(0, 1, (donor.size, 10))
    obs = pd.DataFrame(
        {
            "donor_id": np.array(donors)[donor],
            "visit": "v",
            "batch_id": np.array(batch)[donor],
            "cell_type": [f"t{code}" for code in kind],
        },
        index=[f"c{number}" for number in range(donor.size)],
    )
    cells = ad.AnnData(np.zeros((donor.size, 1), np.float32), obs=obs)
    cells.obsm["X_integrated"] = x.astype(np.float32)
    return cells


def _sums(donors: list[str], counts: Ints, n: Ints, genes: NDArray[np.object_]) -> Aggregate:
    """An aggregate with these counts (donors, types, halves, genes) and cells."""
    from pmcell.core.counts.sums import GroupedSums

    n_donors, n_types = n.shape[:2]
    place = np.indices(n.shape).reshape(3, -1)
    filled = n.ravel() > 0
    flat = counts.reshape(-1, counts.shape[3])[filled]
    rows, columns = np.nonzero(flat)
    values = np.zeros((rows.size, 4), np.int64)
    values[:, COUNTS] = flat[rows, columns]
    indptr = np.concatenate([[0], np.cumsum((flat > 0).sum(axis=1))]).astype(np.int64)
    return Aggregate(
        sample_ids=np.array(donors, object),
        sample_donors=np.array(donors, object),
        sample_tissues=np.full(n_donors, "unknown", object),
        clusters=np.array([f"t{code}" for code in range(n_types)], object),
        labels=np.array(["unknown"], object),
        gene_ids=genes,
        group_sample=place[0, filled],
        group_cluster=place[1, filled],
        group_label=np.zeros(int(filled.sum()), np.int64),
        group_half=place[2, filled],
        group_n_cells=n.ravel()[filled],
        sums=GroupedSums(genes.size, indptr, columns.astype(np.int32), values),
    )


def _thinned(
    counts: Any, obs: pd.DataFrame, stratum: dict[str, int], n_genes: int, rng: np.random.Generator
) -> Any:
    """Counts of which some genes of each type keep half of their molecules in stratum 1."""
    counts = counts.copy()
    moved = np.array([stratum[name] for name in obs["donor_id"]]) == 1
    kinds = obs["cell_type"].to_numpy()
    chosen = {}
    for kind in sorted(set(kinds)):
        mean = np.asarray(counts[kinds == kind].mean(axis=0)).ravel()
        often = np.flatnonzero(mean > np.quantile(mean, 0.5))
        chosen[kind] = np.zeros(counts.shape[1], bool)
        chosen[kind][rng.choice(often, min(n_genes, often.size), replace=False)] = True
    for row in np.flatnonzero(moved):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        own = chosen[kinds[row]][counts.indices[part]]
        values = counts.data[part]
        values[own] = rng.binomial(values[own], 0.5)
        counts.data[part] = values
    counts.eliminate_zeros()
    return counts


def _tasks(
    args: argparse.Namespace, done: set[tuple[str, int]]
) -> Iterator[tuple[str, int, Study, int]]:
    """Name, seed, study and true k (1: none) of each data set that is not `done`, seed by seed."""
    seeds = range(args.first_seed, args.first_seed + args.sets)
    if args.kind == "thin":
        for seed in seeds:
            thinned = f"{args.genes} genes of real donors thinned"
            for name, n_genes, k in ((thinned, args.genes, 2), ("as they are", 0, 1)):
                columns = (args.donor, args.type, args.batch)
                if (name, seed) not in done:
                    yield name, seed, real(args.file, *columns, n_genes, seed), k
        return
    names = [name for asked in args.only for name in KINDS.get(asked, [asked])]
    for seed in seeds:
        for name in names:
            if (name, seed) not in done:
                yield name, seed, simulate(WORLDS[name], seed), 3 if name in PLANTED else 1


def table(rows: list[dict[str, Any]]) -> str:
    """Each world's share called strata, and mean ARI, with 95 % intervals over data sets."""
    frame = pd.DataFrame(rows)
    recovered = ["ari", *_aris(frame)] if _aris(frame) else []
    head = ["data", "sets", "called strata", "not separable from batch", *recovered]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, own in frame.groupby("data", sort=False):
        cells = [str(name), str(len(own))]
        for decision in ("strata", "not separable from batch"):
            hits = int((own["decision"] == decision).sum())
            low, high = wilson(hits, len(own))
            cells.append(f"{hits} ({low:.2f} to {high:.2f})")
        for column in recovered:
            values = own[column].to_numpy(float)
            is_known = own[recovered[1:]].notna().any(axis=None)
            interval = mean_interval(values)
            cells.append("{:.2f} ({:.2f} to {:.2f})".format(*interval) if is_known else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _kept(out: Path | None) -> list[dict[str, Any]]:
    """The rows that an earlier run wrote."""
    if out is None or not out.exists():
        return []
    return list(pd.read_csv(out, sep="\t").to_dict("records"))


def _aris(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if "pseudobulk" in str(name) or name == "genes, true k"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("kind", choices=["worlds", "thin", "label"])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--donor", default="donor_id")
    parser.add_argument("--type", default="cell_type")
    parser.add_argument("--batch", default="")
    parser.add_argument("--label", default="condition")
    parser.add_argument("--genes", type=int, default=40, help="thinned genes a type")
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=64000)
    parser.add_argument("--channels", default="clearest")
    parser.add_argument("--n-null", type=int, default=199)
    parser.add_argument(
        "--only", nargs="+", choices=[*KINDS, *WORLDS], default=list(KINDS), help="kinds or worlds"
    )
    parser.add_argument("--verdicts", action="store_true", help="verdicts only, p is a bound")
    parser.add_argument(
        "--out",
        type=Path,
        help="table (tsv) to add a row to for each set; what it holds is not made again",
    )
    args = parser.parse_args()
    if args.kind == "label":
        study = real(args.file, args.donor, args.type, args.batch)
        donors = profiled(study)
        label = ad.read_h5ad(args.file).obs.groupby(args.donor, observed=True)[args.label].first()
        pm.strata.distances(donors, channels="all")
        own = donors.obs[slots.DISCOVERY].to_numpy()
        values = label.loc[donors.obs["donor_id"][own]].astype(str).to_numpy()
        for name in ("composition", "state", "genes"):
            squared = np.asarray(donors.obsp[f"distance_{name}"])[np.ix_(own, own)]
            if np.isfinite(squared).all():
                share, limit = neighbours_share(squared, values)
                print(f"{name}: 3-NN {share:.2f}, 95th percentile of permutations {limit:.2f}")
        return
    rows = _kept(args.out)
    for name, seed, study, k in _tasks(args, {(row["data"], row["seed"]) for row in rows}):
        with verdicts_alone() if args.verdicts else nullcontext():
            row = judge(study, seed, args.channels, args.n_null, k)
        rows.append({"data": name, "seed": seed} | row)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        if args.out:
            is_new = not args.out.exists()
            pd.DataFrame(rows[-1:]).to_csv(args.out, sep="\t", mode="a", index=False, header=is_new)
    print(table(rows))


if __name__ == "__main__":
    main()
