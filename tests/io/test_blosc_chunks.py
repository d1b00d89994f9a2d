"""Chunks in blosc are read by HDF5, and the other way round; damage is an error."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc

from pmcell.io.blosc_chunks import filter_options, packed, unpacked
from pmcell.io.chunk_column import ChunkColumn
from pmcell.io.counts.stored import StoredArray, read_values

LENGTH = 64


def make(file: h5py.File, dtype: str = "<i4", **options: object) -> h5py.Dataset:
    return file.create_dataset(
        "x", (0,), maxshape=(None,), dtype=dtype, chunks=(LENGTH,), **(options or filter_options())
    )


def fill(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        column = ChunkColumn([make(file, values.dtype.str)], packed)
        column.append(values)
        column.close()


@settings(max_examples=40, deadline=None)
@given(
    n_values=st.integers(0, 4 * LENGTH),
    dtype=st.sampled_from(["<i4", "<f4", "<i8", "<i2", "i1"]),
    seed=st.integers(0, 1000),
)
def test_hdf5_and_our_threads_read_what_was_written(tmp_path_factory, n_values, dtype, seed):
    path = tmp_path_factory.mktemp("chunks") / "x.h5"
    values = np.random.default_rng(seed).integers(-100, 100, n_values).astype(dtype)
    fill(path, values)
    with h5py.File(path, "r", locking=False) as file:
        np.testing.assert_array_equal(file["x"][:], values)
        low, high = n_values // 3, n_values - n_values // 4
        (found,) = read_values([file["x"]], low, high)
        np.testing.assert_array_equal(found, values[low:high])


@pytest.mark.parametrize("name", ["lz4", "zstd", "zlib", "blosclz"])
@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_every_blosc_that_hdf5_wrote_is_read_in_threads(tmp_path, name, shuffle, fletcher32):
    values = np.random.default_rng(1).poisson(2.0, 5 * LENGTH + 3).astype(np.int32)
    filters = dict(hdf5plugin.Blosc(cname=name, shuffle=shuffle))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = make(file, fletcher32=fletcher32, **filters)
        dataset.resize(values.shape)
        dataset[:] = values
    with h5py.File(tmp_path / "x.h5", "r", locking=False) as file:
        stored = StoredArray(file["x"], tmp_path / "x.h5")
        assert stored._chunks is not None
        found = np.concatenate([task.read() for task in stored.tasks(0, values.size)])
        stored.close()
    np.testing.assert_array_equal(found, values)


def test_every_flipped_bit_is_told(tmp_path):
    values = np.random.default_rng(0).poisson(1.0, LENGTH).astype(np.int32)
    stored = packed(values)
    for at in range(len(stored)):
        for bit in range(8):
            damaged = bytearray(stored)
            damaged[at] ^= 1 << bit
            with pytest.raises(OSError, match="checksum"):
                unpacked(bytes(damaged), LENGTH, values.dtype, tail=4)


def test_a_chunk_of_another_size_is_refused_before_it_is_decoded():
    stored = packed(np.zeros(2 * LENGTH, np.int32))
    for n_values in (LENGTH, 4 * LENGTH):
        with pytest.raises(OSError, match=f"it must hold {4 * n_values} bytes"):
            unpacked(stored, n_values, np.dtype("<i4"), tail=4)
    with pytest.raises(OSError, match="holds others"):
        unpacked(b"", LENGTH, np.dtype("<i4"), tail=0)


def test_nonsense_without_a_checksum_is_an_error_and_not_a_crash():
    stored = bytearray(packed(np.arange(LENGTH, dtype=np.int32))[:-4])
    stored[16:] = b"\xff" * (len(stored) - 16)
    with pytest.raises(OSError, match=r"."):
        unpacked(bytes(stored), LENGTH, np.dtype("<i4"), tail=0)


def test_threads_and_places_change_no_byte(tmp_path):
    values = np.random.default_rng(0).poisson(1.0, 10**6).astype(np.int32)
    here = packed(values)
    blosc.set_nthreads(1)
    assert packed(values) == here
    fill(tmp_path / "a.h5", values)
    fill(tmp_path / "b.h5", values)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
