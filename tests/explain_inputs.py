"""What differential_expression reads: donors, the counts of one cohort, cell types and genes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pmcell.cli import main
from pmcell.core.counts.aggregate import Aggregate
from pmcell.core.counts.sums import COUNTS, GroupedSums
from pmcell.io.counts.aggregates import write_aggregate
from pmcell.io.h5ad import write_h5ad
from pmcell.tl.aggregate import SOURCE_TERM

if TYPE_CHECKING:
    from anndata import AnnData

GENES = [f"ENSG{number:011d}" for number in range(60)]
SYMBOLS = {gene: f"SYM{number}" for number, gene in enumerate(GENES)}


def counts_of(donors: AnnData) -> pd.DataFrame:
    """Counts where the first ten genes are threefold higher in stratum S1."""
    rng = np.random.default_rng(0)
    own = donors.obs[donors.obs["discovery"].to_numpy()]
    mean = np.tile(rng.gamma(2.0, 60.0, len(GENES)) + 20, (len(own), 1))
    mean[(own["candidate_stratum"] == "S1").to_numpy(), :10] *= 3
    values = rng.negative_binomial(10, 10 / (10 + mean))
    return pd.DataFrame(values, own.index.astype(str), GENES)


def write_inputs(folder: Path, donors: AnnData, counts: pd.DataFrame | None = None) -> Path:
    """Write the inputs of the command; `counts` are those of `counts_of` unless given."""
    write_h5ad(folder / "donors.h5ad", donors)
    counts = counts_of(donors) if counts is None else counts
    own = donors.obs.loc[counts.index]
    n, n_genes = counts.shape
    filled = counts.to_numpy() > 0
    values = np.zeros((int(filled.sum()), 4), np.int64)
    values[:, COUNTS] = counts.to_numpy()[filled]
    sums = GroupedSums(
        n_genes,
        np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int64),
        np.nonzero(filled)[1].astype(np.int32),
        values,
    )
    samples = np.array([f"c:s{number}" for number in range(n)], object)
    aggregate = Aggregate(
        sample_ids=samples,
        sample_donors=own["donor_id"].to_numpy(object),
        sample_tissues=np.full(n, "blood", object),
        clusters=np.array(["0"], object),
        labels=np.array(["unknown"], object),
        gene_ids=np.array(GENES, object),
        group_sample=np.arange(n),
        group_cluster=np.zeros(n, np.int64),
        group_label=np.zeros(n, np.int64),
        group_half=np.zeros(n, np.int64),
        group_n_cells=np.full(n, 50),
        sums=sums,
    )
    write_aggregate(folder / "aggregate.npz", aggregate)
    pd.DataFrame({"sample_id": samples, "visit": own["visit"].to_numpy()}).to_parquet(
        folder / "samples.parquet"
    )
    one = {"cluster": "0", SOURCE_TERM: "unknown", "profile_cell_type": "T cell"}
    pd.DataFrame([one]).to_parquet(folder / "cell-types.parquet")
    pd.DataFrame({"gene_id": GENES, "symbol": list(SYMBOLS.values())}).to_parquet(
        folder / "features.parquet"
    )
    lines = ["PLANTED\tmade up\t" + "\t".join(list(SYMBOLS.values())[:8])]
    (folder / "sets.gmt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def explain(folder: Path, *options: str) -> int:
    names = ("donors.h5ad", "cell-types.parquet", "features.parquet")
    inputs = [f"--{name.split('.')[0]}={folder / name}" for name in names]
    return main(
        [
            "differential_expression",
            *inputs,
            "--cohort",
            "c",
            str(folder),
            "--out-dir",
            str(folder),
            *options,
        ]
    )
