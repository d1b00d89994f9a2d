"""A column that came with the cells is kept under another name where a step writes one like it."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

import pmcell as pm


def cells() -> anndata.AnnData:
    rng = np.random.default_rng(0)
    genes = ["MS4A1", "CD79A", "CD19", "CD3D", "CD3E", "TRAC"]
    rate = np.repeat([[9, 8, 7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 8, 9, 7]], 20, 0)
    obs = pd.DataFrame({"sample_id": "s"}, [f"c{at}" for at in range(40)])
    adata = anndata.AnnData(rng.poisson(rate), obs, pd.DataFrame(index=genes))
    adata.obsm["X_integrated"] = rng.normal(size=(40, 4)) + np.repeat([[0.0], [8.0]], 20, 0)
    return adata


def run_qc(adata: anndata.AnnData) -> None:
    pm.pp.qc(adata, options=pm.pp.QcOptions(score_doublets=False))


def run_cluster(adata: anndata.AnnData) -> None:
    pm.tl.neighbors(adata)
    pm.tl.cluster(adata)


def run_annotate(adata: anndata.AnnData) -> None:
    adata.obs["of_the_study"] = np.repeat(["0", "1"], 20)
    pm.tl.annotate(adata, by=("sample_id", "of_the_study"))


WRITTEN = [
    *[(run_qc, name) for name in ("total_counts", "doublet_score", "passes_qc", "exclusion")],
    (run_cluster, "cluster"),
    *[(run_annotate, name) for name in ("cell_type", "cell_type_confidence")],
]


@pytest.mark.filterwarnings("ignore:no gene of var is mitochondrial")
@pytest.mark.parametrize(("step", "name"), WRITTEN)
def test_a_column_of_the_source_is_kept_and_ours_is_replaced(step, name) -> None:
    adata = cells()
    adata.obs[name] = "theirs"
    step(adata)
    assert (adata.obs[f"source_{name}"] == "theirs").all()
    first = adata.obs[name].copy()
    assert (first.astype(str) != "theirs").all()
    step(adata)
    assert (adata.obs[f"source_{name}"] == "theirs").all()
    assert f"source_source_{name}" not in adata.obs
    pd.testing.assert_series_equal(adata.obs[name], first)


@pytest.mark.filterwarnings("ignore:no gene of var is mitochondrial")
@pytest.mark.parametrize("step", [run_qc, run_cluster, run_annotate])
def test_every_column_that_a_step_writes_is_marked_as_ours(step) -> None:
    adata = cells()
    before = {*adata.obs, "of_the_study"}
    step(adata)
    assert set(adata.uns["pmcell_columns"]) == set(adata.obs) - before


def test_a_name_that_is_taken_already_gets_another() -> None:
    adata = cells()
    adata.obs["cluster"], adata.obs["source_cluster"] = "theirs", "older"
    run_cluster(adata)
    assert (adata.obs["source_source_cluster"] == "theirs").all()
    assert (adata.obs["source_cluster"] == "older").all()
