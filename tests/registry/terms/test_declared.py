"""What samples are said to be is compared with what a reference holds."""

from __future__ import annotations

import pandas as pd
import pytest

from pmcell.errors import DataError
from pmcell.registry.terms.declared import check_declared

BLOOD = "UBERON:0000178"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("assay_ontology_term_id", "EFO:0008896"),
        ("assay_ontology_term_id", "EFO:0030007"),
        ("assay_ontology_term_id", "EFO:0010891"),
        ("assay", "RNA-Seq"),
        ("assay", "scATAC-seq"),
    ],
)
def test_samples_that_are_no_rna_of_single_cells_are_refused(column: str, value: str) -> None:
    with pytest.raises(DataError, match="RNA of single cells") as told:
        check_declared(pd.DataFrame({column: [value]}), BLOOD)
    assert told.value.reason == "wrong_assay"
    assert value in str(told.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("assay_ontology_term_id", "EFO:0009922"),
        ("assay_ontology_term_id", "EFO:0008931"),
        ("assay_ontology_term_id", "EFO:0009294"),
        ("assay_ontology_term_id", "EFO:0030059"),
        ("assay_ontology_term_id", "EFO:0008913"),
        ("assay_ontology_term_id", "EFO:0700003"),
        ("assay_ontology_term_id", "EFO:9999999"),
        ("assay_ontology_term_id", "unknown"),
        ("assay", "10x 3' v3"),
        ("assay", "the laboratory's own"),
    ],
)
def test_single_cell_assays_and_what_says_nothing_pass(column: str, value: str) -> None:
    check_declared(pd.DataFrame({column: [value]}), BLOOD)
