"""Hostile HDF5 files are refused by name before anything is read; sound ones pass."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
import scipy.sparse as sp

from pmcell.errors import DataError, FaultsError
from pmcell.io.submitted import sandbox
from pmcell.io.submitted.limits import Limits
from pmcell.io.submitted.preflight import preflight, scan_hdf5
from pmcell.io.submitted.readers import inspect, iter_counts
from submissions import write_10x_h5, write_h5ad


@pytest.fixture
def path(tmp_path, counts, barcodes):
    return write_h5ad(
        tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes, obs={"s": ["x", "y"] * 20}
    )


def refuse(path, reason, place):
    with pytest.raises(FaultsError, match=place) as error:
        preflight(path, "h5ad")
    assert reason in {fault.reason for fault in error.value.faults}


def replace_x(path, make):
    with h5py.File(path, "r+") as file:
        del file["X"]
        make(file)


# hdf5plugin 7.1's own options for blosc divide by zero where anndata writes texts.
BLOSC = {"compression": 32001, "compression_opts": (2, 2, 4, 0, 5, 1, 5)}
PLUGINS = [hdf5plugin.Zstd(), BLOSC, hdf5plugin.LZ4()]


@pytest.mark.parametrize("how", [{}, {"compression": "gzip"}, {"compression": "lzf"}, *PLUGINS])
def test_files_that_anndata_writes_pass(tmp_path, counts, barcodes, how):
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame({"s": pd.Categorical(["x", "y"] * 20), "n": np.arange(40.0)}, index=barcodes)
    adata = ad.AnnData(sp.csr_matrix(counts), obs=obs, obsm={"X_pca": np.zeros((40, 3))})
    adata.uns = {"colors": np.array(["a", "b"]), "nested": {"deep": {"x": 1}}}
    adata.write_h5ad(tmp_path / "a.h5ad", **how)
    preflight(tmp_path / "a.h5ad", "h5ad")
    submission = inspect(tmp_path / "a.h5ad")
    assert list(submission.obs["s"].astype(str)) == ["x", "y"] * 20
    ((_, block),) = iter_counts(submission)
    np.testing.assert_array_equal(block.toarray(), counts)


@pytest.mark.parametrize("name", ["Blosc2", "Bitshuffle", "BZip2", "Zfp"])
def test_other_filters_are_refused(path, counts, name):
    kind = getattr(hdf5plugin, name)
    hdf5plugin.register(kind.filter_name)
    replace_x(path, lambda file: file.create_dataset("X", data=counts, chunks=True, **kind()))
    refuse(path, "filter_not_allowed", r"one of gzip, lzf, zstd, blosc and lz4.*compression='gzip'")


def test_only_the_filters_that_are_let_in_stay_registered(tmp_path):
    code = (
        "import sys, h5py; from h5py import h5z; from pmcell.io.filters import register_filters\n"
        "file = h5py.File(sys.argv[1]); register_filters(file, foreign=True)\n"
        "import hdf5plugin\n"
        "print(sorted(n for n, at in hdf5plugin.FILTERS.items() if h5z.filter_avail(at)))"
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(9), chunks=True, compression=32015)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['blosc', 'lz4', 'zstd']"


def test_two_compressors_in_one_another_are_refused(path, counts):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(counts.shape)
    plan.set_deflate(1)
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))

    def make(file):
        space = h5py.h5s.create_simple(counts.shape)
        h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_INT64, space, plan)

    replace_x(path, make)
    refuse(path, "filter_not_allowed", r"HDF5 filters \[1, 32015\]")


def test_a_zstd_chunk_that_claims_terabytes_ends_in_an_error_of_the_data(path, counts):
    """A frame's header says how much memory its decoder shall take."""
    frame = b"\x28\xb5\x2f\xfd\xe0" + (2**42).to_bytes(8, "little") + bytes(20)

    def make(file):
        options = {"chunks": counts.shape, "compression": 32015}
        item = file.create_dataset("X", counts.shape, counts.dtype, **options)
        item.id.write_direct_chunk((0, 0), frame)

    replace_x(path, make)
    preflight(path, "h5ad")
    with pytest.raises(DataError, match=r"reading it failed|must fit the memory"):
        sandbox.run("pmcell.io.submitted.readers:inspect", {"path": str(path)}, memory_mb=2048)


def test_10x_files_pass(tmp_path, counts, barcodes):
    preflight(write_10x_h5(tmp_path / "a.h5", counts, barcodes), "10x_h5")


def test_external_raw_storage_is_refused_and_not_read(path, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"key" * 200)

    def make(file):
        file.create_dataset("X", (40, 12), "u1", external=[(str(secret), 0, 480)])

    replace_x(path, make)
    refuse(path, "external_storage", "a.h5ad:/X")


def test_an_external_link_is_refused(path, tmp_path, counts, barcodes):
    other = write_h5ad(tmp_path / "other.h5ad", counts, barcodes)
    replace_x(path, lambda file: file.__setitem__("X", h5py.ExternalLink(str(other), "/X")))
    refuse(path, "external_link", "a.h5ad:/X")


def test_an_external_link_deep_in_a_group_is_refused(path, tmp_path, counts, barcodes):
    other = write_h5ad(tmp_path / "other.h5ad", counts, barcodes)

    def make(file):
        file.create_group("X")["data"] = h5py.ExternalLink(str(other), "/X")

    replace_x(path, make)
    refuse(path, "external_link", "a.h5ad:/X/data")


