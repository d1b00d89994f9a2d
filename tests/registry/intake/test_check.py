"""Checking compares the tables with the header of the submitted file, and says what was seen."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.errors import DataError
from pmcell.io.submitted import sandbox
from pmcell.registry.intake import cells
from pmcell.registry.intake.check import check_cohort, check_cohorts
from submissions import write_10x_h5, write_h5ad


@pytest.fixture
def folder(tmp_path):
    folder = write_cohort(tmp_path / "cohorts" / "c1")
    matrix(folder)
    return folder


def matrix(folder, x=None, **options):
    x = sp.csr_matrix(cell_counts()) if x is None else x
    given = {"genes": gene_names(), "obs": obs_columns(), **options}
    return write_h5ad(folder / "counts.h5ad", x, given.pop("barcodes", barcodes()), **given)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def found(check, reason):
    faults = [fault for fault in check.faults if fault.reason == reason]
    assert faults, [str(fault) for fault in check.faults]
    return faults[0]


def test_a_sound_cohort_has_no_errors_and_its_numbers(folder):
    check = check_cohort(folder)
    assert not check.errors, [str(fault) for fault in check.errors]
    assert check.metrics["n_cells"] == 60
    assert check.metrics["n_samples"] == 3
    assert check.metrics["genes"]["merged"] == 2
    assert check.metrics["counts"].startswith("raw counts")


def test_a_cell_type_without_a_term_is_a_warning_with_the_nearest(folder):
    warnings = [fault for fault in check_cohort(folder).warnings if "cell_type" in fault.column]
    assert "'odd'" in warnings[0].found


def test_logarithms_are_refused_with_what_was_seen(folder):
    matrix(folder, sp.csr_matrix(np.log2(cell_counts() * 7.3 + 1)))
    fault = found(check_cohort(folder), "not_counts")
    assert fault.column == "matrix.counts"
    assert "log" in fault.found
    assert "does not undo logarithms" in fault.fix


def test_counts_in_another_layer_are_pointed_at(folder):
    counts = sp.csr_matrix(cell_counts())
    matrix(folder, sp.csr_matrix(np.log1p(cell_counts() * 7.3)), layers={"counts": counts})
    assert "Set matrix.counts: layers/counts" in found(check_cohort(folder), "not_counts").fix


def test_a_layer_that_is_not_there_is_named(folder):
    edit(folder / "cohort.yaml", "counts: X", "counts: layers/counts")
    fault = found(check_cohort(folder), "not_counts")
    assert "no matrix 'layers/counts'" in fault.found
    assert "Set matrix.counts: X" in fault.fix


@pytest.mark.parametrize(
    ("dtype", "most", "is_warned"),
    [
        ("uint8", 200, True),
        ("uint8", 100, False),
        ("int8", 100, True),
        ("int16", 20_000, True),
        ("int16", 300, False),
        ("uint16", 40_000, True),
        ("int32", 200, False),
        ("float32", 200, False),
    ],
)
def test_counts_that_reach_the_end_of_their_type_are_warned_of(folder, dtype, most, is_warned):
    """256 of numpy's uint8 is 0: what is lost so leaves no trace in the file."""
    counts = np.minimum(cell_counts(), 20)
    counts[::3, 0] = most
    matrix(folder, sp.csr_matrix(counts.astype(dtype)))
    warned = [one for one in check_cohort(folder).warnings if one.reason == "narrow_type"]
    assert bool(warned) == is_warned
    assert not is_warned or f"{dtype}, which ends at" in warned[0].found


@pytest.mark.parametrize("label", ["T\0cell", "T" * 1001])
def test_labels_that_no_file_of_results_can_hold_are_named(folder, label, monkeypatch):
    """zarr and texts of fixed length hold a zero byte; HDF5 takes it for the end of the text."""
    monkeypatch.setattr(
        cells, "texts_of", lambda frame, *_, **__: np.array([label] * len(frame), object)
    )
    submission = SimpleNamespace(obs=np.zeros(3), path=Path("x.zarr"), n_cells=3)
    with pytest.raises(DataError, match=r"x.zarr, column 'kind': a label must have at most") as one:
        cells.source_cell_types(submission, "kind")
    assert len(str(one.value)) < 400


