"""Where should the gate drop a channel? Known confounding of strata with batch, and several limits.

Simulated donors in two batches; the batch moves all types or the shares of
types (cells of half of the types are lost in one batch), and a known share of
donors has the stratum of its batch. For every limit of the batch share q: the
mean adjusted Rand index of what passes the gate. And over all runs and
channels: does q rank the channels that hurt (the index gains more than 0.05
without them) above those that do not?

Example (gate.tsv holds what it printed):
  python tests/benchmarks/strata/gate.py --seeds 2
"""

from __future__ import annotations

import argparse

import numpy as np

import pmcell as pm
from pmcell.core.donors.donor_map import CHANNELS, partition
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles.model import open_map

LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 2.0)
CONFOUNDING = (0.0, 0.3, 0.6, 0.9)


def main() -> None:
    """Print the table and the area under the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    print("batch moves\tconfounding\tq per channel\t" + "\t".join(f"q<{v:g}" for v in LIMITS))
    q_all, hurts = [], []
    for moved in ("types", "shares"):
        for confounding in CONFOUNDING:
            rows, shares = [], []
            for seed in range(args.seeds):
                q, index = judged(moved, confounding, seed)
                shares.append(q)
                rows.append([index[kept(q, limit)] for limit in LIMITS])
                everything = index[(True,) * len(CHANNELS)]
                for at in range(len(CHANNELS)):
                    without = tuple(other != at for other in range(len(CHANNELS)))
                    q_all.append(q[at])
                    hurts.append(index[without] - everything > 0.05)
            q_text = "/".join(f"{value:.2f}" for value in np.mean(shares, axis=0))
            text = "\t".join(f"{value:.2f}" for value in np.mean(rows, axis=0))
            print(f"{moved}\t{confounding:g}\t{q_text}\t{text}", flush=True)
    print(f"area under the curve of q for channels that hurt: {area(q_all, hurts):.2f}")
    print(f"channels that hurt: {sum(hurts)} of {len(hurts)}")


def judged(moved: str, confounding: float, seed: int):
    """q of each channel, and the index of every set of channels."""
    from itertools import product

    from sklearn.metrics import adjusted_rand_score

    adata = simulate_latent(
        scenario="batch" if moved == "types" else "both",
        n_strata=2,
        n_batches=2,
        cells_per_donor=400,
        confounding=confounding,
        seed=seed,
    )
    if moved == "shares":
        rng = np.random.default_rng((seed, 2))
        lost = adata.obs["batch_id"].astype(str).eq("batch_1").to_numpy()
        lost &= (adata.obs["cell_type"].cat.codes < 6).to_numpy() & (rng.random(adata.n_obs) < 0.6)
        adata = adata[~lost].copy()
    donors = pm.strata.profile(adata)
    pm.strata.distances(donors, channels="all", max_batch_share=2.0, min_reliability=0.0)
    truth = adata.uns["truth"]
    of = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    label = [of[name] for name in donors.obs["donor_id"].astype(str)]
    q = tuple(float(donors.uns["channels"][name]["q"]) for name in CHANNELS)
    index = {}
    for chosen in product((True, False), repeat=len(CHANNELS)):
        used = [name for name, use in zip(CHANNELS, chosen, strict=True) if use]
        if used:
            squared = open_map(donors, dict.fromkeys(used, 1.0)).distances()
            found = partition(squared, range(2, 3), 1).labels[0]
            index[chosen] = adjusted_rand_score(label, found)
    index[(False,) * len(CHANNELS)] = 0.0
    return q, index


def kept(q: tuple[float, ...], limit: float) -> tuple[bool, ...]:
    """Which channels pass."""
    return tuple(value < limit for value in q)


def area(score: list[float], positive: list[bool]) -> float:
    """Chance that a positive scores above another, ties half."""
    values, truth = np.array(score), np.array(positive)
    if truth.all() or not truth.any():
        return float("nan")
    above = values[truth][:, None] - values[~truth][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


if __name__ == "__main__":
    main()
