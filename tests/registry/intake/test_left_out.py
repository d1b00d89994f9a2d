"""Cells are left out by the values of a column, counted, and nobody is left out by mistake."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cohorts_on_disk import N_CELLS, barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.errors import FaultsError
from pmcell.io.submitted.readers import inspect
from pmcell.registry.cohorts.barcode_rule import cut_barcode
from pmcell.registry.cohorts.cohort import find_faults, load_registration
from pmcell.registry.cohorts.not_people import not_people
from pmcell.registry.cohorts.registration import Exclusion
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.intake.check import check_cohorts
from pmcell.registry.intake.copies import Fingerprints, shared_cells
from pmcell.registry.intake.identified import identify_cells
from pmcell.registry.intake.left_out import leave_out
from pmcell.registry.intake.matrix_check import matrix_report
from pmcell.registry.intake.read import read_cohort
from submissions import write_h5ad

LIMITS = {
    "min_cells": 20,
    "min_genes": 100,
    "warn_share_umis_lost": 0.1,
    "max_share_umis_lost": 0.5,
}


@pytest.fixture
def folder(tmp_path):
    return write_cohort(tmp_path / "cohorts" / "c1")


def matrix(folder, **obs):
    columns = {**obs_columns(), **obs}
    counts = sp.csr_matrix(cell_counts())
    write_h5ad(folder / "counts.h5ad", counts, barcodes(), genes=gene_names(), obs=columns)
    return inspect(folder / "counts.h5ad", "h5ad", looks_like_genes=lambda names: 1.0)


def exclude(folder, text):
    path = folder / "cohort.yaml"
    path.write_text(path.read_text() + f"exclude:\n{text}")


def name_donors(folder):
    """Name the column `donor` as that of the donors; the path of cohort.yaml."""
    path = folder / "cohort.yaml"
    columns = "sample_id: sample_id, donor_id: donor"
    path.write_text(path.read_text().replace("sample_id: sample_id", columns))
    return path


def cells(folder, submission):
    return identify_cells(submission, load_registration(folder))


def faults(folder, submission):
    with pytest.raises(FaultsError, match="fault") as caught:
        cells(folder, submission)
    return caught.value.faults


def test_cells_left_out_are_counted_with_their_reason_and_the_others_stay_exact(folder, tmp_path):
    marks = [k % 4 == 0 for k in range(N_CELLS)]
    labels = ["doublet" if k % 6 == 0 else "P1" for k in range(N_CELLS)]
    matrix(folder, is_primary_data=[not mark for mark in marks], who=labels)
    exclude(
        folder,
        "  - {column: is_primary_data, values: [false], reason: copies}\n"
        "  - {column: who, values: [doublet], reason: several donors}\n",
    )
    out = tmp_path / "out"
    out.mkdir()
    report = read_cohort(str(folder), str(out), LIMITS)
    assert report["status"] == "ok", report["message"]
    assert report["metrics"]["left_out"] == [
        {"reason": "copies", "n_cells": 15},
        {"reason": "several donors", "n_cells": 5},
    ]
    assert report["metrics"]["n_cells_submitted"] == N_CELLS
    assert report["metrics"]["n_cells_left_out"] == 20
    kept = [k for k in range(N_CELLS) if k % 4 and k % 6]
    taken = ad.read_h5ad(out / "intake.h5ad")
    assert taken.obs_names.tolist() == [f"c1:{barcodes()[k]}" for k in kept]
    ledger = pd.read_parquet(out / "gene_ledger.parquet")
    np.testing.assert_array_equal(ledger["umis"], cell_counts()[kept].sum(0))
    n_of_samples = pd.read_parquet(out / "samples.parquet")["n_cells_submitted"]
    assert n_of_samples.sum() == len(kept)


def test_check_says_how_many_cells_are_left_out(folder):
    matrix(folder, who=["doublet"] * 5 + ["P1"] * 55)
    exclude(folder, "  - {column: who, values: [doublet], reason: several donors}\n")
    report = matrix_report(str(folder))
    assert report["metrics"]["left_out"] == [{"reason": "several donors", "n_cells": 5}]


@pytest.mark.parametrize(
    ("value", "n"), [("", 20), ("1", 20), ("2.0", 0), ("True", 0)], ids=["none", "one", "-", "--"]
)
def test_values_are_compared_as_intake_reads_them(folder, value, n):
    submission = matrix(folder, mark=[None, 1.0, 2.0] * 20)
    found = leave_out(submission, [Exclusion("mark", (value,), "x")])
    assert found.n_left_out == n
    assert bool(found.faults) == (n == 0)


def test_a_value_that_no_cell_has_is_named_with_the_nearest(folder):
    submission = matrix(folder, who=["doublet"] * 5 + ["P1"] * 55)
    exclude(folder, "  - {column: who, values: [Doublets], reason: several donors}\n")
    (fault,) = faults(folder, submission)
    assert (fault.reason, fault.fix) == ("exclude", "Did you mean 'doublet'? Else remove it.")


def test_a_column_that_is_not_there_is_named(folder):
    submission = matrix(folder)
    exclude(folder, "  - {column: kinds, values: [odd], reason: x}\n")
    (fault,) = faults(folder, submission)
    assert (fault.column, fault.reason) == ("exclude[0].column", "column_missing")
    assert "Did you mean 'kind'?" in fault.fix


def test_leaving_everybody_out_is_a_fault(folder):
    submission = matrix(folder)
    exclude(folder, "  - {column: kind, values: [B, T, odd], reason: x}\n")
    assert [fault.column for fault in faults(folder, submission)] == ["exclude"]


@pytest.mark.parametrize(
    ("text", "column", "must"),
    [
        ("  - {column: who, values: [a]}\n", "exclude[0].reason", "must be given"),
        ("  - {colum: who, values: [a], reason: x}\n", "exclude[0].colum", "must be a known key"),
        ("  {column: who, values: [a], reason: x}\n", "exclude", "must be a list"),
        ("  - {column: who, values: [TODO], reason: x}\n", "exclude[0].values[0]", "be decided"),
    ],
)
def test_an_exclusion_of_the_wrong_form_is_named(folder, text, column, must):
    exclude(folder, text)
    assert (column, must) in [
        (fault.column, must) for fault in find_faults(folder) if must in fault.must
    ]


def test_a_label_of_no_person_is_told_to_be_left_out_and_the_line_works(folder):
    donors = ["doublet" if k < 6 else ("d1", "d1", "d2")[k % 3] for k in range(N_CELLS)]
    submission = matrix(folder, donor=donors)
    path = name_donors(folder)
    named = faults(folder, submission)
    assert {fault.reason for fault in named} == {"donor_mismatch"}
    line = named[0].fix.removeprefix("Leave them out: ").removesuffix(".")
    path.write_text(f"{path.read_text()}{line}\n")
    assert cells(folder, submission).left_out.n_left_out == 6


def test_cells_without_a_donor_are_their_samples_and_counted(folder):
    donors = [None if k < 6 else ("d1", "d1", "d2")[k % 3] for k in range(N_CELLS)]
    submission = matrix(folder, donor=donors)
    name_donors(folder)
    found = cells(folder, submission)
    (warning,) = [fault for fault in found.warnings if fault.reason == "no_donor"]
    assert warning.found.startswith("6 of 60 cells have none")
    assert len(found.samples) == N_CELLS


def test_a_donor_whose_zeros_are_lost_in_both_tables_is_named(folder):
    submission = matrix(folder, donor=[("001", "001", "002")[k % 3] for k in range(N_CELLS)])
    for name in ("donors.tsv", "samples.tsv"):
        text = (folder / name).read_text().replace("d1\t", "1\t").replace("d2\t", "2\t")
        (folder / name).write_text(text)
    name_donors(folder)
    assert "Write 001 in donors.tsv and samples.tsv" in faults(folder, submission)[0].fix


def test_marked_copies_are_a_warning_with_their_number(folder):
    submission = matrix(folder, is_primary_data=[k >= 12 for k in range(N_CELLS)])
    (warning,) = cells(folder, submission).warnings
    assert (warning.reason, warning.severity) == ("copies", "warning")
    assert warning.found.startswith("12 of 60 cells")


def test_a_fault_is_named_once(folder):
    submission = matrix(folder, sample_id=["s1"] * 30 + ["sX"] * 30)
    text = json.dumps([str(fault) for fault in faults(folder, submission)])
    assert text.count("'sX' of 30 cells") == 1


def test_a_cell_type_with_a_date_is_named(folder):
    submission = matrix(folder, kind=["B 2020-04-02"] * N_CELLS)
    assert [fault.reason for fault in faults(folder, submission)] == ["date"]


@pytest.mark.parametrize(
    ("labels", "no_people"),
    [
        (["P1", "P2", "doublet", "unassigned", "P1,P2"], ["P1,P2", "doublet", "unassigned"]),
        (["donor0", "donor1", "Doublet_donor0_donor1"], ["Doublet_donor0_donor1"]),
        (["0", "1", "0/1", "1/0"], ["0/1", "1/0"]),
        (["SNG-P1", "DBL-P1-P2-0.500", "AMB-P1-P2-P1/P2"], ["AMB-P1-P2-P1/P2", "DBL-P1-P2-0.500"]),
        (["P1,P1,0.00", "P1,P2,0.50", "P1", "P2"], ["P1,P2,0.50"]),
        (["HTO-1", "HTO-2", "HTO-1_HTO-2", "Negative"], ["HTO-1_HTO-2", "Negative"]),
        (
            ["CMO301", "CMO302", "CMO301|CMO302", "Multiplet", "Blanks"],
            ["Blanks", "CMO301|CMO302", "Multiplet"],
        ),
        (["P1", "pooled", "Pool 1"], ["pooled"]),
        (
            ["1", "2", "-2147483648", "-9223372036854775808"],
            ["-2147483648", "-9223372036854775808"],
        ),
        (["SampleTag01", "Undetermined", "Multiplet"], ["Multiplet", "Undetermined"]),
        (["A", "B", "A&B", "ambiguous", "not assigned"], ["A&B", "ambiguous", "not assigned"]),
        (["NEG_01", "pt-negrin", "Ambrose", "P_1", "P_2", "1/12", "2/12", "multiple-1"], []),
        (["S1", "S2", "PBMC_1", "HC-1", "COVID_neg_3"], []),
    ],
)
def test_labels_that_are_no_people_are_told(labels, no_people):
    assert sorted(not_people(labels)) == no_people


def test_ids_that_are_one_number_are_found_only_where_they_are_one():
    assert SameNumbers(["001", "P2", "7"]).find("1") == "001"
    assert SameNumbers(["001", "01"]).find("1") is None
    assert SameNumbers(["1"]).find("1") is None


@pytest.mark.parametrize(
    ("rule", "sample"),
    [
        ("barcode_prefix:_", "PT01"),
        ("barcode_prefix:_:last", "PT01_T0"),
        ("barcode_prefix:_:2", "PT01_T0"),
        ("barcode_suffix:_", "ACGT-1"),
        ("barcode_suffix:_:first", "T0_ACGT-1"),
        ("barcode_suffix:-", "1"),
        ("barcode_prefix:#", ""),
        ("barcode_prefix:_:3", ""),
    ],
)
def test_a_rule_says_which_separator_cuts(rule, sample):
    assert cut_barcode("PT01_T0_ACGT-1", rule) == sample


def test_a_colon_may_be_the_separator():
    assert cut_barcode("PT01:T0:ACGT", "barcode_prefix::") == "PT01"
    assert cut_barcode("PT01:T0:ACGT", "barcode_prefix:::last") == "PT01:T0"


def test_cells_with_the_counts_of_another_are_counted_and_warned_of(folder, tmp_path):
    counts = cell_counts()
    counts[40:45] = counts[10:15]
    columns = obs_columns()
    write_h5ad(
        folder / "counts.h5ad", sp.csr_matrix(counts), barcodes(), genes=gene_names(), obs=columns
    )
    out = tmp_path / "out"
    out.mkdir()
    report = read_cohort(str(folder), str(out), LIMITS)
    assert report["metrics"]["n_cells_copied"] == 5
    (fault,) = [fault for fault in report["faults"] if fault["reason"] == "copies"]
    assert fault["found"] == "5 cells are copies; row 41 is row 11"


def test_fingerprints_do_not_depend_on_blocks():
    counts = sp.csr_matrix(cell_counts())
    doubled = sp.csr_matrix(sp.vstack([counts, counts[3:6]]))
    for size in (1, 7, 63):
        prints = Fingerprints(gene_names())
        for start in range(0, doubled.shape[0], size):
            prints.add(doubled[start : start + size])
        assert prints.copies() == (3, (3, 60))


def test_cells_in_two_cohorts_are_told_whatever_they_are_called(folder):
    matrix(folder)
    other = write_cohort(folder.parent / "c2")
    names = [f"x{k}" for k in range(N_CELLS)]
    write_h5ad(
        other / "counts.h5ad",
        sp.csr_matrix(cell_counts()[::-1]),
        names,
        genes=gene_names(),
        obs=obs_columns(),
    )
    checks = check_cohorts([folder, other])
    for check in checks:
        (fault,) = [fault for fault in check.warnings if fault.reason == "copies"]
        assert fault.found.startswith("100% of the smaller cohort's cells are in c")


def test_different_cells_are_no_copies():
    one, other = (Fingerprints(gene_names()) for _ in range(2))
    one.add(sp.csr_matrix(cell_counts(0)))
    other.add(sp.csr_matrix(cell_counts(1)))
    assert one.copies() == (0, None)
    assert not shared_cells({"a": one.sketch(), "b": other.sketch()})


@pytest.mark.parametrize(
    "other", ["Mus musculus", "mouse", "NCBITaxon:10090", "mm10", "Macaca mulatta"]
)
def test_cells_that_the_file_calls_another_species_are_refused_and_can_be_left_out(folder, other):
    labels = [other if k % 3 == 0 else "Homo sapiens" for k in range(N_CELLS)]
    submission = matrix(folder, organism=labels)
    found = faults(folder, submission)
    assert [fault.reason for fault in found] == ["species"]
    assert found[0].found == f"20 of 60 are {other!r}"
    path = folder / "cohort.yaml"
    path.write_text(path.read_text() + found[0].fix.removeprefix("Leave them out: ").rstrip("."))
    assert cells(folder, submission).left_out.n_left_out == 20


@pytest.mark.parametrize("label", ["Homo sapiens", "human", "hg38", "NCBITaxon:9606", "GRCh38", ""])
def test_names_of_the_human_species_are_no_fault(folder, label):
    assert not cells(folder, matrix(folder, species=[label] * N_CELLS)).warnings


def test_spots_of_a_tissue_are_no_single_cells(folder):
    at = dict.fromkeys(("in_tissue", "array_row", "array_col"), [1] * N_CELLS)
    assert [fault.reason for fault in cells(folder, matrix(folder, **at)).warnings] == ["spots"]


def test_a_matrix_from_before_cells_were_called_is_refused(folder, tmp_path):
    counts = cell_counts()
    counts[20:] = counts[20:] * (np.arange(counts.shape[1]) % 40 == 0)
    write_h5ad(
        folder / "counts.h5ad",
        sp.csr_matrix(counts),
        barcodes(),
        genes=gene_names(),
        obs=obs_columns(),
    )
    reasons = [fault["reason"] for fault in matrix_report(str(folder))["faults"]]
    assert "empty_droplets" in reasons
    (tmp_path / "out").mkdir()
    with pytest.raises(FaultsError, match=r"40 of 60\. Take the matrix after cells were called"):
        read_cohort(str(folder), str(tmp_path / "out"), LIMITS)
    raised = LIMITS | {"max_share_empty": 0.9}
    assert read_cohort(str(folder), str(tmp_path / "out"), raised)["status"] in ("ok", "warned")
