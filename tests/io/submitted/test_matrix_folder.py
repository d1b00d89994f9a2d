"""The three files of a folder are found under any usual name, or what is missing is said."""

from __future__ import annotations

import gzip
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.submitted.readers import inspect, iter_counts
from submissions import GENES, write_mtx


def dense(submission):
    return sp.vstack([block for _, block in iter_counts(submission)]).toarray()


@pytest.fixture
def folder(tmp_path, counts, barcodes):
    return write_mtx(tmp_path / "m", counts, barcodes, packed=False)


def rename(folder, form):
    for path in list(folder.iterdir()):
        kind, _, end = path.name.partition(".")
        path.rename(folder / form.format(kind=kind, end=end))


@pytest.mark.parametrize(
    "form",
    ["GSM1_MH1_{kind}.{end}", "GSM1_{kind}_MH1.{end}", "MH1.{kind}.{end}", "{kind}-MH1.{end}"],
)
def test_names_with_a_prefix_or_a_suffix_are_found(folder, counts, form):
    rename(folder, form)
    np.testing.assert_array_equal(dense(inspect(folder)), counts)


def test_what_operating_systems_leave_behind_is_not_looked_at(folder, counts):
    for name in ("matrix.mtx", "features.tsv", "barcodes.tsv"):
        (folder / f"._{name}").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (folder / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._matrix.mtx").write_bytes(b"x")
    np.testing.assert_array_equal(dense(inspect(folder)), counts)


def test_files_of_two_samples_are_all_named(folder):
    for path in list(folder.iterdir()):
        (folder / f"S2_{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"S2_barcodes.tsv.*in a folder of its own") as error:
        inspect(folder)
    assert error.value.reason == "ambiguous_files"


def test_packed_and_unpacked_copies_are_told_from_two_samples(folder, counts):
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"without barcodes.tsv.gz, features.tsv.gz, matrix.mtx.gz"):
        inspect(folder)
    for path in folder.glob("*.gz"):
        path.unlink()
    np.testing.assert_array_equal(dense(inspect(folder)), counts)


@pytest.mark.parametrize(
    ("barcodes_of", "features_of", "matrix_of"),
    [
        ("cells_x_genes.barcodes.txt", "cells_x_genes.genes.txt", "cells_x_genes.mtx"),
        ("quants_mat_rows.txt", "quants_mat_cols.txt", "quants_mat.mtx"),
        ("barcodes.tsv", "features.tsv", "UniqueAndMult-EM.mtx"),
    ],
)
def test_the_command_for_names_of_other_tools_works(
    folder, counts, barcodes_of, features_of, matrix_of
):
    (folder / "barcodes.tsv").rename(folder / barcodes_of)
    (folder / "features.tsv").rename(folder / features_of)
    (folder / "matrix.mtx").rename(folder / matrix_of)
    with pytest.raises(DataError, match="In the folder: mv ") as error:
        inspect(folder)
    command = str(error.value).partition("In the folder: ")[2]
    subprocess.run(["bash", "-ec", command], cwd=folder, check=True)
    np.testing.assert_array_equal(dense(inspect(folder)), counts)


def test_a_folder_within_the_folder_is_pointed_at(folder):
    with pytest.raises(DataError, match=r"Give the folder that holds them: .*/m"):
        inspect(folder.parent, "10x_mtx")


@pytest.mark.parametrize(
    ("places", "fix"),
    [
        (
            ["multi/count/raw_feature_bc_matrix", "per_sample_outs/s1/count/sample_filtered"],
            "Give the folder that holds them: outs/per_sample_outs/s1/count/sample_filtered.",
        ),
        (
            ["Gene/filtered", "GeneFull/filtered"],
            "Give one of the folders that hold them: outs/Gene/filtered, outs/GeneFull/filtered.",
        ),
        (["Gene/raw"], "Give the folder that holds them: outs/Gene/raw."),
    ],
)
def test_folders_deep_within_are_pointed_at_and_raw_ones_only_without_others(
    tmp_path, counts, barcodes, places, fix
):
    for place in places:
        (tmp_path / "outs" / place).parent.mkdir(parents=True, exist_ok=True)
        write_mtx(tmp_path / "outs" / place, counts, barcodes, packed=True)
    with pytest.raises(DataError, match=re.escape(fix)):
        inspect(tmp_path / "outs", "10x_mtx")


def test_a_folder_of_bpcells_is_named_with_what_converts_it(tmp_path):
    for name in ("version", "shape", "row_names", "col_names", "val"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"BPCells::write_matrix_anndata_hdf5"):
        inspect(tmp_path, "10x_mtx")


def test_parts_of_counts_are_never_to_be_renamed_to_the_matrix(tmp_path):
    for name in ("spliced.mtx", "unspliced.mtx", "ambiguous.mtx", "barcodes.tsv", "features.tsv"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"parts of the counts.*Gene/filtered") as caught:
        inspect(tmp_path, "10x_mtx")
    assert "mv " not in str(caught.value)


def test_other_names_are_listed_with_what_is_needed(folder):
    (folder / "barcodes.tsv").rename(folder / "names.tsv")
    with pytest.raises(DataError, match=r"names.tsv, so barcodes.tsv is missing. Rename each file"):
        inspect(folder)


def test_the_command_for_a_parse_folder_works(tmp_path, counts, barcodes, monkeypatch):
    folder = tmp_path / "DGE_filtered"
    folder.mkdir()
    scipy.io.mmwrite(folder / "count_matrix.mtx", sp.coo_matrix(counts))
    frame = {"gene_id": [f"ENSG{k:011d}" for k in range(len(GENES))], "gene_name": GENES}
    pd.DataFrame(frame).to_csv(folder / "all_genes.csv", index=False)
    pd.DataFrame({"sample": "s"}, index=barcodes).to_csv(folder / "cell_metadata.csv")
    with pytest.raises(DataError, match="split-pipe") as error:
        inspect(folder)
    command = re.search(r"import anndata.*write_h5ad\('counts.h5ad'\)", str(error.value)).group()
    monkeypatch.chdir(folder)
    exec(command, {})
    submission = inspect(folder / "counts.h5ad")
    np.testing.assert_array_equal(dense(submission), counts)
    assert submission.var["gene_name"].tolist() == GENES


def lists(folder, features, barcodes):
    (folder / "features.tsv").write_text(features)
    (folder / "barcodes.tsv").write_text(barcodes)


LISTS = {
    "one column": lambda names: "\n".join(names) + "\n",
    "header x": lambda names: "x\n" + "\n".join(names) + "\n",
    "header of words": lambda names: "Gene.name\n" + "\n".join(names) + "\n",
    "quoted": lambda names: "".join(f'"{name}"\n' for name in names),
    "quoted header": lambda names: '"x"\n' + "".join(f'"{name}"\n' for name in names),
    "numbered": lambda names: (
        '"x"\n' + "".join(f'"{k}" "{name}"\n' for k, name in enumerate(names, 1))
    ),
    "numbered with tabs": lambda names: "".join(f"{k}\t{n}\n" for k, n in enumerate(names, 1)),
    "commas": lambda names: (
        '"","x"\n' + "".join(f'"{k}","{name}"\n' for k, name in enumerate(names, 1))
    ),
    "line ends of Windows": lambda names: "\r\n".join(names) + "\r\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_lists_written_by_hand_are_read_as_meant(folder, counts, barcodes, form):
    lists(folder, LISTS[form](GENES), LISTS[form](barcodes))
    submission = inspect(folder)
    assert list(submission.var.index) == GENES
    assert list(submission.obs.index) == barcodes
    np.testing.assert_array_equal(dense(submission), counts)


def test_a_first_line_that_may_be_a_header_is_named(folder, barcodes):
    lists(folder, "\n".join(["WHAT", *GENES]) + "\n", "\n".join(barcodes) + "\n")
    with pytest.raises(
        DataError, match=r"first line of features.tsv, 'WHAT', a header\? Remove it"
    ):
        inspect(folder)


def test_a_gene_whose_name_is_a_word_of_headers_is_no_header(folder, counts, barcodes):
    lists(folder, "\n".join(["gene", *GENES[1:]]) + "\n", "\n".join(barcodes) + "\n")
    assert inspect(folder).var.index[0] == "gene"
