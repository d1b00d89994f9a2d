"""Why a file of cells cannot be valid under the CELLxGENE schema, known without its validator.

The form of the files is ours and always follows the schema; what a source does
not say, or says against the schema's rules, is not. These reasons are looked
for in the file itself and travel with the release, each with its fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell import schema
from pmcell.core.counts.rewritten import fingerprints
from pmcell.errors import Fault
from pmcell.io.atomic import read_json, write_json
from pmcell.io.counts.stored import read_values
from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.rules import TERM_RULES, check_term
from pmcell.registry.terms.species import HUMAN
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    import h5py

REASONS_FILE = "validation/cellxgene.json"
SCHEMA = "7.1.0"
CELL_TYPE = schema.CELL_TYPE_TERM.name
ASSAY = schema.ASSAY.name
SUSPENSION = schema.SUSPENSION.name
TISSUE_TYPES = ("cell line", "organoid", "primary cell culture", "tissue")
BLOCK_ROWS = 4096

DONOR_COLUMNS = (
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "sex_ontology_term_id",
)

SUSPENSIONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("cell", "nucleus"),
        (
            *("EFO:0030080", "EFO:0010184", "EFO:0010010", "EFO:0009919", "EFO:0008722"),
            *("EFO:0008780", "EFO:0700010", "EFO:0700011", "EFO:0030060", "EFO:0022490"),
            "EFO:0030028",
        ),
    ),
    (("nucleus",), ("EFO:0007045", "EFO:0002761", "EFO:0008720", "EFO:0030026")),
    (
        ("cell",),
        (
            *("EFO:0008919", "EFO:0008853", "EFO:0008953", "EFO:0030002", "EFO:0008796"),
            *("EFO:0700003", "EFO:0700004", "EFO:0008679", "EFO:0008877"),
        ),
    ),
    (("na",), ("EFO:0008994", "EFO:0008992")),
)
"""What `suspension_type` may be, for assays at or under these terms; others may have any."""


def write_reasons(
    folder: Path, cohort_ids: Sequence[str], twins: Mapping[str, int] = MappingProxyType({})
) -> dict[str, list[Fault]]:
    """Write `validation/cellxgene.json` of a release; the reasons of each cohort.

    Of the cohorts in `twins` it is known how many cells equal an earlier one.
    """
    reasons = {name: cellxgene_reasons(folder, name, twins.get(name)) for name in cohort_ids}
    write_json(
        folder / REASONS_FILE,
        {
            "schema": f"CELLxGENE {SCHEMA}",
            "meaning": "What keeps each file of cells from being valid, as far as its source is "
            "the cause. The verdict of cellxgene-schema itself, where it ran, is in summary.json.",
            "files": {
                f"cells/{name}.h5ad": {
                    "source_allows": not faults,
                    "reasons": [_as_reason(fault) for fault in faults],
                }
                for name, faults in reasons.items()
            },
        },
    )
    return reasons


def sources_reasons(folder: Path) -> dict[str, str]:
    """File → what its source lacks, for each file of `validation/cellxgene.json` that lacks it."""
    written = read_json(folder / REASONS_FILE) if (folder / REASONS_FILE).is_file() else {}
    return {
        name: "the source does not allow it: "
        + "; ".join(f"{item['column']} {item['must']}" for item in file["reasons"])
        for name, file in written.get("files", {}).items()
        if file["reasons"]
    }


def cellxgene_reasons(folder: Path, cohort_id: str, n_twins: int | None = None) -> list[Fault]:
    """Every reason of one file of cells in a release; none where the source allows the schema."""
    import h5py

    name = f"cells/{cohort_id}.h5ad"
    with h5py.File(folder / name, "r", locking=False) as file:
        counted = {
            column: _counted(file["obs"], column)
            for column in (*TERM_RULES, CELL_TYPE, SUSPENSION, "tissue_type", "donor_id")
            if column in file["obs"]
        }
        faults = list(_term_faults(name, counted))
        faults += _vocabulary_faults(name, counted, _pairs(file["obs"], ASSAY, SUSPENSION))
        faults += _uns_faults(name, file["uns"])
        faults += _cell_faults(name, file, n_twins)
    return faults


def _term_faults(file: str, counted: dict[str, dict[str, int]]) -> Iterator[Fault]:
    for column, values in counted.items():
        rule_name = "cell_type" if column == CELL_TYPE else column
        rule = TERM_RULES.get(rule_name)
        if rule is None:
            continue
        for value, n_cells in values.items():
            if value == UNKNOWN and rule.strict:
                must = "must be known: the schema does not accept unknown here"
                fix = f"Give the term in {_table_of(column)}, such as {rule.example}."
                yield _reason(file, column, must, UNKNOWN, n_cells, fix)
            elif fault := check_term(value, rule_name, file=file):
                yield _reason(file, column, fault.must, value, n_cells, fault.fix)


def _vocabulary_faults(
    file: str, counted: dict[str, dict[str, int]], suspensions: dict[tuple[str, str], int]
) -> Iterator[Fault]:
    for value, n_cells in counted.get("tissue_type", {}).items():
        if value not in TISSUE_TYPES:
            must = f"must be one of {', '.join(TISSUE_TYPES)}"
            yield _reason(file, "tissue_type", must, value, n_cells, "Correct samples.tsv.")
    for value, n_cells in counted.get("donor_id", {}).items():
        if value == "na":
            fix = "Name the donors in donors.tsv; unknown and pooled are accepted."
            yield _reason(file, "donor_id", "must not be na", value, n_cells, fix)
    for (assay, value), n_cells in suspensions.items():
        allowed = allowed_suspensions(assay)
        if value not in allowed:
            must = f"must be {' or '.join(allowed)} for the assay {assay}"
            yield _reason(file, SUSPENSION, must, value, n_cells, "Correct samples.tsv.")


def allowed_suspensions(assay: str) -> tuple[str, ...]:
    """Values of `suspension_type` that the schema allows for an assay.

    >>> allowed_suspensions("EFO:0009922")
    ('cell', 'nucleus')
    """
    for values, roots in SUSPENSIONS:
        if assay != UNKNOWN and is_under(assay, roots):
            return values
    return ("cell", "nucleus", "na")


def _uns_faults(file: str, uns: h5py.Group) -> Iterator[Fault]:
    organism = _text(uns, "organism_ontology_term_id")
    if organism != HUMAN:
        fix = "pmcell knows the genes of humans only."
        yield _reason(file, "uns.organism_ontology_term_id", f"must be {HUMAN}", organism, 0, fix)
    title = _text(uns, "title")
    if not title or title != " ".join(title.split()):
        must = "must be one text without leading, trailing or double spaces"
        yield _reason(file, "uns.title", must, repr(title), 0, "Correct the title in cohort.yaml.")


def _cell_faults(file: str, source: h5py.File, n_twins: int | None) -> Iterator[Fault]:
    raw = source["raw/X"]
    indptr = raw["indptr"][:]
    empty = int((np.diff(indptr) == 0).sum())
    if empty:
        must = "each cell must have a count"
        yield _reason(file, "raw.X", must, "cells without one", empty, "Run qc again.")
    twins = _read_twins(raw, indptr) if n_twins is None else n_twins
    if twins:
        must = "no two cells may have the same counts of all genes"
        fix = "The source holds a cell twice under two names, or near-empty cells: ask the source."
        yield _reason(file, "raw.X", must, "cells equal to an earlier one", twins, fix)


class Twins:
    """Counts cells with the counts of an earlier one; cells without counts are none."""

    def __init__(self, n_genes: int) -> None:
        self._names = np.arange(n_genes, dtype=np.uint64)
        self._numbers = [np.zeros(0, np.uint64)]

    def add(self, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> None:
        """Take in the next cells."""
        rows = (indptr.astype(np.int64), indices, data.astype(np.int64))
        numbers, n_counts = fingerprints(rows, self._names)
        self._numbers.append(numbers[n_counts > 0])

    @property
    def n(self) -> int:
        """Twins so far."""
        numbers = np.concatenate(self._numbers)
        return int(numbers.size - np.unique(numbers).size)


def _read_twins(raw: h5py.Group, indptr: np.ndarray) -> int:
    twins = Twins(int(raw.attrs["shape"][1]))
    for start in range(0, indptr.size - 1, BLOCK_ROWS):
        ends = indptr[start : start + BLOCK_ROWS + 1]
        columns = [raw["indices"], raw["data"]]
        twins.add(ends - ends[0], *read_values(columns, int(ends[0]), int(ends[-1])))
    return twins.n


def _counted(obs: h5py.Group, column: str) -> dict[str, int]:
    categories, codes = _categories(obs, column)
    counts = np.bincount(codes[codes >= 0], minlength=categories.size)
    values = {str(name): int(n) for name, n in zip(categories, counts, strict=True) if n}
    missing = int((codes < 0).sum())
    return values | ({"": missing} if missing else {})


def _pairs(obs: h5py.Group, first: str, second: str) -> dict[tuple[str, str], int]:
    names, codes = _categories(obs, first)
    others, other_codes = _categories(obs, second)
    pairs, counts = np.unique(np.stack([codes, other_codes]), axis=1, return_counts=True)
    return {
        (str(names[left]), str(others[right])): int(n)
        for (left, right), n in zip(pairs.T, counts, strict=True)
    }


def _categories(obs: h5py.Group, column: str) -> tuple[np.ndarray, np.ndarray]:
    item = obs[column]
    return item["categories"].asstr()[:], item["codes"][:].astype(np.int64)


def _text(group: h5py.Group, name: str) -> str:
    return str(group[name].asstr()[()]) if name in group else ""


def _table_of(column: str) -> str:
    return "donors.tsv" if column in DONOR_COLUMNS else "samples.tsv"


def _reason(file: str, column: str, must: str, found: str, n_cells: int, fix: str) -> Fault:
    cells = f" ({n_cells} cells)" if n_cells else ""
    return Fault(file, must, f"{found}{cells}", fix, column=column, reason="cellxgene")


def _as_reason(fault: Fault) -> dict[str, Any]:
    kept = ("column", "must", "found", "fix")
    return {key: value for key, value in asdict(fault).items() if key in kept}
