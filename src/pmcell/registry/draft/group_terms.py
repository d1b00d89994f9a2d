"""Ontology terms of donors or samples, from what a file says of their cells."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import TODO
from pmcell.registry.draft.columns import Columns, per_group, text, values_of
from pmcell.registry.draft.values import near, one_term, sex_in_context, unclear_sexes
from pmcell.registry.terms.rules import check_term
from pmcell.spelling import plural

FILE = "draft"
MAX_NOTES = 20
"""Texts of a column that are noted with the nearest terms: looking for them takes long."""


def terms_of_groups(
    submission: Submission,
    columns: Columns,
    groups: np.ndarray,
    column: str,
    role: str,
    table: str,
    notes: list[str],
) -> dict[str, str]:
    """The term of each group: given, or told by a text, or 'TODO (source: …)', or ''."""
    names = list(dict.fromkeys(groups.tolist()))
    if column in columns.terms:
        given = per_group(text(submission.obs, column), groups)
        if all(
            len(given[name]) <= 1
            and all(check_term(term, column, file=FILE) is None for term in given[name])
            for name in names
        ):
            return {name: (given[name] or [""])[0] for name in names}
    if role not in columns.roles:
        return dict.fromkeys(names, "")
    found = per_group(values_of(submission.obs, columns, role), groups)
    different = {value for values in found.values() for value in values}
    unclear = unclear_sexes(different) if role == "sex" else set()
    answer, open_texts = {}, {}
    for name in names:
        terms = {
            value: None
            if value.strip().lower() in unclear
            else one_term(sex_in_context(value, different) if role == "sex" else value, column)
            for value in found[name]
        }
        if not terms:
            answer[name] = ""
        elif len(set(terms.values())) == 1 and next(iter(terms.values())) is not None:
            answer[name] = str(next(iter(terms.values())))
        else:
            said = " | ".join(value.replace("\t", " ")[:40] for value in found[name][:4])
            answer[name] = f"{TODO} (source: {said})"
            open_texts[said] = found[name][0]
    n_rows = Counter(answer.values())
    for number, (said, example) in enumerate(open_texts.items()):
        if number == MAX_NOTES:
            notes.append(f"{table}, {column}: {len(open_texts) - MAX_NOTES} more texts")
            break
        n = n_rows[f"{TODO} (source: {said})"]
        rows = plural(n, "row")
        notes.append(f"{table}, {column}: {said!r} in {rows}; {near(example, column)}")
    return answer
