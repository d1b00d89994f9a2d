"""What each file and folder of a release is: one list for every document that names them."""

from __future__ import annotations

from pathlib import Path

from pmcell.publish.facts import Facts
from pmcell.schema import TABLES

MEDIA_TYPES = {
    ".h5ad": "application/x-hdf5",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".npz": "application/zip",
    ".md": "text/markdown",
    ".html": "text/html",
    ".cff": "application/yaml",
    ".ttl": "text/turtle",
    ".css": "text/css",
    ".js": "text/javascript",
    ".py": "text/x-python",
    ".smk": "text/plain",
    ".rst": "text/x-rst",
    ".yaml": "application/yaml",
}

MEDIA_TYPES_BY_NAME = {
    "Snakefile": "text/plain",
    "croissant.json": "application/ld+json",
    "datacite.json": "application/vnd.datacite.datacite+json",
    "ro-crate-metadata.json": "application/ld+json",
}

FOLDERS = {
    "workflow/": "The Snakemake workflow that made the release.",
    "envs/": "The environment that the rules of the workflow name.",
    "cells/": "Cells that passed QC, one AnnData file a cohort.",
    "expression/": "Raw counts as tables, gene after gene, one file a cohort.",
    "tables/": "Tables of cohorts, donors, cells, genes, labels and strata.",
    "reference/": "The frozen model onto which new samples are mapped.",
    "validation/": "What the disclosure gate and independent validators found.",
    "site/": "Catalogue of the release; open site/index.html in a browser.",
}

FILES = {
    "README.md": "What the release is and how to open it.",
    "CITATION.cff": "How to cite the release.",
    "datacite.json": "DataCite 4.5 metadata, for the registration of a DOI.",
    "croissant.json": "Croissant 1.1 metadata: files, and what each column of a table means.",
    "dcat.ttl": "HealthDCAT-AP record of the release and its cohorts, for health data catalogues.",
    "strata.json": "Whether there are strata, how stable they are, and what was withheld.",
    "donors.h5ad": "Profile of each donor and visit, and the distances between them.",
    "report.html": "Figures and methods.",
    "site/index.html": "Catalogue of the release: what it holds and whether it can be trusted.",
    "tables/README.md": "Data dictionary of the tables.",
    "datapackage.json": "Tables, columns, keys and digests as a Frictionless Data Package (v2).",
    "validation/disclosure.json": "What the disclosure gate checked and found.",
    "validation/catalogue.json": "What stewards did not supply for the records in dcat.ttl.",
    "validation/cellxgene.json": "What keeps files of cells from the CELLxGENE schema.",
    "manifest.json": "Size and SHA-256 of every file of the release.",
}


def media_type(name: str) -> str:
    """The IANA media type of a file, by its name or suffix."""
    known = MEDIA_TYPES_BY_NAME.get(Path(name).name)
    return known or MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream")


def describe(facts: Facts, name: str) -> str:
    """A sentence on the file `name`, a path inside the release."""
    if name.startswith("cells/"):
        cohort = next(item for item in facts.cohorts if item.cohort_id == Path(name).stem)
        return f"Cells that passed QC of {cohort.cohort_id}: {cohort.text('title')}."
    if name.startswith(("workflow/", "envs/")):
        return "Part of the workflow that made the release."
    if name.startswith("expression/"):
        return f"Raw counts above 0 of {Path(name).stem}, gene after gene, for SQL."
    if name.startswith("tables/") and name.endswith(".parquet"):
        return next(table.prose for table in TABLES if table.name == Path(name).stem)
    return FILES.get(name, "Part of the frozen model." if name.startswith("reference/") else name)
