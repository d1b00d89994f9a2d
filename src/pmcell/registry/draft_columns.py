"""Guess what the columns of a submitted obs mean, by their names and contents."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.registry.intake_cells import texts_of
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    "sample_id": (
        "sampleid sample samplename library libraryid librarysample specimen specimenid "
        "origident sampleuuid libraryuuid channel gsm"
    ),
    "donor_id": (
        "donorid donor donorname patient patientid subject subjectid individual "
        "individualid participant participantid person personid indcov ind"
    ),
    "visit": "visit visitid visitlabel timepoint time tp",
    "visit_day": "visitday studyday daysincefirstvisit",
    "batch_id": "batchid batch processingbatch seqbatch pool poolid seqrun run lane",
    "cell_type": (
        "authorcelltype celltype celltypes celltypeoriginal mergedcelltype cellannotation "
        "celllabel celltypelabel celltypename annotation celltypefine celltypemajor "
        "celltypecoarse celltypel2 celltypel1 predictedcelltype celltypist labels"
    ),
    "sex": "sex gender donorsex",
    "age": "age ageyears ageyear donorage ageatsampling ageatcollection",
    "age_group": "agegroup ageinterval ageband agerange agebin agecategory",
    "disease": "disease diagnosis diseasestate diseasestatus diseasename",
    "condition": (
        "condition condgroup group status treatment stim stimulation severity outcome diseasegroup"
    ),
    "ethnicity": "selfreportedethnicity ethnicity race ancestry",
    "tissue": "tissue organ tissuename",
    "assay": "assay technology platform chemistry protocol method library10xversion",
}
ROLES: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split()) for role, names in _NAMES.items()
}
"""Names that columns of each meaning have, letters and digits only, likelier ones first."""

TERM_COLUMNS = (
    "assay_ontology_term_id",
    "cell_type_ontology_term_id",
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "sex_ontology_term_id",
    "tissue_ontology_term_id",
)
"""Columns that files in the CELLxGENE schema have."""

EMPTY = frozenset({"", "nan", "na", "n/a", "none", "nd", "unknown", "not available", "missing"})

_WITH_BARCODE = re.compile(r"[ACGT]{10,}")


@dataclass(frozen=True)
class Columns:
    """The column of obs for each meaning found, and the rule for samples."""

    roles: Mapping[str, str]
    terms: tuple[str, ...]
    sample_rule: str
    sample_of_cell: np.ndarray


def guess_columns(obs: pd.DataFrame, cohort_id: str) -> Columns:
    """What the columns of `obs` mean; samples by column, else by barcode, else one for all."""
    roles: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for column in obs.columns:
        by_name.setdefault(re.sub(r"[^a-z0-9]", "", str(column).lower()), str(column))
    for role, names in ROLES.items():
        for name in names:
            column = by_name.get(name)
            if column and column not in roles.values() and _fits(obs, column, role):
                roles[role] = column
                break
    terms = tuple(column for column in TERM_COLUMNS if column in obs.columns)
    rule, samples = _sample_rule(obs, roles, cohort_id)
    return Columns(roles, terms, rule, samples)


def text(obs: pd.DataFrame, column: str) -> np.ndarray:
    """A column as text as intake reads it, '' where there is no value."""
    return texts_of(obs, column, key=column, file="obs")


def per_group(values: np.ndarray, groups: np.ndarray) -> dict[str, list[str]]:
    """The different values of each group, most frequent first, without those that say nothing."""
    counted: dict[str, Counter[str]] = {}
    for (group, value), n in Counter(zip(groups.tolist(), values.tolist(), strict=True)).items():
        found = counted.setdefault(group, Counter())
        if value.strip().lower() not in EMPTY:
            found[value] += n
    return {group: [value for value, _ in found.most_common()] for group, found in counted.items()}


def _fits(obs: pd.DataFrame, column: str, role: str) -> bool:
    values = obs[column]
    n_different = int(values.nunique())
    if n_different == 0:
        return False
    if role == "age":
        return values.dtype.kind in "iuf" or _share_numbers(text(obs, column)) > 0.5
    if role == "cell_type":
        # Numbered clusters are not cell types.
        return n_different <= 300 and _share_numbers(text(obs, column)) < 0.5
    if role == "visit_day":
        return _share_numbers(text(obs, column)) > 0.9
    return n_different <= max(20, len(obs) // 5)


def _share_numbers(values: np.ndarray) -> float:
    given = [value for value in set(values.tolist()) if value.strip().lower() not in EMPTY]
    numbers = sum(bool(re.fullmatch(r"-?\d+(\.\d+)?", value)) for value in given)
    return numbers / len(given) if given else 0.0


def _sample_rule(
    obs: pd.DataFrame, roles: Mapping[str, str], cohort_id: str
) -> tuple[str, np.ndarray]:
    if "sample_id" in roles:
        return roles["sample_id"], text(obs, roles["sample_id"])
    if "donor_id" in roles:
        return roles["donor_id"], text(obs, roles["donor_id"])
    barcodes = as_text(obs.index).tolist()
    for kind, separators in (("barcode_prefix", "_:#|"), ("barcode_suffix", "_:#|-")):
        for separator in separators:
            parts = [_cut(barcode, kind, separator) for barcode in barcodes]
            names = {part for part in parts if part}
            if (
                all(parts)
                and 1 < len(names) <= max(2, len(barcodes) // 10)
                and not any(_WITH_BARCODE.search(name) for name in names)
            ):
                return f"{kind}:{separator}", np.array(parts, dtype=object)
    return f"constant:{cohort_id}", np.repeat(np.array([cohort_id], dtype=object), len(barcodes))


def _cut(barcode: str, kind: str, separator: str) -> str:
    if separator not in barcode:
        return ""
    return (
        barcode.partition(separator)[0]
        if kind == "barcode_prefix"
        else barcode.rpartition(separator)[2]
    )
