"""Calibration and power of `differential_expression` on real cells, beside PyDESeq2.

Cells are added up for each donor, condition and published cell type. Where the condition varies
within donors, three null worlds are made: `swaps`, the labels of half of the pairs exchanged, so
that the true difference cancels; `cells`, the cells of one sample of each donor dealt to two
made-up conditions; `donors`, the donors of one condition dealt to two groups. Elsewhere there is
the last alone. In a null world every gene found is false, so the share of sets with one is the
false discovery rate. `power` and `false` are those of 40 genes, thinned in one group or the other
by the fold (binomially, so that counts stay counts). `peer` is PyDESeq2 on the same sums, run by
the interpreter that `--peer` names; its design is ~ donor + condition, or ~ condition.

  python tests/benchmarks/strata/expression.py kang.h5ad --sets 100 --peer peers/bin/python

Seeds below 6000 were looked at while the method was made; results are of seed 6000 on.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import pmcell as pm
from pmcell.strata.profiles import slots

N_SPIKED = 40
FOLDS = (1.5, 2.0)
MIN_CELLS = 10
PEER = """
import sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from pydeseq2.dds import DeseqDataSet
from pydeseq2.ds import DeseqStats
counts = pd.read_csv(sys.argv[1], index_col=0)
people = pd.read_csv(sys.argv[2], index_col=0, dtype=str)
fit = DeseqDataSet(counts=counts, metadata=people, design=sys.argv[3], quiet=True, n_cpus=1)
fit.deseq2()
test = DeseqStats(fit, contrast=["condition", sys.argv[4], sys.argv[5]], quiet=True, n_cpus=1)
test.summary()
test.results_df.to_csv(sys.argv[6])
"""


def main() -> None:
    """Print a table for each question."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path, help="h5ad with raw counts in X")
    parser.add_argument("--donor", default="donor_id")
    parser.add_argument("--condition", default="condition")
    parser.add_argument("--cell-type", default="cell_type")
    parser.add_argument("--sets", type=int, default=20, help="sets of each null world")
    parser.add_argument("--seed", type=int, default=6000)
    parser.add_argument("--peer", help="Python that has pydeseq2")
    parser.add_argument("--worlds", nargs="*", help="null worlds; all by default")
    args = parser.parse_args()
    cells = ad.read_h5ad(args.cells)
    names = {"donor": args.donor, "condition": args.condition, "cell_type": args.cell_type}
    cells.obs = pd.DataFrame(
        {key: cells.obs[column].astype(str).to_numpy() for key, column in names.items()},
        index=[str(number) for number in range(cells.n_obs)],
    )
    cells.X = sparse.csr_matrix(cells.X)
    per_donor = cells.obs.groupby("donor")["condition"].nunique()
    is_paired = bool((per_donor > 1).any())
    compare_with_peer(cells, args.peer, is_paired)
    worlds = {"donors": of_donors}
    if is_paired:
        worlds = {"swaps": swapped, "cells": of_cells, **worlds}
    if args.worlds is not None:
        worlds = {name: world for name, world in worlds.items() if name in args.worlds}
    print("\nnull\tsets\tp < 0.05\tp < 0.001\tsets with a find (FDR)\tfinds a set")
    for name, world in worlds.items():
        rng = np.random.default_rng(args.seed)
        null_world(name, [world(cells, rng) for _ in range(args.sets)])
    print("\nspiked\tfold\tsets\tpower\tfalse")
    for name, world in worlds.items():
        if name == "swaps":
            continue
        for fold in FOLDS:
            rng = np.random.default_rng(args.seed + 1)
            spiked_world(name, fold, [world(cells, rng) for _ in range(args.sets)], rng)


Sums = dict[str, pd.DataFrame]
"""Cell type → counts, with donor and condition as index."""


def add_up(cells: ad.AnnData, obs: pd.DataFrame) -> Sums:
    """Counts of each cell type (donor and condition × genes) with at least 10 cells."""
    out = {}
    for name, own in obs.groupby("cell_type"):
        key = pd.MultiIndex.from_frame(own[["donor", "condition"]])
        code, rows = pd.factorize(key, sort=True)
        member = sparse.csr_matrix((np.ones(code.size), (code, np.arange(code.size))))
        values = np.rint((member @ cells.X[own.index.astype(int).to_numpy()]).toarray()).astype(
            np.int64
        )
        table = pd.DataFrame(values, rows, cells.var_names)
        out[str(name)] = table[np.bincount(code) >= MIN_CELLS]
    return out


