"""Give every submitted cell its identity: barcode, sample, and what is registered of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.barcode_rule import BARCODE_RULE, cut_barcode
from pmcell.registry.cohorts.not_people import not_people
from pmcell.registry.cohorts.same_number import SameNumbers
from pmcell.registry.intake.pseudonyms import Keys, pseudonym
from pmcell.schema import UNKNOWN
from pmcell.schema.fields import DONOR_FACTS
from pmcell.schema.text import text_array
from pmcell.spelling import did_you_mean, without_unseen

if TYPE_CHECKING:
    import pandas as pd

BARCODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:#+/|-]{0,199}")

FORMULA = re.compile(r"[=@]|[-+](?=.)(?![\d.,\s]*$)")
"""How a text begins that a spreadsheet runs; a number with its sign is none."""
MAX_LABEL = 1000
"""Letters of a label of cells."""
MAX_HINTS = 5
"""Unknown samples for which the nearest known one is looked for: it takes long among many."""

SAMPLE_COLUMNS = (
    "donor_id",
    "visit",
    "visit_day",
    "batch_id",
    "condition",
    "assay_ontology_term_id",
    "tissue_ontology_term_id",
    "tissue_type",
    "suspension_type",
)
COHORT_COLUMNS = ("programme", "organism_ontology_term_id")
OBS_COLUMNS = (
    "cohort_id",
    "sample_id",
    *SAMPLE_COLUMNS,
    "region",
    *DONOR_FACTS,
    *COHORT_COLUMNS,
    "source_cell_type",
    "source_cell_type_ontology_term_id",
)
"""Columns of the canonical obs; `visit_day` is a number, all others are text."""


class Scope:
    """Global identifiers of a cohort: '<cohort>:<id>', with a pseudonym for the id unless open."""

    def __init__(self, cohort_id: str, access: str, key: Keys | None) -> None:
        if access != "open" and key is None:
            raise ValueError("a cohort that is not open needs a pseudonym key")
        self.cohort_id = cohort_id
        self._key = None if access == "open" else key

    def __call__(self, kind: str, identifier: str, donor: str | None = None) -> str:
        if self._key is not None:
            identifier = pseudonym(self._key, kind, self.cohort_id, identifier, donor=donor)
        return f"{self.cohort_id}:{identifier}"


def label_cells(
    submission: Submission,
    columns: Mapping[str, str],
    known_samples: Iterable[str],
    *,
    renames: Mapping[str, str] | None = None,
    keep: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Barcodes and sample ids of the cells, as submitted; `FaultsError` names what is wrong.

    `columns` maps `barcode` to 'index' or a column of obs, and `sample_id` to
    that, to `constant:<id>`, or to a rule of `cut_barcode`. `renames` gives the
    sample id for sample names that are not ids; `keep` marks the cells that stay.
    """
    barcodes = texts_of(
        submission.obs,
        columns.get("barcode", "index"),
        key="columns.barcode",
        file=submission.path.name,
    )
    rule = columns["sample_id"]
    keep = np.ones(len(barcodes), dtype=bool) if keep is None else keep
    rows = np.flatnonzero(keep)
    samples = _samples(submission, rule, barcodes, renames)[rows]
    barcodes = barcodes[rows]
    column = rule if rule in submission.obs.columns else ""
    faults = [
        *_barcode_faults(submission.path.name, barcodes, samples, rows, column),
        *_sample_faults(submission.path.name, samples, set(known_samples), rows, column),
    ]
    if faults:
        raise FaultsError(faults)
    return barcodes, samples


def sample_names(
    submission: Submission, columns: Mapping[str, str], renames: Mapping[str, str] | None = None
) -> np.ndarray:
    """The sample that the file names for each cell, registered or not."""
    column = columns.get("barcode", "index")
    file = submission.path.name
    barcodes = texts_of(submission.obs, column, key="columns.barcode", file=file)
    return _samples(submission, columns["sample_id"], barcodes, renames)


