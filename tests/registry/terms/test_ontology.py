"""Terms are resolved offline; what is wrong is answered with the nearest terms."""

from __future__ import annotations

import pytest

from pmcell.errors import Fault, UsageError
from pmcell.registry.terms import shorthand
from pmcell.registry.terms.ontology import (
    exact,
    is_under,
    normalise,
    release,
    resolve,
    suggest,
    terms,
)
from pmcell.registry.terms.rules import TERM_RULES, check_term, term_of, terms_near


@pytest.mark.parametrize(
    ("term", "label"),
    [
        ("CL:0000787", "memory B cell"),
        ("MONDO:0005148", "type 2 diabetes mellitus"),
        ("UBERON:0000178", "blood"),
        ("EFO:0009922", "10x 3' v3"),
        ("PATO:0000461", "normal"),
        ("HANCESTRO:0568", "African American"),
        ("HsapDv:0000159", "65-year-old stage"),
    ],
)
def test_a_term_has_its_label(term, label):
    assert resolve(term) == label


def test_a_text_instead_of_a_term_is_answered_with_the_nearest_terms():
    fault = resolve("memory B cell", "CL")
    assert isinstance(fault, Fault)
    assert "CL:0000787 memory B cell" in fault.fix


def test_a_mistyped_id_is_answered_with_ids_one_digit_away():
    fault = resolve("CL:0000999999", "CL")
    assert isinstance(fault, Fault)
    near = resolve("MONDO:0005149", "CL")
    assert isinstance(near, Fault)
    assert "must be a term of CL" in near.must


def test_an_unknown_ontology_is_refused():
    with pytest.raises(UsageError, match="ontology must be one of CL"):
        terms("NOPE")


@pytest.mark.parametrize(
    ("text", "ontology", "term"),
    [
        ("B cells", "CL", "CL:0000236"),
        ("CD14+ Monocytes", "CL", "CL:0001054"),
        ("NK cells", "CL", "CL:0000623"),
        ("T2D", "MONDO", "MONDO:0005148"),
        ("COVID-19", "MONDO", "MONDO:0100096"),
        ("islet of Langerhans", "UBERON", "UBERON:0000006"),
        ("10X 3' v3", "EFO", "EFO:0009922"),
    ],
)
def test_labels_and_synonyms_are_found_whatever_case_and_plural(text, ontology, term):
    found = exact(text, ontology)
    assert found is not None
    assert found.term_id == term


def test_a_synonym_of_two_terms_is_not_taken():
    assert exact("White", "HANCESTRO") is None


def test_a_misspelt_label_is_near():
    assert suggest("type 2 diabetis", "MONDO", n=1)[0].term_id == "MONDO:0005148"
    assert suggest("plasmablst", "CL", n=1)[0].term_id == "CL:0000980"


def test_nothing_is_near_to_nothing():
    assert suggest("", "CL") == []


@pytest.mark.parametrize(
    ("text", "ontology", "label"),
    [
        ("Severe COVID-19", "MONDO", "COVID-19"),
        ("type 2 diabetes mellitus, treated", "MONDO", "type 2 diabetes mellitus"),
        ("naive B-cell of marrow", "CL", "naive B cell"),
        # A name that is the text goes before those that are a part of it.
        ("long COVID-19", "MONDO", "long COVID-19"),
        ("memory B cell", "CL", "memory B cell"),
    ],
)
def test_a_name_that_stands_in_the_text_comes_before_others(text, ontology, label):
    assert suggest(text, ontology, n=1)[0].label == label


def test_ancestors_are_known():
    assert is_under("CL:0000787", ("CL:0000236",))
    assert not is_under("CL:0000236", ("CL:0000787",))


def test_the_release_is_named():
    assert release("CL") == "CL v2026-03-26"


def test_normalised_text_keeps_markers():
    assert normalise("CD14+ Monocytes") == "cd14 positive monocyte"
    assert normalise("B_Mem") == "b mem"


@pytest.mark.parametrize(
    ("value", "column", "must"),
    [
        ("PATO:0000383x", "sex_ontology_term_id", "must be one of PATO:0000383"),
        ("MONDO:0005148", "tissue_ontology_term_id", "must be a term of UBERON"),
        ("HANCESTRO:0005", "self_reported_ethnicity_ontology_term_id", "must be a term under"),
        ("EFO:0000001", "assay_ontology_term_id", "must be a term"),
        ("CL:0000255", "cell_type", "must be a term under"),
        (
            "MONDO:0100096 || MONDO:0005148",
            "disease_ontology_term_id",
            "terms must be sorted and different",
        ),
        (
            "MONDO:0005148 || PATO:0000461",
            "disease_ontology_term_id",
            "healthy must stand alone",
        ),
    ],
)
def test_a_term_that_its_column_may_not_hold_is_a_fault(value, column, must):
    fault = check_term(value, column, file="donors.tsv", row=3)
    assert fault is not None
    assert must in fault.must
    assert (fault.file, fault.row, fault.column) == ("donors.tsv", 3, column)


def test_several_diseases_may_be_given():
    value = "MONDO:0005148 || MONDO:0100096"
    assert check_term(value, "disease_ontology_term_id", file="donors.tsv") is None


@pytest.mark.parametrize("column", sorted(TERM_RULES))
def test_unknown_is_allowed_everywhere(column):
    assert check_term("unknown", column, file="x") is None


def test_only_allowed_terms_are_offered():
    assert all(
        check_term(term.split(" ")[0], "self_reported_ethnicity_ontology_term_id", file="x") is None
        for term in terms_near("European", "self_reported_ethnicity_ontology_term_id")
    )


@pytest.mark.parametrize("column", sorted(shorthand.SHORTHAND))
def test_every_shorthand_leads_to_a_term_its_column_may_hold(column):
    for term in shorthand.SHORTHAND[column].values():
        assert check_term(term, column, file="x") is None, term


@pytest.mark.parametrize(
    ("text", "column", "term"),
    [
        ("CD4 T cells", "cell_type", "CL:0000624"),
        ("Mono_Classical", "cell_type", "CL:0000860"),
        ("PBMC", "tissue_ontology_term_id", "UBERON:0000178"),
        ("healthy", "disease_ontology_term_id", "PATO:0000461"),
        ("F", "sex_ontology_term_id", "PATO:0000383"),
        ("2", "sex_ontology_term_id", None),
        ("beta", "cell_type", None),
    ],
)
def test_words_of_the_field_are_known_and_codes_are_not(text, column, term):
    assert term_of(text, column) == term


def test_a_known_word_in_place_of_its_term_is_answered_with_the_term():
    fault = check_term("healthy", "disease_ontology_term_id", file="donors.tsv")
    assert fault is not None
    assert fault.must.startswith("must be a term id such as MONDO:0005148")
    assert "PATO:0000461 normal" in fault.fix


def test_a_bare_word_is_offered_as_a_cell():
    assert terms_near("beta", "cell_type")[0] == "CL:0000169 type B pancreatic cell"
