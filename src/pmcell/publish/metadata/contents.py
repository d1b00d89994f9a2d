"""What each file and folder of a release is: one list for every document that names them."""

from __future__ import annotations

from pathlib import Path

from pmcell.publish.facts import Facts
from pmcell.schema import TABLES
from pmcell.schema.release_files import RELEASE_FILES

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
    ".R": "text/x-r",
    ".yaml": "application/yaml",
}

MEDIA_TYPES_BY_NAME = {
    "Snakefile": "text/plain",
    "croissant.json": "application/ld+json",
    "datacite.json": "application/vnd.datacite.datacite+json",
    "ro-crate-metadata.json": "application/ld+json",
}

FOLDERS = {item.name: item.prose for item in RELEASE_FILES if item.is_folder}

FILES = {item.name: item.prose for item in RELEASE_FILES if not item.is_folder}


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