def cell_table(
    barcodes: np.ndarray,
    sample_ids: np.ndarray,
    samples: pd.DataFrame,
    donors: pd.DataFrame,
    constants: Mapping[str, str],
    scope: Scope,
    cell_types: np.ndarray,
    cell_type_terms: Mapping[str, str],
) -> pd.DataFrame:
    """The obs of the canonical file, one row a cell in submitted order.

    `samples` and `donors` are indexed by the submitted ids and hold the
    harmonised columns, `constants` those of the whole cohort; `cell_types` are
    the source's labels.
    """
    import pandas as pd

    rows = samples.index.get_indexer(sample_ids)
    sample_donors = samples["donor_id"].to_numpy(dtype=object)
    donor_rows = donors.index.get_indexer(sample_donors)
    table: dict[str, Any] = {"cohort_id": np.repeat(scope.cohort_id, len(barcodes))}
    scoped = {
        "sample_id": [
            scope("sample", name, donor)
            for name, donor in zip(samples.index, sample_donors, strict=True)
        ],
        "donor_id": [scope("donor", name) for name in sample_donors],
    }
    for column, values in scoped.items():
        table[column] = np.array(values, dtype=object)[rows]
    for column in SAMPLE_COLUMNS[1:]:
        table[column] = samples[column].to_numpy()[rows]
    for column in ("region", *DONOR_FACTS):
        table[column] = donors[column].to_numpy()[donor_rows][rows]
    for column in COHORT_COLUMNS:
        table[column] = np.repeat(constants[column], len(barcodes))
    table["source_cell_type"] = cell_types
    table["source_cell_type_ontology_term_id"] = _mapped(cell_types, cell_type_terms)
    cells = zip(barcodes, sample_donors[rows], strict=True)
    index = pd.Index(
        [scope("cell", name, donor) for name, donor in cells], name="cell_id", dtype=object
    )
    return pd.DataFrame(table, index=index)[list(OBS_COLUMNS)]


def source_cell_types(submission: Submission, column: str | None) -> np.ndarray:
    """The source's cell-type labels; 'unknown' where there is none."""
    if not column or column == UNKNOWN:
        return np.repeat(np.array([UNKNOWN], dtype=object), submission.n_cells)
    labels = texts_of(submission.obs, column, key="columns.cell_type", file=submission.path.name)
    for label in dict.fromkeys(labels.tolist()):
        if FORMULA.match(str(label)):
            raise DataError(
                f"{submission.path.name}, column {column!r}: a label must not start with =, +, - "
                f"or @, which a spreadsheet runs as a formula; found {str(label)[:40]!r}. Rename "
                "it where the file came from, or name another column in columns.cell_type.",
                reason="formula",
            )
        if "\0" in str(label) or len(str(label)) > MAX_LABEL:
            found = f"{str(label)[:40]!a}" + (" …" if len(str(label)) > MAX_LABEL else "")
            raise DataError(
                f"{submission.path.name}, column {column!r}: a label must have at most "
                f"{MAX_LABEL:,} letters and no zero byte, which HDF5 takes for its end; found "
                f"{found}, {len(str(label)):,} letters. Correct the column, or name another in "
                "columns.cell_type.",
                reason="label",
            )
    return np.array([str(label).strip() or UNKNOWN for label in labels], dtype=object)


