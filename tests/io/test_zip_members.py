"""Zip files by ISA-L: what every other reader of zip files makes of them."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.io.zip_members import ZipWriter, read_members

CONTENT = {"one.txt": b"a" * 70_000, "zwei ä.txt": b"", "three": bytes(range(256)) * 9}


def written(place, content, **options):
    with place.open("wb") as file, ZipWriter(file, **options) as archive:
        for name, data in content.items():
            archive.add(name, [data[:5], memoryview(data)[5:]])
    return place


@pytest.mark.parametrize("large_from", [2**32 - 1, 1, 300])
def test_the_standard_library_reads_what_was_written(tmp_path, large_from):
    place = written(tmp_path / "a.zip", CONTENT, large_from=large_from)
    with zipfile.ZipFile(place) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENT
    assert dict(read_members(place)) == CONTENT


def test_what_the_standard_library_wrote_is_read(tmp_path):
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
            for name, data in CONTENT.items():
                archive.writestr(name, data)
        assert dict(read_members(tmp_path / "a.zip")) == CONTENT


def test_other_compression_is_refused_by_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("one.txt", b"abc")
    with pytest.raises(zipfile.BadZipFile, match=r"one\.txt must be stored plainly or by deflate"):
        dict(read_members(tmp_path / "a.zip"))


def test_equal_content_gives_equal_bytes(tmp_path):
    one, two = (written(tmp_path / name, CONTENT).read_bytes() for name in ("1.zip", "2.zip"))
    assert one == two


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_content_is_told_or_harmless(tmp_path_factory, at, bit):
    folder = tmp_path_factory.mktemp("flip")
    place = written(folder / "a.zip", {"x": bytes(range(200)) * 3})
    data = bytearray(place.read_bytes())
    at %= len(data)
    data[at] ^= 1 << bit
    place.write_bytes(data)
    try:
        found = dict(read_members(place))
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return
    assert set(found.values()) <= {bytes(range(200)) * 3}


def test_a_failed_write_has_no_directory(tmp_path):
    place = tmp_path / "a.zip"
    with (
        place.open("wb") as file,
        pytest.raises(RuntimeError, match="stop"),
        ZipWriter(file) as archive,
    ):
        archive.add("x", [b"1"])
        raise RuntimeError("stop")
    assert not zipfile.is_zipfile(place)


def test_arrays_of_every_form_are_read_alike_by_numpy(tmp_path):
    arrays = {
        "counts": np.arange(100_000, dtype=np.int64).reshape(100, 1000),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "number": np.array(3.5, np.float32),
        "empty": np.zeros((0, 4), np.int32),
        "text": np.array(["a", "bé"]),
        "flags": np.array([True, False]),
    }
    write_arrays(tmp_path / "a.npz", **arrays)
    ours = read_arrays(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        for name, array in arrays.items():
            for found in (ours[name], file[name]):
                assert (found.dtype, found.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(found, array)
            assert ours[name].flags.writeable


def test_arrays_that_numpy_wrote_before_are_read(tmp_path):
    np.savez_compressed(
        tmp_path / "old.npz", values=np.arange(5), columns=np.ones((2, 3), order="F")
    )
    found = read_arrays(tmp_path / "old.npz")
    assert found["values"].tolist() == [0, 1, 2, 3, 4]
    assert found["columns"].shape == (2, 3)
