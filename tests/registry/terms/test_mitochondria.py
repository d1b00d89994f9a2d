"""Mitochondrial genes are found alike by current ids, and by any older name."""

import pandas as pd

from pmcell.registry.terms import mitochondria
from pmcell.registry.terms.gene_table import current_genes, gene_table
from pmcell.registry.terms.mitochondria import mitochondrial_features


def test_the_current_genes_are_those_of_the_whole_table():
    table = gene_table()
    assert {gene: symbol for gene, (symbol, _) in current_genes().items()} == table.symbols
    assert {gene for gene, (_, is_own) in current_genes().items() if is_own} == table.mitochondrial


def test_current_ids_and_symbols_give_what_the_whole_table_gives(monkeypatch):
    genes = current_genes()
    var = pd.DataFrame({"symbol": [symbol for symbol, _ in genes.values()]}, index=list(genes))
    fast = mitochondrial_features(var)
    monkeypatch.setattr(mitochondria, "current_genes", dict)
    assert fast.sum() > 13
    assert fast.tolist() == mitochondrial_features(var).tolist()


def test_current_ids_are_found_without_the_older_names(monkeypatch):
    def refuse():
        raise AssertionError("the older names were loaded")

    monkeypatch.setattr(mitochondria, "gene_table", refuse)
    var = pd.DataFrame({"symbol": ["MT-ND2", "JCHAIN"]}, ["ENSG00000198763", "ENSG00000132465"])
    assert mitochondrial_features(var).tolist() == [True, False]


def test_one_older_name_among_current_ids_is_found():
    var = pd.DataFrame(
        {"symbol": ["x", "JCHAIN", "MT.ND1"]},
        ["ENSG00000198763", "ENSG00000132465", "ENSG00000141510"],
    )
    assert mitochondrial_features(var).tolist() == [True, False, True]