@pytest.mark.parametrize(
    "odd",
    ["B\u200b", "\ufeffB", "B\u202e", "B\n", "\tB", "B\x1b", "\u2066B\u2069", "B\xad", "B\u2028"],
)
def test_signs_that_nobody_sees_part_no_labels_and_reach_no_results(folder, odd):
    obs = obs_columns()
    obs["kind"][0] = odd
    obs["sample_id"][3] = f"{obs['sample_id'][3]}\u200b"
    matrix(folder, obs=obs)
    check = check_cohort(folder)
    assert not check.errors, [str(fault) for fault in check.errors]
    faults = [fault for fault in check.warnings if fault.reason == "unseen"]
    assert [fault.column for fault in faults] == ["columns.sample_id", "columns.cell_type"]
    assert "read as 'B'" in faults[1].found
    assert str(faults[1]).isascii()
    assert check.metrics["n_cell_types"] == 3


def test_a_line_end_within_a_label_is_a_blank(folder):
    obs = obs_columns()
    obs["kind"] = ["CD8\n\tT cell" if kind == "T" else kind for kind in obs["kind"]]
    matrix(folder, obs=obs)
    seen = [str(fault) for fault in check_cohort(folder).warnings]
    assert any("'CD8 T cell' of 20 cells" in text for text in seen)


@pytest.mark.parametrize(
    "label", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-1+1", "=HYPERLINK()"]
)
def test_a_label_that_a_spreadsheet_runs_is_refused(folder, label):
    obs = obs_columns()
    obs["kind"][0] = label
    matrix(folder, obs=obs)
    fault = found(check_cohort(folder), "formula")
    assert repr(label) in fault.found
    assert "columns.cell_type" in fault.fix


@pytest.mark.parametrize("label", ["-1", "+2.5", "-", "B=C", "CD4-", "CD8+ T"])
def test_numbers_and_signs_within_a_label_are_no_formula(folder, label):
    obs = obs_columns()
    obs["kind"][0] = label
    matrix(folder, obs=obs)
    assert not check_cohort(folder).errors


def test_the_file_is_checked_even_when_the_tables_are_wrong(folder):
    matrix(folder, sp.csr_matrix(np.log1p(cell_counts() * 7.3)))
    edit(folder / "cohort.yaml", "title: A small cohort", "title: TODO")
    reasons = {fault.reason for fault in check_cohort(folder).errors}
    assert reasons == {"todo", "not_counts"}


def test_mouse_genes_are_named(folder):
    mouse = [f"Abc{k}d" for k in range(len(gene_names()))]
    matrix(folder, genes=mouse)
    assert "mouse" in str(found(check_cohort(folder), "wrong_species"))


def test_duplicate_barcodes_are_named(folder):
    names = barcodes()
    names[5] = names[2]
    with pytest.warns(UserWarning, match="not unique"):
        matrix(folder, barcodes=names)
    fault = found(check_cohort(folder), "duplicate_barcodes")
    assert names[2] in fault.found


def test_a_sample_that_is_not_registered_is_named(folder):
    edit(folder / "samples.tsv", "s3\t", "s4\t")
    check = check_cohort(folder)
    assert "'s3'" in found(check, "unknown_sample").found


def test_a_column_that_is_not_there_is_named_with_the_nearest(folder):
    edit(folder / "cohort.yaml", "sample_id: sample_id", "sample_id: sampel_id")
    fault = found(check_cohort(folder), "column_missing")
    assert "sample_id" in str(fault)


