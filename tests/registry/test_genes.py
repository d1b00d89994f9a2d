"""Gene names lead to one current gene, or to none with a reason; never to a guess."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.errors import UsageError
from pmcell.registry.gene_table import gene_table
from pmcell.registry.genes import FATES, map_genes, share_known


def one(name, **options):
    mapping = map_genes([name], **options)
    return mapping.gene_id[0], mapping.symbol[0], mapping.fate[0]


@pytest.mark.parametrize(
    ("name", "gene_id", "symbol", "fate"),
    [
        ("CD3E", "ENSG00000198851", "CD3E", "kept"),
        ("ENSG00000244734", "ENSG00000244734", "HBB", "kept"),
        ("ENSG00000244734.4", "ENSG00000244734", "HBB", "kept"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378", "PLCXD1", "kept"),
        ("IGJ", "ENSG00000132465", "JCHAIN", "renamed"),
        ("MARCH1", "ENSG00000145416", "MARCHF1", "renamed"),
        ("SEPT7", "ENSG00000122545", "SEPTIN7", "renamed"),
        ("C1orf112", "ENSG00000000460", "FIRRM", "renamed"),
        ("C1ORF112", "ENSG00000000460", "FIRRM", "renamed"),
        ("HLA.A", "ENSG00000206503", "HLA-A", "renamed"),
        ("GRCh38_CD3E", "ENSG00000198851", "CD3E", "renamed"),
        ("CD3E_ENSG00000198851", "ENSG00000198851", "CD3E", "kept"),
        ("ENSG00000256374", "ENSG00000289549", "PPIAL4D", "renamed"),
        ("CD16", None, None, "ambiguous"),
        ("Y_RNA", None, None, "ambiguous"),
        ("NOSUCHGENE", None, None, "lost"),
        ("ENSG00000999999", None, None, "lost"),
    ],
)
def test_a_name_leads_to_its_current_gene(name, gene_id, symbol, fate):
    assert one(name) == (gene_id, symbol, fate)


@pytest.mark.parametrize(
    "name", ["1-Mar", "2-Sep", "Sep-02", "44621", "2021-03-01", "2.31E+13", "1-MAR-2021"]
)
def test_spreadsheet_dates_are_refused_with_a_hint(name):
    mapping = map_genes([name])
    assert mapping.fate[0] == "lost"
    assert "spreadsheet" in mapping.why[0]


def test_a_symbol_of_several_genes_is_the_gene_that_hgnc_names():
    assert one("TBCE") == ("ENSG00000284770", "TBCE", "kept")


def test_an_ambiguous_name_says_which_genes_it_may_be():
    why = map_genes(["CD16"]).why[0]
    assert "ENSG00000162747" in why
    assert "ENSG00000203747" in why


def test_names_of_one_gene_are_merged_and_name_each_other():
    mapping = map_genes(["JCHAIN", "CD3E", "IGJ"])
    assert list(mapping.fate) == ["merged", "kept", "merged"]
    assert mapping.gene_id[0] == mapping.gene_id[2]
    assert "IGJ" in mapping.why[0]
    assert "JCHAIN" in mapping.why[2]


def test_two_versions_of_one_id_are_merged():
    mapping = map_genes(["ENSG00000244734.3", "ENSG00000244734.4"])
    assert list(mapping.fate) == ["merged", "merged"]


def test_a_suffix_of_make_unique_is_undone_only_beside_its_original():
    assert list(map_genes(["HBB", "HBB-1"]).fate) == ["merged", "merged"]
    assert list(map_genes(["CD3E", "HBB-1"]).fate) == ["kept", "lost"]


def test_a_symbol_that_ends_in_a_number_is_no_suffix():
    assert one("NKX2-1")[2] == "kept"
    assert list(map_genes(["HLA-DRB1", "HLA-DQA1"]).fate) == ["kept", "kept"]


def test_symbols_help_where_an_id_is_retired():
    mapping = map_genes(["ENSG00000155130"], symbols=["MARCKS"])
    assert (mapping.symbol[0], mapping.fate[0]) == ("MARCKS", "renamed")
    assert map_genes(["ENSG00000155130"]).fate[0] == "lost"


def test_mouse_ids_are_lost_and_named_as_such():
    assert "mouse" in map_genes(["ENSMUSG00000051951"]).why[0]


def test_the_ensembl_namespace_takes_no_symbols():
    assert one("CD3E", namespace="ensembl")[2] == "lost"


def test_an_unknown_namespace_is_refused():
    with pytest.raises(UsageError, match="namespace must be one of auto, symbol, ensembl"):
        map_genes(["CD3E"], namespace="entrez")


def test_symbols_of_another_length_are_refused():
    with pytest.raises(UsageError, match="1 genes, 2 symbols"):
        map_genes(["CD3E"], symbols=["CD3E", "HBB"])


def test_no_genes_are_no_error():
    mapping = map_genes([])
    assert mapping.share_mapped == 0.0
    assert sum(mapping.counts().values()) == 0


def test_every_current_id_and_unique_symbol_is_kept():
    table = gene_table()
    ids = list(table.symbols)
    assert set(map_genes(ids).fate) == {"kept"}
    assert list(map_genes(ids).gene_id) == ids


def test_sixty_thousand_genes_map_within_a_second():
    names = list(gene_table().symbols)[:60_000]
    start = time.process_time()
    map_genes(names)
    assert time.process_time() - start < 1.0


def test_the_mitochondrial_genome_has_37_genes():
    assert len(gene_table().mitochondrial) == 37


def test_barcodes_are_no_genes():
    assert share_known(["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1"]) == 0.0
    assert share_known(["CD3E", "IGJ", "NOSUCHGENE", "ENSG00000244734"]) == 0.75


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(sorted(gene_table().names)), st.text(max_size=12))))
def test_every_gene_has_a_fate_and_a_reason_unless_it_is_kept(names):
    mapping = map_genes(names)
    for gene_id, symbol, fate, why in zip(
        mapping.gene_id, mapping.symbol, mapping.fate, mapping.why, strict=True
    ):
        assert fate in FATES
        assert (gene_id is None) == (fate in ("ambiguous", "lost")) == (symbol is None)
        assert bool(why) == (fate != "kept")
    kept = [
        gene_id
        for gene_id, fate in zip(mapping.gene_id, mapping.fate, strict=True)
        if fate in ("kept", "renamed")
    ]
    assert len(kept) == len(set(kept))
