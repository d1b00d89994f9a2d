"""Each channel alone and fused: agreement with the truth, and how far distances follow cell counts.

Two tables. The first: mean adjusted Rand index at the true number of strata
over simulated cohorts of 40 donors, with labels as they are, wrong, merged or
missing, few cells, and strata that differ in spread alone. `two` fuses
composition and state, `all` adds the cluster-free channel; the gate applies.
The second: Spearman correlation of the distances with the cells of the pair,
where donors have 120 to 2,000 cells.

Example (channels.tsv holds what it printed):
  python tests/benchmarks/strata/channels.py --seeds 5
"""

from __future__ import annotations

import argparse

import numpy as np
from anndata import AnnData

import pmcell as pm
from pmcell.core.donors.donor_map import partition
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles import slots

CASES = {
    "both": ("both", 500, "as they are"),
    "batch": ("batch", 500, "as they are"),
    "composition": ("composition", 500, "as they are"),
    "state": ("state", 500, "as they are"),
    "few cells (120)": ("both", 120, "as they are"),
    "few cells (60)": ("both", 60, "as they are"),
    "30 % of labels wrong": ("both", 500, "wrong"),
    "30 % wrong, state only": ("state", 500, "wrong"),
    "30 % wrong, 120 cells": ("both", 120, "wrong"),
    "12 types merged into 2": ("both", 500, "merged"),
    "no labels": ("both", 500, "missing"),
    "spread alone": ("null", 500, "spread"),
    "two modes": ("null", 500, "modes"),
}
COLUMNS = ("composition", "state", "cluster_free", "two", "all")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    args = parser.parse_args()
    print("case\t" + "\t".join(COLUMNS))
    for case in CASES:
        found = np.array([agreement(case, seed) for seed in range(args.seeds)])
        mean = np.nanmean(found, axis=0)
        print(case + "".join(f"\t{value:.2f}" for value in mean), flush=True)
    print("\nscenario\t" + "\t".join(("composition", "state", "cluster_free", "fused")))
    for scenario in ("null", "both"):
        rho = np.array([dependence(scenario, seed) for seed in range(2 * args.seeds)])
        error = rho.std(axis=0, ddof=1) / np.sqrt(len(rho))
        text = "".join(
            f"\t{m:+.3f} ± {e:.3f}" for m, e in zip(rho.mean(axis=0), error, strict=True)
        )
        print(scenario + text, flush=True)


def agreement(case: str, seed: int) -> list[float]:
    """Adjusted Rand index of each column's partition."""
    from sklearn.metrics import adjusted_rand_score

    scenario, cells, labels = CASES[case]
    adata = altered(
        simulate_latent(scenario=scenario, cells_per_donor=cells, seed=seed), labels, seed
    )
    donors = pm.strata.profile(adata, min_cells_donor=50)
    truth = truth_of(adata, donors.obs["donor_id"].astype(str).to_numpy())
    pm.strata.distances(donors, channels="all", max_batch_share=0.3)
    squared = {name: donors.obsp[f"distance_{name}"] for name in COLUMNS[:3]}
    squared["all"] = donors.obsp[slots.DISTANCE]
    for name in (slots.WAVES, slots.HALF_WAVES):
        del donors.obsm[name]
    pm.strata.distances(donors, channels="all", max_batch_share=0.3)
    squared["two"] = donors.obsp[slots.DISTANCE]
    out = []
    for name in COLUMNS:
        known = np.isfinite(squared[name]).all()
        label = partition(np.asarray(squared[name]), range(3, 4), 1).labels[0] if known else None
        out.append(float("nan") if label is None else adjusted_rand_score(truth, label))
    return out


def altered(adata: AnnData, labels: str, seed: int) -> AnnData:
    """The cells with other labels, or with strata in the spread of half of the types."""
    rng = np.random.default_rng((seed, 1))
    kind = adata.obs["cell_type"].astype(str).to_numpy(object)
    code = adata.obs["cell_type"].cat.codes.to_numpy()
    x = adata.obsm["X_integrated"]
    if labels == "wrong":
        hit = rng.random(kind.size) < 0.3
        kind[hit] = rng.choice(np.unique(kind), int(hit.sum()))
    elif labels == "merged":
        kind = np.where(code < 6, "first", "second").astype(object)
    elif labels == "missing":
        kind[:] = "unknown"
    elif labels in ("spread", "modes"):
        stratum = truth_of(adata, adata.obs["donor_id"].astype(str).to_numpy())
        hit = (rng.random((3, 12)) < 0.5)[stratum, code]
        if labels == "spread":
            centre = np.array([x[code == c].mean(axis=0) for c in range(12)])[code]
            x[hit] = (centre + 1.6 * (x - centre))[hit]
        else:
            way = rng.normal(size=(12, x.shape[1]))
            way *= 2.0 / np.linalg.norm(way, axis=1, keepdims=True)
            x[hit] += (rng.choice([-1, 1], code.size)[:, None] * way[code])[hit].astype(np.float32)
    adata.obs["cell_type"] = kind
    return adata


def truth_of(adata: AnnData, donor: np.ndarray) -> np.ndarray:
    """The stratum of each donor named."""
    truth = adata.uns["truth"]
    of = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    return np.array([of[name] for name in donor])


def dependence(scenario: str, seed: int) -> list[float]:
    """Spearman correlation of each channel's distances with the pair's cells (harmonic)."""
    from scipy.stats import spearmanr

    adata = simulate_latent(
        scenario=scenario, n_donors=60, cells_per_donor=2000, n_dims=8, seed=seed
    )
    rng = np.random.default_rng(seed)
    kept = np.exp(rng.uniform(np.log(120), np.log(2000), 60)).astype(int)
    place = np.arange(adata.n_obs) % 2000
    donors = pm.strata.profile(adata[place < np.repeat(kept, 2000)].copy())
    pm.strata.distances(donors, channels="all", max_batch_share=0.3)
    n = donors.obs["n_cells"].to_numpy(float)
    upper = np.triu_indices(60, 1)
    cells = (1.0 / (1.0 / n[:, None] + 1.0 / n[None, :]))[upper]
    names = [f"distance_{name}" for name in COLUMNS[:3]] + [slots.DISTANCE]
    return [float(spearmanr(np.asarray(donors.obsp[name])[upper], cells)[0]) for name in names]


if __name__ == "__main__":
    main()
