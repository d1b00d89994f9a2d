"""Objects between steps: what lies on the disk is what every version of anndata reads."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from pmcell.io.h5ad import portable_frame, read_h5ad, write_h5ad

# Known to anndata 0.12; later ones added nullable strings.
READ_BY_ALL = {
    *("anndata", "array", "categorical", "csr_matrix", "dataframe", "dict", "numeric-scalar"),
    *("nullable-boolean", "nullable-integer", "string", "string-array"),
}


def obs() -> pd.DataFrame:
    """Text of every type that pandas 2 and 3 have, with and without missing values."""
    frame = pd.DataFrame(index=pd.Index(["c1", "c2", "c3"], dtype="string"))
    frame["object"] = pd.Series(["a", "a", "b"], index=frame.index, dtype=object)
    frame["object_missing"] = pd.Series(["a", None, float("nan")], index=frame.index, dtype=object)
    frame["unique"] = ["a", "b", "c"]
    frame["nullable"] = pd.array(["a", None, "a"], dtype="string")
    frame["nullable_unique"] = pd.array(["a", "b", "c"], dtype="string")
    frame["category"] = pd.Categorical(pd.array(["a", None, "b"], dtype="string"))
    frame["ordered"] = pd.Categorical(["b", "a", "b"], categories=["b", "a"], ordered=True)
    frame["number_category"] = pd.Categorical([3, 1, 3])
    frame["number"] = [1.5, np.nan, 2.0]
    frame["count"] = pd.array([1, None, 2], dtype="Int64")
    frame["flag"] = [True, False, True]
    return frame


def study() -> ad.AnnData:
    uns = {
        "frame": pd.DataFrame({"text": pd.array(["a", "b"], dtype="string")}),
        "part": {"names": pd.Index(["a", "b"], dtype="string"), "array": np.array(["a", "b"])},
        "list": ["a", "b"],
        "word": "a",
    }
    return ad.AnnData(
        np.zeros((3, 2)),
        obs=obs(),
        var=pd.DataFrame(index=pd.Index(["g1", "g2"], dtype="string")),
        uns=uns,
        obsm={"X_pca": np.ones((3, 2))},
        obsp={"connectivities": sp.csr_matrix(np.eye(3))},
    )


def encodings(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with h5py.File(path, "r") as file:
        found["/"] = file.attrs["encoding-type"]
        file.visititems(lambda name, item: found.update({name: item.attrs.get("encoding-type")}))
    return found


def test_nothing_is_written_that_an_older_anndata_refuses(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "a.h5ad", study())
    found = {
        name: kind
        for name, kind in encodings(tmp_path / "a.h5ad").items()
        if not name.startswith("obsp/connectivities/")
    }
    assert set(found.values()) <= READ_BY_ALL
    assert found["obs/_index"] == found["obs/unique"] == found["uns/frame/text"] == "string-array"
    assert found["obs/object"] == found["obs/nullable"] == found["obs/category"] == "categorical"


def test_what_is_read_again_is_what_was_written(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "a.h5ad", study())
    again, before = read_h5ad(tmp_path / "a.h5ad"), obs()
    assert again.obs_names.tolist() == ["c1", "c2", "c3"]
    for name in before:
        assert (again.obs[name].isna() == before[name].isna().to_numpy()).all()
        known = before[name].notna().to_numpy()
        assert again.obs[name][known].tolist() == before[name][known].tolist()
    assert again.obs["ordered"].cat.ordered
    assert again.obs["ordered"].cat.categories.tolist() == ["b", "a"]
    assert again.uns["frame"]["text"].tolist() == ["a", "b"]
    assert list(again.uns["part"]["names"]) == ["a", "b"]
    assert np.array_equal(again.obsm["X_pca"], np.ones((3, 2)))
    assert again.obsp["connectivities"].sum() == 3


def test_the_object_that_is_written_is_left_as_it_was(tmp_path: Path) -> None:
    adata = study()
    before = adata.obs.dtypes.to_dict()
    write_h5ad(tmp_path / "a.h5ad", adata)
    assert adata.obs.dtypes.to_dict() == before


def test_empty_frame_stays_empty() -> None:
    frame = portable_frame(obs().iloc[:0])
    assert frame.shape == (0, obs().shape[1])
