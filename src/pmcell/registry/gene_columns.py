"""Names that columns of genes have in var."""

SYMBOL_COLUMNS = (
    "symbol",
    "symbols",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "feature_name",
    "feature_names",
    "genesymbol",
    "hgnc_symbol",
    "gene_short_name",
    "name",
    "gene",
)
ID_COLUMNS = (
    "gene_ids",
    "gene_id",
    "ensembl_id",
    "ensembl_ids",
    "ensembl",
    "ensembl_gene_id",
    "feature_id",
    "feature_ids",
    "accession",
)
