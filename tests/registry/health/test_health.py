"""A file is judged on its own: each planted fault is found, and a sound file has none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.cli import main
from pmcell.registry.health.report import file_health
from steward_files import steward_obs, write_steward_file
from submissions import write_h5ad

AT = [k % 4 for k in range(60)]


@pytest.fixture
def health(tmp_path):
    def of(**more):
        return file_health(write_steward_file(tmp_path / "in.h5ad", **more))

    return of


def reasons(check):
    return {(fault.reason, fault.column) for fault in check.faults}


def test_a_sound_file_has_no_error_and_says_what_it_is(health):
    check = health()
    assert check.errors == []
    assert check.metrics["n_donors"] == 4
    assert check.metrics["counts_in"] == "X"
    assert check.metrics["told_by"]["sex"] == "sex"
    assert check.metrics["lacks"] == ["processing batches", "age", "assay"]
    assert {"title", "access"} <= set(check.metrics["to_be_said"])
    assert any(line.startswith("score (donor") for line in check.metrics["unused"])


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("taken", ["2020-04-02", "2 April 2020", "x", "y"], "date"),
        ("serial_date", ["43930", "43931", "43940", "43950"], "date"),
        ("run", ["20200402", "20200403", "1", "2"], "date"),
        ("Patient_Name", ["Ada", "Bob", "Cy", "Di"], "identifying"),
        ("contact", ["ada@example.org", "x", "y", "z"], "identifying"),
        ("call", ["+31 20 123 4567", "x", "y", "z"], "identifying"),
    ],
)
def test_text_that_identifies_people_is_an_error(health, column, values, reason):
    check = health(**{column: [values[k] for k in AT]})
    assert (reason, f"obs {column}") in reasons(check)
    assert [fault.column for fault in check.errors] == [f"obs {column}"]


@pytest.mark.parametrize("letters", ["y", "_", "a.", "1-", " 1"])
def test_a_text_of_a_million_letters_is_looked_through(health, letters):
    assert health(note=[letters * 500_000] * 60).errors == []


def test_numbers_that_look_like_days_are_no_dates(health):
    assert health(n_umis=[str(43930 + k) for k in AT]).errors == []


def test_one_person_under_two_spellings_is_named(health):
    check = health(donor_id=[("P01", "p1", "P2", "P3")[k] for k in AT])
    found = [fault for fault in check.faults if fault.reason == "alike"]
    assert "'P01', 'p1'" in found[0].found


def test_batches_that_hold_one_group_only_are_named(health):
    check = health(batch=[f"b{k % 2}" for k in AT])
    found = [fault for fault in check.faults if fault.reason == "confounded"]
    assert "no difference by 'disease' can be told" in found[0].found
    mixed = health(batch=[f"b{k // 2}" for k in AT])
    assert "confounded" not in {fault.reason for fault in mixed.faults}


def test_cells_that_stand_twice_are_found(tmp_path):
    counts = cell_counts()
    counts[7] = counts[3]
    path = write_h5ad(
        tmp_path / "in.h5ad",
        sp.csr_matrix(counts),
        barcodes(),
        genes=gene_names(),
        obs=steward_obs(),
    )
    found = [fault for fault in file_health(path).faults if fault.reason == "copies"]
    assert found[0].found == "1 cells are copies; cell 8 is cell 4"


def check_with_sex_genes(folder, counts, **columns):
    """Faults of a file with XIST and RPS4Y1 as its last genes."""
    names = [*gene_names()[:150], "XIST", "RPS4Y1"]
    matrix = sp.csr_matrix(np.column_stack([cell_counts()[:, :150], counts]))
    path = write_h5ad(
        folder / "in.h5ad", matrix, barcodes(), genes=names, obs=steward_obs(**columns)
    )
    return file_health(path).faults


def test_a_sex_that_the_genes_contradict_is_named(tmp_path):
    donors, counts = np.array(AT), np.zeros((60, 2), np.int64)
    counts[donors == 0, 1] = 3  # d1 is stated male, and is.
    counts[donors == 1, 1] = 3  # d2 is stated female, and is not.
    counts[donors == 2, 0] = 3  # d3 is stated male, and is not.
    sexes = {"sex": [("male", "female", "male", "female")[k] for k in AT]}
    faults = check_with_sex_genes(tmp_path, counts, **sexes)
    found = [fault.found for fault in faults if fault.reason == "sex"]
    assert len(found) == 2
    assert found[0].startswith("'d2' stated female")
    assert found[1].startswith("'d3' stated male")


def test_cells_of_two_people_under_one_donor_are_warned_of(tmp_path):
    of_men = np.where(np.arange(60)[:, None] % 3 == 0, [0, 4], [4, 0])
    faults = check_with_sex_genes(tmp_path, of_men, donor_id=["P01"] * 60)
    (fault,) = [fault for fault in faults if fault.reason == "two_people"]
    assert (fault.severity, fault.column) == ("warning", "obs donor_id")
    assert "'P01': the cells may be of two people: by genes of Y and XIST, 20 of the 60" in (
        fault.found
    )
    own = np.where(np.array(AT)[:, None] % 2 == 0, [0, 4], [4, 0])
    faults = check_with_sex_genes(tmp_path, own)
    assert "two_people" not in {fault.reason for fault in faults}


def test_a_file_without_counts_and_a_damaged_one_are_faults(tmp_path):
    logs = sp.csr_matrix(np.log1p(cell_counts() / 3.0))
    path = write_h5ad(
        tmp_path / "logs.h5ad", logs, barcodes(), genes=gene_names(), obs=steward_obs()
    )
    assert "not_counts" in {fault.reason for fault in file_health(path).errors}
    path.write_bytes(path.read_bytes()[:3000])
    assert [fault.file for fault in file_health(path).errors] == ["logs.h5ad"]


def test_repeated_barcodes_are_an_error(tmp_path):
    names = barcodes()
    names[5] = names[4]
    counts = sp.csr_matrix(cell_counts())
    path = write_h5ad(tmp_path / "in.h5ad", counts, names, genes=gene_names(), obs=steward_obs())
    assert "barcodes" in {fault.reason for fault in file_health(path).errors}


def test_the_command_takes_a_file_and_exits_by_its_faults(tmp_path, capsys):
    good = write_steward_file(tmp_path / "good.h5ad")
    bad = write_steward_file(tmp_path / "bad.h5ad", taken=["2020-04-02"] * 30 + ["x"] * 30)
    assert main(["check", str(good)]) == 0
    assert "4 donors named" in capsys.readouterr().out
    assert main(["check", str(bad)]) == 1
    assert main(["check", str(good), "c1"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main(["check", "nothing.h5ad"]) == 2
    assert "FILE must exist" in capsys.readouterr().err


def test_a_fix_names_no_file_that_is_not_there_yet(tmp_path):
    names = [f"feature {k}" for k in range(len(gene_names()))]
    path = write_h5ad(tmp_path / "in.h5ad", sp.csr_matrix(cell_counts()), barcodes(), genes=names)
    fixes = [fault.fix for fault in file_health(path).errors]
    assert any("adata.var_names = adata.var['COLUMN']" in fix for fix in fixes)
    assert not any("cohort.yaml" in fix for fix in fixes)


def test_a_damaged_file_is_told_once_and_in_one_sentence(tmp_path):
    path = write_steward_file(tmp_path / "in.h5ad")
    with h5py.File(path, "r+") as file:
        file["X/indices"][5] = 5000
    (error,) = file_health(path).errors
    assert str(error).startswith("in.h5ad: positions of genes must be from 0 to ")
    with h5py.File(path, "r+") as file:
        file["X/indptr"][5] = 10**6
    (error,) = file_health(path).errors
    assert str(error).startswith("in.h5ad: the pointers of /X must rise from 0 to ")
    assert ".." not in str(error)
