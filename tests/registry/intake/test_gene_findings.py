"""Antibodies, viral genes and lost names are named at check, and never counted as genes."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, obs_columns, symbols, write_cohort
from pmcell.registry.draft.register import draft_files
from pmcell.registry.intake.check import check_cohort
from pmcell.registry.intake.intake import intake_cohort
from pmcell.registry.terms.features import feature_kinds
from pmcell.registry.terms.genes import map_genes

PROTEINS = ["CD4", "CD8A", "CD19", "MS4A1"]


def genes():
    return list(dict.fromkeys([*symbols(150), *PROTEINS]))


def write(folder, extra=(), each=40, **var):
    """A cohort whose genes are followed by other features, each with `each` counts a cell."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*genes(), *extra]
    counts = np.random.default_rng(1).poisson(0.8, (60, len(names)))
    counts[:, len(genes()) :] = each
    frame = pd.DataFrame(var, index=names)
    obs = pd.DataFrame(obs_columns(), index=barcodes())
    ad.AnnData(sp.csr_matrix(counts), obs=obs, var=frame).write_h5ad(
        folder / "counts.h5ad", compression="gzip"
    )
    return counts


@pytest.fixture
def folder(tmp_path):
    return write_cohort(tmp_path / "cohorts" / "c1")


def found(folder, reason):
    return [fault for fault in check_cohort(folder).faults if fault.reason == reason]


def taken_in(folder, tmp_path):
    report = intake_cohort(folder, tmp_path / "out")
    cells = ad.read_h5ad(tmp_path / "out" / "intake.h5ad")
    return report, dict(
        zip(cells.var.get("symbol", []), np.asarray(cells.X.sum(0)).ravel(), strict=False)
    )


WORDS = [
    ("modality", "RNA", "ADT"),
    ("feature_types", "Gene Expression", "Antibody Capture"),
    ("feature_type", "GEX", "Protein"),
    ("type", "gene", "antibody"),
    ("assay", "rna", "prot"),
    ("Modality", "Gene expression", "HTO"),
    ("what", "mRNA", "TotalSeq ADT"),
    ("feature_types", "Gene Expression", "Custom"),
]


@pytest.mark.parametrize(("column", "gene", "other"), WORDS)
def test_columns_that_tell_antibodies_from_genes_are_known(column, gene, other):
    kinds = feature_kinds(pd.DataFrame({column: [gene] * 3 + [other]}, index=list("abcd")))
    assert (kinds.column, kinds.gene_value) == (column, gene)
    assert kinds.is_other.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("gene_biotype", ["protein_coding", "lincRNA"]),
        ("type", ["gene", "pseudogene"]),
        ("modality", ["RNA", "RNA"]),
        ("modality", ["RNA", "nan"]),
        ("highly_variable", ["True", "False"]),
        ("genome", ["GRCh38", "mm10"]),
    ],
)
def test_columns_that_tell_something_else_are_not(column, values):
    assert feature_kinds(pd.DataFrame({column: values}, index=["a", "b"])) is None


@pytest.mark.parametrize(
    ("column", "kinds", "is_refused"),
    [
        ("feature_types", ["Antibody Capture"], True),
        ("modality", ["ADT", "HTO"], True),
        ("feature_types", ["Peaks"], True),
        ("feature_types", ["Gene Expression"], False),
        ("feature_type", ["protein_coding", "lncRNA"], False),
        ("modality", ["ADT", ""], False),
        ("antibody", ["Antibody Capture"], False),
    ],
)
def test_a_file_of_other_features_alone_holds_no_genes(folder, tmp_path, column, kinds, is_refused):
    write(folder, **{column: [kinds[k % len(kinds)] for k in range(len(genes()))]})
    report, _ = taken_in(folder, tmp_path)
    assert (report["reason"] == "no_genes") == is_refused
    assert bool(found(folder, "no_genes")) == is_refused
    assert not is_refused or "must be genes; found 'A" in report["message"].replace("'Pe", "'A")


@pytest.mark.parametrize(("column", "gene", "other"), WORDS[:3])
def test_antibodies_named_like_genes_are_refused_until_they_are_left_out(
    folder, tmp_path, column, gene, other
):
    kinds = [gene] * len(genes()) + [other] * len(PROTEINS)
    counts = write(folder, PROTEINS, **{column: kinds})
    fault = found(folder, "mixed_features")[0]
    assert fault.severity == "error"
    assert "4 that" in fault.found
    report, _ = taken_in(folder, tmp_path)
    assert (report["status"], report["reason"]) == ("quarantined", "mixed_features")
    fix = f"keep_features: {{column: {column}, value: {gene}}}"
    assert fix.partition(": ")[2] in fault.fix
    text = (folder / "cohort.yaml").read_text()
    (folder / "cohort.yaml").write_text(text.replace("gene_namespace: auto", fix))
    assert not check_cohort(folder).errors
    report, sums = taken_in(folder, tmp_path)
    assert report["status"] == "ok", report["message"]
    for protein in PROTEINS:
        assert sums[protein] == counts[:, genes().index(protein)].sum()


