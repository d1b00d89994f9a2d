"""Turn the values of a submitted obs into ids, terms and cells of the registration tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pmcell.io.submission import Submission
from pmcell.registry.draft_columns import Columns, per_group, text
from pmcell.registry.ontology import exact
from pmcell.registry.rules import term_of, terms_near
from pmcell.schema import UNKNOWN


def one_per_sample(
    submission: Submission, columns: Columns, samples: np.ndarray, role: str
) -> dict[str, str]:
    """The sample's one value of a role; '' where there is none or several."""
    names = list(dict.fromkeys(samples.tolist()))
    if role not in columns.roles:
        return dict.fromkeys(names, "")
    found = per_group(text(submission.obs, columns.roles[role]), samples)
    return {name: _cell(found[name][0]) if len(found[name]) == 1 else "" for name in names}


def age_groups(submission: Submission, columns: Columns, of_cell: np.ndarray) -> dict[str, str]:
    """The age band of each donor: the file's own, else the decade of the age, else ''."""
    names = list(dict.fromkeys(of_cell.tolist()))
    for role in ("age_group", "age"):
        if role not in columns.roles:
            continue
        found = per_group(text(submission.obs, columns.roles[role]), of_cell)
        if role == "age_group":
            return {name: found[name][0] if len(found[name]) == 1 else "" for name in names}
        return {name: _decade(found[name]) for name in names}
    return dict.fromkeys(names, "")


def one_term(value: str, column: str) -> str | None:
    """The term that a value stands for; an age in years is a stage; None where a person decides."""
    if column != "development_stage_ontology_term_id":
        return term_of(value, column)
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        # Bands and words are kept as the age group; they are no stage of the ontology.
        return UNKNOWN
    years = int(float(value))
    label = f"{years}-year-old stage" if years else "under-1-year-old stage"
    found = exact(label, "HsapDv")
    return found.term_id if found else UNKNOWN


def near(value: str, column: str) -> str:
    """The nearest terms, as a phrase."""
    found = terms_near(value, column)
    return f"nearest: {' | '.join(found)}" if found else "no term is near"


def safe_ids(names: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Ids for names: the names themselves, or where they are no ids, the nearest that are."""
    renamed: dict[str, str] = {}
    ids: dict[str, str] = {}
    for name in dict.fromkeys(names.tolist()):
        plain = re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9_.-]+", "_", name)).lstrip("_.-")[:60]
        unique, n = plain or "unnamed", 2
        while unique in ids.values():
            unique, n = f"{plain}_{n}", n + 1
        ids[name] = unique
        if unique != name:
            renamed[name] = unique
    return np.array([ids[name] for name in names.tolist()], dtype=object), renamed


def _decade(ages: Sequence[str]) -> str:
    if len(ages) != 1 or not re.fullmatch(r"\d+(\.\d+)?", ages[0]):
        return ""
    start = int(float(ages[0])) // 10 * 10
    return f"{start}-{start + 9}"


def _cell(value: str) -> str:
    """A value as a cell of a table: one line, and never a formula."""
    plain = " ".join(value.split())
    return plain.lstrip("=+@") if plain[:1] in ("=", "+", "@") else plain
