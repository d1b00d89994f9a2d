"""An aggregate is read as it was written; equal content gives equal bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from pmcell.core.counts.aggregate import groups_of
from pmcell.core.counts.sums import COUNTS
from pmcell.errors import DataError, UsageError
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.io.counts import aggregates
from pmcell.io.counts.aggregates import open_aggregates, read_aggregate, write_aggregate
from pmcell.tl import aggregate


def make_aggregate(counts: object = ((1, 0), (2, 3), (0, 4))):
    obs = pd.DataFrame({"sample_id": list("sst"), "cluster": list("010")}, list("abc"))
    return aggregate(anndata.AnnData(np.array(counts), obs=obs))


def test_an_aggregate_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = make_aggregate()
    write_aggregate(tmp_path / "a.npz", written)
    found = read_aggregate(tmp_path / "a.npz")
    for name in ("sample_ids", "sample_donors", "sample_tissues", "clusters", "gene_ids"):
        assert list(getattr(found, name)) == list(getattr(written, name))
    for name in ("group_sample", "group_cluster", "group_half", "group_n_cells"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    for column in range(4):
        assert (found.sums.matrix(column) != written.sums.matrix(column)).nnz == 0


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_aggregate(tmp_path / name, make_aggregate())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_aggregates_are_opened_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, count in (("b.npz", 2), ("a.npz", 1)):
        write_aggregate(tmp_path / name, make_aggregate(((count, 0), (0, 0), (0, 0))))
    files = open_aggregates([tmp_path / "b.npz", tmp_path / "a.npz"])
    assert [int(part.sums.matrix(0).sum()) for part in files] == [1, 2]
    assert (len(files), len(files[1:])) == (2, 1)


def test_an_aggregate_that_is_given_twice_or_missing_is_refused(tmp_path: Path) -> None:
    write_aggregate(tmp_path / "a.npz", make_aggregate())
    with pytest.raises(UsageError, match="given once"):
        open_aggregates([tmp_path / "a.npz", tmp_path / "a.npz"])
    with pytest.raises(UsageError, match="there is no such file"):
        open_aggregates([tmp_path / "none.npz"])


def test_another_array_file_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", clusters=["0"])
    with pytest.raises(DataError, match=r"'gene_ids'.*Run aggregate again"):
        read_aggregate(tmp_path / "a.npz")


def test_groups_are_read_without_the_sums_and_sums_one_by_one(tmp_path: Path, monkeypatch) -> None:
    write_aggregate(tmp_path / "a.npz", make_aggregate())
    read: set[str] = set()

    def watched(path, names=None):
        read.update(names)
        return read_arrays(path, names)

    monkeypatch.setattr(aggregates, "read_arrays", watched)
    files = open_aggregates([tmp_path / "a.npz"])
    (found,) = groups_of(files)
    assert list(found.clusters) == ["0", "1"]
    assert "counts" not in read
    assert list(files[0].clusters) == list(found.clusters)
    assert files[0].sums.matrix(COUNTS).toarray().tolist() == [[1, 0], [2, 3], [0, 4]]
    assert read & {"counts", "n_detected", "sum_q", "sum_q2"} == {"counts"}


@pytest.mark.parametrize("largest", [0, 255, 256, 65_536, 2**32 - 1, 2**32, 2**62])
def test_sums_of_any_size_are_read_as_int64(tmp_path: Path, largest: int) -> None:
    written = make_aggregate()
    values = written.sums.values.copy()
    values[0] = largest
    sums = replace(written.sums, values=values)
    write_aggregate(tmp_path / "a.npz", replace(written, sums=sums))
    found = read_aggregate(tmp_path / "a.npz").sums
    assert found.values.dtype == found.matrix(COUNTS).dtype == np.int64
    np.testing.assert_array_equal(found.values, values)


def test_sums_that_are_missing_are_told(tmp_path: Path) -> None:
    write_aggregate(tmp_path / "a.npz", make_aggregate())
    kept = read_arrays(tmp_path / "a.npz")
    del kept["sum_q2"]
    write_arrays(tmp_path / "a.npz", **kept)
    with pytest.raises(DataError, match=r"'sum_q2'.*Run aggregate again"):
        read_aggregate(tmp_path / "a.npz")
