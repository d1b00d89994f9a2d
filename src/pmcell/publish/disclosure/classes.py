"""What each published table and file says of donors who are withheld, and how they are protected.

Everything must be classified: the gate refuses a table or file that is not.
"""

from __future__ import annotations

INDIVIDUAL = "individual"
AGGREGATE = "aggregate"
VECTOR = "vector"
OPEN_ONLY = "open_only"
DESCRIPTION = "description"

MEANING = {
    INDIVIDUAL: "About single donors, samples or cells: rows of open cohorts only.",
    AGGREGATE: "Numbers over donors of all cohorts: threshold, dominance, suppression, register.",
    VECTOR: "Values for thousands of genes, from which membership can be tested at any number "
    "of donors that a cohort has: made of open cohorts only, or withheld.",
    OPEN_ONLY: "Numbers over donors of open cohorts only.",
    DESCRIPTION: "About cohorts, genes or files; made from the other files, or of no donor.",
}

TABLE_CLASSES = {
    "cohorts": AGGREGATE,
    "cohort_counts": AGGREGATE,
    "donors": INDIVIDUAL,
    "visits": INDIVIDUAL,
    "samples": INDIVIDUAL,
    "measurements": INDIVIDUAL,
    "cells": INDIVIDUAL,
    "genes": VECTOR,
    "gene_ledger": DESCRIPTION,
    "clusters": OPEN_ONLY,
    "markers": VECTOR,
    "composition": INDIVIDUAL,
    "pseudobulk": INDIVIDUAL,
    "strata": AGGREGATE,
    "assignments": INDIVIDUAL,
    "associations": AGGREGATE,
    "drivers": INDIVIDUAL,
    "composition_shifts": OPEN_ONLY,
    "movement": INDIVIDUAL,
    "outcomes": AGGREGATE,
    "survival": OPEN_ONLY,
    "donor_distances": INDIVIDUAL,
    "consensus": INDIVIDUAL,
    "expression_contrasts": VECTOR,
    "differential_expression": VECTOR,
    "pathways": VECTOR,
    "gene_drivers": VECTOR,
    "gaps": OPEN_ONLY,
    "qc": INDIVIDUAL,
    "runtime": DESCRIPTION,
}

FILE_CLASSES = {
    "cells/": INDIVIDUAL,
    "expression/": INDIVIDUAL,
    "donors.h5ad": INDIVIDUAL,
    "strata.json": AGGREGATE,
    "reference/": VECTOR,
    "tables/README.md": DESCRIPTION,
}


def class_of(name: str) -> str | None:
    """The class of a file of the release by its path, or None where nobody classified it."""
    if name.startswith("tables/") and name.endswith(".parquet"):
        return TABLE_CLASSES.get(name.removeprefix("tables/").removesuffix(".parquet"))
    for known, found in FILE_CLASSES.items():
        if name == known or (known.endswith("/") and name.startswith(known)):
            return found
    return None
