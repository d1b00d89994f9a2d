"""The tables of a count file are as anndata reads them, without anndata where pmcell wrote them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.counts.open import open_counts
from pmcell.io.h5ad import write_h5ad


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "intake.h5ad"
    obs = pd.DataFrame(
        {"sample_id": ["s1", "s2", "s1"], "score": [0.5, np.nan, 2.0]}, index=["c1", "c2", "ü3"]
    )
    var = pd.DataFrame({"symbol": ["A", "B"]}, index=["ENSG00000000003", "ENSG00000000005"])
    with CanonicalWriter(path, obs, var) as writer:
        writer.append(sparse.csr_matrix(np.array([[1, 0], [0, 2], [3, 4]], np.int32)))
    return path


def as_objects(frame: pd.DataFrame) -> pd.DataFrame:
    text = [name for name in frame if frame[name].dtype.kind not in "iufb"]
    return frame.astype(dict.fromkeys(text, object))


def test_frames_of_a_canonical_file_are_those_that_anndata_reads(canonical: Path) -> None:
    counts, wanted = open_counts(canonical), ad.read_h5ad(canonical)
    pd.testing.assert_frame_equal(counts.read_obs(), as_objects(wanted.obs))
    pd.testing.assert_frame_equal(counts.read_var(), as_objects(wanted.var))
    assert list(counts.cell_ids) == list(wanted.obs_names)


def test_columns_of_other_kinds_are_those_that_anndata_reads(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {
            "gone": pd.Categorical(["x", None, "y"]),
            "flag": pd.array([True, None, False], "boolean"),
            "count": [1, 2, 3],
            "years": pd.Categorical([30, 40, 30]),
        },
        index=["c1", "c2", "c3"],
    )
    matrix = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    write_h5ad(tmp_path / "x.h5ad", ad.AnnData(X=matrix, obs=obs))
    found = open_counts(tmp_path / "x.h5ad").read_obs()
    pd.testing.assert_frame_equal(found, as_objects(ad.read_h5ad(tmp_path / "x.h5ad").obs))


def test_a_canonical_file_is_read_without_importing_anndata(canonical: Path) -> None:
    code = (
        "import sys; from pmcell.io.counts.open import open_counts; "
        f"counts = open_counts({str(canonical)!r}); counts.read_obs(); "
        "print([block.data.sum() for block in counts.iter_blocks()], 'anndata' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip().endswith("False")
