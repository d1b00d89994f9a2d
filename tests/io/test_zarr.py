"""A zarr store gives the counts that an h5ad gives; what could harm or mislead is refused."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zipfile

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from pmcell.errors import DataError, FaultsError
from pmcell.io.counts.open import open_counts
from pmcell.io.submitted.limits import Limits
from pmcell.io.submitted.preflight import preflight
from pmcell.io.submitted.readers import detect_format, inspect, iter_counts
from pmcell.io.zarr_store import store_digest
from pmcell.registry.intake.sizes import matrix_bytes
from submissions import write_zarr


def dense(submission, layer="X"):
    blocks = iter_counts(submission, layer, max_values=50)
    return sp.vstack([block for _, block in blocks]).toarray()


@pytest.fixture(scope="module")
def written(tmp_path_factory, counts, barcodes):
    path = tmp_path_factory.mktemp("written") / "a.zarr"
    obs = {"s": ["x", "y"] * 20, "n": np.arange(40)}
    return write_zarr(path, sp.csr_matrix(counts), barcodes, version=2, obs=obs)


@pytest.fixture
def store(written, tmp_path):
    return shutil.copytree(written, tmp_path / "a.zarr")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
def test_stores_of_both_formats_give_the_same_counts(tmp_path, counts, barcodes, version, name):
    csr = sp.csr_matrix(counts.astype(np.float32))
    parts = {"layers": {"dense": counts}, "raw": csr.tocsc(), "obs": {"s": ["x", "y"] * 20}}
    path = write_zarr(tmp_path / name, csr, barcodes, version=version, **parts)
    assert detect_format(path) == "zarr"
    submission = inspect(path)
    assert list(submission.obs.index) == barcodes
    assert list(submission.obs["s"].astype(str)) == ["x", "y"] * 20
    for layer in ("X", "raw.X", "layers/dense"):
        assert submission.summary_of(layer).looks_like == "counts"
        np.testing.assert_array_equal(dense(submission, layer), counts)
    (block,) = open_counts(path).iter_blocks()
    np.testing.assert_array_equal(
        sp.csr_matrix((block.data, block.indices, block.indptr), counts.shape).toarray(), counts
    )


def test_a_zip_with_the_folder_around_the_store_is_read(store, counts, tmp_path):
    path = shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path, store.name)
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def refuse(path, reason, place, limits=None):
    with pytest.raises(FaultsError, match=place) as error:
        preflight(path, "zarr", limits)
    assert reason in {fault.reason for fault in error.value.faults}


@pytest.mark.parametrize("place", ["X/data/9", "obs/other"])
def test_a_link_is_refused_and_not_followed(store, tmp_path, place):
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    (store / place).symlink_to(secret)
    refuse(store, "soft_link", f"a.zarr:/{place}")


def test_a_link_to_a_folder_is_refused(store, tmp_path):
    shutil.move(store / "X", tmp_path / "elsewhere")
    (store / "X").symlink_to(tmp_path / "elsewhere")
    refuse(store, "soft_link", "a.zarr:/X")


def test_a_pipe_is_refused(store):
    os.mkfifo(store / "X" / "data" / "1")
    refuse(store, "entry_not_allowed", "a device or pipe")


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "X/../../out", "X\\data"])
def test_a_zip_with_names_that_lead_out_of_it_is_refused(tmp_path, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        archive.writestr(name, "x")
    refuse(path, "entry_not_allowed", "leads out of the store")


def test_a_zip_with_one_name_twice_or_a_link_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("X")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(".zgroup", '{"zarr_format": 2}')
        archive.writestr(link, "/etc/passwd")
    refuse(path, "entry_not_allowed", "stands twice")
    refuse(path, "soft_link", "a link")


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        archive.writestr("X/0", bytes(2**21))
    refuse(path, "bomb", "X/0", Limits(ratio_from=2**20, max_ratio=100))


def change(store, place, **values):
    path = store / place / ".zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "reason", "found"),
    [
        ({"shape": [2**40]}, "bomb", "GB declared"),
        ({"shape": [2**28], "chunks": [2**28]}, "bomb", "GB declared"),
        ({"compressor": {"id": "pickle"}}, "filter_not_allowed", "codec 'pickle'"),
        ({"filters": [{"id": "pickle"}], "dtype": "|O"}, "filter_not_allowed", "pickle"),
        ({"dtype": [["a", "<i4"]]}, "filter_not_allowed", "type"),
        ({"shape": [-1]}, "unreadable", "whole numbers"),
        ({"shape": "many"}, "unreadable", "whole numbers"),
        ({"chunks": [0]}, "unreadable", "whole numbers"),
    ],
)
def test_arrays_that_could_harm_are_refused(store, values, reason, found):
    change(store, "X/data", **values)
    refuse(store, reason, found)


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "numcodecs.pickle", "configuration": {}}],
        [{"name": "bytes"}, {"name": "gzip"}, {"name": "zstd"}],
        [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "x"}]}}],
    ],
)
def test_codecs_of_format_3_that_are_not_on_the_list_are_refused(
    tmp_path, counts, barcodes, codecs
):
    store = write_zarr(tmp_path / "a.zarr", sp.csr_matrix(counts), barcodes)
    path = store / "X" / "data" / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"codecs": codecs}))
    refuse(store, "filter_not_allowed", "a.zarr:/X/data")


def test_a_missing_chunk_of_a_sparse_matrix_is_no_zeros(store):
    (store / "X" / "data" / "0").unlink()
    refuse(store, "truncated", "all 1 chunks of a sparse matrix must be there; found 0")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("obs/_index", "of names"),
        ("var/_index", "of names"),
        ("obs/s/categories", "of labels"),
        ("obs/s/codes", "labels without cells"),
    ],
)
def test_a_missing_chunk_of_names_and_labels_is_no_text(
    tmp_path, counts, barcodes, version, place, what
):
    # Writers leave out a chunk of zeros: the codes of a column with one label.
    obs = {"s": pd.Categorical(["x", "y"] * 20), "one": pd.Categorical(["z"] * 40)}
    store = write_zarr(tmp_path / "a.zarr", counts, barcodes, version=version, obs=obs)
    assert list(inspect(store).obs["one"].astype(str)) == ["z"] * 40
    (store / place / ("0" if version == 2 else "c/0")).unlink()
    with pytest.raises(DataError, match=f"all 1 chunks .*{what}") as error:
        inspect(store)
    assert error.value.reason == "truncated"


def cut_into_chunks(store, place, chunks):
    """Write an array of a store again in small chunks, those of zeros left out; its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(store, mode="r+", use_consolidated=False)
        values, attributes = root[place][...], dict(root[place].attrs)
        del root[place]
        root.create_array(place, data=values, chunks=chunks, attributes=attributes)
    return store / place


