"""Planted duplicates that are found, and strangers that are not, over simulated and real donors.

Each simulated study has 46 donors (1,035 pairs). Three of them are handed in again by another
cohort, in each of the ways of `planted_duplicates`, and in all at once. Seeds 0 to 4 were for
development; 100 and above for judgement, after which nothing was changed. With --counts FILE
(raw counts, obs column donor_id) the same is done with real donors.

    python tests/benchmarks/registry/duplicates.py --seeds 100 101 102
    python tests/benchmarks/registry/duplicates.py --seeds 100 --counts intake.h5ad
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planted_duplicates import ALL_AT_ONCE, WAYS, cells_of, plant
from pmcell.registry.duplicates.match import match_donors


def studies(seeds: list[int], files: list[Path]) -> Iterator[tuple[int, object]]:
    import anndata as ad

    import pmcell as pm

    for seed in seeds:
        if files:
            yield seed, ad.concat([ad.read_h5ad(path) for path in files])
        else:
            yield (
                seed,
                pm.simulate.simulate(
                    n_cohorts=2, n_donors=46, cells_per_sample=150, n_genes=1500, seed=seed
                ),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--counts", type=Path, nargs="+", default=[])
    args = parser.parse_args()
    n_found = n_planted = n_false = n_pairs = 0
    for seed, adata in studies(args.seeds, args.counts):
        donors = adata.obs["donor_id"].astype(str).to_numpy(object)
        names = sorted(set(donors))
        base = cells_of(adata.X, adata.var_names, donors)
        chosen = np.random.default_rng(seed).choice(names, 3, replace=False).tolist()
        for ways in (*((way,) for way in WAYS), ALL_AT_ONCE):
            again = plant(adata.X, adata.var_names, donors, chosen, ways, seed)
            found = match_donors([base, again])
            wanted = {frozenset((f"again-{n}", name)) for n, name in enumerate(chosen)}
            right = [item for item in found if frozenset((item.one, item.other)) in wanted]
            n_found, n_planted = n_found + len(right), n_planted + 3
            n_false += len(found) - len(right)
            n_pairs += (len(names) + 3) * (len(names) + 2) // 2 - 3
            shares = [f"{item.n_matched}/{item.n_compared}" for item in right]
            print(f"seed {seed} {'+'.join(ways):45s} found {len(right)} of 3 {shares}")
    print(f"found {n_found} of {n_planted}; false {n_false} in {n_pairs} pairs of strangers")


if __name__ == "__main__":
    main()