def test_sample_names_that_are_no_ids_may_be_mapped(folder):
    obs = obs_columns()
    obs["sample_id"] = [f"Sample {name}" for name in obs["sample_id"]]
    matrix(folder, obs=obs)
    assert check_cohort(folder).errors
    edit(
        folder / "cohort.yaml",
        "values:\n",
        "values:\n  sample_id: {Sample s1: s1, Sample s2: s2, Sample s3: s3}\n",
    )
    assert not check_cohort(folder).errors


def test_a_donor_that_the_file_contradicts_is_named(folder):
    obs = obs_columns()
    donors = {"s1": "d1", "s2": "d2", "s3": "d2"}
    obs["who"] = [donors[name] for name in obs["sample_id"]]
    matrix(folder, obs=obs)
    edit(folder / "cohort.yaml", "cell_type: kind", "cell_type: kind, donor_id: who")
    assert "'d2' for 20 cells" in found(check_cohort(folder), "donor_mismatch").found


def test_features_that_are_not_genes_are_pointed_at(folder):
    x = sp.csr_matrix(cell_counts())
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * 150 + ["Antibody Capture"] * 4}, index=gene_names()
    )
    obs = pd.DataFrame(obs_columns(), index=barcodes())
    ad.AnnData(x, obs=obs, var=var).write_h5ad(folder / "counts.h5ad")
    assert "column: feature_types" in found(check_cohort(folder), "mixed_features").fix
    edit(
        folder / "cohort.yaml",
        "gene_namespace: auto}",
        "gene_namespace: auto, keep_features: {column: feature_types, value: Genes}}",
    )
    assert "Gene Expression" in found(check_cohort(folder), "no_genes").found


def test_a_sample_without_cells_is_a_warning(folder):
    with (folder / "samples.tsv").open("a") as stream:
        stream.write("s9\td2\tT1\t\tb2\thealthy\n")
    check = check_cohort(folder)
    assert not check.errors
    assert any("'s9'" in fault.found for fault in check.warnings)


def test_a_missing_file_is_named(folder):
    (folder / "counts.h5ad").unlink()
    assert "counts.h5ad" in found(check_cohort(folder), "file_missing").found


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("s3://bucket/counts.h5ad", "download the file"),
        ("~/counts.h5ad", "Write the path in full"),
        ("$DATA/counts.h5ad", "Write the path in full"),
        ("'C:\\data\\counts.h5ad'", "a path of Windows"),
        ("other.h5ad", "relative to the cohort's folder"),
    ],
)
def test_a_path_that_stands_for_another_place_is_answered_with_what_to_write(folder, written, fix):
    edit(folder / "cohort.yaml", "path: counts.h5ad", f"path: {written}")
    assert fix in found(check_cohort(folder), "file_missing").fix