def lose(folder, *numbers):
    """Remove the chunk with these numbers, as a copy that broke off does."""
    name = "/".join(map(str, numbers))
    v2, v3 = folder / ".".join(map(str, numbers)), folder / "c" / name
    (v2 if v2.exists() else v3).unlink()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("lost", [0, 1, 3])
@pytest.mark.parametrize("column", ["day", "score", "is_old", "donor/codes"])
def test_a_chunk_of_a_column_that_was_lost_is_no_zeros(
    tmp_path, counts, barcodes, version, lost, column
):
    # No first label beside a chunk: one that is there is believed.
    donor = pd.Categorical(list("bcbcbabcbc") * 4)
    days = np.arange(1, 41)
    obs = {"donor": donor, "day": days, "score": days / 2, "is_old": days > 0}
    store = write_zarr(tmp_path / "a.zarr", counts, barcodes, version=version, obs=obs)
    folder = cut_into_chunks(store, f"obs/{column}", (10,))
    assert list(inspect(store).obs["donor"]) == list(donor)
    lose(folder, lost)
    with pytest.raises(
        DataError, match=f"rows {10 * lost + 1} to {10 * lost + 10} is not"
    ) as error:
        inspect(store)
    assert error.value.reason == "truncated"


@pytest.mark.parametrize(
    "is_set", [np.arange(40) >= 23, np.arange(40) < 15, np.arange(40) == 22, np.zeros(40, bool)]
)
def test_chunks_of_zeros_that_a_writer_left_out_are_read(tmp_path, counts, barcodes, is_set):
    obs = {"is_set": is_set, "donor": pd.Categorical(np.where(is_set, "b", "a"))}
    store = write_zarr(tmp_path / "a.zarr", counts, barcodes, obs=obs)
    for column in ("is_set", "donor/codes"):
        folder = cut_into_chunks(store, f"obs/{column}", (10,))
        assert len(list((folder / "c").glob("*"))) < 4
    read = inspect(store).obs
    assert list(read["is_set"]) == list(is_set)
    assert list(read["donor"]) == list(obs["donor"])


