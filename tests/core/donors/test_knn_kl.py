"""The k-nearest-neighbour divergence: the slow version's values, both conventions, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell.core.donors.knn_kl import knn_kl
from pmcell.errors import DataError, UsageError


def naive(x: np.ndarray, group: np.ndarray, k: int, count_own: bool) -> np.ndarray:
    n_groups = group.max() + 1
    out = np.zeros((n_groups, n_groups))
    for i in range(n_groups):
        for j in range(n_groups):
            if i == j:
                continue
            a, b = x[group == i], x[group == j]
            own = np.sort(np.linalg.norm(a[:, None] - a[None], axis=2), axis=1)
            other = np.sort(np.linalg.norm(a[:, None] - b[None], axis=2), axis=1)
            ratio = np.log(other[:, k - 1] / own[:, k - 1 if count_own else k])
            kl = x.shape[1] * ratio.mean() + np.log(len(b) / (len(a) - 1))
            out[i, j] += kl
            out[j, i] += kl
    return out


@pytest.mark.parametrize("count_own", [True, False])
def test_values_are_those_of_the_slow_version(count_own: bool) -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 200)
    x = rng.normal(size=(200, 3)) + group[:, None] * 0.5
    got = knn_kl(x, group, 4, 5, count_own=count_own)
    assert np.allclose(got, naive(x, group, 5, count_own), rtol=1e-4, atol=1e-4)


def test_a_shifted_cloud_is_as_far_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 3000)
    x = rng.normal(size=(6000, 2)) + group[:, None] * np.array([1.0, 0.0])
    # KL of two unit Gaussians one apart is 1/2 each way.
    assert knn_kl(x, group, 2, 5, count_own=False)[0, 1] == pytest.approx(1.0, abs=0.12)


def cells() -> AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"donor_id": np.repeat(["a", "b", "c"], 40), "visit": "T0"},
        index=[f"c{i}" for i in range(120)],
    )
    return AnnData(obs=obs, obsm={"X_integrated": rng.normal(size=(120, 3))})


def test_rows_are_named_as_in_the_profile() -> None:
    table = pm.strata.knn_kl(cells(), k=10)
    assert list(table.index) == list(table.columns) == ["a|T0", "b|T0", "c|T0"]
    assert np.allclose(table, table.T)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(DataError, match="more than 40 cells; 3 do not"):
        pm.strata.knn_kl(cells(), k=40)
    with pytest.raises(UsageError, match="estimator must be"):
        pm.strata.knn_kl(cells(), estimator="other")
    with pytest.raises(UsageError, match="k must be at least 2"):
        pm.strata.knn_kl(cells(), k=1, estimator="gloscope_py")
    with pytest.raises(UsageError, match="by must name"):
        pm.strata.knn_kl(cells(), by=("patient",))
    broken = cells()
    broken.obsm["X_integrated"][0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        pm.strata.knn_kl(broken)
