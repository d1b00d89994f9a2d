"""A draft holds what the file says; what only a person can decide is TODO."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
import yaml

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.errors import DataError
from pmcell.io.submitted.submission import Submission, summarise
from pmcell.registry.draft.columns import guess_columns
from pmcell.registry.draft.draft import draft_registration
from pmcell.registry.draft.text import cohort_yaml, sheet

N = 60


def submission(obs=None, *, genes=None, var=None, layers=None, index=None, fmt="h5ad", detail=None):
    index = list(index) if index is not None else barcodes()
    genes = genes or gene_names()
    layers = layers or {"X": cell_counts()}
    summaries = {
        name: summarise(name, x.dtype, x.shape, x.size, [row[row != 0] for row in x])
        for name, x in layers.items()
    }
    return Submission(
        path=__import__("pathlib").Path("in.h5ad"),
        format=fmt,
        obs=pd.DataFrame(obs or {}, index=pd.Index(index, dtype=object)),
        var=pd.DataFrame(var or {}, index=pd.Index(genes, dtype=object)),
        layers=summaries,
        detail=detail or {},
    )


def every(*values):
    return [values[k % len(values)] for k in range(N)]


def texts(draft):
    tree = yaml.safe_load(cohort_yaml(draft))
    return (
        tree,
        list(csv.DictReader(io.StringIO(sheet(draft.donors)), delimiter="\t")),
        list(csv.DictReader(io.StringIO(sheet(draft.samples)), delimiter="\t")),
    )


def test_columns_are_told_by_their_names_and_terms_by_their_labels():
    draft = draft_registration(
        submission(
            {
                "orig.ident": every("s1", "s2"),
                "Patient": every("p1", "p2"),
                "Sex": every("F", "male"),
                "age": every(65, 30),
                "disease": every("type 2 diabetes mellitus", "healthy"),
                "cell type": every("B cells", "strange thing"),
                "tissue": every("PBMC"),
                "assay": every("10x 3' v3"),
                "batch": every("b1", "b2"),
            }
        ),
        "c1",
    )
    tree, donors, samples = texts(draft)
    assert tree["columns"] == {
        "barcode": "index",
        "sample_id": "orig.ident",
        "donor_id": "Patient",
        "cell_type": "cell type",
    }
    assert tree["defaults"]["assay_ontology_term_id"] == "EFO:0009922"
    assert tree["defaults"]["tissue_ontology_term_id"] == "UBERON:0000178"
    assert tree["values"]["cell_type"] == {"B cells": "CL:0000236", "strange thing": "TODO"}
    assert donors[0]["sex_ontology_term_id"] == "PATO:0000383"
    assert donors[0]["development_stage_ontology_term_id"] == "HsapDv:0000159"
    assert donors[0]["disease_ontology_term_id"] == "MONDO:0005148"
    assert donors[1]["disease_ontology_term_id"] == "PATO:0000461"
    assert [row["age_group"] for row in donors] == ["60-69", "30-39"]
    assert [row["batch_id"] for row in samples] == [
        f"{draft.cohort_id}.b1",
        f"{draft.cohort_id}.b2",
    ]


def test_codes_are_left_to_a_person_with_what_the_file_says():
    draft = draft_registration(
        submission({"donor_id": every("d1", "d2"), "sex": every(1, 2)}), "c1"
    )
    _, donors, _ = texts(draft)
    assert [row["sex_ontology_term_id"] for row in donors] == [
        "TODO (source: 1)",
        "TODO (source: 2)",
    ]
    assert any("PATO:0000383 female" in note for note in draft.notes)


def test_what_a_person_must_decide_is_todo_and_explained():
    text = cohort_yaml(draft_registration(submission({"donor_id": every("d1")}), "c1"))
    tree = yaml.safe_load(text)
    for key in ("title", "license", "region", "programme", "access"):
        assert tree[key] == "TODO"
    assert tree["data_use"] == ["TODO"]
    assert tree["steward"]["name"] == "TODO"
    assert tree["legal_basis"] == "unknown"
    line = next(line for line in text.splitlines() if line.startswith("access"))
    assert "open, registered, controlled" in line


def test_the_layer_with_counts_is_chosen():
    layers = {"X": np.log1p(cell_counts() * 7.3), "layers/counts": cell_counts()}
    draft = draft_registration(submission({"donor_id": every("d1")}, layers=layers), "c1")
    assert draft.settings["matrix.counts"] == "layers/counts"


def test_without_counts_the_draft_says_what_there_is():
    layers = {"X": np.log1p(cell_counts() * 7.3)}
    draft = draft_registration(submission({"donor_id": every("d1")}, layers=layers), "c1")
    assert draft.settings["matrix.counts"] == "TODO"
    assert any("holds no raw counts" in note for note in draft.notes)


def test_ensembl_ids_in_a_column_are_preferred():
    ids = [f"ENSG{k:011d}" for k in range(len(gene_names()))]
    draft = draft_registration(submission({"donor_id": every("d1")}, var={"gene_ids": ids}), "c1")
    assert draft.settings["matrix.gene_column"] == "gene_ids"
    assert draft.settings["matrix.gene_namespace"] == "ensembl"


def test_features_that_are_not_genes_are_left_out():
    kinds = ["Gene Expression"] * 150 + ["Antibody Capture"] * 4
    draft = draft_registration(
        submission({"donor_id": every("d1")}, var={"feature_types": kinds}), "c1"
    )
    tree, _, _ = texts(draft)
    assert tree["matrix"]["keep_features"] == {
        "column": "feature_types",
        "value": "Gene Expression",
    }


def test_mouse_genes_leave_the_organism_open():
    genes = [f"Abc{k}d" for k in range(len(gene_names()))]
    draft = draft_registration(submission({"donor_id": every("d1")}, genes=genes), "c1")
    assert draft.settings["organism_ontology_term_id"] == "TODO"


def test_visits_are_read_from_the_ends_of_sample_ids():
    samples = every("B1_d1_T0", "B1_d1_T1", "B1_d2_T0")
    donors = every("d1", "d1", "d2")
    draft = draft_registration(submission({"sample_id": samples, "donor_id": donors}), "c1")
    assert [row["visit"] for row in draft.samples] == ["T0", "T1", "T0"]


def test_visits_are_else_the_conditions_within_a_donor():
    obs = {
        "sample_id": every("a", "b", "c"),
        "donor_id": every("d1", "d1", "d2"),
        "condition": every("ctrl", "stim", "ctrl"),
    }
    draft = draft_registration(submission(obs), "c1")
    assert [row["visit"] for row in draft.samples] == ["ctrl", "stim", "ctrl"]


def test_samples_are_told_apart_by_barcodes_where_no_column_does():
    index = [f"{name}_{code}" for name, code in zip(every("P1", "P2"), barcodes(), strict=True)]
    draft = draft_registration(submission(index=index), "c1")
    assert draft.settings["columns.sample_id"] == "barcode_prefix:_"
    assert [row["sample_id"] for row in draft.samples] == ["P1", "P2"]
    assert [row["donor_id"] for row in draft.samples] == ["TODO", "TODO"]


def test_a_file_that_tells_nothing_apart_is_one_sample():
    draft = draft_registration(submission(), "c1")
    assert draft.settings["columns.sample_id"] == "constant:c1"


def test_names_that_are_no_ids_get_one():
    obs = {"sample": every("Sample 1", "Sample 2"), "donor": every("Ann/é", "Bob")}
    draft = draft_registration(submission(obs), "c1")
    tree, donors, samples = texts(draft)
    assert tree["values"]["sample_id"] == {"Sample 1": "Sample_1", "Sample 2": "Sample_2"}
    assert [row["sample_id"] for row in samples] == ["Sample_1", "Sample_2"]
    assert donors[0]["donor_id"] == "Ann_"
    assert "donor_id" not in tree["columns"]


def test_a_label_that_yaml_takes_for_no_key_is_left_out_of_the_draft():
    obs = {
        "cell_type": every("T" * 2000, "B cell"),
        "cell_type_ontology_term_id": every("CL:0000084", "CL:0000236"),
    }
    tree, _, _ = texts(draft_registration(submission(obs), "c1"))
    assert tree["values"]["cell_type"] == {"B cell": "CL:0000236"}


def test_labels_with_line_ends_and_unseen_signs_break_no_draft():
    obs = {
        "donor": every("d1\u200b", "d2\n"),
        "sample": every("s\t1", "s2\u202e"),
        "cell_type": every("T\ncell", "B\u200b cell"),
        "cell_type_ontology_term_id": every("CL:0000084", "CL:0000236"),
    }
    tree, donors, samples = texts(draft_registration(submission(obs), "c1"))
    assert tree["values"]["cell_type"] == {"T cell": "CL:0000084", "B cell": "CL:0000236"}
    assert [row["donor_id"] for row in donors] == ["d1", "d2"]
    assert [row["sample_id"] for row in samples] == ["s_1", "s2"]


def test_numbered_clusters_are_no_cell_types():
    obs = {"donor_id": every("d1"), "annotation": every("0", "1", "2")}
    draft = draft_registration(submission(obs), "c1")
    assert "columns.cell_type" not in draft.settings


def test_cellxgene_columns_are_taken_as_they_are():
    obs = {
        "donor_id": every("d1", "d2"),
        "sex_ontology_term_id": every("PATO:0000384", "unknown"),
        "disease_ontology_term_id": every("MONDO:0005148", "PATO:0000461"),
        "cell_type": every("odd name", "other"),
        "cell_type_ontology_term_id": every("CL:0000236", "CL:0000084"),
    }
    draft = draft_registration(submission(obs), "c1")
    _, donors, _ = texts(draft)
    assert [row["sex_ontology_term_id"] for row in donors] == ["PATO:0000384", "unknown"]
    assert draft.cell_types == {"odd name": "CL:0000236", "other": "CL:0000084"}


def test_a_formula_in_the_file_does_not_reach_the_tables():
    obs = {"donor_id": every("d1"), "condition": every("=cmd()")}
    assert draft_registration(submission(obs), "c1").samples[0]["condition"] == "cmd()"


@pytest.mark.parametrize("name", ["NO", "007", "a: b", "x # y", "- z", "'", "1e5", "é", "[a]", "*"])
def test_every_label_survives_as_text(name):
    obs = {"donor_id": every("d1"), "cell_type": every(name, "B cell")}
    tree, _, _ = texts(draft_registration(submission(obs), "c1"))
    assert set(tree.get("values", {}).get("cell_type", {name: ""})) >= {name}


def test_no_cells_are_an_error():
    with pytest.raises(DataError, match="must have cells"):
        draft_registration(submission(index=[], layers={"X": cell_counts()[:0]}), "c1")


def test_labels_that_are_no_people_are_left_out_and_named():
    labels = ["P1", "P2", "doublet", "unassigned", "P1,P2", "Negative"]
    draft = draft_registration(submission({"donor": every(*labels)}), "c1")
    tree, donors, samples = texts(draft)
    assert [row["donor_id"] for row in donors] == ["P1", "P2"]
    assert [row["sample_id"] for row in samples] == ["P1", "P2"]
    left_out = {value: item["reason"] for item in tree["exclude"] for value in item["values"]}
    assert left_out == {
        "doublet": "several donors",
        "P1,P2": "several donors",
        "unassigned": "donor not told",
        "Negative": "no tag of a donor",
    }
    assert any("20 of 60 cells are left out (several donors)" in note for note in draft.notes)


def test_a_column_of_singlets_and_doublets_leaves_out_the_doublets():
    obs = {"donor": every("P1", "P2"), "status": every("singlet", "singlet", "doublet")}
    draft = draft_registration(submission(obs), "c1")
    assert [item.values for item, _ in draft.exclude] == [("doublet",)]
    assert {row["condition"] for row in draft.samples} == {""}


def test_doublets_that_a_caller_scored_are_left_to_qc():
    obs = {"donor": every("P1"), "scDblFinder.class": every("singlet", "doublet")}
    assert not draft_registration(submission(obs), "c1").exclude


def test_copies_are_left_out_unless_all_cells_are():
    draft = draft_registration(
        submission({"donor_id": every("d1"), "is_primary_data": every(True, False)}), "c1"
    )
    assert draft.exclude[0][1] == 30
    obs = {"donor_id": every("d1"), "is_primary_data": every(False)}
    all_copies = draft_registration(submission(obs), "c1")
    assert not all_copies.exclude
    assert any("all 60 cells" in note for note in all_copies.notes)


LANGUAGES = {
    "de": {"Spender": "A B", "Probe": "a b", "Geschlecht": "männlich w", "Alter": "7 70+"},
    "fr": {"sujet": "A B", "échantillon": "a b", "sexe": "masculin femme", "âge": "7 70+"},
    "es": {"paciente": "A B", "muestra": "a b", "sexo": "hombre mujer", "edad": "7 70+"},
    "it": {"paziente": "A B", "campione": "a b", "sesso": "maschio donna", "età": "7 70+"},
    "pl": {"pacjent": "A B", "próbka": "a b", "płeć": "mężczyzna kobieta", "wiek": "7 70+"},
    "nl": {"Donor": "A B", "monster": "a b", "geslacht": "man vrouw", "leeftijd": "7 70+"},
    "sv": {"Patient": "A B", "sample": "a b", "Kön": "Man Kvinna", "Ålder": "7 70+"},
    "fi": {"Potilas": "A B", "sample": "a b", "Sukupuoli": "mies nainen", "Ikä": "7 70+"},
    "cs": {"Pacient": "A B", "sample": "a b", "Pohlaví": "muž žena", "Věk": "7 70+"},
    "ro": {"Pacient": "A B", "sample": "a b", "Sex": "bărbat femeie", "Vârsta": "7 70+"},
    "tr": {"Hasta": "A B", "sample": "a b", "Cinsiyet": "Erkek Kadın", "Yaş": "7 70+"},
    "el": {"Ασθενής": "A B", "sample": "a b", "Φύλο": "Άνδρας Γυναίκα", "Ηλικία (έτη)": "7 70+"},
    "bg": {"Пациент": "A B", "sample": "a b", "Пол": "мъж жена", "Възраст": "7 70+"},
    "de, short": {
        "Patient": "A B",
        "sample": "a b",
        "Geschl.": "m w",
        "Alter bei Entnahme": "7 70+",
    },
    "fr, letters": {"sujet": "A B", "sample": "a b", "Sexe (H/F)": "H F", "Âge (ans)": "7 70+"},
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_columns_and_sexes_are_told_in_the_languages_of_clinics(language):
    columns = {name: every(*values.split()) for name, values in LANGUAGES[language].items()}
    _, donors, samples = texts(draft_registration(submission(columns), "c1"))
    assert [(row["donor_id"], row["age_group"]) for row in donors] == [("A", "0-9"), ("B", "70+")]
    assert [row["sex_ontology_term_id"] for row in donors] == ["PATO:0000384", "PATO:0000383"]
    assert [row["sample_id"] for row in samples] == ["a", "b"]


def test_of_a_sex_that_is_none_no_term_is_called_near():
    obs = {"donor": every("A", "B", "C"), "Geschlecht": every("m", "w", "d")}
    notes = draft_registration(submission(obs), "c1").notes
    assert [note for note in notes if "'d' in 1 row; it may be: PATO:0000383 female | PATO" in note]


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ({"donor_id": "pool", "patient": "A B"}, {"donor_id": "patient"}),
        ({"sample_id": "pool", "hash.ID": "HTO1 HTO2"}, {"sample_id": "hash.ID"}),
        ({"sample_id": "pool", "library": "L1 L2"}, {"sample_id": "sample_id"}),
        ({"sample_id": "a b", "hash.ID": "HTO1 HTO2"}, {"sample_id": "sample_id"}),
        ({"donor_id": "A", "patient": "A"}, {"donor_id": "donor_id"}),
        ({"sample_id": "pool", "BEST": "SNG-A SNG-B DBL-A-B-0.5"}, {"donor_id": "BEST"}),
    ],
)
def test_a_pool_is_nobody_where_a_column_beside_it_tells_its_people(columns, taken):
    obs = submission({name: every(*values.split()) for name, values in columns.items()}).obs
    assert taken.items() <= guess_columns(obs, "c1").roles.items()


@pytest.mark.parametrize("name", ["Spendernummer", "N° patient", "Kod dawcy", "ID_Paciente"])
def test_a_name_with_what_makes_it_an_id_is_the_same_name(name):
    columns = {name: every("A", "B"), "n_samples": every("2"), "K": every("K", "M")}
    columns["płeć"] = columns.pop("K")
    _, donors, _ = texts(draft_registration(submission(columns), "c1"))
    assert [(row["donor_id"], row["sex_ontology_term_id"]) for row in donors] == [
        ("A", "PATO:0000383"),
        ("B", "PATO:0000384"),
    ]


@pytest.mark.parametrize("name", ["n_donor", "mono", "recode", "id", "nr"])
def test_a_count_or_a_word_that_holds_one_is_no_id(name):
    draft = draft_registration(submission({name: every("1", "2")}), "c1")
    assert draft.donors[0]["donor_id"] == "TODO"


@pytest.mark.parametrize(
    ("said", "default"),
    [
        (("nuclei",), "nucleus"),
        (("Single cells",), "cell"),
        (("cell", "nucleus"), "TODO"),
        (("fresh",), "TODO"),
    ],
)
def test_what_was_suspended_is_taken_from_the_file(said, default):
    obs = {
        "donor_id": every("a", "b"), "suspension_type": every(*said),
        "tissue_type": every("organoid"),
    }  # fmt: skip
    draft = draft_registration(submission(obs), "c1")
    tree, _, samples = texts(draft)
    assert tree["defaults"]["suspension_type"] == default
    assert tree["defaults"]["tissue_type"] == "organoid"
    own = [row.get("suspension_type") for row in samples]
    assert own == (["cell", "nucleus"] if len(said) == 2 else [None, None])
    assert any("suspension_type" in text for text in draft.unused) == (said == ("fresh",))


def test_letters_of_islet_cells_are_told_by_one_another():
    obs = {"donor_id": every("a"), "cell_type": every("alpha", "beta", "delta")}
    told = draft_registration(submission(obs), "c1").cell_types
    assert told == {"alpha": "CL:0000171", "beta": "CL:0000169", "delta": "CL:0000173"}
    alone = draft_registration(submission(obs | {"cell_type": every("alpha", "T")}), "c1")
    assert alone.cell_types["alpha"] == "TODO"


def test_dates_of_unused_columns_are_not_shown():
    obs = {"donor_id": every("a", "b"), "Geburtstag": every("1950-02-03", "3.2.1951")}
    (said,) = draft_registration(submission(obs), "c1").unused
    assert said == "Geburtstag (donor: dates, which identify people)"


def test_m_beside_h_is_left_to_a_person():
    obs = {"donor": every("a", "b"), "sample": every("a", "b"), "sexo": every("M", "H")}
    draft = draft_registration(submission(obs), "c1")
    assert [row["sex_ontology_term_id"][:4] for row in draft.donors] == ["TODO", "TODO"]
    draft = draft_registration(submission({**obs, "sexo": every("M", "F")}), "c1")
    assert draft.donors[0]["sex_ontology_term_id"] == "PATO:0000384"


@pytest.mark.parametrize("twin", ["P1\xa0", "P1\u200b", "\u04201", "\uff301", " P1", "P\xad1"])
def test_names_that_look_the_same_are_one_person(twin):
    obs = {"donor": every("P1", twin, "P2"), "sample": every("s1", "s2", "s3")}
    draft = draft_registration(submission(obs), "c1")
    assert [row["donor_id"] for row in draft.samples] == ["P1", "P1", "P2"]
    said = f"'P1', {twin!a} look the same and are taken as one: P1"
    unseen = f"which are left out: {twin!a} is 'P1'; those that then look the same are one"
    assert any(said in note or unseen in note for note in draft.notes), draft.notes


def test_names_that_look_different_stay_apart():
    obs = {"donor": every("P 1", "P_1", "p_1"), "sample": every("s1", "s2", "s3")}
    draft = draft_registration(submission(obs), "c1")
    assert [row["donor_id"] for row in draft.donors] == ["P_1", "P_1_2", "p_1"]


@pytest.mark.parametrize(
    "nothing", [None, float("nan"), "unknown", "NA", "n.a.", "#N/A", "unbekannt"]
)
def test_a_missing_donor_is_no_donor(nothing):
    donors = [nothing if k % 9 == 0 else f"P{k % 4}" for k in range(N)]
    obs = {"donor_id": donors, "sample": [f"S{k % 4}" for k in range(N)]}
    draft = draft_registration(submission(obs), "c1")
    assert {row["donor_id"] for row in draft.donors} == {"P0", "P1", "P2", "P3"}
    assert draft.settings["columns.donor_id"] == "donor_id"
    assert any("7 of 60 cells have no donor" in note for note in draft.notes)


def test_whole_numbers_with_missing_ones_are_ids_without_a_point():
    donors = [np.nan if k % 10 == 0 else float(k % 3 + 1) for k in range(N)]
    draft = draft_registration(submission({"donor_id": donors}), "c1")
    assert {row["donor_id"] for row in draft.donors} == {"1", "2", "3"}
    assert draft.exclude[0][0].values == ("",)


@pytest.mark.parametrize(
    ("ages", "bands"),
    [
        (("60-69", "80+", "unknown"), ["60-69", "80+", ""]),
        (("adult", "child", "adult"), ["adult", "child", "adult"]),
        (("63 years", "45y", "7"), ["60-69", "40-49", "0-9"]),
        ((63, 81, np.nan), ["60-69", "80-89", ""]),
        (("63", "90+", "45"), ["60-69", "90+", "40-49"]),
        (("P63Y", "P18M", "45-year-old human stage"), ["60-69", "0-9", "40-49"]),
        (("adult", "child", "45"), ["adult", "child", "40-49"]),
        (("999", "-1", "1957"), ["", "", ""]),
        (("63", "999", "45"), ["60-69", "", "40-49"]),
        (("1,045", "45,5", "12"), ["", "40-49", "10-19"]),
    ],
)
def test_ages_never_vanish(ages, bands):
    obs = {"donor_id": every("a", "b", "c"), "age": every(*ages)}
    draft = draft_registration(submission(obs), "c1")
    assert [row["age_group"] for row in draft.donors] == bands


def test_several_ages_of_a_donor_are_said():
    obs = {"donor_id": every("a"), "age": every(69, 70)}
    draft = draft_registration(submission(obs), "c1")
    assert draft.donors[0]["age_group"] == "60-69"
    assert any("several ages" in note for note in draft.notes)


def test_every_cut_of_the_barcodes_is_shown_with_its_number():
    index = [f"PT0{k % 3}_T{k % 2}_{code}" for k, code in enumerate(barcodes())]
    draft = draft_registration(submission(index=index), "c1")
    assert draft.settings["columns.sample_id"] == "barcode_prefix:_:last"
    assert len(draft.samples) == 6
    note = next(note for note in draft.notes if "barcodes" in note)
    assert "barcode_prefix:_:last gives 6 (PT00_T0, " in note
    assert "barcode_prefix:_ gives 3 (PT00, " in note


@pytest.mark.parametrize(
    ("columns", "band", "stage"),
    [
        ({"age": "18", "age_unit": "months"}, "0-9", "HsapDv:0000246"),
        ({"organism_age": "18", "organism_age_unit": "month"}, "0-9", "HsapDv:0000246"),
        ({"Age": "63", "Age Units": "years"}, "60-69", "HsapDv:0000157"),
        ({"age_months": "756"}, "60-69", "HsapDv:0000157"),
        ({"age_days": "23011"}, "60-69", "HsapDv:0000157"),
        ({"Age (mo)": "18"}, "0-9", "HsapDv:0000246"),
        ({"Alter [Monate]": "18"}, "0-9", "HsapDv:0000246"),
        ({"Age (years)": "63"}, "60-69", "HsapDv:0000157"),
        ({"Age (at sampling)": "63"}, "60-69", "HsapDv:0000157"),
        ({"Age [pcw]": "12"}, "12 pcw", "unknown"),
        ({"Age (gestational weeks)": "20"}, "20 gestational weeks", "unknown"),
        ({"age": "63 years", "age_unit": "months"}, "60-69", "HsapDv:0000157"),
        ({"age": "63", "age_unit": "NA"}, "60-69", "HsapDv:0000157"),
        ({"age": "20", "age_unit": "weeks gestation"}, "20 weeks gestation", "unknown"),
    ],
)
def test_an_age_has_the_unit_that_stands_beside_it(columns, band, stage):
    obs = {"donor_id": every("a")} | {name: every(value) for name, value in columns.items()}
    donor = draft_registration(submission(obs), "c1").donors[0]
    assert donor["age_group"] == band
    assert donor["development_stage_ontology_term_id"] == stage


@pytest.mark.parametrize(
    "band", ["40-49", "40–49", "40 - 49 years", "40 to 49", "40s", "40 bis 49"]
)
def test_bands_of_ages_have_one_spelling(band):
    obs = {"donor_id": every("a"), "age_group": every(band)}
    assert draft_registration(submission(obs), "c1").donors[0]["age_group"] == "40-49"


def test_a_doubt_about_a_sex_is_left_to_a_person_and_a_term_is_taken():
    obs = {"donor_id": every("a", "b"), "sex": every("male?", "PATO:0000383")}
    found = [
        row["sex_ontology_term_id"] for row in draft_registration(submission(obs), "c1").donors
    ]
    assert found == ["TODO (source: male?)", "PATO:0000383"]


def test_columns_of_one_name_that_differ_are_said():
    obs = {"donor_id": every("a"), "sex": every("male"), "Sex": every("female")}
    notes = draft_registration(submission(obs), "c1").notes
    assert any("columns 'sex' and 'Sex' have one name and differ" in note for note in notes)
    obs["Sex"] = every("male")
    assert not any("one name" in note for note in draft_registration(submission(obs), "c1").notes)
