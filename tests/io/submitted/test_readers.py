"""Every format and layout gives the same counts; damaged ones give a named reason."""

from __future__ import annotations

import gzip
import re

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.errors import DataError, UsageError
from pmcell.io.entries import blocks_from_entries
from pmcell.io.submitted.readers import detect_format, inspect, iter_counts
from submissions import (
    GENES,
    write_10x_h5,
    write_h5ad,
    write_mtx,
    write_table,
    write_text,
    write_zarr,
)


def dense(submission, layer="X", max_values=50):
    blocks = list(iter_counts(submission, layer, max_values=max_values))
    assert [start for start, _ in blocks] == np.cumsum([0] + [b.shape[0] for _, b in blocks])[
        :-1
    ].tolist()
    return sp.vstack([block for _, block in blocks]).toarray()


LAYOUTS = {
    "csr_float32": lambda c: sp.csr_matrix(c.astype(np.float32)),
    "csr_int32": lambda c: sp.csr_matrix(c.astype(np.int32)),
    "csr_int64": lambda c: sp.csr_matrix(c),
    "csc_float64": lambda c: sp.csc_matrix(c.astype(np.float64)),
    "csc_int32": lambda c: sp.csc_matrix(c.astype(np.int32)),
    "dense_float32": lambda c: c.astype(np.float32),
    "dense_uint16": lambda c: c.astype(np.uint16),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layer", ["X", "raw.X", "layers/counts"])
def test_every_layout_of_h5ad_gives_the_same_counts(tmp_path, counts, barcodes, layout, layer):
    x = LAYOUTS[layout](counts)
    logged = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    kwargs = {"X": {}, "raw.X": {"raw": x}, "layers/counts": {"layers": {"counts": x}}}[layer]
    path = write_h5ad(tmp_path / "a.h5ad", x if layer == "X" else logged, barcodes, **kwargs)
    submission = inspect(path)
    assert (submission.n_cells, submission.n_genes) == counts.shape
    assert submission.summary_of(layer).looks_like == "counts"
    assert list(submission.var_of(layer).index) == GENES
    np.testing.assert_array_equal(dense(submission, layer), counts)


@pytest.mark.parametrize("version", [2, 3])
def test_10x_h5_gives_the_same_counts(tmp_path, counts, barcodes, version):
    submission = inspect(write_10x_h5(tmp_path / "a.h5", counts, barcodes, version))
    assert submission.format == "10x_h5"
    assert list(submission.obs.index) == barcodes
    assert list(submission.var["symbol"]) == GENES
    assert ("feature_types" in submission.var) == (version == 3)
    np.testing.assert_array_equal(dense(submission), counts)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["cells", "shuffled"])
def test_10x_mtx_gives_the_same_counts(tmp_path, counts, barcodes, packed, order):
    submission = inspect(write_mtx(tmp_path / "m", counts, barcodes, packed=packed, order=order))
    assert submission.format == "10x_mtx"
    assert submission.summary_of("X").looks_like == "counts"
    assert set(submission.var["feature_types"]) == {"Gene Expression"}
    np.testing.assert_array_equal(dense(submission), counts)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
@pytest.mark.parametrize("genes_first", [True, False])
def test_text_tables_of_both_orientations_give_the_same_counts(
    tmp_path, counts, barcodes, name, genes_first
):
    values, rows, columns = (
        (counts.T, GENES, barcodes) if genes_first else (counts, barcodes, GENES)
    )
    submission = inspect(write_table(tmp_path / name, values, rows, columns))
    assert list(submission.obs.index) == barcodes
    assert list(submission.var.index) == GENES
    np.testing.assert_array_equal(dense(submission), counts)