def tested(sums: Sums) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes and contrasts of pmcell."""
    visits = pd.MultiIndex.from_tuples(
        sorted({row for table in sums.values() for row in table.index}), names=["donor_id", "visit"]
    ).to_frame(index=False)
    visits.index = visits["donor_id"] + "|" + visits["visit"]
    obs = visits.assign(batch_id="b", condition=visits["visit"], discovery=True)
    # Donors of whom nothing but the groups is known: a contrast asks for no more.
    donors = ad.AnnData(obs=obs, var=pd.DataFrame({slots.POOL: [""]}, index=["all"]))
    donors.obsm[slots.SUM] = np.zeros((len(obs), 1))
    donors.uns.update(profile={}, existence={"decision": "too few donors"})
    bulk = {
        name: table.set_axis(["|".join(row) for row in table.index]) for name, table in sums.items()
    }
    return pm.strata.differential_expression(
        donors, pseudobulk=bulk, contrast="condition", confirm=False
    )


def swapped(cells: ad.AnnData, rng: np.random.Generator) -> Sums:
    """Labels of half of the paired donors of each type exchanged."""
    out = {}
    for name, table in add_up(cells, cells.obs).items():
        donors = table.index.get_level_values(0)
        paired = np.array([donor for donor in donors.unique() if (donors == donor).sum() == 2])
        half = (len(paired) + int(rng.random() < 0.5)) // 2
        turned = set(rng.permutation(paired)[:half])
        levels = sorted(table.index.get_level_values(1).unique())
        other = dict(zip(levels, levels[::-1], strict=True))
        index = [(who, other[what] if who in turned else what) for who, what in table.index]
        kept = donors.isin(paired)
        if kept.any():
            out[name] = table.set_axis(pd.MultiIndex.from_tuples(index))[kept]
    return out


def of_cells(cells: ad.AnnData, rng: np.random.Generator) -> Sums:
    """Cells of each donor and type, of one condition drawn by lot, dealt to two groups."""
    obs = cells.obs
    conditions = sorted(obs["condition"].unique())
    lot = {donor: rng.choice(conditions) for donor in sorted(obs["donor"].unique())}
    obs = obs[obs["condition"] == obs["donor"].map(lot)]
    dealt = rng.permutation(len(obs))
    order = np.lexsort((dealt, obs["cell_type"], obs["donor"]))
    side = np.empty(len(obs), object)
    side[order] = np.where(np.arange(len(obs)) % 2, "b", "a")
    return add_up(cells, obs.assign(condition=side))


def of_donors(cells: ad.AnnData, rng: np.random.Generator) -> Sums:
    """Donors dealt to two groups; of several conditions the one with most cells is taken."""
    obs = cells.obs
    if (obs.groupby("donor")["condition"].nunique() > 1).any():
        obs = obs[obs["condition"] == obs["condition"].mode().iloc[0]]
    donors = rng.permutation(sorted(obs["donor"].unique()))
    group = {donor: "ab"[number % 2] for number, donor in enumerate(donors)}
    return add_up(cells, obs.assign(condition=obs["donor"].map(group)))


def null_world(name: str, sets: list[Sums]) -> None:
    """Print how often nothing is taken for something."""
    n, small, tiny, finds, with_find, n_sets = 0, 0, 0, 0, 0, 0
    for one in each_type(sets):
        genes, _ = tested(one)
        if genes.empty:
            continue
        n += len(genes)
        small += int((genes["p_value"] < 0.05).sum())
        tiny += int((genes["p_value"] < 0.001).sum())
        found = int((genes["q_value"] <= 0.05).sum())
        finds += found
        with_find += found > 0
        n_sets += 1
    print(
        f"{name}\t{n_sets}\t{small / n:.4f}\t{tiny / n:.5f}\t{with_find / n_sets:.3f}"
        f"\t{finds / n_sets:.2f}",
        flush=True,
    )


def each_type(sets: list[Sums]) -> Iterator[Sums]:
    """Each type of each set alone: a family of tests of its own."""
    for one in sets:
        yield from ({name: table} for name, table in one.items() if len(table))


def spiked_world(name: str, fold: float, sets: list[Sums], rng: np.random.Generator) -> None:
    """Print the share of spiked genes that are found, and of finds that are not spiked."""
    hits = spiked = n_sets = 0
    false = []
    for one in each_type(sets):
        ((kind, table),) = one.items()
        chosen, changed = spike(table, fold, rng)
        genes, _ = tested({kind: changed})
        if genes.empty:
            continue
        found = set(genes.loc[genes["q_value"] <= 0.05, "gene_id"])
        hits += len(found & chosen)
        spiked += len(chosen)
        false.append(len(found - chosen) / max(len(found), 1))
        n_sets += 1
    print(f"{name}\t{fold}\t{n_sets}\t{hits / spiked:.3f}\t{np.mean(false):.3f}", flush=True)


def spike(
    table: pd.DataFrame, fold: float, rng: np.random.Generator
) -> tuple[set[str], pd.DataFrame]:
    """Genes with 10 counts in half of the rows, thinned by the fold in one group or the other."""
    values = table.to_numpy().copy()
    able = np.flatnonzero((values >= 10).sum(axis=0) >= len(values) / 2)
    chosen = rng.permutation(able)[:N_SPIKED]
    level = table.index.get_level_values(1).to_numpy()
    first = level == sorted(set(level))[0]
    for number, gene in enumerate(chosen):
        rows = first if number % 2 else ~first
        values[rows, gene] = rng.binomial(values[rows, gene], 1 / fold)
    return set(table.columns[chosen]), pd.DataFrame(values, table.index, table.columns)


def compare_with_peer(cells: ad.AnnData, peer: str | None, is_paired: bool) -> None:
    """Print the genes that pmcell and, where it is there, PyDESeq2 find in each type."""
    sums = add_up(cells, cells.obs)
    genes, facts = tested(sums)
    print("cell type\tdesign\tgenes\tfound\tpeer genes\tpeer found\tfound by both")
    for fact in facts.itertuples():
        own = genes[(genes["cell_type"] == fact.cell_type) & (genes["level"] == fact.level)]
        found = set(own.loc[own["q_value"] <= 0.05, "gene_id"])
        left = f"{fact.cell_type}\t{fact.design or fact.why_not}\t{len(own)}\t{len(found)}"
        if not peer or own.empty or ";" in fact.reference:
            print(left, flush=True)
            continue
        table = sums[fact.cell_type]
        table = table[table.index.get_level_values(1).isin([fact.level, fact.reference])]
        if is_paired:
            donor = table.index.get_level_values(0)
            table = table[donor.isin(donor.unique()[donor.value_counts()[donor.unique()] == 2])]
        design = "~ donor + condition" if is_paired else "~ condition"
        result = run_peer(peer, table, design, fact.level, fact.reference)
        theirs = set(result.index[result["padj"] <= 0.05])
        both = len(found & theirs)
        print(f"{left}\t{result['padj'].notna().sum()}\t{len(theirs)}\t{both}", flush=True)


def run_peer(
    peer: str, table: pd.DataFrame, design: str, level: str, reference: str
) -> pd.DataFrame:
    """PyDESeq2's results of one type, genes without counts left out."""
    names = ["|".join(row) for row in table.index]
    table = table.loc[:, table.sum() > 0]
    with tempfile.TemporaryDirectory() as folder:
        counts, people, out = (f"{folder}/{name}.csv" for name in ("counts", "people", "out"))
        table.set_axis(names).to_csv(counts)
        table.index.set_names(["donor", "condition"]).to_frame(index=False).set_axis(names).to_csv(
            people
        )
        command = [peer, "-c", PEER, counts, people, design, level, reference, out]
        subprocess.run(command, check=True, capture_output=True)
        return pd.read_csv(out, index_col=0)


if __name__ == "__main__":
    main()
