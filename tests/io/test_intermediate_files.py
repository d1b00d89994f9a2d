"""Files between steps: written whole or not at all, read in blocks, refused when damaged."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counts_data import random_counts
from pmcell.errors import DataError
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.io.atomic import atomic_path, sha256_file, write_json
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.counts.open import open_counts
from pmcell.io.h5ad import read_h5ad


@pytest.fixture(scope="module")
def matrix():
    return random_counts(90, 40)


@pytest.fixture(scope="module")
def path(matrix, tmp_path_factory):
    target = tmp_path_factory.mktemp("counts") / "intake.h5ad"
    obs = pd.DataFrame(
        {"sample_id": np.repeat(["a", "b", "c"], 30)}, index=[f"c{at}" for at in range(90)]
    )
    var = pd.DataFrame(
        {"symbol": [f"S{at}" for at in range(40)]}, index=[f"G{at}" for at in range(40)]
    )
    with CanonicalWriter(target, obs, var) as writer:
        writer.append(matrix)
    return target


@settings(max_examples=20, deadline=None)
@given(block_values=st.integers(1, 2000))
def test_blocks_of_any_size_give_every_cell_once_and_in_order(path, matrix, block_values):
    from dataclasses import replace

    counts = replace(open_counts(path), block_values=block_values)
    dense = np.zeros(matrix.shape, np.int64)
    end = 0
    for block in counts.iter_blocks():
        assert block.start == end
        end = block.start + block.n_rows
        for row in range(block.n_rows):
            entries = slice(block.indptr[row], block.indptr[row + 1])
            dense[block.start + row, block.indices[entries]] = block.data[entries]
    assert end == matrix.shape[0]
    np.testing.assert_array_equal(dense, matrix.toarray())


def test_rows_are_read_where_they_stand(path, matrix):
    rows = np.array([3, 4, 50, 89])
    found = open_counts(path).read_rows(rows)
    np.testing.assert_array_equal(found.toarray(), matrix[rows].toarray())
    assert open_counts(path).read_rows(rows[:0]).shape == (0, 40)


def test_tables_come_back_as_plain_text(path):
    counts = open_counts(path)
    assert counts.read_obs()["sample_id"].tolist() == ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    assert counts.read_var()["symbol"].iloc[0] == "S0"


def test_a_truncated_count_file_is_refused_with_what_to_do(path, tmp_path):
    damaged = tmp_path / "intake.h5ad"
    damaged.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="Run intake again"):
        open_counts(damaged)


def test_a_missing_count_file_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        open_counts(tmp_path / "none.h5ad")


def test_arrays_come_back_equal_and_equal_arrays_give_equal_bytes(tmp_path):
    names = np.array(["b", "ccc"], dtype=object)
    for target in ("one.npz", "two.npz"):
        write_arrays(tmp_path / target, names=names, values=np.arange(3))
    found = read_arrays(tmp_path / "one.npz")
    assert found["names"].tolist() == ["b", "ccc"]
    assert sha256_file(tmp_path / "one.npz") == sha256_file(tmp_path / "two.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file"])
def test_damaged_arrays_are_refused(tmp_path, content):
    (tmp_path / "moments.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"moments\.npz must be an array file"):
        read_arrays(tmp_path / "moments.npz")


def test_a_damaged_h5ad_between_steps_is_refused(tmp_path):
    (tmp_path / "graph.h5ad").write_bytes(b"not hdf5")
    with pytest.raises(DataError, match="Remove it and run again"):
        read_h5ad(tmp_path / "graph.h5ad")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "status.json"
    write_json(target, {"b": 1, "a": 2})

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert json.loads(target.read_text()) == {"a": 2, "b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