def test_a_table_written_by_r_without_a_corner_is_read(tmp_path, counts, barcodes):
    path = write_table(tmp_path / "a.tsv", counts.T, GENES, barcodes, corner="")
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def test_an_ambiguous_table_asks_for_the_orientation(tmp_path, counts):
    rows, columns = [f"r{k}" for k in range(40)], [f"c{k}" for k in range(len(GENES))]
    path = write_table(tmp_path / "a.csv", counts, rows, columns)
    with pytest.raises(
        DataError, match=r"Set matrix\.orientation in cohort.yaml to genes_by_cells or cells_by"
    ) as error:
        inspect(path)
    assert error.value.reason == "ambiguous_orientation"
    submission = inspect(path, orientation="cells_by_genes")
    np.testing.assert_array_equal(dense(submission), counts)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda c: c, "counts"),
        (lambda c: np.log1p(c / c.sum(1, keepdims=True) * 1e4), "log1p"),
        (lambda c: np.log2(c / c.sum(1, keepdims=True) * 1e6 + 1), "log2"),
        (lambda c: c / c.sum(1, keepdims=True) * 1e4, "normalised"),
        (lambda c: (c - c.mean(0)) / c.std(0), "scaled"),
        (lambda c: c * 0, "empty"),
        (lambda c: c * (1 + 1e-7), "noisy"),
        (lambda c: np.where(c == 2, -2, c), "negative"),
        (lambda c: np.where(c == 2, np.nan, c), "not_finite"),
        (lambda c: np.where(c == 2, np.inf, c), "not_finite"),
        (lambda c: np.rint(c / c.sum(1, keepdims=True) * 1e6), "rounded"),
        (lambda c: np.rint(c / c.sum(1, keepdims=True) * 1e4), "rounded"),
        (lambda c: c * 2, "multiplied"),
        (lambda c: c * 1000, "multiplied"),
        (lambda c: np.rint(np.log2(c / c.sum(1, keepdims=True) * 3e3 + 1)), "multiplied"),
        (lambda c: (c > 0).astype(int), "presence"),
        (lambda c: np.argsort(np.argsort(c, 1), 1), "binned"),
        (lambda c: c * (np.arange(40) % 7 == 0)[:, None], "counts"),
        (lambda c: c * 2**30, "too_large"),
        (lambda c: np.where(c == 2, 2**31, c), "too_large"),
        (lambda c: np.where(c == 2, 2**64 - 1, c).astype(np.uint64), "too_large"),
        (lambda c: np.where(np.arange(60) < 2, 2**30 - 99, c), "counts"),
        (lambda c: np.where(np.arange(60) < 2, 2**30, c), "too_large"),
    ],
)
def test_values_are_told_by_their_kind(tmp_path, barcodes, make, kind):
    counts = np.random.default_rng(3).poisson(1.5, (40, 60)) + np.eye(40, 60, dtype=int)
    path = write_h5ad(
        tmp_path / "a.h5ad", make(counts), barcodes, genes=[f"G{k}" for k in range(60)]
    )
    assert inspect(path).summary_of("X").looks_like == kind


def test_obs_columns_of_any_type_are_read_and_the_index_is_text(tmp_path, counts):
    obs = {"sample_id": np.repeat(["a", "b"], 20), "age": np.arange(40), "ok": np.arange(40) > 3}
    path = write_h5ad(tmp_path / "a.h5ad", counts, [str(k) for k in range(40)], obs=obs)
    submission = inspect(path)
    assert submission.obs.index[3] == "3"
    assert submission.obs["sample_id"].tolist() == obs["sample_id"].tolist()
    assert submission.obs["age"].tolist() == obs["age"].tolist()


def test_an_unknown_layer_names_those_there_are(tmp_path, counts, barcodes):
    submission = inspect(write_h5ad(tmp_path / "a.h5ad", counts, barcodes))
    with pytest.raises(DataError, match="found 'layers/counts', there are X"):
        submission.var_of("layers/counts")


def edit_csr(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file["X"])


def _set(name, place, value):
    def edit(group):
        group[name][place] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_set("indices", 5, 10**6), "index_out_of_range"),
        (_set("indices", 5, -1), "index_out_of_range"),
        (_set("indptr", 3, 10**6), "index_out_of_range"),
        (_set("indptr", 3, -7), "index_out_of_range"),
        (_set("indptr", 0, 1), "index_out_of_range"),
        (lambda g: g["indices"].__setitem__(1, g["indices"][0]), "duplicate_entries"),
    ],
)
def test_broken_positions_are_named_before_any_arithmetic(tmp_path, counts, barcodes, edit, reason):
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes)
    edit_csr(path, edit)
    with pytest.raises(DataError, match=re.escape("a.h5ad")) as error:
        dense(inspect(path))
    assert error.value.reason == reason


def test_shards_of_zarr_are_read(tmp_path, counts, barcodes):
    """Several chunks in one file, as writers of large stores make them."""
    path = write_zarr(tmp_path / "x.zarr", sp.csr_matrix(counts), barcodes)
    store = zarr.open_group(path, mode="a")
    for name in ("X/data", "X/indices", "X/indptr"):
        values, attributes = store[name][:], dict(store[name].attrs)
        del store[name]
        made = store.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=(4,), shards=(32,)
        )
        made[:] = values
        made.attrs.update(attributes)
    assert len(list((path / "X" / "data" / "c").iterdir())) == -(-np.count_nonzero(counts) // 32)
    np.testing.assert_array_equal(dense(inspect(path)), counts)


@pytest.mark.parametrize("kind", ["u8", "u4", "i8"])
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix])
def test_positions_and_pointers_of_any_width_give_the_same_counts(
    tmp_path, counts, barcodes, kind, form
):
    path = write_h5ad(tmp_path / "x.h5ad", form(counts), barcodes)
    with h5py.File(path, "a") as file:
        for name in ("indices", "indptr"):
            values = file["X"][name][:]
            del file["X"][name]
            file["X"][name] = values.astype(kind)
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def test_unsorted_positions_are_sorted(tmp_path, counts, barcodes):
    x = sp.csr_matrix(counts)
    for row in range(40):
        low, high = x.indptr[row], x.indptr[row + 1]
        x.indices[low:high], x.data[low:high] = x.indices[low:high][::-1], x.data[low:high][::-1]
    x.has_sorted_indices = False
    submission = inspect(write_h5ad(tmp_path / "a.h5ad", x, barcodes))
    assert all(block.has_canonical_format for _, block in iter_counts(submission))
    np.testing.assert_array_equal(dense(submission), counts)