def test_a_truncated_file_is_a_fault_not_a_crash(folder):
    whole = (folder / "counts.h5ad").read_bytes()
    (folder / "counts.h5ad").write_bytes(whole[: len(whole) // 2])
    check = check_cohort(folder)
    assert check.errors
    assert check.errors[0].file == "counts.h5ad"


def test_a_reader_that_dies_is_a_fault(folder, monkeypatch):
    def run(target, arguments, **limits):
        raise DataError("its reader crashed", reason="reader_crashed")

    monkeypatch.setattr(sandbox, "run", run)
    assert "crashed" in found(check_cohort(folder), "reader_crashed").found


def test_unknown_terms_that_cellxgene_refuses_are_warnings(folder):
    edit(folder / "donors.tsv", "MONDO:0005148", "unknown")
    check = check_cohort(folder)
    assert not check.errors
    assert "unknown in 1 of 2 rows (d1)" in found(check, "unknown").found


def test_a_file_without_obs_takes_its_sample_from_a_constant(folder):
    write_10x_h5(folder / "counts.h5", cell_counts(), barcodes(), genes=gene_names())
    edit(folder / "cohort.yaml", "counts.h5ad, format: h5ad", "counts.h5, format: 10x_h5")
    edit(folder / "cohort.yaml", "sample_id: sample_id, cell_type: kind", "sample_id: constant:s1")
    reasons = {fault.reason for fault in check_cohort(folder).errors}
    assert "unknown_sample" not in reasons


def test_cohorts_are_checked_in_their_order(folder):
    other = write_cohort(folder.parent / "a1")
    matrix(other)
    checks = check_cohorts([folder, other, folder.parent / "none"])
    assert [check.cohort_id for check in checks] == ["c1", "a1", "none"]
    assert [bool(check.errors) for check in checks] == [False, False, True]


def test_a_batch_label_of_two_cohorts_is_a_warning_that_names_the_other(folder):
    other = write_cohort(folder.parent / "a1")
    matrix(other)
    for cohort in (folder, other):
        rows = [line.split("\t") for line in (cohort / "samples.tsv").read_text().splitlines()]
        at = rows[0].index("batch_id")
        lines = ["\t".join([*row[:at], "B1", *row[at + 1 :]]) for row in rows[1:]]
        (cohort / "samples.tsv").write_text("\n".join(["\t".join(rows[0]), *lines]) + "\n")
    first, second = check_cohorts([folder, other])
    assert not first.errors
    assert "'B1', also in a1" in found(first, "shared_batch").found
    assert "Write a1.B1" in found(second, "shared_batch").fix


def test_a_fault_that_two_parts_find_is_named_once(folder):
    names = [barcodes()[at // 3] for at in range(60)]
    obs = obs_columns() | {
        "who": [{"s1": "d1", "s2": "d1", "s3": "d2"}[one] for one in sample_ids()]
    }
    with pytest.warns(UserWarning, match="not unique"):
        matrix(folder, barcodes=names, obs=obs)
    edit(folder / "cohort.yaml", "cell_type: kind", "cell_type: kind, donor_id: who")
    faults = [one for one in check_cohort(folder).faults if one.reason == "duplicate_barcodes"]
    assert len(faults) == 1
    assert "adata.obs['sample_id'].astype(str) + '_' + adata.obs_names" in faults[0].fix


def sample_ids():
    return obs_columns()["sample_id"]


def test_an_exception_that_nobody_foresaw_is_a_fault_of_that_cohort_alone(folder, monkeypatch):
    other = write_cohort(folder.parent / "a1")
    matrix(other)

    def run(target, arguments, **limits):
        if arguments["folder"].endswith("c1"):
            raise sandbox.ReaderFailedError("TypeError", "no such type", ["x.py:1 in f"])
        return {"faults": [], "metrics": {}}

    monkeypatch.setattr(sandbox, "run", run)
    checks = check_cohorts([folder, other])
    assert "TypeError: no such type" in found(checks[0], "reader_failed").found
    assert not checks[1].errors


def test_sizes_of_other_cohorts_are_read_where_one_ends_the_reader(folder, tmp_path, monkeypatch):
    from pmcell.registry.intake import sizes

    other = write_cohort(folder.parent / "a1")
    matrix(other)

    def run(target, arguments, **limits):
        if "c1" in arguments["folders"]:
            raise DataError("its reader crashed", reason="reader_crashed")
        return json.loads(json.dumps(sizes.read_sizes(**arguments)))

    monkeypatch.setattr(sandbox, "run", run)
    assert list(sizes.cohort_sizes([folder, other], tmp_path)) == ["a1"]


def test_sizes_of_other_cohorts_are_read_where_one_raises_what_nobody_foresaw(
    folder, tmp_path, monkeypatch
):
    from pmcell.io.submitted import readers as submitted
    from pmcell.registry.intake import sizes

    other = write_cohort(folder.parent / "a1")
    matrix(other)
    real = submitted.inspect

    def inspect(path, *args, **more):
        if "c1" in str(path):
            raise AttributeError("members")
        return real(path, *args, **more)

    monkeypatch.setattr(submitted, "inspect", inspect)
    assert list(sizes.cohort_sizes([folder, other], tmp_path)) == ["a1"]