def texts_of(frame: pd.DataFrame, column: str, *, key: str, file: str) -> np.ndarray:
    """A column (or 'index') as text, empty where there is no value; `DataError` if it is missing.

    Signs that nobody sees are left out, and line ends are blanks: see `unseen_labels`.
    `key` is the key of cohort.yaml that names the column.
    """
    import pandas as pd

    if column == "index":
        return np.asarray(frame.index, dtype=object)
    if column not in frame.columns:
        hint = did_you_mean(column, frame.columns)
        listed = ", ".join(map(str, frame.columns[:20])) or "none"
        raise DataError(
            f"{file}: {key} must be 'index' or a column of the file; found {column!r}, "
            f"the columns are {listed}. {hint} Correct {key} in cohort.yaml.",
            reason="column_missing",
        )
    values = frame[column].astype(object)
    missing = pd.isna(values).to_numpy()
    return np.array(
        ["" if gone else _text(value) for value, gone in zip(values, missing, strict=True)],
        dtype=object,
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return without_unseen(str(value))


def unseen_labels(frame: pd.DataFrame, column: str) -> list[str]:
    """Labels of a column that hold signs which `texts_of` leaves out, in order of their first."""
    if column not in frame.columns:
        return []
    labels = frame[column].dropna().unique()
    texts = [str(label) for label in labels if isinstance(label, str)]
    return [text for text in texts if without_unseen(text) != text]


def _mapped(labels: np.ndarray, terms: Mapping[str, str]) -> np.ndarray:
    return np.array([terms.get(label) or UNKNOWN for label in labels], dtype=object)


def _samples(
    submission: Submission,
    rule: str,
    barcodes: np.ndarray,
    renames: Mapping[str, str] | None,
) -> np.ndarray:
    kind, _, rest = rule.partition(":")
    if kind == "constant" and rest:
        names = np.repeat(np.array([rest], dtype=object), len(barcodes))
    elif BARCODE_RULE.fullmatch(rule):
        names = np.array([cut_barcode(barcode, rule) for barcode in barcodes], dtype=object)
    else:
        names = texts_of(submission.obs, rule, key="columns.sample_id", file=submission.path.name)
    if renames:
        names = np.array([renames.get(name, name) for name in names], dtype=object)
    return names


def _barcode_faults(
    file: str, barcodes: np.ndarray, samples: np.ndarray, rows: np.ndarray, column: str
) -> list[Fault]:
    faults = []
    for row, barcode in enumerate(barcodes):
        if not BARCODE.fullmatch(barcode):
            faults.append(
                Fault(
                    file=file,
                    must=(
                        "a barcode must be 1 to 200 letters, digits or _.:#+/|- and start with "
                        "a letter or digit"
                    ),
                    found=repr(barcode[:60]),
                    fix="Rename it, or point columns.barcode at another column.",
                    row=int(rows[row]) + 1,
                    column="barcode",
                    reason="bad_barcode",
                )
            )
            break
    first: dict[str, int] = {}
    n_repeated, example = 0, (0, 0)
    for row, barcode in enumerate(barcodes):
        if barcode in first:
            n_repeated += 1
            example = example if example[1] else (first[barcode], row)
        first.setdefault(barcode, row)
    if n_repeated:
        before, row = example
        same = samples[before] == samples[row]
        where = (
            f"within sample {samples[row]!r}"
            if same
            else (f"in samples {samples[before]!r} and {samples[row]!r}")
        )
        fix = (
            "Remove the copies where the file came from."
            if same
            else "Make them unique where the file came from: "
            f"adata.obs_names = adata.obs[{column or 'the column of samples'!r}]"
            ".astype(str) + '_' + adata.obs_names."
        )
        faults.append(
            Fault(
                file=file,
                must="each barcode must be unique in the file",
                found=(
                    f"{n_repeated} repeated; the first is {barcodes[row]!r}, also in row "
                    f"{rows[before] + 1}, {where}"
                ),
                fix=fix,
                row=int(rows[row]) + 1,
                column="barcode",
                reason="duplicate_barcodes",
            )
        )
    return faults


def _sample_faults(
    file: str, samples: np.ndarray, known: set[str], rows: np.ndarray, column: str
) -> list[Fault]:
    """Faults of cells whose sample is not registered; `column` of obs names it, if one does."""
    faults: list[Fault] = []
    names, first, n_cells = np.unique(text_array(samples), return_index=True, return_counts=True)
    unknown = [
        item
        for item in sorted(zip(names, first, n_cells, strict=True), key=lambda item: item[1])
        if item[0] not in known
    ]
    labels = not_people(names.tolist()) if unknown else {}
    same = SameNumbers(known) if unknown else None
    for name, row, n in unknown:
        twin = same.find(name) if same else None
        fix = "Add a row to samples.tsv, or correct columns.sample_id."
        if twin is not None:
            fix = f"Write {name} for {twin} in samples.tsv: the same number, its zeros lost."
        elif name in labels and column:
            line = exclude_line(column, [name], labels[name])
            fix = f"Leave them out: {line}, or correct columns.sample_id."
        elif len(faults) < MAX_HINTS:
            fix = f"{fix} {did_you_mean(name, sorted(known))}".strip()
        faults.append(
            Fault(
                file=file,
                must="the sample of each cell must stand in samples.tsv",
                found=f"{str(name)!r} of {n} cells" if name else f"no sample for {n} cells",
                fix=fix,
                row=int(rows[row]) + 1,
                column="sample_id",
                reason="unknown_sample",
            )
        )
    return faults


def exclude_line(column: str, values: Sequence[str], reason: str) -> str:
    """The line of cohort.yaml that leaves cells out, to copy from a message."""
    shown = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return f"exclude: [{{column: {json.dumps(column)}, values: [{shown}], reason: {reason}}}]"
