"""Sound files of any writer give the same counts and labels; unsound ones a named reason."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.submitted.readers import inspect, is_compressed, iter_counts, sample_umis
from submissions import GENES, write_10x_h5, write_h5ad, write_mtx, write_table, write_zarr

LABELS = np.array(["P02", "P01", None, "P03"], dtype=object)


def dense(submission, layer="X"):
    return sp.vstack([block for _, block in iter_counts(submission, layer)]).toarray()


def change(path, name, make, **attributes):
    """Replace a dataset of the file by what `make` makes of its values."""
    with h5py.File(path, "r+") as file:
        kept = dict(file[name].attrs)
        value = make(file[name][()])
        del file[name]
        file[name] = value
        file[name].attrs.update({**kept, **attributes})


@pytest.fixture
def path(tmp_path, counts, barcodes):
    return write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes)


# --- tables ------------------------------------------------------------------


def factor_of_anndata_07(file, table, column, codes, labels):
    """A factor as anndata 0.7 and SeuratDisk store it: codes, and labels found by reference."""
    group = file[table]
    group.attrs["encoding-version"] = "0.1.0"
    group.create_dataset(column, data=codes)
    beside = group.require_group("__categories")
    stored = beside.create_dataset(column, data=labels)
    stored.attrs["ordered"] = False
    group[column].attrs["categories"] = stored.ref
    order = [*np.asarray(group.attrs["column-order"]).tolist(), column]
    group.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype())


def text(values):
    return np.array(values, dtype=h5py.string_dtype())


@pytest.mark.parametrize("kind", ["i1", "i8", "f8", ">i2"])
def test_factors_of_anndata_07_are_read_as_labels_and_minus_one_as_missing(path, kind):
    codes = np.array([1, 0, -1, 2] * 10).astype(kind)
    with h5py.File(path, "r+") as file:
        factor_of_anndata_07(file, "obs", "donor", codes, text(["P01", "P02", "P03"]))
        factor_of_anndata_07(file, "var", "kind", np.arange(12, dtype="i1") % 2, text(["a", "b"]))
        factor_of_anndata_07(file, "obs", "age", codes, np.array([41.5, 52.0, 63.0]))
    submission = inspect(path)
    donors = submission.obs["donor"].astype(object)
    assert donors.where(donors.notna(), None).tolist() == LABELS.tolist() * 10
    assert submission.obs["age"].astype(float).tolist()[:2] == [52.0, 41.5]
    assert submission.obs["age"].isna().sum() == 10
    assert submission.var["kind"].tolist() == ["a", "b"] * 6


def test_factors_of_anndata_07_in_a_zarr_store_are_found_by_their_path(tmp_path, counts, barcodes):
    import zarr

    path = write_zarr(tmp_path / "a.zarr", sp.csr_matrix(counts), barcodes, version=2)
    group = zarr.open_group(path, mode="r+")["obs"]
    codes = group.create_array("donor", data=np.array([1, 0, -1, 2] * 10, dtype="i1"))
    labels = group.create_group("__categories")
    labels.create_array("donor", data=np.array(["P01", "P02", "P03"], dtype="U3"))
    codes.attrs["categories"] = "__categories/donor"
    group.attrs["column-order"] = [*group.attrs["column-order"], "donor"]
    donors = inspect(path).obs["donor"].astype(object)
    assert donors.where(donors.notna(), None).tolist() == LABELS.tolist() * 10


def test_repeated_labels_of_a_factor_are_read_all_the_same(path):
    with h5py.File(path, "r+") as file:
        factor_of_anndata_07(file, "obs", "donor", np.arange(40) % 2, text(["P01", "P01"]))
    assert set(inspect(path).obs["donor"]) == {"P01"}


def test_codes_beyond_the_labels_and_labels_elsewhere_are_named(path):
    with h5py.File(path, "r+") as file:
        factor_of_anndata_07(file, "obs", "donor", np.arange(40), text(["P01"]))
    with pytest.raises(DataError, match=r"codes of obs\['donor'\] must be whole numbers below 1"):
        inspect(path)
    with h5py.File(path, "r+") as file:
        file["obs/donor"].attrs["categories"] = file["var"].ref
    with pytest.raises(DataError, match="labels of column 'donor' must lie in /obs/__categories"):
        inspect(path)


@pytest.mark.parametrize("form", ["fixed", "array of one", "fixed array of one"])
def test_attributes_of_other_writers_are_decoded(path, form):
    def stored(value):
        plain = np.bytes_(value) if form.startswith("fixed") else value
        return np.array([plain], dtype="S" if "fixed" in form else h5py.string_dtype())

    def rewrite(name, item=None):
        item = file if item is None else item
        for key, value in list(item.attrs.items()):
            if isinstance(value, str):
                given = stored(value) if "array" in form else np.bytes_(value)
                item.attrs.create(key, given)

    with h5py.File(path, "r+") as file:
        rewrite("/")
        file.visititems(rewrite)
        file["obs"]["sample"] = text(["s1"] * 40)
        # One name alone is stored as a scalar by some.
        file["obs"].attrs["column-order"] = "sample"
    submission = inspect(path)
    assert list(submission.var.index) == GENES
    assert set(submission.obs["sample"]) == {"s1"}


# --- values ------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["f2", ">f2", "f4", ">f4", ">f8", np.longdouble, "i1", ">i2", ">i4", "u8", ">u8"]
)
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_every_sound_type_of_value_gives_the_same_counts(tmp_path, counts, barcodes, kind, layout):
    path = write_h5ad(tmp_path / "a.h5ad", layout(counts), barcodes)
    change(path, "X" if layout is np.asarray else "X/data", lambda v: v.astype(kind))
    submission = inspect(path)
    assert submission.summary_of("X").looks_like == "counts"
    found = dense(submission)
    np.testing.assert_array_equal(found, counts)
    assert found.dtype.isnative


@pytest.mark.parametrize("kind", [">i4", ">i8", "u8", "f8", "f4"])
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix])
def test_every_sound_type_of_position_gives_the_same_counts(
    tmp_path, counts, barcodes, kind, layout
):
    path = write_h5ad(tmp_path / "a.h5ad", layout(counts), barcodes)
    for part in ("X/indices", "X/indptr"):
        change(path, part, lambda v: v.astype(kind))
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def test_values_that_are_no_numbers_are_refused_by_name_only_where_they_are_the_counts(
    tmp_path, counts, barcodes
):
    layers = {"fourier": counts.astype(float)}
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes, layers=layers)
    change(path, "layers/fourier", lambda v: v.astype("c16"))
    submission = inspect(path)
    np.testing.assert_array_equal(dense(submission), counts)
    assert submission.summary_of("layers/fourier").looks_like == "no_numbers"
    with pytest.raises(DataError, match="must be numbers; found type complex128") as error:
        dense(submission, "layers/fourier")
    assert error.value.reason == "not_counts"


def test_fractions_that_double_precision_would_round_are_refused(path):
    tiny = np.finfo(np.longdouble).eps
    change(path, "X/data", lambda v: v.astype(np.longdouble) * (1 + tiny))
    with pytest.raises(DataError, match="must be whole numbers; found fractions"):
        dense(inspect(path))


def attribute(value):
    def edit(file):
        file["X"].attrs["shape"] = value

    return edit


def part(name, make):
    def edit(file):
        value = make(file["X"][name][()])
        del file["X"][name]
        file["X"][name] = value

    return edit


def time_type(file):
    del file["X"].attrs["encoding-type"]
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5a.create(file["X"].id, b"encoding-type", h5py.h5t.UNIX_D32LE, space)


def scalar_column(file):
    file["obs"]["one"] = 5.0
    file["obs"].attrs["column-order"] = text(["one"])


def missing_column(file):
    file["obs"].attrs["column-order"] = text(["none"])


def layers_as_array(file):
    file.pop("layers", None)
    file["layers"] = np.zeros(3)


BROKEN = {
    "data scalar": part("data", lambda v: np.float32(1)),
    "data null": part("data", lambda v: h5py.Empty("f4")),
    "data 2-D": part("data", lambda v: v[:, None]),
    "data text": part("data", lambda v: v.astype("S4")),
    "indices scalar": part("indices", lambda v: np.int32(1)),
    "indices 2-D": part("indices", lambda v: v[:, None]),
    "indices text": part("indices", lambda v: v.astype("S4")),
    "indices with fractions": part("indices", lambda v: v + 0.5),
    "indptr 2-D": part("indptr", lambda v: v[None]),
    "indptr null": part("indptr", lambda v: h5py.Empty("i4")),
    "shape text": attribute("abc"),
    "shape of one": attribute([5]),
    "shape scalar": attribute(5),
    "shape empty": attribute(h5py.Empty("i8")),
    "shape with fractions": attribute([40.5, 12.0]),
    "attribute of a time type": time_type,
    "column of one value": scalar_column,
    "column that is not there": missing_column,
    "layers an array": layers_as_array,
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_forms_are_named_and_raise_nothing_else(path, case):
    with h5py.File(path, "r+") as file:
        BROKEN[case](file)
    with pytest.raises(DataError, match=r"a\.h5ad: .+(must|in).+;") as error:
        dense(inspect(path))
    assert error.value.reason in (
        *("unreadable", "shape_mismatch", "index_out_of_range", "not_counts"),
        "layer_missing",
    )


def test_layers_within_groups_are_found(path, counts):
    with h5py.File(path, "r+") as file:
        file.create_group("layers/raw")
        file.move("X", "layers/raw/counts")
    submission = inspect(path)
    assert list(submission.layers) == ["layers/raw/counts"]
    np.testing.assert_array_equal(dense(submission, "layers/raw/counts"), counts)


# --- a sample of counts ------------------------------------------------------


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "zarr", "10x_h5", "10x_mtx", "csv", "tsv"])
def test_the_sample_of_a_small_file_is_all_of_it(tmp_path, counts, barcodes, form):
    write = {
        "csr": lambda: write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes),
        "csc": lambda: write_h5ad(tmp_path / "a.h5ad", sp.csc_matrix(counts), barcodes),
        "dense": lambda: write_h5ad(tmp_path / "a.h5ad", counts, barcodes),
        "zarr": lambda: write_zarr(tmp_path / "a.zarr", sp.csr_matrix(counts), barcodes),
        "10x_h5": lambda: write_10x_h5(tmp_path / "a.h5", counts, barcodes),
        "10x_mtx": lambda: write_mtx(tmp_path / "m", counts, barcodes, packed=True),
        "csv": lambda: write_table(tmp_path / "a.csv", counts, barcodes, GENES),
        "tsv": lambda: write_table(tmp_path / "a.tsv", counts.T, GENES, barcodes),
    }[form]
    np.testing.assert_array_equal(sample_umis(inspect(write()), "X"), counts.sum(0))


def test_a_matrix_market_file_in_the_order_of_genes_gives_no_sample(tmp_path, counts, barcodes):
    folder = write_mtx(tmp_path / "m", counts, barcodes, packed=False, order="shuffled")
    assert sample_umis(inspect(folder), "X") is None


@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix])
def test_a_sample_finds_entries_that_are_stored_twice(tmp_path, counts, barcodes, layout):
    x = layout(counts)
    x.indices[1] = x.indices[0]
    path = write_h5ad(tmp_path / "a.h5ad", x, barcodes)
    with pytest.raises(DataError, match="once") as error:
        sample_umis(inspect(path), "X")
    assert error.value.reason == "duplicate_entries"


def test_what_is_stored_compressed_is_known(tmp_path, counts, barcodes):
    x = sp.csr_matrix(counts)
    plain = write_h5ad(tmp_path / "a.h5ad", x, barcodes)
    packed = write_h5ad(tmp_path / "b.h5ad", x, barcodes, compression="gzip")
    assert [is_compressed(inspect(path), "X") for path in (plain, packed)] == [False, True]
    assert is_compressed(inspect(write_10x_h5(tmp_path / "a.h5", counts, barcodes)), "X")
    for packed in (True, False):
        folder = write_mtx(tmp_path / f"m{packed}", counts, barcodes, packed=packed)
        assert is_compressed(inspect(folder), "X") is packed
    assert is_compressed(inspect(write_zarr(tmp_path / "a.zarr", x, barcodes)), "X")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("features/id", np.array(["ENSG1"] * 11, "S"), "each of 11 features; found 12"),
        ("features/name", np.array(["A"], "S"), "each of 12 features; found 1"),
        ("features/feature_type", np.array(["Gene Expression"], "S"), "of 12 features; found 1"),
        ("features", np.arange(12), "must hold /matrix/features/id; it is missing"),
        ("shape", np.array([b"many", b"few"]), "must equal 40 barcodes × 12 features; found"),
        (
            "shape",
            np.array([12.5, 40.0]),
            "must equal 40 barcodes × 12 features; found 40.0 × 12.5",
        ),
        ("shape", np.array([12]), "must equal 40 barcodes × 12 features; found 12"),
    ],
)
def test_parts_of_a_10x_file_that_do_not_fit_are_named(
    tmp_path, counts, barcodes, place, value, said
):
    path = write_10x_h5(tmp_path / "a.h5", counts, barcodes)
    with h5py.File(path, "r+") as file:
        del file["matrix"][place]
        file["matrix"][place] = value
    with pytest.raises(DataError, match=said):
        inspect(path)
