"""Chunks encoded past HDF5 are read by it, and the other way round; damage is an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.io.chunk_column import ChunkColumn
from pmcell.io.counts.stored import read_ahead, read_values
from pmcell.io.gzip_chunks import filter_options, packed, unpacked

LENGTH = 16


def make(file: h5py.File, name: str, dtype: str, *, has_checksum: bool) -> h5py.Dataset:
    return file.create_dataset(
        name,
        (0,),
        maxshape=(None,),
        dtype=dtype,
        chunks=(LENGTH,),
        **filter_options(4, has_checksum=has_checksum),
    )


def packing(has_checksum: bool) -> Callable[[np.ndarray], bytes]:
    return partial(packed, is_shuffled=True, has_checksum=has_checksum)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3 * LENGTH), max_size=5),
    dtype=st.sampled_from(["<i4", "<f4", "<i8", "<i2", "i1"]),
    has_checksum=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_is_written_in_pieces_is_read_by_hdf5_and_in_threads(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    dtype: str,
    has_checksum: bool,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("chunks") / "x.h5"
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(-100, 100, size).astype(dtype) for size in sizes]
    whole = np.concatenate([np.empty(0, dtype), *pieces])
    with h5py.File(path, "w") as file:
        first, second = (make(file, name, dtype, has_checksum=has_checksum) for name in "ab")
        column = ChunkColumn([first], packing(has_checksum))
        column.add_dataset(second)
        for piece in pieces:
            column.append(piece)
        column.close()
    with h5py.File(path, "r", locking=False) as file:
        for name in "ab":
            assert np.array_equal(file[name][:], whole)
            parts = list(read_ahead(file[name], path)) if whole.size else []
            assert np.array_equal(np.concatenate([whole[:0], *parts]), whole)
        low, high = whole.size // 3, whole.size - whole.size // 4
        for values in read_values([file["a"], file["b"]], low, high):
            assert np.array_equal(values, whole[low:high])
        with pytest.raises(ValueError, match="it has"):
            read_values([file["a"]], 0, whole.size + 1)


@pytest.mark.parametrize("has_checksum", [False, True])
def test_a_flipped_bit_in_a_chunk_is_an_error_to_hdf5_and_in_threads(
    tmp_path: Path, has_checksum: bool
) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        dataset = make(file, "a", "<i4", has_checksum=has_checksum)
        column = ChunkColumn([dataset], packing(has_checksum))
        column.append(np.random.default_rng(0).integers(0, 2**31 - 1, LENGTH, dtype=np.int32))
        column.close()
        place = file["a"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 1
    path.write_bytes(content)
    with h5py.File(path, "r", locking=False) as file:
        with pytest.raises(OSError, match=r"[Cc]an.t .*read"):
            file["a"][:]
        with pytest.raises(OSError, match="chunk 0 of /a"):
            list(read_ahead(file["a"], path))


def test_a_chunk_that_holds_more_than_it_declares_is_refused() -> None:
    stored = packed(np.zeros(1 << 20, np.int32), is_shuffled=True, has_checksum=False)
    with pytest.raises(OSError, match="must hold 64 bytes"):
        unpacked(stored, 64)
    with pytest.raises(OSError, match="must hold"):
        unpacked(stored, (1 << 22) + 1)


def test_a_dataset_cannot_be_added_after_the_first_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        column = ChunkColumn([make(file, "a", "<i4", has_checksum=False)], packing(False))
        column.append(np.arange(3, dtype=np.int32))
        with pytest.raises(ValueError, match="before the first value"):
            column.add_dataset(make(file, "b", "<i4", has_checksum=False))
