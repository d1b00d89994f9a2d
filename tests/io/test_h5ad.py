"""What the one AnnData writer writes is what AnnData reads; equal content gives equal bytes."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pmcell.io import h5ad


def write(path: Path, matrix: sparse.csr_matrix, cuts: list[int], obs: pd.DataFrame) -> None:
    var = pd.DataFrame(index=[f"g{number}" for number in range(matrix.shape[1])])
    with h5ad.create_h5ad(path) as file:
        writer = h5ad.CsrWriter(file, "X", matrix.shape, dtype=np.float32, n_values=matrix.nnz)
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
    with h5ad.create_h5ad(tmp_path / "x.h5ad") as file:
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
    path = tmp_path / "x.h5ad"
    with h5ad.create_h5ad(path) as file:
        writer = h5ad.CsrWriter(file, "X", (1, 2), dtype=np.float32, n_values=2**31)
        writer.append(np.array([1]), np.array([0]), np.array([1.0]))
        writer.close()
        assert file["X/indices"].dtype == file["X/indptr"].dtype == np.int64


def whole() -> ad.AnnData:
    """An AnnData with every kind of value that a step hands on."""
    obs = pd.DataFrame(
        {
            "once": pd.Series(["b", "c", "a"], dtype=object),
            "often": pd.Series(["b", "b", "a"], dtype=object),
            "missing": pd.Series(["b", None, "a"], dtype=object),
            "nullable_text": pd.array(["x", pd.NA, "y"], dtype="string"),
            "kind": pd.Categorical(["2", "10", "2"], ["2", "10", "30"], ordered=True),
            "flag": [True, False, True],
            "count": pd.array([1, 2, 3], dtype="Int64"),
            "gap": pd.array([1, pd.NA, 3], dtype="Int64"),
            "maybe": pd.array([True, pd.NA, False], dtype="boolean"),
        }
    )
    obs.index = pd.Index(["c1", "c2", "ü3"], name="cell_id")
    links = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]], np.float32))
    return ad.AnnData(
        np.arange(6, dtype=np.float32).reshape(3, 2),
        obs=obs,
        var=pd.DataFrame(index=["g1", "g2"]),
        obsm={"X_pca": np.eye(3)},
        obsp={"connectivities": links},
        uns={"a": {"n": 1, "none": None}, "names": ["x", "y"], "t": pd.DataFrame({"k": [1.5]})},
    )


def test_an_anndata_is_read_as_it_was_written(tmp_path: Path) -> None:
    adata = whole()
    h5ad.write_h5ad(tmp_path / "x.h5ad", adata)
    read = h5ad.read_h5ad(tmp_path / "x.h5ad")
    assert np.array_equal(read.X, adata.X)
    assert read.obs.index.name == "cell_id"
    assert list(read.obs_names) == ["c1", "c2", "ü3"]
    assert list(read.obs["once"]) == ["b", "c", "a"]
    assert not isinstance(read.obs["once"].dtype, pd.CategoricalDtype)
    assert list(read.obs["often"].cat.categories) == ["a", "b"]
    for name in ("missing", "nullable_text", "gap", "maybe"):
        assert read.obs[name].isna().tolist() == [False, True, False], name
    assert read.obs["kind"].dtype == adata.obs["kind"].dtype
    assert read.obs["gap"].dtype == "Int64"
    assert read.obs["count"].dtype == np.int64
    assert read.obs["maybe"].tolist()[::2] == [True, False]
    assert sparse.issparse(read.obsp["connectivities"])
    assert (read.obsp["connectivities"] != adata.obsp["connectivities"]).nnz == 0
    assert read.uns["a"] == {"n": 1, "none": None}
    assert list(read.uns["names"]) == ["x", "y"]
    assert read.uns["t"]["k"].tolist() == [1.5]


def test_no_text_is_a_nullable_array(tmp_path: Path) -> None:
    h5ad.write_h5ad(tmp_path / "x.h5ad", whole())
    kinds: dict[str, str] = {}
    with h5py.File(tmp_path / "x.h5ad") as file:
        file.visititems(lambda name, item: kinds.update({name: item.attrs.get("encoding-type")}))
    assert "nullable-string-array" not in kinds.values()
    assert kinds["obs/nullable_text"] == "categorical"
    assert kinds["obs/once"] == kinds["obs/cell_id"] == "string-array"


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    h5ad.write_h5ad(tmp_path / "a.h5ad", whole())
    h5ad.write_h5ad(tmp_path / "b.h5ad", h5ad.read_h5ad(tmp_path / "a.h5ad"))
    h5ad.write_h5ad(tmp_path / "c.h5ad", whole())
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "c.h5ad").read_bytes()
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


def test_a_category_that_no_row_has_is_not_published(tmp_path: Path) -> None:
    obs = pd.DataFrame({"donor_id": pd.Categorical(["d1"], ["d1", "left_out"])}, index=["c1"])
    with h5ad.create_h5ad(tmp_path / "x.h5ad") as file:
        h5ad.write_frame(file, "obs", obs, index="cell_id")
        h5ad.write_frame(file, "var", pd.DataFrame(), index="gene_id")
    assert b"left_out" not in (tmp_path / "x.h5ad").read_bytes()


@pytest.mark.parametrize("fails_in", ["the block", "the writer"])
def test_on_an_error_the_older_file_stays(tmp_path: Path, fails_in: str) -> None:
    path = tmp_path / "x.h5ad"
    path.write_text("old")

    message = "stop" if fails_in == "the block" else "2 rows were announced"
    with pytest.raises(ValueError, match=message), h5ad.create_h5ad(path) as file:
        if fails_in == "the block":
            raise ValueError("stop")
        h5ad.CsrWriter(file, "X", (2, 2), dtype=np.float32).close()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["x.h5ad"]


@pytest.mark.parametrize("storage", [h5ad.PUBLISHED, h5ad.UNPACKED, h5ad.Storage(1, checksum=True)])
@pytest.mark.parametrize("shape", [(9,), (300_001,), (5_000, 50), (3, 200_000), (70, 40, 60)])
def test_arrays_of_any_shape_and_kind_are_read_back(
    tmp_path: Path, storage: h5ad.Storage, shape: tuple[int, ...]
) -> None:
    numbers = np.random.default_rng(0).integers(-100, 100, shape)
    kinds = (np.float32, np.float64, np.int8, np.uint16, np.int64, bool)
    with h5ad.create_h5ad(tmp_path / "x.h5ad") as file:
        for kind in kinds:
            h5ad.write_array(
                file["uns"], np.dtype(kind).name, numbers.astype(kind), storage=storage
            )
    with h5py.File(tmp_path / "x.h5ad") as file:
        for kind in kinds:
            found = file["uns"][np.dtype(kind).name][()]
            assert found.dtype == kind
            assert np.array_equal(found, numbers.astype(kind))
