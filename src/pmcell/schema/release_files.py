"""The files of a release beside its tables: what each is, and its class of disclosure.

A folder ends in '/'. What has no class is written after the disclosure gate, from what the
gate let through; the gate refuses it as it refuses any file that is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pmcell.schema.disclosure import AGGREGATE, DESCRIPTION, INDIVIDUAL, VECTOR
from pmcell.schema.fields import CELL_ROW, COHORT_FK, COHORT_ID, GENE_FK, GENE_ID
from pmcell.schema.model import Field, ForeignKey, Table


@dataclass(frozen=True)
class ReleaseFile:
    """A file, or the files of a folder: path in the release, one sentence, class."""

    name: str
    prose: str
    kind: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it stands for all files of a folder."""
        return self.name.endswith("/")

    def holds(self, path: str) -> bool:
        """Whether a path of the release is this file, or in this folder."""
        return path == self.name or (self.is_folder and path.startswith(self.name))


RELEASE_FILES = (
    ReleaseFile("workflow/", "The Snakemake workflow that made the release."),
    ReleaseFile("envs/", "The environment that the rules of the workflow name."),
    ReleaseFile("cells/", "Cells that passed QC, one AnnData file a cohort.", INDIVIDUAL),
    ReleaseFile(
        "expression/", "Raw counts as tables, gene after gene, one file a cohort.", INDIVIDUAL
    ),
    ReleaseFile("tables/", "Tables of cohorts, donors, cells, genes, labels and strata."),
    ReleaseFile("reference/", "The frozen model onto which new samples are mapped.", VECTOR),
    ReleaseFile("validation/", "What the disclosure gate and independent validators found."),
    ReleaseFile("site/", "Catalogue of the release; open site/index.html in a browser."),
    ReleaseFile("README.md", "What was found, how to open the release, how it was made."),
    ReleaseFile("read_pmcell.R", "Functions that read the release in R."),
    ReleaseFile("CITATION.cff", "How to cite the release."),
    ReleaseFile("datacite.json", "DataCite 4.5 metadata, for the registration of a DOI."),
    ReleaseFile(
        "croissant.json",
        "Croissant 1.1 metadata: files, and what each column of a table means.",
    ),
    ReleaseFile(
        "dcat.ttl",
        "HealthDCAT-AP record of the release and its cohorts, for health data catalogues.",
    ),
    ReleaseFile(
        "strata.json",
        "Whether there are strata, how stable they are, and what was suppressed.",
        AGGREGATE,
    ),
    ReleaseFile(
        "donors.h5ad",
        "Profile of each donor and visit, and the distances between them.",
        INDIVIDUAL,
    ),
    ReleaseFile("report.html", "Figures and methods."),
    ReleaseFile(
        "site/index.html",
        "Catalogue of the release: what it holds and whether it can be trusted.",
    ),
    ReleaseFile("tables/README.md", "Data dictionary of the tables.", DESCRIPTION),
    ReleaseFile(
        "datapackage.json", "Tables, columns, keys and digests as a Frictionless Data Package (v2)."
    ),
    ReleaseFile("validation/disclosure.json", "What the disclosure gate checked and found."),
    ReleaseFile(
        "validation/catalogue.json", "What stewards did not supply for the records in dcat.ttl."
    ),
    ReleaseFile(
        "validation/cellxgene.json", "What keeps files of cells from the CELLxGENE schema."
    ),
    ReleaseFile("manifest.json", "Size and SHA-256 of every file of the release."),
)

EXPRESSION = Table(
    "expression",
    "Raw counts above 0 of the cells that passed QC, one file a cohort in expression/; "
    "a gene that the cohort measured has count 0 where there is no row.",
    ("cohort_id", "gene_id", "cell_row"),
    (
        COHORT_ID,
        GENE_ID,
        CELL_ROW,
        Field("counts", "int64", "Raw count of the gene in the cell, at least 1.", "UMI"),
    ),
    (
        COHORT_FK,
        GENE_FK,
        ForeignKey(("cohort_id", "cell_row"), "cells", ("cohort_id", "cell_row")),
    ),
    row_group_size=200_000,
)
"""The table of each file in expression/."""