def test_a_soft_link_is_refused(path):
    replace_x(path, lambda file: file.__setitem__("X", h5py.SoftLink("/obs")))
    refuse(path, "soft_link", "a.h5ad:/X")


def test_a_virtual_dataset_is_refused(path, tmp_path, counts, barcodes):
    other = write_h5ad(tmp_path / "other.h5ad", counts, barcodes)

    def make(file):
        layout = h5py.VirtualLayout((40, 12), "i8")
        layout[:] = h5py.VirtualSource(str(other), "X", (40, 12))
        file.create_virtual_dataset("X", layout)

    replace_x(path, make)
    refuse(path, "virtual_dataset", "a.h5ad:/X")


def test_a_loop_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["uns/loop"] = file["uns"]
    refuse(path, "aliased_object", "a.h5ad:/uns/loop")


def test_a_dataset_that_declares_terabytes_is_refused(path):
    def make(file):
        file.create_dataset("X", (10**9, 10**4), "f4", chunks=(100, 100), compression="gzip")

    replace_x(path, make)
    refuse(path, "bomb", "a.h5ad:/X")


def test_a_gzip_bomb_of_zeros_is_refused(path):
    def make(file):
        zeros = file.create_dataset(
            "X", (2**18, 600), "u1", chunks=(2**18, 600), compression="gzip", compression_opts=9
        )
        zeros[...] = 0

    replace_x(path, make)
    with h5py.File(path) as file:
        ratio = 2**18 * 600 / file["X"].id.get_storage_size()
    faults = scan_hdf5(path, Limits(max_ratio=int(ratio) - 1))
    assert [fault.reason for fault in faults] == ["bomb"]


def test_one_gzip_filter_upon_another_is_refused(path):
    def make(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((40, 12))
        plist.set_deflate(9)
        plist.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
        space = h5py.h5s.create_simple((40, 12))
        h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_INT32, space, plist)

    replace_x(path, make)
    refuse(path, "filter_not_allowed", "a.h5ad:/X")


def test_deep_and_crowded_files_are_refused(path):
    with h5py.File(path, "r+") as file:
        file.create_group("uns/" + "/".join("abcdefghijklmn"))
    refuse(path, "too_deep", "nest 12 deep")
    assert scan_hdf5(path, Limits(max_objects=5))[0].reason == "too_many_objects"


def write_part(file, place, n_written, chunk=None):
    """Declare a dataset anew as it is and write its first rows only, as a stopped writer does."""
    values, more = file[place][()], dict(file[place].attrs)
    del file[place]
    chunks = (chunk, *values.shape[1:]) if chunk else None
    part = file.create_dataset(place, values.shape, values.dtype, chunks=chunks)
    if n_written:
        part[:n_written] = values[:n_written]
    part.attrs.update(more)


@pytest.mark.parametrize(
    ("place", "n_written", "chunk", "found"),
    [
        ("X/data", 40, 40, "1 of"),
        ("X/data", 0, None, "0 of 1 chunks"),
        ("X/indices", 40, 20, "2 of"),
        ("X/indptr", 0, 41, "0 of 1 chunks"),
        ("obs/s/codes", 20, 20, "1 of 2 chunks"),
        ("obs/n", 0, None, "0 of 1 chunks"),
        ("layers/dense", 20, 10, "2 of 4 chunks"),
    ],
)
def test_what_was_declared_and_never_written_is_no_zeros(
    tmp_path, counts, barcodes, place, n_written, chunk, found
):
    obs, layers = {"s": ["x", "y"] * 20, "n": np.arange(40.0)}, {"dense": counts}
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes, obs=obs, layers=layers)
    preflight(path, "h5ad")
    with h5py.File(path, "r+") as file:
        write_part(file, place, n_written, chunk)
    refuse(path, "truncated", f"/{place}: every chunk of values must have been .*found {found}")


def test_what_lies_beside_the_cells_may_be_written_in_part(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("obsm/X_pca", (40, 2), "f4", chunks=(10, 2))
        file.create_dataset("obs/nothing", (0,), "f4", maxshape=(None,), chunks=(10,))
    preflight(path, "h5ad")


def test_a_file_that_its_writer_did_not_close_is_told_from_a_damaged_one(tmp_path, path):
    left = tmp_path / "left.h5ad"
    code = (
        "import h5py, os, sys; f = h5py.File(sys.argv[2], 'w', libver='latest'); "
        "i = h5py.File(sys.argv[1]); [i.copy(k, f) for k in i]; f.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(left)], check=True)
    refuse(left, "unreadable", "must have been closed by what wrote it.*h5clear")


def test_a_truncated_file_is_named(path):
    path.write_bytes(path.read_bytes()[:-500])
    refuse(path, "truncated", "truncated")


def test_other_bytes_an_empty_file_a_folder_and_a_pipe_are_named(tmp_path):
    for name, make, reason in (
        ("text", lambda p: p.write_text("hello"), "not_hdf5"),
        ("empty", lambda p: p.write_bytes(b""), "empty_file"),
        ("folder", lambda p: p.mkdir(), "not_a_file"),
        ("pipe", os.mkfifo, "not_a_file"),
        ("nothing", lambda p: None, "file_missing"),
    ):
        make(tmp_path / name)
        refuse(tmp_path / name, reason, name)


def test_no_byte_of_a_foreign_file_is_opened(path, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["X"] = np.zeros(3)
    os.utime(secret, (1, 1))
    secret.chmod(0)
    replace_x(path, lambda file: file.__setitem__("X", h5py.ExternalLink(str(secret), "/X")))
    refuse(path, "external_link", "/X")
    assert secret.stat().st_atime == 1