@pytest.mark.parametrize("lost", [[(0, 0)], [(1, 1)], [(2, 0)], [(1, 0), (1, 1)]])
def test_a_lost_block_of_a_dense_matrix_is_no_zeros(tmp_path, barcodes, lost):
    folder, store, _ = dense_store(tmp_path)
    for numbers in lost:
        lose(folder, *numbers)
    row = lost[0][0]
    with pytest.raises(DataError, match=f"cells {20 * row + 1} to {20 * row + 20}, genes") as error:
        dense(inspect(store))
    assert error.value.reason == "truncated"


def test_zeros_that_go_on_beyond_a_block_of_a_dense_matrix_are_read(tmp_path):
    """Cells of a data set that did not measure some genes, joined with zeros."""
    values = np.random.default_rng(3).poisson(1.0, (60, 40))
    values[:50, 20:] = 0
    folder, store, values = dense_store(tmp_path, values)
    assert not (folder / "c/0/1").exists()
    np.testing.assert_array_equal(dense(inspect(store)), values)


def dense_store(tmp_path, values=None):
    """A dense matrix of 60 cells and 40 genes in blocks of 20 by 20."""
    if values is None:
        values = np.random.default_rng(3).poisson(1.0, (60, 40))
    names, genes = ([f"{kind}{k}" for k in range(n)] for kind, n in (("c", 60), ("g", 40)))
    adata = ad.AnnData(values, pd.DataFrame(index=names), pd.DataFrame(index=genes))
    store = tmp_path / "a.zarr"
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore")
        adata.write_zarr(store)
    return cut_into_chunks(store, "X", (20, 20)), store, values


def test_a_damaged_chunk_is_named(store):
    chunk = store / "X" / "data" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.zarr: the store must be readable") as error:
        dense(inspect(store))
    assert error.value.reason == "unreadable"


def test_a_chunk_that_claims_gigabytes_is_named(store):
    header = (
        np.array([2, 1, 33, 4], np.uint8).tobytes() + np.array([2**31 - 17] * 3, "<i4").tobytes()
    )
    (store / "X" / "data" / "0").write_bytes(header + bytes(40))
    with pytest.raises(DataError, match="the store must be readable"):
        dense(inspect(store))


def test_a_group_inside_an_array_is_refused(store):
    shutil.copytree(store / "obs", store / "X" / "data" / "obs")
    refuse(store, "aliased_object", "none inside an array")


def test_column_names_that_lead_out_of_the_table_are_refused(store):
    path = store / "obs" / ".zattrs"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"column-order": ["../../x"]}))
    with pytest.raises(DataError, match="must lie within it") as error:
        inspect(store)
    assert error.value.reason == "bad_name"


def test_a_folder_that_is_no_store_says_so(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert detect_format(tmp_path / "a.zarr") == "zarr"
    refuse(tmp_path / "a.zarr", "not_zarr", "must hold a zarr group")


def test_metadata_that_is_no_json_is_named(store):
    (store / "X" / ".zgroup").write_text("{")
    refuse(store, "unreadable", "JSONDecodeError")


def test_the_digest_of_a_store_follows_its_content_not_its_place(store, tmp_path):
    before = store_digest(store)
    again = shutil.copytree(store, tmp_path / "other.zarr")
    assert store_digest(again) == before
    (again / "X" / "data" / "0").write_bytes(b"x")
    assert store_digest(again) != before


def test_all_files_of_a_store_count_towards_its_bytes(store, tmp_path):
    (tmp_path / "cohort.yaml").write_text("matrix: {path: a.zarr, format: zarr, counts: X}\n")
    files = [path for path in store.rglob("*") if path.is_file()]
    assert matrix_bytes(tmp_path) == sum(path.stat().st_size for path in files) > 0
