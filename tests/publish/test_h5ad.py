"""What the piecewise AnnData writer writes is what AnnData reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.publish import h5ad


def write(path: Path, matrix: sparse.csr_matrix, cuts: list[int], obs: pd.DataFrame) -> None:
    var = pd.DataFrame(index=[f"g{number}" for number in range(matrix.shape[1])])
    with h5ad.create(path) as file:
        writer = h5ad.CsrWriter(file, "X", matrix.shape, matrix.nnz, np.float32)
        for start, stop in zip([0, *cuts], [*cuts, matrix.shape[0]], strict=True):
            part = matrix[start:stop]
            writer.append(np.diff(part.indptr), part.indices, part.data)
        writer.close()
        h5ad.write_frame(file, "obs", obs, index="cell_id")
        h5ad.write_frame(file, "var", var, index="gene_id")


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_rows=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
)
def test_blocks_make_the_same_matrix(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_rows: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    matrix = sparse.random(n_rows, 5, 0.4, "csr", dtype=np.float32, random_state=rng)
    obs = pd.DataFrame(index=[f"c{number}" for number in range(n_rows)])
    path = tmp_path_factory.mktemp("h5ad") / "x.h5ad"
    write(path, matrix, sorted(cut for cut in cuts if cut <= n_rows), obs)
    assert np.array_equal(read_h5ad(path).X.toarray(), matrix.toarray())


def test_columns_keep_their_kind(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {
            "text": pd.Series(["b", None, "a"], dtype=object),
            "flag": [True, False, True],
            "count": [1, 2, 3],
            "score": [0.5, np.nan, 1.0],
            "kind": pd.Categorical(["x", "y", "x"]),
        }
    )
    obs.index = ["c1", "c2", "ü3"]
    write(tmp_path / "x.h5ad", sparse.csr_matrix((3, 2), dtype=np.float32), [], obs)
    read = read_h5ad(tmp_path / "x.h5ad").obs
    assert list(read.index) == ["c1", "c2", "ü3"]
    assert read["text"].isna().tolist() == [False, True, False]
    assert read["text"].cat.categories.tolist() == ["a", "b"]
    assert read["flag"].dtype == bool
    assert read["count"].dtype == np.int64
    assert read["score"].isna().tolist() == [False, True, False]
    assert read["kind"].tolist() == ["x", "y", "x"]


def test_an_empty_frame_and_nested_values_are_read_back(tmp_path: Path) -> None:
    obs = pd.DataFrame({"text": pd.Series([], dtype=object)})
    with h5ad.create(tmp_path / "x.h5ad") as file:
        h5ad.write_frame(file, "obs", obs, index="cell_id")
        h5ad.write_frame(file, "var", pd.DataFrame(), index="gene_id")
        value = {"a": {"b": "text", "n": 3, "none": None}, "names": ["x", "y"], "flag": True}
        h5ad.write_value(file, "uns", value)
    read = read_h5ad(tmp_path / "x.h5ad")
    assert read.shape == (0, 0)
    assert read.uns["a"]["b"] == "text"
    assert read.uns["a"]["n"] == 3
    assert list(read.uns["names"]) == ["x", "y"]


def test_large_matrices_get_wide_indices(tmp_path: Path) -> None:
    with h5ad.create(tmp_path / "x.h5ad") as file:
        writer = h5ad.CsrWriter(file, "X", (1, 2), 2**31, np.float32)
        writer.append(np.array([1]), np.array([0]), np.array([1.0]))
        writer.close()
        assert file["X/indices"].dtype == file["X/indptr"].dtype == np.int64
