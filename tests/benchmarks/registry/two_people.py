"""How often two people in one sample are told, and one is called two, by HLA-DRB5 and HLA-DRB1.

python tests/benchmarks/registry/two_people.py FILE.h5ad...

Each file has raw counts in X and a column donor_id. Every donor is asked about alone, then every
pair of donors as if they were one. A donor with 6 % of both genes' counts carries HLA-DRB5. Then
cells of one donor are drawn 1,000 times with replacement (seed 2002), and of two donors of whom one
carries, mixed in shares of 5 to 50 % (seed 3002). Donors called two alone take no part in that.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

from pmcell.registry.duplicates.two_people import MIN_TELLING, PAIRS, shares_apart
from pmcell.registry.terms.genes import map_genes

PAIR = PAIRS[1]
CARRIES = 0.06

Cells = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="+")
    print("| file | donors | enough cells tell | called two | one carrier | neither, both |")
    print("|---|---|---|---|---|---|")
    everyone: dict[tuple[str, str], Cells] = {}
    for path in parser.parse_args().file:
        adata = ad.read_h5ad(path)
        ids = np.array([name or "" for name in map_genes(list(adata.var_names)).gene_id])
        counts = sparse.csr_matrix(adata.X)
        sides = [
            np.asarray(counts[:, np.isin(ids, sorted(side))].sum(axis=1), float).ravel()
            for side in (PAIR.ours, PAIR.theirs)
        ]
        donors = adata.obs["donor_id"].astype(str).to_numpy()
        cells = {name: [side[donors == name] for side in sides] for name in np.unique(donors)}
        enough = {
            name: (ours, theirs)
            for name, (ours, theirs) in cells.items()
            if (ours + theirs >= PAIR.least).sum() >= MIN_TELLING
        }
        alone = [name for name, found in enough.items() if shares_apart(*found, PAIR)]
        told: dict[bool, list[bool]] = {True: [], False: []}
        for one, other in combinations(enough.values(), 2):
            carries = [own[0].sum() >= CARRIES * np.sum(own) for own in (one, other)]
            both = map(np.concatenate, zip(one, other, strict=True))
            told[carries[0] != carries[1]].append(shares_apart(*both, PAIR) is not None)
        shown = [f"{sum(item)} of {len(item)}" for item in told.values()]
        print(
            f"| {path.stem} | {len(cells)} | {len(enough)} | {len(alone)} | {' | '.join(shown)} |"
        )
        everyone |= {(path.stem, name): own for name, own in enough.items() if name not in alone}
    draw(everyone)


def draw(everyone: dict[tuple[str, str], Cells]) -> None:
    """Cells of one drawn again, and of two mixed."""
    people = [
        np.stack([side[both >= PAIR.least] for side in own])
        for own in everyone.values()
        for both in [own[0] + own[1]]
    ]
    rng = np.random.default_rng(2002)
    n_false = 0
    for _ in range(1_000):
        own = people[rng.integers(len(people))]
        n = rng.integers(MIN_TELLING, max(MIN_TELLING + 1, 2 * own.shape[1]))
        n_false += shares_apart(*own[:, rng.integers(own.shape[1], size=n)], PAIR) is not None
    print(f"\none person drawn again: called two in {n_false} of 1,000\n")
    print("| part of the second | told | median cells that tell |\n|---|---|---|")
    rng = np.random.default_rng(3002)
    carries = [own[0].sum() >= CARRIES * own.sum() for own in people]
    groups = [
        [own for own, has in zip(people, carries, strict=True) if bool(has) is one]
        for one in (True, False)
    ]
    for part in (0.05, 0.1, 0.2, 0.3, 0.5):
        told, sizes = [], []
        for _ in range(200):
            two = [group[rng.integers(len(group))] for group in groups]
            first, second = two if rng.random() < 0.5 else two[::-1]
            n = min(second.shape[1], round(part / (1.0 - part) * first.shape[1]))
            m = min(first.shape[1], round(n * (1.0 - part) / part))
            mixed = np.hstack(
                [
                    first[:, rng.permutation(first.shape[1])[:m]],
                    second[:, rng.permutation(second.shape[1])[:n]],
                ]
            )
            told.append(shares_apart(*mixed, PAIR) is not None)
            sizes.append(mixed.shape[1])
        print(f"| {part:.0%} | {np.mean(told):.3f} | {np.median(sizes):.0f} |")


if __name__ == "__main__":
    main()
