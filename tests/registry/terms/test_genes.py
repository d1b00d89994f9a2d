"""Gene names lead to one current gene, or to none with a reason; never to a guess."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.errors import UsageError
from pmcell.registry.terms.gene_table import gene_table
from pmcell.registry.terms.genes import CAUSES, FATES, map_genes, share_known


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
        ("CD3E (ENSG00000198851.12)", "ENSG00000198851", "CD3E", "kept"),
        ("ensg00000198851", "ENSG00000198851", "CD3E", "renamed"),
        ("HGNC:CD3E", "ENSG00000198851", "CD3E", "renamed"),
        ("gene-CD3E", "ENSG00000198851", "CD3E", "renamed"),
        ("b'CD3E'", "ENSG00000198851", "CD3E", "renamed"),
        ("CD3E\xa0", "ENSG00000198851", "CD3E", "renamed"),
        ("HLA\u2011A", "ENSG00000206503", "HLA-A", "renamed"),
        ("MT\u2013ND1\u200b", "ENSG00000198888", "MT-ND1", "renamed"),
        ("ENST00000361763", None, None, "lost"),
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
    "name",
    [
        *["1-Mar", "2-Sep", "Sep-02", "44621", "2021-03-01", "2.31E+13", "1-MAR-2021"],
        *[
            "02. Sep",
            "1. Mrz",
            "2/9/2021",
            "01-mars",
            "2021-09-02 00:00:00",
            "1-Dez",
            "1-déc.",
            "2.9.21",
        ],
        *["1-mrt", "02-sept", "1-okt", "Mrz 01", "44621.0"],
    ],
)
def test_spreadsheet_dates_are_refused_with_a_hint(name):
    mapping = map_genes([name])
    assert mapping.fate[0] == "lost"
    assert "spreadsheet" in mapping.why[0]


def test_a_date_that_was_made_unique_is_still_a_date():
    assert list(map_genes(["1-Mar", "1-Mar.1"]).cause) == ["spreadsheet", "spreadsheet"]


def test_a_symbol_of_several_genes_is_the_gene_that_hgnc_names():
    assert one("TBCE") == ("ENSG00000284770", "TBCE", "kept")


def test_an_ambiguous_name_says_which_genes_it_may_be():
    why = map_genes(["CD16"]).why[0]
    assert "ENSG00000162747" in why
    assert "ENSG00000203747" in why


def test_names_of_one_gene_are_merged_and_name_each_other():
    mapping = map_genes(["JCHAIN", "CD3E", "ENSG00000132465.4"])
    assert list(mapping.fate) == ["merged", "kept", "merged"]
    assert mapping.gene_id[0] == mapping.gene_id[2]
    assert "ENSG00000132465.4" in mapping.why[0]
    assert "JCHAIN" in mapping.why[2]


@pytest.mark.parametrize(
    ("current", "old"),
    [
        ("JCHAIN", "IGJ"),
        ("PTPRC", "CD45"),
        ("IL7R", "CD127"),
        ("PDCD1", "PD-1"),
        ("ENSG00000132465", "IGJ"),
        ("GRCh38_PTPRC", "CD45"),
        ("GRCh38_PTPRC", "GRCh38_CD45"),
        ("CCL3L3", "CCL3L1"),
    ],
)
def test_an_old_name_takes_no_counts_where_the_file_holds_the_current_one(current, old):
    assert map_genes([old]).gene_id[0] is not None
    for names in ([current, old], [old, current]):
        fates = dict(zip(names, map_genes(names).fate, strict=True))
        assert fates[current] in ("kept", "renamed")
        assert fates[old] == "ambiguous"
    mapping = map_genes([current, old])
    assert f"the file also holds {current}" in mapping.why[1]
    assert mapping.cause[1] == "old_name"


def test_an_alias_takes_no_counts_beside_a_previous_symbol_of_the_same_gene():
    table = gene_table()
    of_gene = {}
    for name, (kind, gene_id) in table.names.items():
        if "|" not in gene_id and one(name)[2] == "renamed":
            of_gene.setdefault(gene_id, {}).setdefault(kind, name)
        if {"previous", "alias"} <= set(of_gene.get(gene_id, ())):
            break
    names = of_gene[gene_id]
    mapping = map_genes([names["alias"], names["previous"]])
    assert list(mapping.fate) == ["ambiguous", "renamed"]


@pytest.mark.parametrize(
    "name", ["NP", "PA", "PB1", "M1", "NS1", "T", "INF", "TAG", "GP", "NSP1", "NSP3", "LMP2", "TAX"]
)
def test_names_of_viral_genes_are_no_human_genes_though_these_once_had_them(name):
    mapping = map_genes([name])
    assert mapping.fate[0] == "ambiguous"
    assert mapping.cause[0] == "foreign_name"
    assert "virus" in mapping.why[0] or "herpes" in mapping.why[0]


def test_a_current_symbol_is_kept_though_a_virus_has_a_gene_of_that_name():
    assert one("TAT")[2] == "kept"
    assert one("HBZ")[2] == "kept"


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("GRCh38---CD3E", "CD3E"),
        ("GRCh38-CD3E", "CD3E"),
        ("GRCh38___CD3E", "CD3E"),
        ("GRCh38.CD3E", "CD3E"),
        ("GRCh38-premrna---CD3E", "CD3E"),
        ("hg19-HLA-A", "HLA-A"),
        ("hg38_MT-ND1", "MT-ND1"),
        ("hg19-MT.ND1", "MT-ND1"),
        ("human_CD3E", "CD3E"),
        ("CD3E-ENSG00000198851.12", "CD3E"),
        ("ENSG00000198851.12-CD3E", "CD3E"),
        ("CD3E.ENSG00000198851", "CD3E"),
        ("GRCh38-ENSG00000198851", "CD3E"),
        ('"CD3E"', "CD3E"),
        (" CD3E ", "CD3E"),
        ("HLA_A", "HLA-A"),
        ("MT_ND1", "MT-ND1"),
    ],
)
def test_the_gene_within_a_compound_name_is_found(name, symbol):
    assert one(name)[1] == symbol


@pytest.mark.parametrize("name", ["mm10-Cd3e", "mm10___Cd3e", "GRCm38_Cd3e", "rn6_Cd3e"])
def test_a_gene_of_another_genome_is_lost_and_named_as_such(name):
    mapping = map_genes([name])
    assert (mapping.fate[0], mapping.cause[0]) == ("lost", "other_species")


@pytest.mark.parametrize("end", ["U", "A", "I", "I2"])
@pytest.mark.parametrize("gene", ["ENSG00000198851", "ENSG00000198851.12", "CD3E", "HLA-B"])
def test_parts_of_the_counts_of_a_gene_beside_it_are_not_taken_for_it(gene, end):
    mapping = map_genes([gene, f"{gene}-{end}"])
    assert mapping.gene_id[0] is not None
    assert (mapping.gene_id[1], mapping.cause[1]) == (None, "part")


def test_symbols_that_end_like_a_part_stay_genes():
    assert list(map_genes(["HLA-A", "MT-ND1", "HLA-U"]).cause) == ["", "", ""]


def test_every_dot_of_make_names_is_tried_as_a_dash():
    table = gene_table()
    mixed = [
        name
        for name, (_, gene_id) in table.names.items()
        if "-" in name and "." in name and "|" not in gene_id
    ]
    assert len(mixed) > 100
    for name in mixed[::20]:
        dotted = name.replace("-", ".")
        if dotted not in table.names:
            assert map_genes([dotted]).gene_id[0] in (map_genes([name]).gene_id[0], None)
    assert one("CTA.109P11.1")[0] == one("CTA-109P11.1")[0] is not None
    assert one("MT.ND1")[1] == "MT-ND1"


def test_a_dotted_name_beside_its_stem_is_its_own_gene_and_no_duplicate():
    mapping = map_genes(["HBB", "HBB.1", "TRBV6.1", "TRBV6"])
    assert list(mapping.symbol[:3]) == ["HBB", "HBB", "TRBV6-1"]


def test_each_cause_has_words():
    names = ["PTPRC", "CD45", "NP", "CD16", "IGJ", "HBB", "HBB.1", "2-Sep", "ERCC-00002"]
    mapping = map_genes(
        [
            *names,
            "100.0",
            "cd3e",
            "mm10_Cd3e",
            "NOSUCHGENE",
            "ENST00000361763",
            "HBB-U",
            "__no_feature",
        ]
    )
    assert set(mapping.cause) - {""} == set(CAUSES) - {"spelling"}


@pytest.mark.parametrize(
    ("name", "cause"), [("100.0", "number"), ("100", "number"), ("cd3e", "capitals")]
)
def test_numbers_and_small_letters_are_named_as_such(name, cause):
    assert map_genes([name]).cause[0] == cause


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
