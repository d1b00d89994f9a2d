"""Mitochondrial genes are found alike by current ids, and by any older name."""

import pandas as pd

from pmcell.registry.terms.gene_table import GeneTable, gene_table
from pmcell.registry.terms.mitochondria import mitochondrial_features


def test_current_ids_and_symbols_give_what_the_whole_table_gives():
    table = gene_table()
    var = pd.DataFrame({"symbol": list(table.symbols.values())}, index=list(table.symbols))
    fast = mitochondrial_features(var)
    assert fast.sum() == len(table.mitochondrial)
    assert fast.tolist() == [gene_id in table.mitochondrial for gene_id in table.symbols]
    by_symbol = mitochondrial_features(var.set_axis(var["symbol"]))
    assert by_symbol.tolist() == fast.tolist()


def test_current_ids_are_found_without_the_older_names(monkeypatch):
    def refuse(table):
        raise AssertionError("the older names were loaded")

    monkeypatch.setattr(GeneTable, "names", property(refuse))
    var = pd.DataFrame({"symbol": ["MT-ND2", "JCHAIN"]}, ["ENSG00000198763", "ENSG00000132465"])
    assert mitochondrial_features(var).tolist() == [True, False]


def test_one_older_name_among_current_ids_is_found():
    var = pd.DataFrame(
        {"symbol": ["x", "JCHAIN", "MT.ND1"]},
        ["ENSG00000198763", "ENSG00000132465", "ENSG00000141510"],
    )
    assert mitochondrial_features(var).tolist() == [True, False, True]
