"""Searching terms: the usual names come first, and no line is crossed that would harm."""

from __future__ import annotations

import pytest

from pmcell.errors import UsageError
from pmcell.registry.terms.languages import readings
from pmcell.registry.terms.meanings import MEANINGS, words_in
from pmcell.registry.terms.regions import find_regions, region_of
from pmcell.registry.terms.rules import contradicts, term_of, terms_near
from pmcell.registry.terms.search import search_terms
from pmcell.registry.terms.vocabulary import region_problem

ETHNICITY = "self_reported_ethnicity_ontology_term_id"


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("memory B", "CL", "CL:0000787"),
        ("NK cells", "CL", "CL:0000623"),
        ("Treg", "CL", "CL:0000815"),
        ("CL:0000236", "CL", "CL:0000236"),
        ("10x v3", "EFO", "EFO:0009922"),
        ("PBMC", "UBERON", "UBERON:0000178"),
        ("f", "PATO", "PATO:0000383"),
        ("GRU", "DUO", "DUO:0000042"),
        ("non-commercial use", "DUO", "DUO:0000046"),
        ("cc-by-4.0", "SPDX", "CC-BY-4.0"),
        ("Oost-Nederland", "region", "NL2"),
        ("Munich", "region", "DE21"),
        ("cancer", "health", "CANCER_DISEASE"),
    ],
)
def test_the_usual_name_finds_the_term_first(text, kind, code):
    assert search_terms(text, n=1, kind=kind)[0].code == code


@pytest.mark.parametrize(
    ("text", "column", "term"),
    [
        ("CD4-T-Zellen", "cell_type", "CL:0000624"),
        ("Lymphocytes T CD4", "cell_type", "CL:0000624"),
        ("cellules dendritiques", "cell_type", "CL:0000451"),
        ("linfocitos B", "cell_type", "CL:0000236"),
        ("komórki NK", "cell_type", "CL:0000623"),
        ("FCGR3A+ Monozyten", "cell_type", "CL:0002396"),
        ("CD16+ monocytes", "cell_type", "CL:0002396"),
        ("Cœur", "tissue_ontology_term_id", "UBERON:0000948"),
        ("Krew obwodowa", "tissue_ontology_term_id", "UBERON:0000178"),
        ("témoin sain", "disease_ontology_term_id", "PATO:0000461"),
        ("toczeń rumieniowaty układowy", "disease_ontology_term_id", "MONDO:0007915"),
    ],
)
def test_words_of_hospitals_in_other_languages_are_their_terms(text, column, term):
    assert term_of(text, column) == term


def test_an_adjective_before_its_noun_is_not_turned_around():
    assert readings("memory b cell") == []
    assert readings("dendritische zellen") == ["dendritic cell"]


def test_nothing_of_other_species_is_offered():
    assert not [one for one in terms_near("lupus", "disease_ontology_term_id", 9) if "dog" in one]
    assert not [one for one in terms_near("alpha", "cell_type", 9) if "Mmus" in one]


@pytest.mark.parametrize("column", ["disease_ontology_term_id", "cell_type"])
def test_no_term_is_near_to_a_code(column):
    assert terms_near("1", column) == []


def test_definitions_are_shown_where_they_are_shipped():
    assert "long-lived" in search_terms("memory B", n=1, kind="CL")[0].definition


def test_only_terms_that_a_column_may_hold_are_found():
    assert all(item.used_in == "assay_ontology_term_id" for item in search_terms("v3", kind="EFO"))
    assert search_terms("CL:0000255", kind="CL") == []


@pytest.mark.parametrize("text", ["Caucassian", "Hispanik", "White", "Caucasian", "Indan"])
def test_ethnicity_is_neither_guessed_by_spelling_nor_by_synonym(text):
    assert term_of(text, ETHNICITY) is None
    assert terms_near(text, ETHNICITY) == []
    assert search_terms(text, kind="HANCESTRO") == []


def test_ethnicity_is_found_by_its_own_label():
    assert term_of("European American", ETHNICITY) == "HANCESTRO:0590"


def test_the_opposite_and_another_number_are_never_suggested():
    assert contradicts("non-diabetic", "diabetic nephropathy")
    near = terms_near("type 1 diabetes", "disease_ontology_term_id", 5)
    assert near[0].startswith("MONDO:0005147")
    assert not any("type 2" in term for term in near)
    assert not any(
        "diabetic" in term for term in terms_near("non-diabetic", "disease_ontology_term_id")
    )


def test_every_region_of_the_table_is_a_code_that_the_check_takes():
    from pmcell.registry.terms.regions import _regions

    rows = _regions()
    assert len(rows) > 300
    wrong = [(code, region_problem(code)) for code, _, _ in rows if region_problem(code)]
    # England and its neighbours are ISO 3166-2, Switzerland's regions NUTS: all must be taken.
    assert wrong == []


def test_a_name_of_two_regions_is_not_decided():
    assert region_of("Limburg") is None
    assert {one.code for one in find_regions("Limburg")} >= {"BE22", "NL42"}


def test_a_region_that_is_a_country_and_a_part_is_the_country():
    assert region_of("Germany") == "DE"
    assert region_of("Berlin") == "DE3"


def test_a_misspelt_region_is_found_last():
    assert find_regions("Lombardie")[0].code == "ITC4"
    assert region_of("Lombardie") is None


def test_each_vocabulary_is_explained_in_a_sentence_where_it_is_named():
    assert all(text.startswith((name, f"The {name}")) for name, text in MEANINGS.items())
    assert words_in("Assay of samples that do not say (EFO).") == [MEANINGS["EFO"]]
    # What a text explains itself is not explained twice.
    assert words_in("HDAB, the health data access body: the authority") == []
    assert words_in("EFO:0009922") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "…"}, "must hold a letter"),
        ({"text": "b", "n": 0}, "at least 1"),
        ({"text": "b", "kind": "mondoo"}, "Did you mean 'MONDO'"),
    ],
)
def test_a_wrong_search_says_what_must_hold(given, message):
    with pytest.raises(UsageError, match=message):
        search_terms(**given)
