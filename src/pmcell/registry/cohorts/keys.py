"""The keys of cohort.yaml and the columns of its tables, spelt once: prose, forms, choices.

The JSON schemas, the checks, the draft and the meaning of a left `TODO` are all
made from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass

from pmcell.registry.cohorts import registered
from pmcell.registry.cohorts.catalogue_keys import CATALOGUE_KEYS, EMAIL
from pmcell.registry.cohorts.key import Key
from pmcell.registry.sheets.dates import LABEL, VISIT
from pmcell.registry.terms.vocabulary import SUSPENSION_TYPES, TISSUE_TYPES
from pmcell.schema.ids import ID_PATTERN as ID

_NO_QUOTES = r"[^\s\"“”„«»]+"
DOI = rf"^10\.\d{{4,9}}/{_NO_QUOTES}$"
"""DOIs may hold < and > (SICI); spaces and quotes come from copying."""
PAGE = rf"^https?://{_NO_QUOTES}$"
COHORT_FILE = registered.COHORT_FILE
DONORS_FILE = "donors.tsv"
SAMPLES_FILE = "samples.tsv"
CELLS_FILE = "cells.tsv"
MEASUREMENTS_FILE = "measurements.tsv"
MAX_HOURS = 24 * 14
"""Hours that a living sample may wait; more are another unit, or a date."""
TODO = "TODO"
"""Begins every value that a person must still decide."""
ONLY_A_PERSON = (
    "title",
    "steward.name",
    "license",
    "region",
    "programme",
    "access",
    "data_use",
    "hdab.name",
)
"""Keys that no file can answer."""
FORMATS = ("h5ad", "zarr", "10x_h5", "10x_mtx", "csv", "tsv")


GROUPS = {
    "disclosure": ("min_donors",),
    "source": ("doi", "accession", "url"),
    "steward": ("name", "email", "organisation", "url"),
    "publisher": ("name", "url", "email"),
}
"""Groups of texts in cohort.yaml that a release takes over."""

COHORT_KEYS: tuple[Key, ...] = (
    Key("schema_version", "Version of this file's form.", required=True, choices=("1",)),
    Key("id", "Identifier of the cohort; the name of its folder.", required=True, pattern=ID),
    Key("title", "Title of the cohort, as it shall stand in catalogues.", required=True),
    Key("description", "What was studied, in a few sentences."),
    Key(
        "source.doi",
        "DOI of the publication or data set.",
        pattern=DOI,
        example="10.1016/…",
    ),
    Key("source.accession", "Accession of the data set in its archive.", example="GSE161918"),
    Key("source.url", "Web page of the data set.", pattern=PAGE),
    Key("steward.name", "Who answers for the cohort and its consent.", required=True),
    Key("steward.email", "Address of the steward.", pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    Key("steward.organisation", "Organisation of the steward."),
    Key("steward.url", "Web page of the steward's organisation.", pattern=PAGE),
    Key("publisher.name", "Who makes the data available."),
    Key("publisher.url", "Web page of the publisher.", pattern=PAGE),
    Key("publisher.email", "Address of the publisher.", pattern=EMAIL),
    Key(
        "license",
        "Licence that the source gives to the data of the people in it, as an SPDX identifier; not "
        "that of a paper, a program or a package that carried them. `license_note` says the rest.",
        example="CC-BY-4.0",
    ),
    Key(
        "region",
        "Region the donors come from: NUTS code in the EU, else ISO 3166-2 code.",
        required=True,
        example="NL2",
    ),
    Key(
        "programme",
        "Disease programme: a file name in config/programmes, or none.",
        required=True,
    ),
    Key(
        "organism_ontology_term_id",
        "Organism of the donors.",
        required=True,
        choices=("NCBITaxon:9606",),
    ),
    Key(
        "access",
        "Who may have the cells: open, registered (known users) or controlled (approved projects).",
        required=True,
        choices=("open", "registered", "controlled"),
    ),
    Key(
        "data_use",
        "Permitted uses as DUO terms: one permission and its modifiers. "
        "Disease-specific use names the disease: 'DUO:0000007 MONDO:0005148'.",
        kind="list",
        required=True,
        example="[DUO:0000042]",
    ),
    Key(
        "legal_basis",
        "Legal basis of the processing, such as an article of the GDPR or the consent form.",
    ),
    Key("purpose", "Purpose for which the data were collected."),
    Key("retention", "How long the data may be kept."),
    Key("withdrawal_policy", "What happens when a donor withdraws."),
    Key(
        "disclosure.min_donors",
        "Smallest group of donors that may be counted in public when access is not open; never "
        "fewer than release.min_donors of the configuration.",
        pattern=r"^[1-9]\d{0,5}$",
        example="20",
    ),
    *CATALOGUE_KEYS,
    Key(
        "matrix.path",
        "The submitted file or folder, relative to this folder or absolute.",
        required=True,
    ),
    Key(
        "matrix.format",
        "Format of the submitted file: AnnData as h5ad (plain, gzip, lzf, zstd, blosc or lz4) or "
        "zarr (format 2 or 3, a folder or zip file), Cell Ranger's h5 or mtx folder, a text table.",
        required=True,
        choices=FORMATS,
    ),
    Key(
        "matrix.sha256",
        "SHA-256 of the submitted file as its sender states it; a copy with another is refused.",
        pattern=r"^[0-9a-f]{64}$",
    ),
    Key(
        "matrix.counts",
        "Which matrix holds the raw counts: X, raw.X or layers/<name>.",
        required=True,
        pattern=r"^(X|raw\.X|layers/.+)$",
    ),
    Key("matrix.gene_column", "Where the gene names are: index, or a column of var."),
    Key(
        "matrix.gene_namespace",
        "What the gene names are.",
        choices=("auto", "symbol", "ensembl"),
    ),
    Key(
        "matrix.orientation",
        "How a text table or a square matrix folder lies.",
        choices=("auto", "genes_by_cells", "cells_by_genes"),
    ),
    Key("matrix.keep_features.column", "Column of var that tells genes from other features."),
    Key("matrix.keep_features.value", "Value of that column for genes.", example="Gene Expression"),
    Key(
        "matrix.cells",
        "Table in this folder that says more of each cell, by barcode: donor, sample, cell type.",
        choices=(CELLS_FILE,),
    ),
    Key("columns.barcode", "Where the cell barcodes are: index, or a column of obs."),
    Key(
        "columns.sample_id",
        "Where the sample of a cell is: a column of obs, index, constant:<id>, "
        "barcode_prefix:<separator> (all before the first) or barcode_suffix:<separator> (all "
        "after the last); :first, :last or :2 behind it says which separator.",
        required=True,
    ),
    Key("columns.donor_id", "Column of obs with the donor, checked against samples.tsv."),
    Key("columns.cell_type", "Column of obs with the source's cell type."),
    Key(
        "values.sample_id",
        "Sample id of each sample name of the source that is not an id itself.",
        kind="mapping",
    ),
    Key(
        "values.cell_type",
        "Cell Ontology term of each cell type of the source; missing ones are unknown.",
        kind="mapping",
    ),
    Key(
        "exclude",
        "Cells to leave out, as a list of column (of obs), values ('' where there is none) and "
        "reason; they are counted.",
        kind="records",
        example="[{column: donor, values: [doublet, unassigned], reason: several donors}]",
        parts=(
            Key("column", "Column of obs, or index for the barcodes.", required=True),
            Key("values", "Values whose cells are left out.", kind="list", required=True),
            Key("reason", "Why they are left out, as it shall be counted.", required=True),
        ),
    ),
    Key(
        "defaults.assay_ontology_term_id",
        "Assay of samples that do not say (EFO).",
        example="EFO:0009922 is 10x 3' v3, EFO:0009899 10x 3' v2, EFO:0008931 Smart-seq2",
    ),
    Key(
        "defaults.tissue_ontology_term_id",
        "Tissue of samples that do not say (UBERON).",
        example="UBERON:0000178 is blood, UBERON:0000006 islet of Langerhans",
    ),
    Key("defaults.tissue_type", "Kind of tissue of samples that do not say.", choices=TISSUE_TYPES),
    Key(
        "defaults.suspension_type",
        "Whether cells or nuclei were suspended, where samples do not say.",
        choices=SUSPENSION_TYPES,
    ),
)


@dataclass(frozen=True)
class Column:
    """One column of a registration table.

    `dates` is how its values are read when dates are looked for
    (`pmcell.registry.sheets.dates`), '' where none is published.
    """

    name: str
    prose: str
    required: bool = False
    pattern: str = ""
    choices: tuple[str, ...] = ()
    dates: str = ""


DONOR_COLUMNS: tuple[Column, ...] = (
    Column("donor_id", "Pseudonym of the donor within the cohort.", required=True, pattern=ID),
    Column("sex_ontology_term_id", "Sex (PATO)."),
    Column(
        "self_reported_ethnicity_ontology_term_id",
        "Ethnicity as the donor reported it (HANCESTRO).",
    ),
    Column("development_stage_ontology_term_id", "Age as a development stage (HsapDv)."),
    Column("disease_ontology_term_id", "Disease (MONDO), or PATO:0000461 for healthy."),
    Column("age_group", "Age band in the cohort's own words; never a date.", dates=LABEL),
    Column("region", "Region of the donor, where it is not the cohort's; may be unknown."),
)
SAMPLE_COLUMNS: tuple[Column, ...] = (
    Column("sample_id", "Identifier of the library within the cohort.", required=True, pattern=ID),
    Column("donor_id", "Donor of the sample, as in donors.tsv.", required=True, pattern=ID),
    Column("visit", "Label of the visit (time point); never a date.", dates=VISIT),
    Column("visit_day", "Days since the donor's first visit; may be negative.", dates=LABEL),
    Column(
        "batch_id",
        "Processing batch; empty stands for the cohort itself; never a date.",
        dates=LABEL,
    ),
    Column(
        "condition",
        "Condition at the visit in the cohort's own words; never a date.",
        dates=LABEL,
    ),
    Column("assay_ontology_term_id", "Assay (EFO); empty takes the default of cohort.yaml."),
    Column("tissue_ontology_term_id", "Tissue (UBERON); empty takes the default."),
    Column("tissue_type", "Kind of tissue; empty takes the default.", choices=TISSUE_TYPES),
    Column(
        "suspension_type", "cell, nucleus or na; empty takes the default.", choices=SUSPENSION_TYPES
    ),
    Column(
        "hours_to_processing",
        "Hours from taking the sample to its processing or freezing; empty where not known.",
    ),
)


def key(path: str) -> Key:
    """The declaration of a dotted path; KeyError when there is none."""
    for item in COHORT_KEYS:
        if item.path == path:
            return item
    raise KeyError(f"no key {path!r}")
