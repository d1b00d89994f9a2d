"""How often held-out donors confirm genes that differ along strata by their own noise only.

Donors lie on a continuum, or differ at random; two strata are forced on them, and
`differential_expression` is asked which genes held-out donors confirm. Every gene varies
between donors on its own; in the world `line` half of the genes follow the line as well.
A gene that only varies on its own tells nothing of the strata beyond what it put into them
itself: confirming it is an error. `types wrong` is the share with such an error of the cell
types of which held-out donors were asked for such genes, `sets wrong` the same of all sets,
`false` that of the confirmed genes, and `power` the share of the line's genes confirmed.
Benjamini-Hochberg promises at most 0.05 of the first where no gene differs, and of `false`.

  python tests/benchmarks/strata/confirm.py --sets 40
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import beta

import pmcell as pm
from pmcell.schema.verdict import STRATA
from pmcell.strata.discovery.existence import _write_labels
from pmcell.strata.profiles import slots


@dataclass(frozen=True)
class World:
    """Donors with counts; `line` is the sd of the line's genes along it, 0 for none.

    `own_sd` is that of a gene between donors; it differs between genes by a log sd of
    `uneven`, and the share `shared` of it is common to all types.
    """

    name: str
    line: float = 0.0
    n_donors: int = 60
    n_types: int = 3
    n_genes: int = 200
    n_cells: int = 150
    n_batches: int = 2
    own_sd: float = 0.3
    uneven: float = 0.0
    shared: float = 0.0
    depth: float = 1500.0


WORLDS = [
    World("nothing"),
    World("nothing, few cells", n_cells=60),
    World("nothing, few genes", n_genes=80),
    World("nothing, uneven", uneven=0.7, shared=0.7),
    World("nothing, 150 donors", n_donors=150),
    World("nothing, uneven, 150 donors", n_donors=150, uneven=0.7, shared=0.7),
    World("nothing, few genes, 150 donors", n_donors=150, n_genes=80),
    World("line", line=0.3),
    World("line, few cells", line=0.3, n_cells=60),
    World("line, weak", line=0.15),
    World("line, uneven", line=0.3, uneven=0.7, shared=0.7),
    World("line, one batch", line=0.3, n_batches=1),
]


def main() -> None:
    """Print one line for each world."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--worlds", nargs="*", help="names; all by default")
    parser.add_argument("--seed", type=int, default=90000)
    args = parser.parse_args()
    print("world\tsets\ttypes wrong\tsets wrong (95 %)\tfalse\tpower\tsplit", flush=True)
    for world in WORLDS:
        if args.worlds and world.name not in args.worlds:
            continue
        rows = pd.DataFrame(one(world, args.seed + number) for number in range(args.sets))
        total = rows.drop(columns="split").sum()
        with_error = int((rows["wrong"] > 0).sum())
        low, high = interval(with_error, len(rows))
        print(
            f"{world.name}\t{len(rows)}\t{total['types_wrong']} of {total['types_asked']}"
            f"\t{with_error / len(rows):.3f} ({low:.3f} to {high:.3f})"
            f"\t{total['wrong']} of {total['wrong'] + total['right']}"
            f"\t{total['right'] / max(total['of_line'], 1):.3f}\t{rows['split'].mode().iloc[0]}",
            flush=True,
        )


def interval(hits: int, n: int) -> tuple[float, float]:
    """95 % of Clopper & Pearson."""
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def one(world: World, seed: int) -> dict[str, object]:
    """Genes confirmed rightly and wrongly in one set."""
    cells, counts, of_line = simulate(world, seed)
    donors = forced(cells)
    table, facts = pm.strata.differential_expression(donors, pseudobulk=counts, seed=seed)
    own = table[~table["gene_id"].isin(of_line)]
    wrong = own[own["inference"] == "confirmed"]
    right = table["gene_id"].isin(of_line) & (table["inference"] == "confirmed")
    return {
        "right": int(right.sum()),
        "wrong": len(wrong),
        "types_wrong": wrong["cell_type"].nunique(),
        "types_asked": own.loc[own["q_value_held_out"].notna(), "cell_type"].nunique(),
        "of_line": int(table["gene_id"].isin(of_line).sum()),
        "split": str(facts["held_out"].iloc[0]),
    }


def simulate(world: World, seed: int) -> tuple[AnnData, dict[str, pd.DataFrame], list[str]]:
    """Cells in principal components of their counts, counts a type and donor, the line's genes."""
    rng = np.random.default_rng(seed)
    shape = (world.n_types, world.n_genes)
    baseline = rng.normal(0, 1.0, world.n_genes) + rng.normal(0, 0.8, shape)
    follows = np.arange(world.n_genes) < (world.n_genes // 2 if world.line else 0)
    loading = world.line * rng.standard_normal(shape) * follows
    place = rng.uniform(-1.7, 1.7, world.n_donors)
    batch = np.arange(world.n_donors) % world.n_batches
    width = world.own_sd * np.exp(world.uneven * rng.standard_normal(world.n_genes))
    offset = 0.1 * rng.standard_normal((world.n_batches, world.n_genes))
    genes = np.array([f"ENSG{number:011d}" for number in range(world.n_genes)], object)
    names = np.array([f"D{number:03d}" for number in range(world.n_donors)], object)
    types = [f"type_{number}" for number in range(world.n_types)]
    totals = np.zeros((world.n_types, world.n_donors, world.n_genes))
    blocks, kinds = [], []
    for donor in range(world.n_donors):
        common = np.sqrt(world.shared) * rng.standard_normal(world.n_genes)
        own = width * (common + np.sqrt(1 - world.shared) * rng.standard_normal(shape))
        log = baseline + place[donor] * loading + own + offset[batch[donor]]
        share = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
        kind = rng.integers(world.n_types, size=world.n_cells)
        size = world.depth * np.exp(0.3 * rng.standard_normal(world.n_cells))
        cells = rng.negative_binomial(5, 5 / (5 + size[:, None] * share[kind]))
        np.add.at(totals[:, donor], kind, cells)
        blocks.append(cells)
        kinds.append(kind)
    x = np.vstack(blocks).astype(float)
    x = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
    x -= x.mean(axis=0)
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    donor_of = np.repeat(np.arange(world.n_donors), world.n_cells)
    obs = pd.DataFrame(
        {
            "donor_id": names[donor_of],
            "visit": "T0",
            "batch_id": np.array([f"b{code}" for code in batch])[donor_of],
            "cell_type": np.array(types)[np.concatenate(kinds)],
        },
        index=[f"c{number}" for number in range(len(x))],
    )
    cells = AnnData(obs=obs, obsm={"X_integrated": (left * values)[:, :15]})
    visits = names + "|T0"
    counts = {
        name: pd.DataFrame(totals[number], visits, genes) for number, name in enumerate(types)
    }
    return cells, counts, list(genes[follows])


def forced(cells: AnnData) -> AnnData:
    """Two strata, whatever the existence test says of them."""
    donors = pm.strata.profile(cells, min_cells_donor=50)
    pm.strata.distances(donors, max_batch_share=0.9, min_reliability=0.0, channels="all")
    pm.strata.cluster(donors, n_bootstraps=1)
    pm.strata.existence(donors, n_null=19)
    donors.uns["existence"] = {**donors.uns["existence"], "decision": STRATA, "k": 2}
    _write_labels(donors, [int(k) for k in donors.uns["clustering"]["ks"]])
    assert (donors.obs[slots.STATUS] != "withheld").all()
    return donors


if __name__ == "__main__":
    main()
