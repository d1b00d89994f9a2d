"""What `pmcell profile` and `pmcell strata` read, written from cells with an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmcell.cli import main
from pmcell.io.counts.aggregates import write_aggregate
from pmcell.io.h5ad import write_h5ad
from pmcell.tl.aggregate import aggregate
from pmcell.tl.cell_types import label_cells

if TYPE_CHECKING:
    from anndata import AnnData

FEW_DRAWS = "n_bootstraps: 3, n_null: 19, n_permutations: 99, n_folds: 3, channels: all"


def write_atlas(folder: Path, cells: AnnData, last_type: str = "", more: str = "") -> Path:
    """Embedding, clusters, cell types and a configuration with few draws and `more` keys."""
    embedding = cells.copy()
    cell_type = embedding.obs["cell_type"].astype("category")
    code = cell_type.cat.codes.astype(str).to_numpy()
    types = list(cell_type.cat.categories)
    embedding.obs = embedding.obs.drop(columns=["cell_type", "stratum"])
    del embedding.uns["truth"]
    write_h5ad(folder / "embedding.h5ad", embedding)
    pd.DataFrame({"cell_id": embedding.obs_names, "cluster": code}).to_parquet(
        folder / "clusters.parquet"
    )
    labels = [*types[:-1], last_type or types[-1]]
    clusters = pd.DataFrame({"cluster": [str(i) for i in range(len(types))], "cell_type": labels})
    clusters = clusters.assign(cell_type_ontology_term_id="unknown", cell_type_confidence=0.9)
    label_cells(pd.DataFrame({"cluster": code}), clusters).to_parquet(folder / "cell-types.parquet")
    _write_sums(folder, cells, code)
    configure(folder, more)
    return folder


def _write_sums(folder: Path, cells: AnnData, cluster: NDArray[np.object_]) -> None:
    """Sums of one gene, and the samples: one of each visit."""
    obs = pd.DataFrame(
        {
            "donor_id": cells.obs["donor_id"].astype(str),
            "visit": cells.obs["visit"].astype(str),
            "cluster": cluster,
        }
    )
    obs["sample_id"] = obs["donor_id"] + "-" + obs["visit"]
    counted = anndata.AnnData(np.ones((len(obs), 1), np.float32), obs=obs)
    write_aggregate(folder / "aggregate.npz", aggregate(counted))
    obs[["sample_id", "visit"]].drop_duplicates().to_parquet(folder / "samples.parquet")


def configure(folder: Path, more: str = "") -> None:
    """Few draws, and `more` keys of the section `strata`."""
    keys = ", ".join(filter(None, [FEW_DRAWS, more]))
    (folder / "config.yaml").write_text(f"strata: {{{keys}}}\n", encoding="utf-8")


def profile(folder: Path) -> int:
    """Run `pmcell profile`."""
    names = ("embedding.h5ad", "clusters.parquet", "cell-types.parquet")
    inputs = [f"--{name.split('.')[0]}={folder / name}" for name in names]
    inputs += ["--cohort", "c", str(folder)]
    out = ["--out", str(folder / "profiles.h5ad")]
    return main(
        ["profile", *inputs, *out, "--composition-out", str(folder / "composition.parquet")]
    )


def strata(folder: Path) -> int:
    """Run `pmcell strata`."""
    options = ["--profiles", str(folder / "profiles.h5ad"), "--out-dir", str(folder)]
    return main(["strata", *options, "--config", str(folder / "config.yaml")])
