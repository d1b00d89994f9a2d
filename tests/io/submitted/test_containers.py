"""A file of a format that is not read is named, with the tool that converts it."""

from __future__ import annotations

import gzip
import subprocess
import zipfile

import h5py
import pytest
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.submitted.containers import CONVERSIONS
from pmcell.io.submitted.readers import detect_format, inspect
from pmcell.registry.draft.register import register_file
from submissions import write_10x_h5, write_h5ad, write_zarr


@pytest.mark.parametrize(
    ("name", "what", "how"),
    [
        ("a.loom", "a loom file", "read_loom('a.loom'"),
        ("a.h5mu", "MuData", "read_h5mu('a.h5mu')['rna']"),
        ("a.h5Seurat", "SeuratDisk", "Convert('a.h5Seurat', dest = 'h5ad')"),
        ("a.rds", "an R object", "write_h5ad"),
        ("a.RData", "R objects", "that was read with load()"),
        ("a.xlsx", "a spreadsheet", "names of genes"),
        ("a.mtx", "alone", "barcodes.tsv and features.tsv"),
        ("a.mtx.gz", "alone", "barcodes.tsv and features.tsv"),
        ("a.tar.gz", "an archive", "tar -xf"),
        ("a.tgz", "an archive", "tar -xf"),
        ("a.h5ad.gz", "packed", "gunzip a.h5ad.gz, and give a.h5ad"),
        ("my a.h5ad.gz", "packed", "gunzip 'my a.h5ad.gz', and give my a.h5ad"),
        ("a.csv.bz2", "packed", "bunzip2"),
        ("a.pkl", "pickled", "write_h5ad"),
        ("a.bam", "reads", "STARsolo"),
        ("a.fq.gz", "reads", "STARsolo"),
        ("a.mat", "MATLAB", "scipy.io.loadmat('a.mat')"),
        ("my a.7z", "an archive", "7z x 'my a.7z'"),
        ("a.qs2", "an R object", "write_h5ad"),
        ("a.arrow", "Feather", "read_feather"),
        ("web_summary.html", "a web page", "the counts themselves"),
        ("a.docx", "a document", "the counts themselves"),
    ],
)
def test_other_containers_are_named_with_what_converts_them(tmp_path, name, what, how):
    path = tmp_path / name
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=what) as error:
        detect_format(path)
    assert how in str(error.value)
    assert error.value.reason == "format_not_read"


def test_names_of_formats_that_are_read_are_not_refused(tmp_path, counts, barcodes):
    write_zarr(tmp_path / "s.zip", sp.csr_matrix(counts), barcodes)
    assert detect_format(tmp_path / "s.zip") == "zarr"
    for name, fmt in (("a.h5ad", "h5ad"), ("a.csv.gz", "csv"), ("GSM1.rds.csv", "csv")):
        (tmp_path / name).write_bytes(gzip.compress(b"x"))
        assert detect_format(tmp_path / name) == fmt
    assert not set(CONVERSIONS) & {".h5ad", ".h5", ".csv", ".tsv", ".txt"}


def test_an_archive_of_other_files_is_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("counts/matrix.mtx", "x")
    with pytest.raises(DataError, match="Unpack it, and give the file or folder inside"):
        inspect(tmp_path / "a.zip")


def groups(path, *names):
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_group(name)
    return path


@pytest.mark.parametrize("fmt", ["h5ad", "10x_h5"])
@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("matrix_", "row_attrs", "col_attrs"), "a loom file"),
        (("mod", "obs", "var"), "MuData"),
        (("assays", "meta.data"), "SeuratDisk"),
        (("barcode_idx", "feature_idx", "count"), "list of molecules. Give filtered_feature_bc"),
    ],
)
def test_renamed_files_of_other_formats_are_known_by_what_they_hold(tmp_path, names, what, fmt):
    path = groups(tmp_path / "a.h5", *names)
    if names[0] == "matrix_":
        with h5py.File(path, "r+") as file:
            file["matrix"] = [[1, 2]]
    with pytest.raises(DataError, match=what):
        inspect(path, fmt)


@pytest.mark.parametrize("name", ["a.h5ad", "a.h5", "a.csv"])
@pytest.mark.parametrize(
    ("content", "what", "how"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS",
            "git lfs pull --include a.",
        ),
        (b"../.git/annex/objects/x", "git-annex", "git annex get a."),
        (b"\n<!DOCTYPE html><title>Log in", "a web page", "perhaps for a login"),
        (gzip.compress(b"X\n\0\0\0\3\0\4", mtime=0), "an R object", "readRDS()"),
        (gzip.compress(b"RDX3\nX\n", mtime=0), "R objects", "load()"),
        (b"PAR1xx", "a Parquet table", "read_parquet"),
    ],
    ids=["lfs", "annex", "page", "rds", "rdata", "parquet"],
)
def test_files_are_known_by_their_first_bytes_whatever_their_name(
    tmp_path, name, content, what, how
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=what) as error:
        inspect(tmp_path / name)
    assert how in str(error.value)


def test_the_command_for_a_packed_file_without_its_ending_works(tmp_path, counts, barcodes):
    path = write_h5ad(tmp_path / "it's a.h5ad", sp.csr_matrix(counts), barcodes)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match="found a packed file") as error:
        inspect(path)
    command = str(error.value).partition("packed file. ")[2]
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    assert inspect(path).n_cells == len(barcodes)


def test_anndata_named_h5_and_10x_named_h5ad_are_told_their_format(tmp_path, counts, barcodes):
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes)
    path = path.rename(tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"found AnnData. Set matrix.format in cohort.yaml to h5ad"):
        inspect(path)
    path = write_10x_h5(tmp_path / "b.h5", counts, barcodes).rename(tmp_path / "b.h5ad")
    with pytest.raises(DataError, match=r"Cell Ranger. Set matrix.format in cohort.yaml to 10x_h5"):
        inspect(path)


def test_register_names_its_own_options_and_they_work(tmp_path, counts, barcodes):
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(counts), barcodes)
    path = path.rename(tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"found AnnData. Give --format h5ad\.") as error:
        register_file(path, "c1", tmp_path / "cohorts")
    assert "cohort.yaml" not in str(error.value)
    registered = register_file(path, "c1", tmp_path / "cohorts", fmt="h5ad")
    assert "format: h5ad" in (registered.folder / "cohort.yaml").read_text()
    table = tmp_path / "t.csv"
    lines = ["id," + ",".join(f"c{k}" for k in range(12))]
    lines += [f"r{k}," + ",".join(map(str, row)) for k, row in enumerate(counts.tolist())]
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"Give --orientation genes_by_cells or cells_by_genes"):
        register_file(table, "c2", tmp_path / "cohorts")
    register_file(table, "c2", tmp_path / "cohorts", orientation="cells_by_genes")
