"""The promise: same cells, same bits, for any threads, order of cells and split into cohorts."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import pmcell as pm
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.counts.moments import moments
from pmcell.core.pca.gram import basis, gram
from pmcell.core.pca.project import project
from pmcell.pp.accept import select

N_TOP = 150


@pytest.fixture(scope="module")
def adata():
    return pm.simulate.simulate(n_cohorts=3, n_donors=9, cells_per_sample=60, n_genes=300, seed=4)


def atlas(cohorts):
    """Moments, Gram sums, basis and scores by cell of cohorts given as AnnData."""
    parts = []
    for at, cells in enumerate(cohorts):
        labels = cells.obs["batch_id"].to_numpy(str)
        batches = np.unique(labels)
        codes = np.searchsorted(batches, labels).astype(np.int64)
        found = moments(MatrixCounts(cells.X), codes, batches.tolist())
        parts.append((f"cohort{at}", cells.var_names.to_numpy(str), found))
    chosen = select(parts, n_top=N_TOP)
    features = chosen.genes[chosen.chosen]
    grams, positions = [], []
    for cells in cohorts:
        position = {gene: at for at, gene in enumerate(features)}
        of_gene = np.array([position.get(gene, -1) for gene in cells.var_names], np.int64)
        used = np.ones(cells.n_obs, bool)
        grams.append(gram(MatrixCounts(cells.X), of_gene, features.size, used))
        positions.append(of_gene)
    found = basis(grams, 20)
    scores = {}
    for cells, of_gene, sums in zip(cohorts, positions, grams, strict=True):
        used = np.ones(cells.n_obs, bool)
        points = project(MatrixCounts(cells.X), of_gene, used, found, sums.measured)
        scores.update(zip(cells.obs_names, points, strict=True))
    products = sum(item.products for item in grams)
    sums = sum(item.sums for item in grams)
    ordered = np.stack([scores[name] for name in sorted(scores)])
    return {
        "ranks": chosen.ranks,
        "features": features,
        "sums": sums,
        "products": products,
        "means": found.means,
        "components": found.components,
        "variances": found.variances,
        "scores": ordered,
    }


def assert_same_bits(one, other):
    for name, value in one.items():
        assert value.tobytes() == other[name].tobytes(), name


@pytest.fixture(scope="module")
def reference(adata):
    return atlas([adata])


def test_one_and_two_threads_give_the_same_bits(adata, reference):
    numba.set_num_threads(1)
    try:
        single = atlas([adata])
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert_same_bits(reference, single)


def test_shuffled_cells_give_the_same_bits(adata, reference):
    order = np.random.default_rng(0).permutation(adata.n_obs)
    assert_same_bits(reference, atlas([adata[order].copy()]))


def test_three_cohorts_give_the_bits_of_one(adata, reference):
    parts = [
        adata[(adata.obs["cohort_id"] == name).to_numpy()].copy()
        for name in np.unique(adata.obs["cohort_id"])
    ]
    assert len(parts) == 3
    assert_same_bits(reference, atlas(parts))


def test_a_cut_through_batches_gives_the_same_bits(adata, reference):
    assert_same_bits(reference, atlas([adata[:100].copy(), adata[100:].copy()]))


def test_other_cells_give_other_bits(adata, reference):
    fewer = atlas([adata[:-1].copy()])
    assert fewer["products"].tobytes() != reference["products"].tobytes()
