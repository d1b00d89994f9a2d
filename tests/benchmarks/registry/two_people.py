"""How often two people in one sample are told, and one is called two, by HLA-DRB5 and HLA-DRB1.

python tests/benchmarks/registry/two_people.py FILE.h5ad...

Each file has raw counts in X and a column donor_id. Every donor is asked about alone, then every
pair of donors as if they were one. A donor with 6 % of both genes' counts carries HLA-DRB5.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

from pmcell.registry.duplicates.two_people import MIN_CELLS, PAIRS, shares_apart
from pmcell.registry.terms.genes import map_genes

PAIR = PAIRS[1]
CARRIES = 0.06


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="+")
    print("| file | donors | enough cells tell | called two | one carrier | neither, both |")
    print("|---|---|---|---|---|---|")
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
            if (ours + theirs >= PAIR.least).sum() >= 2 * MIN_CELLS
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


if __name__ == "__main__":
    main()
