"""Counts are read alike from every form of CSR h5ad, and refused where they are no counts."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import pmcell as pm
from counts_data import random_counts
from pmcell.cli import main
from pmcell.cli._job.memory import megabytes, within_memory
from pmcell.errors import DataError, UsageError
from pmcell.io.counts.open import open_counts
from pmcell.pp.qc import QcOptions

FORMS = {
    "plain float32": (np.float32, {}),
    "plain int64": (np.int64, {}),
    "gzip with shuffle and checksum": (
        np.int32,
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (100,)},
    ),
    "gzip of float64": (np.float64, {"compression": "gzip", "chunks": (77,)}),
    "gzip with shuffle of one byte": (
        np.uint8,
        {"compression": "gzip", "shuffle": True, "chunks": (64,)},
    ),
    "lzf": (np.float32, {"compression": "lzf", "chunks": (100,)}),
    "chunks without compression": (np.uint16, {"chunks": (50,)}),
}


def write(path, matrix, dtype=np.float32, values=None, **storage):
    """An h5ad with X stored as asked."""
    obs = pd.DataFrame(
        {"donor": np.arange(matrix.shape[0]) % 3}, index=[f"c{at}" for at in range(len(matrix))]
    )
    obs["donor"] = obs["donor"].astype(str)
    var = pd.DataFrame(index=[f"G{at}" for at in range(matrix.shape[1])])
    found = sparse.csr_matrix(matrix)
    AnnData(found.astype(np.float32), obs, var).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        group = file["X"]
        data = found.data if values is None else values
        for name, stored in (("data", data.astype(dtype)), ("indices", found.indices)):
            del group[name]
            group.create_dataset(name, data=stored, **storage)
    return path


@pytest.fixture(scope="module")
def matrix():
    return np.asarray(np.minimum(random_counts(90, 40).toarray(), 200))


@pytest.mark.parametrize("form", FORMS)
def test_counts_are_the_same_in_every_form(tmp_path, matrix, form):
    dtype, storage = FORMS[form]
    counts = open_counts(write(tmp_path / "a.h5ad", matrix, dtype, **storage))
    found = counts.read_rows(np.arange(90))
    assert found.data.dtype == np.int32
    np.testing.assert_array_equal(found.toarray(), matrix)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.5, 2.0**31])
def test_values_that_are_no_counts_are_refused(tmp_path, matrix, value):
    values = sparse.csr_matrix(matrix).data.astype(np.float64)
    values[17] = value
    path = write(tmp_path / "a.h5ad", matrix, np.float64, values)
    with pytest.raises(DataError, match=r"raw counts .* value 17 is") as caught:
        list(open_counts(path).iter_blocks())
    assert caught.value.reason == "not_counts"


@pytest.mark.parametrize("position", [40, -1])
def test_a_position_of_no_gene_is_refused(tmp_path, matrix, position):
    path = write(tmp_path / "a.h5ad", matrix)
    with h5py.File(path, "r+") as file:
        file["X/indices"][-1] = position
    with pytest.raises(DataError, match="positions must be from 0 to 39; cell 89"):
        list(open_counts(path).iter_blocks())


def test_positions_in_any_order_are_sorted(tmp_path, matrix):
    path = write(tmp_path / "a.h5ad", matrix)
    with h5py.File(path, "r+") as file:
        for name in ("data", "indices"):
            stop = int(file["X/indptr"][1])
            file["X"][name][:stop] = file["X"][name][:stop][::-1]
    np.testing.assert_array_equal(open_counts(path).read_rows(np.arange(90)).toarray(), matrix)


def test_a_damaged_chunk_is_an_error_not_another_count(tmp_path, matrix):
    path = write(tmp_path / "a.h5ad", matrix, np.int32, compression="gzip", chunks=(100,))
    with h5py.File(path, "r") as file:
        offset = file["X/data"].id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 12] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="Run intake again"):
        list(open_counts(path).iter_blocks())


@pytest.mark.parametrize("form", [sparse.csc_matrix, np.asarray])
def test_a_matrix_that_is_not_stored_by_cells_is_named_with_what_to_do(tmp_path, matrix, form):
    AnnData(form(matrix.astype(np.float32))).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match="pmcell intake"):
        open_counts(tmp_path / "a.h5ad")


def test_values_past_two_to_the_31_are_reached(tmp_path):
    path, far = tmp_path / "a.h5ad", 2**31 + 7
    write(path, np.eye(2, 5))
    with h5py.File(path, "r+") as file:
        for name in ("data", "indices", "indptr"):
            del file["X"][name]
        for name, dtype in (("data", np.uint8), ("indices", np.int32)):
            made = file["X"].create_dataset(name, (far + 3,), dtype, chunks=(2**20,))
            made[far:] = [1, 3, 4]
        file["X"].create_dataset("indptr", data=np.array([0, far, far + 3]))
    (block,) = open_counts(path).iter_blocks(1, 2)
    assert block.indices.tolist() == block.data.tolist() == [1, 3, 4]


def test_stored_values_are_counted_by_label(tmp_path, matrix):
    counts = open_counts(write(tmp_path / "a.h5ad", matrix))
    labels = np.array([f"s{at % 4}" for at in range(90)])
    wanted = [np.count_nonzero(matrix[at::4]) for at in range(4)]
    assert counts.stored_of(labels).tolist() == wanted
    assert counts.stored_of(labels[:0]).size == 0


def test_too_little_memory_is_refused_with_the_number_needed(tmp_path, matrix):
    counts = open_counts(write(tmp_path / "a.h5ad", matrix))
    with pytest.raises(UsageError, match=r"must be at least (\d+) \(MB\)") as caught:
        within_memory(counts, "covariance", 10, n_features=5)
    needed = int(str(caught.value).split("at least ")[1].split()[0])
    assert within_memory(counts, "covariance", needed, n_features=5).block_values >= 131_072
    with pytest.raises(UsageError, match="must be at least"):
        within_memory(counts, "covariance", needed - 1, n_features=5)


def test_a_step_gives_the_same_bytes_under_any_memory_that_it_does_not_refuse(tmp_path, capsys):
    rng = np.random.default_rng(2)
    counts = sparse.csr_matrix(rng.poisson(1.0, (3000, 200)).astype(np.int32))
    obs = pd.DataFrame({"batch_id": ["x", "y"] * 1500}, index=[f"c{at}" for at in range(3000)])
    obs["tissue_ontology_term_id"] = "UBERON:0013756"
    var = pd.DataFrame({"symbol": "s"}, index=[f"g{at}" for at in range(200)])
    AnnData(counts, obs, var).write_h5ad(tmp_path / "a.h5ad")
    pd.DataFrame({"passes_qc": rng.random(3000) < 0.9}).to_parquet(tmp_path / "qc.parquet")

    def step(memory: str) -> int:
        files = ["--counts", tmp_path / "a.h5ad", "--qc", tmp_path / "qc.parquet"]
        out = tmp_path / f"{memory}.npz"
        return main(["gene_stats", *map(str, files), "--out", str(out), "--memory", memory])

    assert step("100") == 2
    needed = capsys.readouterr().err.split("at least ")[1].split()[0]
    assert not list(tmp_path.glob("*.npz"))
    counts_file = open_counts(tmp_path / "a.h5ad")
    small = within_memory(counts_file, "gene_stats", int(needed), n_batches=2)
    assert small.block_values < counts.nnz / 2
    assert step(needed) == step("4000") == 0
    assert (tmp_path / f"{needed}.npz").read_bytes() == (tmp_path / "4000.npz").read_bytes()


def test_sizes_of_memory_are_read_with_and_without_unit():
    assert [megabytes(text) for text in ("800", "800M", "1.5g", "2GB")] == [800, 800, 1536, 2048]
    with pytest.raises(Exception, match="must be a size such as"):
        megabytes("much")


def test_the_library_gives_the_same_bits_from_a_file_and_from_memory(tmp_path):
    adata = pm.simulate.simulate(n_donors=4, cells_per_sample=60, seed=1)
    adata.write_h5ad(tmp_path / "a.h5ad")
    counts = open_counts(tmp_path / "a.h5ad")
    on_disk = counts.read_cells()
    options = QcOptions(score_doublets=False)
    pm.pp.qc(adata, options=options)
    pm.pp.qc(on_disk, options=options, counts=counts)
    found = []
    for cells, source in ((adata, None), (on_disk, counts)):
        kept = cells[cells.obs["passes_qc"]].copy()
        pm.pp.highly_variable_genes(kept, n_top=100, counts=source)
        pm.tl.pca(kept, n_components=10, counts=source)
        found.append(kept)
    for name in ("total_counts", "passes_qc", "exclusion"):
        assert adata.obs[name].tolist() == on_disk.obs[name].tolist()
    np.testing.assert_array_equal(found[0].obsm["X_pca"], found[1].obsm["X_pca"])
    with pytest.raises(UsageError, match=r"counts\.read_cells"):
        pm.tl.pca(found[1][::-1].copy(), counts=counts)