def test_a_matrix_of_another_shape_than_its_labels_is_refused(tmp_path, counts, barcodes):
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes)
    edit_csr(path, lambda group: group.attrs.__setitem__("shape", (41, len(GENES))))
    with pytest.raises(DataError, match="40 cells × 12 genes as obs and var have; found 41 × 12"):
        inspect(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%%MatrixMarket matrix coordinate integer general\n12 40 4000000000\n1 1 1\n", "bomb"),
        (
            "%%MatrixMarket matrix coordinate integer general\n2000000000 2000000000 1\n1 1 1\n",
            "shape_mismatch",
        ),
        ("%%MatrixMarket matrix coordinate integer general\n12 40 3\n1 1 1\n2 2 2\n", "truncated"),
        (
            "%%MatrixMarket matrix coordinate integer general\n12 40 1\n13 1 1\n",
            "index_out_of_range",
        ),
        (
            "%%MatrixMarket matrix coordinate integer general\n12 40 1\n0 1 1\n",
            "index_out_of_range",
        ),
        (
            "%%MatrixMarket matrix coordinate integer general\n12 40 2\n1 1 1\n1 1 1\n",
            "duplicate_entries",
        ),
        ("%%MatrixMarket matrix coordinate integer general\n12 40 1\n1 1 x\n", "unreadable"),
        ("%%MatrixMarket matrix array real general\n12 40\n1\n", "unreadable"),
        ("", "empty_file"),
    ],
)
def test_broken_matrix_market_files_are_named(tmp_path, counts, barcodes, text, reason):
    folder = write_mtx(tmp_path / "m", counts, barcodes, packed=False)
    (folder / "matrix.mtx").write_text(text)
    with pytest.raises(DataError, match=re.escape("matrix.mtx")) as error:
        dense(inspect(folder))
    assert error.value.reason == reason


def test_a_folder_without_barcodes_says_so(tmp_path, counts, barcodes):
    folder = write_mtx(tmp_path / "m", counts, barcodes, packed=False)
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(
        DataError, match=r"found features.tsv, matrix.mtx, so barcodes.tsv is missing"
    ):
        inspect(folder)


def test_a_word_among_counts_is_named_by_row_and_column(tmp_path, counts, barcodes):
    path = write_table(tmp_path / "a.csv", counts, barcodes, GENES)
    lines = path.read_text().splitlines()
    lines[30] = lines[30].rsplit(",", 1)[0] + ",NA"
    path.write_text("\n".join(lines))
    with pytest.raises(
        DataError, match="row 31, column 'GNLY': each count must be a number; found 'NA'"
    ):
        dense(inspect(path))


def test_a_short_row_is_named(tmp_path, counts, barcodes):
    path = write_table(tmp_path / "a.csv", counts, barcodes, GENES)
    path.write_text(path.read_text()[:-8])
    with pytest.raises(DataError, match="row 41: each row must have 13 fields") as error:
        inspect(path)
    assert error.value.reason == "truncated"


def test_a_cut_gzip_file_is_truncated(tmp_path, counts, barcodes):
    path = write_table(tmp_path / "a.csv.gz", counts, barcodes, GENES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="must be complete") as error:
        inspect(path)
    assert error.value.reason == "truncated"


def test_a_gzip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(b"id,CD3E\n")
        for _ in range(120):
            stream.write(b"0" * 2**20)
    with pytest.raises(DataError, match="may unpack to") as error:
        inspect(path)
    assert error.value.reason == "bomb"


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,CD3E\nzellé,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8 text; found byte 0xe9"):
        inspect(path)


def test_formats_are_told_from_names(tmp_path):
    write_text(tmp_path / "a.tsv.gz", "x\n")
    assert detect_format(tmp_path / "a.tsv.gz") == "tsv"
    assert detect_format(tmp_path) == "10x_mtx"
    write_text(tmp_path / "a.dat", "x\n")
    with pytest.raises(DataError, match="the name must tell the format"):
        detect_format(tmp_path / "a.dat")
    write_text(tmp_path / "a.loom", "x\n")
    with pytest.raises(UsageError, match="format must be one of"):
        inspect(tmp_path / "a.loom", "loom")


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=12),
    seed=st.integers(0, 5),
    chunk=st.integers(1, 9),
    max_values=st.integers(1, 20),
)
def test_entries_in_any_order_give_the_same_blocks(counts, seed, chunk, max_values):
    matrix = np.array(counts)
    cells, genes = np.nonzero(matrix)
    turn = np.random.default_rng(seed).permutation(cells.size) if seed else np.arange(cells.size)
    cells, genes = cells[turn], genes[turn]

    def entries():
        for low in range(0, cells.size, chunk):
            piece = slice(low, low + chunk)
            yield cells[piece], genes[piece], matrix[cells, genes][piece]

    blocks = list(blocks_from_entries(entries, matrix.shape, max_values=max_values, file="x"))
    np.testing.assert_array_equal(sp.vstack([b for _, b in blocks]).toarray(), matrix)
    assert all(b.nnz <= max(max_values, 4) for _, b in blocks)