def test_register_leaves_antibodies_out_and_says_so(folder):
    kinds = ["RNA"] * len(genes()) + ["ADT"] * len(PROTEINS)
    write(folder, PROTEINS, modality=kinds)
    draft = draft_files(
        **{"file": str(folder / "counts.h5ad"), "fmt": "h5ad", "matrix_path": "counts.h5ad"},
        **{"cohort_id": "c1", "programmes_dir": None, "orientation": "auto"},
        **{"given": {}, "keep": (), "tables": {}},
    )
    assert (
        "  keep_features:\n    column: modality\n    value: RNA\n" in draft["files"]["cohort.yaml"]
    )
    assert any("only 'RNA' is taken" in note for note in draft["notes"])


@pytest.mark.parametrize("names", [PROTEINS, [f"{name}.1" for name in PROTEINS]])
def test_antibodies_that_nothing_tells_from_genes_are_named_by_their_counts(
    folder, tmp_path, names
):
    write(folder, names, each=60)
    (fault,) = found(folder, "heavy_duplicate")
    assert "4 such in a sample of cells" in fault.found
    assert f"{names[0]!r} in row {len(genes()) + 1}" in fault.found
    report, _ = taken_in(folder, tmp_path)
    assert (report["status"], report["reason"]) == ("warned", "heavy_duplicate")


def test_duplicates_with_alike_counts_are_not_named(folder):
    write(folder, PROTEINS, each=1)
    assert not found(folder, "heavy_duplicate")


def test_antibodies_without_genes_are_weighed_and_their_column_is_named(folder):
    kinds = ["RNA"] * len(genes()) + ["ADT"] * 2
    write(folder, ["HTO-1", "CD3-TotalSeqB"], each=400, modality=kinds)
    (fault,) = found(folder, "umis_lost")
    assert fault.severity == "error"
    assert "HTO-1" in fault.found
    assert "{column: modality, value: RNA}" in fault.fix
    (fault,) = found(folder, "other_features")
    assert "of the counts" in fault.found


def test_counts_of_features_without_a_column_are_weighed_with_a_fix_that_works(folder):
    write(folder, ["HTO-1", "HTO-2"], each=20)
    (fault,) = found(folder, "umis_lost")
    assert fault.severity == "warning"
    assert "isin(['HTO-1', 'HTO-2'])" in fault.fix


def test_old_names_beside_current_ones_are_listed_with_their_counts(folder, tmp_path):
    counts = write(folder, ["NP", "CD20", "CD99999"], each=30)
    (fault,) = found(folder, "old_names")
    assert "not added: CD20 (1800 counts" in fault.found
    assert "taken for no gene: NP (1800 counts" in fault.found
    _, sums = taken_in(folder, tmp_path)
    assert sums["MS4A1"] == counts[:, genes().index("MS4A1")].sum()


def test_names_that_a_spreadsheet_changed_are_counted_at_check(folder):
    write(folder, ["2-Sep", "1. Mrz"], each=1)
    (fault,) = found(folder, "spreadsheet_names")
    assert "2 genes are lost: 2-Sep (60 counts" in fault.found
    assert "without a spreadsheet" in fault.fix


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (str.lower, "str.upper()"),
        (lambda name: f"{1000 + genes().index(name)}.0", "Entrez"),
    ],
)
def test_names_that_are_no_genes_are_told_by_what_they_are(folder, change, said):
    write(folder)
    cells = ad.read_h5ad(folder / "counts.h5ad")
    cells.var_names = [change(name) for name in cells.var_names]
    cells.write_h5ad(folder / "counts.h5ad", compression="gzip")
    assert said in str(found(folder, "too_few_genes")[0])


def test_entries_stored_twice_are_found_at_check(folder):
    write(folder)
    cells = ad.read_h5ad(folder / "counts.h5ad")
    cells.X.indices[1] = cells.X.indices[0]
    cells.write_h5ad(folder / "counts.h5ad", compression="gzip")
    assert found(folder, "duplicate_entries")


@pytest.mark.parametrize(
    ("shifted", "refused"), [(0, False), (12, False), (60, True), (len(genes()), True)]
)
def test_columns_that_name_other_genes_are_refused_and_drift_of_annotations_is_not(
    folder, tmp_path, shifted, refused
):
    ids = [map_genes([name]).gene_id[0] for name in genes()]
    ids[:shifted] = ids[1:shifted] + ids[:1] if shifted else []
    write(folder, gene_ids=ids)
    path = folder / "cohort.yaml"
    path.write_text(path.read_text().replace("gene_column: index", "gene_column: gene_ids"))
    faults = found(folder, "contradicting_names")
    assert bool(faults) == refused
    report, _ = taken_in(folder, tmp_path) if not refused else (intake_cohort(folder, tmp_path), 0)
    assert (report["reason"] == "contradicting_names") == refused
    if refused:
        assert f"{shifted:,} of {len(ids):,} differ" in faults[0].found


def test_symbols_in_a_column_are_held_against_ids_in_the_index(folder):
    write(folder, feature_name=genes()[::-1])
    assert found(folder, "contradicting_names")


@pytest.mark.parametrize("name", ["ERCC-{:05d}", "__no_feature"])
def test_what_is_known_to_be_no_gene_is_left_out_and_not_missed(folder, tmp_path, name):
    write(folder, [name.format(number) for number in range(1 if "__" in name else 90)], each=900)
    assert found(folder, "umis_lost") == []
    report, _ = taken_in(folder, tmp_path)
    assert report["metrics"]["share_umis_lost"] == 0


def test_other_features_that_are_no_genes_are_missed(folder):
    write(folder, [f"Hashtag{number}-TotalA" for number in range(20)], each=900)
    assert found(folder, "umis_lost")
