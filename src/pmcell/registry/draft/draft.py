"""Draft the registration of a submitted file: what it says, and TODO where a person must decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import TODO
from pmcell.registry.cohorts.registration import Exclusion
from pmcell.registry.draft.code_book import CodeBook, decode, word_of
from pmcell.registry.draft.column_names import plain_name
from pmcell.registry.draft.columns import (
    Columns,
    barcode_rules,
    guess_columns,
    is_empty,
    per_group,
    same_names,
    text,
    unseen_signs,
)
from pmcell.registry.draft.group_terms import FILE, terms_of_groups
from pmcell.registry.draft.left_out import propose_exclusions, status_columns
from pmcell.registry.draft.matrix import draft_matrix
from pmcell.registry.draft.measured_columns import Measured
from pmcell.registry.draft.source import source_facts
from pmcell.registry.draft.unused import unused_columns
from pmcell.registry.draft.values import (
    age_groups,
    guess_visits,
    in_context,
    kinds_of,
    near,
    one_cell,
    one_per_sample,
    safe_ids,
    taken_as_one,
)
from pmcell.registry.terms.rules import check_term, term_of
from pmcell.registry.terms.vocabulary import SUSPENSION_TYPES, TISSUE_TYPES
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.spelling import did_you_mean, without_unseen

DONOR_TERMS = {
    "sex_ontology_term_id": "sex",
    "self_reported_ethnicity_ontology_term_id": "ethnicity",
    "development_stage_ontology_term_id": "age",
    "disease_ontology_term_id": "disease",
}
SAMPLE_TERMS = {"assay_ontology_term_id": "assay", "tissue_ontology_term_id": "tissue"}
SAMPLE_KINDS: Mapping[str, Mapping[str, str]] = {
    "tissue_type": {name: name for name in TISSUE_TYPES},
    "suspension_type": {
        **{name: name for name in SUSPENSION_TYPES},
        **dict.fromkeys(("cells", "single cell", "single cells", "whole cell"), "cell"),
        **dict.fromkeys(("nuclei", "single nucleus", "single nuclei"), "nucleus"),
    },
}
"""Columns of samples that say one of few words, with the words that files use for each."""


@dataclass
class Draft:
    """What will be written: settings of cohort.yaml, rows of the tables, and notes for the person.

    `comments` holds, for a dotted path, what stands behind the value; `exclude`
    what is left out, with its number of cells; `n_mixed` is how many samples hold cells of several
    donors; `unused` names columns of the file without a meaning here, `keepable` those of them
    that say something of donors or samples, `measurable` those whose code and unit are known.
    """

    cohort_id: str
    settings: dict[str, str] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    cell_types: dict[str, str] = field(default_factory=dict)
    sample_names: dict[str, str] = field(default_factory=dict)
    donors: list[dict[str, str]] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    exclude: list[tuple[Exclusion, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_mixed: int = 0
    unused: list[str] = field(default_factory=list)
    keepable: list[str] = field(default_factory=list)
    measurable: list[Measured] = field(default_factory=list)


def draft_registration(
    submission: Submission,
    cohort_id: str,
    *,
    given: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    code_book: CodeBook = MappingProxyType({}),
) -> Draft:
    """The draft for a submitted file; every guess is one a person can see and change.

    `given` are the columns that a person named, by meaning (`donor_id`, `sample_id`, `batch_id`);
    `keep` are columns that stay in donors.tsv or samples.tsv under their own names; `code_book`
    has the words that values stand for.
    """
    draft = Draft(cohort_id)
    if not submission.n_cells:
        raise DataError(
            f"{submission.path.name}: a cohort must have cells; it has none", reason="empty"
        )
    draft_matrix(submission, draft.settings, draft.comments, draft.notes)
    status = status_columns(submission.obs)
    status = [name for name in status if name not in (given or {}).values()]
    decoded, read = decode(submission, code_book, given or {}, status)
    draft.notes += read
    columns = guess_columns(decoded.obs.drop(columns=status), cohort_id, given)
    if "cell_type" in columns.roles:
        # Intake reads these labels from the file: cohort.yaml must have them as they are there.
        name = columns.roles["cell_type"]
        decoded.obs[name] = submission.obs[name]
    if columns.pool:
        draft.notes.append(
            f"samples in column {columns.pool!r} hold cells of several donors: each donor is "
            "taken as a sample"
            + (" and the pool as its batch" if columns.roles["batch_id"] == columns.pool else "")
        )
    draft.notes += same_names(submission.obs, columns)
    draft.notes += unseen_signs(submission.obs, columns)
    proposed, stays = propose_exclusions(submission, columns, status)
    draft.exclude = list(zip(proposed.exclusions, proposed.n_cells, strict=True))
    draft.notes += proposed.notes
    submission = replace(decoded, obs=decoded.obs[stays])
    columns = replace(columns, sample_of_cell=columns.sample_of_cell[stays])
    _barcodes(submission, draft)
    samples = _sample_ids(submission, columns, draft)
    donors = _donor_ids(submission, columns, samples, draft)
    conditions = one_per_sample(submission, columns, samples, "condition")
    visits, note = guess_visits(submission, columns, samples, donors, conditions)
    draft.notes += [note] if note else []
    _sample_rows(submission, columns, samples, donors, visits, conditions, draft)
    _donor_rows(submission, columns, samples, donors, conditions, draft)
    _cell_types(submission, columns, code_book, draft)
    _unused(submission, columns, samples, donors, keep, draft)
    for path, (value, place) in source_facts(submission).items():
        draft.settings[path] = without_unseen(value).strip()
        draft.comments[path] = f"from {place} of the file"
    return draft


def _unused(
    submission: Submission,
    columns: Columns,
    samples: np.ndarray,
    donors: Mapping[str, str],
    keep: Sequence[str],
    draft: Draft,
) -> None:
    """Name the columns that say something and are not used; put those to keep into the tables."""
    taken = [item.column for item, _ in draft.exclude]
    taken += [
        name
        for name in SAMPLE_KINDS
        if draft.settings[f"defaults.{name}"] != TODO or name in draft.samples[0]
    ]
    unused = unused_columns(submission.obs, columns, samples, donors, taken)
    by_name = {one.column: one for one in unused}
    may = [one.column for one in unused if one.may_be_kept]
    for column in keep:
        one = by_name.get(column)
        if one is None or not one.may_be_kept:
            raise UsageError(
                f"--keep must name columns that are not used yet and have one value a donor or "
                f"sample; got {column!r}. {did_you_mean(column, may)} "
                f"There are {', '.join(may) or 'none'}."
            )
        of_cell = samples
        rows, ids = draft.samples, "sample_id"
        if one.level == "donor":
            of_cell = np.array([donors[name] for name in samples.tolist()], dtype=object)
            rows, ids = draft.donors, "donor_id"
        found = per_group(text(submission.obs, column), of_cell)
        for row in rows:
            row[column] = one_cell((found.get(row[ids]) or [""])[0])
    draft.unused = [str(one) for one in unused if one.column not in keep]
    draft.keepable = [column for column in may if column not in keep]


def _barcodes(submission: Submission, draft: Draft) -> None:
    draft.settings["columns.barcode"] = "index"
    if submission.obs.index.is_unique:
        return
    for column in submission.obs.columns:
        if "barcode" in str(column).lower() and submission.obs[column].is_unique:
            draft.settings["columns.barcode"] = str(column)
            return
    draft.notes.append("barcodes repeat in the file: make them unique at its source")


def _sample_ids(submission: Submission, columns: Columns, draft: Draft) -> np.ndarray:
    """The sample id of each cell; names that are not ids get one, written into the draft."""
    draft.settings["columns.sample_id"] = columns.sample_rule
    ids, renamed = safe_ids(columns.sample_of_cell)
    draft.sample_names = renamed
    draft.notes += taken_as_one(columns.sample_of_cell, ids)
    if columns.sample_rule.startswith("constant:"):
        draft.notes.append(
            "nothing in the file tells samples apart: all cells are taken as one sample; "
            "else set columns.sample_id"
        )
    elif columns.sample_rule.startswith("barcode_"):
        cuts = barcode_rules(as_text(submission.obs.index).tolist())
        said = "; or ".join(
            f"{rule} gives {n} ({', '.join(list(dict.fromkeys(names.tolist()))[:3])}, …)"
            for rule, names, n in cuts
        )
        draft.notes.append(f"samples are told apart by the barcodes, check it: {said}")
    return ids


def _donor_ids(
    submission: Submission, columns: Columns, samples: np.ndarray, draft: Draft
) -> dict[str, str]:
    """The donor of each sample, TODO where the file does not say."""
    names = list(dict.fromkeys(samples.tolist()))
    if "donor_id" not in columns.roles:
        draft.notes.append(
            "no column names the donors: give the donor of each sample in samples.tsv"
        )
        return dict.fromkeys(names, TODO)
    column = columns.roles["donor_id"]
    labels = text(submission.obs, column)
    given = np.array([not is_empty(label) for label in labels.tolist()], dtype=bool)
    donors = np.full(len(labels), "", dtype=object)
    donors[given], renamed = safe_ids(labels[given])
    draft.notes += taken_as_one(labels[given], donors[given])
    found = per_group(donors, samples)
    many = [name for name in names if len(found[name]) > 1]
    draft.n_mixed = len(many)
    if many:
        draft.notes.append(
            f"sample {many[0]!r} has cells of several donors in column {column!r}: "
            "name a column with one donor a sample"
        )
    elif not renamed and column not in submission.beside:
        draft.settings["columns.donor_id"] = column
    return {name: found[name][0] if len(found[name]) == 1 else TODO for name in names}


def _sample_rows(
    submission: Submission,
    columns: Columns,
    samples: np.ndarray,
    donors: Mapping[str, str],
    visits: Mapping[str, str],
    conditions: Mapping[str, str],
    draft: Draft,
) -> None:
    batches = one_per_sample(submission, columns, samples, "batch_id")
    days = one_per_sample(submission, columns, samples, "visit_day")
    terms = {
        column: terms_of_groups(
            submission, columns, samples, column, role, "samples.tsv", draft.notes
        )
        for column, role in SAMPLE_TERMS.items()
    }
    defaults = {}
    for column, by_sample in terms.items():
        different = set(by_sample.values())
        if len(different) == 1:
            defaults[column] = different.pop()
    for column in SAMPLE_TERMS:
        draft.settings[f"defaults.{column}"] = defaults.get(column, UNKNOWN) or TODO
    for column, words in SAMPLE_KINDS.items():
        kinds = kinds_of(submission, samples, column, words)
        if len(set(kinds.values())) == 1:
            defaults[column] = next(iter(kinds.values()))
        elif kinds:
            terms[column] = kinds
        usual = "tissue" if column == "tissue_type" and column not in submission.obs else TODO
        draft.settings[f"defaults.{column}"] = defaults.get(column, usual)
    for name, donor in donors.items():
        row = {
            "sample_id": name,
            "donor_id": donor,
            "visit": visits[name],
            "visit_day": days[name],
            # Batches are labels of the whole study: the prefix keeps B1 of two cohorts apart.
            "batch_id": f"{draft.cohort_id}.{batches[name]}" if batches[name] else "",
            "condition": conditions[name],
        }
        row |= {column: by[name] for column, by in terms.items() if column not in defaults}
        draft.samples.append(row)


def _donor_rows(
    submission: Submission,
    columns: Columns,
    samples: np.ndarray,
    donors: Mapping[str, str],
    conditions: Mapping[str, str],
    draft: Draft,
) -> None:
    of_cell = np.array([donors[name] for name in samples.tolist()], dtype=object)
    terms = {
        column: terms_of_groups(
            submission, columns, of_cell, column, role, "donors.tsv", draft.notes
        )
        for column, role in DONOR_TERMS.items()
    }
    ages, notes = age_groups(submission, columns, of_cell)
    draft.notes += notes
    diseases = terms["disease_ontology_term_id"]
    if not any(diseases.values()):
        by_donor: dict[str, set[str]] = {}
        for name, donor in donors.items():
            by_donor.setdefault(donor, set()).add(conditions[name])
        known = {
            donor: [term_of(name, "disease_ontology_term_id") for name in found if name]
            for donor, found in by_donor.items()
        }
        if all(found and len(set(found)) == 1 and found[0] for found in known.values()):
            terms["disease_ontology_term_id"] = {d: str(found[0]) for d, found in known.items()}
            draft.notes.append(
                f"diseases are read from column {columns.roles['condition']!r}: check them"
            )
        else:
            draft.notes.append("no column gives the diseases: fill them in donors.tsv where known")
    for donor in dict.fromkeys(donors.values()):
        row = {"donor_id": donor}
        row |= {column: by_donor_term[donor] or UNKNOWN for column, by_donor_term in terms.items()}
        row["age_group"] = ages[donor]
        draft.donors.append(row)


def _cell_types(
    submission: Submission, columns: Columns, code_book: CodeBook, draft: Draft
) -> None:
    column = columns.roles.get("cell_type")
    if column is None:
        draft.notes.append(
            "no column names cell types: clusters will be labelled by marker genes alone"
        )
        return
    draft.settings["columns.cell_type"] = column
    labels = text(submission.obs, column)
    meanings = code_book.get(plain_name(column), {})
    given: dict[str, list[str]] = {}
    if "cell_type_ontology_term_id" in columns.terms:
        given = per_group(text(submission.obs, "cell_type_ontology_term_id"), labels)
    for label in sorted({str(label).strip() for label in labels.tolist()} - {""}):
        if is_empty(label):
            continue
        own = given.get(label, [])
        word = in_context(word_of(label, meanings), labels)
        term = own[0] if len(own) == 1 else term_of(word, "cell_type")
        if term and check_term(term, "cell_type", file=FILE) is None:
            draft.cell_types[label] = term
        else:
            draft.cell_types[label] = TODO
            draft.comments[f"values.cell_type.{label}"] = near(word, "cell_type")
