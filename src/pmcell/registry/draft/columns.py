"""Guess what the columns of a submitted obs mean, by their names and contents."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import UsageError
from pmcell.registry.cohorts.barcode_rule import cut_barcode
from pmcell.registry.cohorts.not_people import MISSING, not_people
from pmcell.registry.draft.column_names import (
    ID_ROLES,
    ROLES,
    TAGS,
    TERM_COLUMNS,
    is_named,
    plain_name,
)
from pmcell.registry.intake.cells import texts_of, unseen_labels
from pmcell.schema.text import as_text
from pmcell.spelling import did_you_mean, folded, without_unseen

if TYPE_CHECKING:
    import pandas as pd

EMPTY = MISSING
"""What says nothing, in small letters."""

_PER_YEAR = {
    1: r"(?:y|yr|yrs|year|years|yo|y/o|jahre?|ans?|anni|anos|jaar|lat|lata|let|岁|歳|才)?"
    r"\.?(?:\s*[- ]?old)?(?: human)?(?: stage)?",
    12: r"(?:m|mo|mos|months?|monate?|mois|meses|mesi|maanden|miesiecy)"
    r"\.?(?:\s*[- ]?old)?(?: stage)?",
    52.18: r"(?:w|wk|wks|weeks?|wochen?|semaines?|semanas?|settimane|weken|tygodni[ea]?)"
    r"\.?(?:\s*[- ]?old)?(?: stage)?",
    365.25: r"(?:d|days?|tage?|jours?|dias?|giorni|dagen|dni)\.?(?:\s*[- ]?old)?(?: stage)?",
}
_AGES = {
    in_a_year: re.compile(r"p?(\d+(?:[.,]\d+)?)\s*[- ]?" + unit)
    for in_a_year, unit in _PER_YEAR.items()
}
"""Forms of an age, by how many of its unit are a year."""
_UNIT_IN_NAME = re.compile(r"age(?:in)?(months|weeks|days)")
_BEFORE_BIRTH = re.compile(r"\b(?:pcw|pcd|dpc|gw|ga|cs)\b|gestat|concept|ssw|schwanger|carnegie")
"""Words of ages that are counted before birth: 12 of them are no years."""
_UNIT_COLUMN = re.compile(r"(?:age|organismage|donorage)(?:time)?units?|unitofage|ageuom")
MAX_AGE = 125
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+")
"""A number of whose comma nobody knows what it parts: nobody writes an age to a thousandth."""
_MISFIT = re.compile(rf"-\d+(?:[.,]\d+)?|\d{{3,}}(?:[.,]\d+)?|{_THOUSANDS.pattern}")
_WITH_BARCODE = re.compile(r"[ACGT]{10,}")


@dataclass(frozen=True)
class Columns:
    """The column of obs for each meaning found, and the rule for samples."""

    roles: Mapping[str, str]
    terms: tuple[str, ...]
    sample_rule: str
    sample_of_cell: np.ndarray
    pool: str = ""


def guess_columns(
    obs: pd.DataFrame, cohort_id: str, given: Mapping[str, str] | None = None
) -> Columns:
    """What the columns of `obs` mean; samples by column, else by barcode, else one for all.

    `given` holds columns that a person named, by meaning: they are taken as they are. Where
    samples hold cells of several donors (pools that were told apart later), the donor's column
    tells the samples, and `pool` is the column of the pools.
    """
    roles: dict[str, str] = dict(given or {})
    for role, named in roles.items():
        if named not in obs.columns:
            known = [str(name) for name in obs.columns]
            raise UsageError(
                f"--{role.removesuffix('_id').replace('_', '-')} must name a column of the cells; "
                f"there is no {named!r}. {did_you_mean(named, known)} There are "
                f"{', '.join(known) or 'none'}."
            )
    by_name: dict[str, str] = {}
    for plain in (plain_name, _name_alone):
        for spelt in map(str, obs.columns):
            by_name.setdefault(plain(spelt), spelt)
    for role, names in ROLES.items():
        if role in roles:
            continue
        called = (by_name[name] for name in names if name in by_name)
        fits = (one for one in called if one not in roles.values() and _fits(obs, one, role))
        found = next(fits, None)
        if role in ("donor_id", "sample_id") and found and obs[found].nunique() == 1:
            # Of a pool all cells have one name: whose they are is in a column beside it.
            beside = (one for one in fits if role == "donor_id" or plain_name(one) in TAGS)
            found = next((one for one in beside if obs[one].nunique() > 1), found)
        if found:
            roles[role] = found
    for role in ID_ROLES:
        for column in [] if role in roles else map(str, obs.columns):
            if column not in roles.values() and is_named(column, role) and _fits(obs, column, role):
                roles[role] = column
                break
    if not {"age", "age_group"} & set(roles):
        # Bands and words say less than years, and are kept as they are.
        for name in ROLES["age"]:
            words = by_name.get(name)
            if words and words not in roles.values() and obs[words].notna().any():
                roles["age_group"] = words
                break
    terms = tuple(column for column in TERM_COLUMNS if column in obs.columns)
    pool = "" if "sample_id" in (given or {}) else _pool(obs, roles)
    if pool:
        del roles["sample_id"]
        roles.setdefault("batch_id", pool)
    rule, samples = _sample_rule(obs, roles, cohort_id)
    return Columns(roles, terms, rule, samples, pool)


def _name_alone(column: str) -> str:
    """The plain name of a column without a unit or a remark in brackets behind it."""
    return plain_name(re.sub(r"\s*[(\[].*[)\]]\s*$", "", column))


def _pool(obs: pd.DataFrame, roles: Mapping[str, str]) -> str:
    """The column of samples whose cells are of several people, each of one sample; else ''."""
    sample, donor = roles.get("sample_id"), roles.get("donor_id")
    if not sample or not donor:
        return ""
    donors = text(obs, donor)
    labels = {label for label in donors.tolist() if not is_empty(label)}
    nobody = not_people(labels)
    is_person = np.array([not is_empty(x) and x not in nobody for x in donors.tolist()], dtype=bool)
    pairs = set(zip(text(obs, sample)[is_person].tolist(), donors[is_person].tolist(), strict=True))
    of_sample, of_donor = (Counter(pair[at] for pair in pairs) for at in (0, 1))
    mixed = max(of_sample.values(), default=0) > 1
    return sample if mixed and max(of_donor.values(), default=0) == 1 else ""


def text(obs: pd.DataFrame, column: str) -> np.ndarray:
    """A column as text as intake reads it, '' where there is no value."""
    return texts_of(obs, column, key=column, file="obs")


def same_names(obs: pd.DataFrame, columns: Columns) -> list[str]:
    """A note for each column in use beside which another has the same name and other values."""
    notes = []
    for column in columns.roles.values():
        for other in map(str, obs.columns):
            if other == column or plain_name(other) != plain_name(column):
                continue
            if (text(obs, other) != text(obs, column)).any():
                notes.append(
                    f"columns {column!r} and {other!r} have one name and differ: {column!r} is "
                    "taken; rename the wrong one where the file came from"
                )
    return notes


def unseen_signs(obs: pd.DataFrame, columns: Columns) -> list[str]:
    """A note for each column in use whose labels hold signs that nobody sees."""
    return [
        f"labels of column {column!r} hold line ends or signs that nobody sees, which are left "
        f"out: {found[0][:60]!a} is {without_unseen(found[0]).strip()[:60]!r}; those that then "
        "look the same are one"
        for column in columns.roles.values()
        if (found := unseen_labels(obs, column))
    ]


def values_of(obs: pd.DataFrame, columns: Columns, role: str) -> np.ndarray:
    """The text of the column of a meaning; of ages with the unit that the file tells elsewhere."""
    column = columns.roles[role]
    return ages(obs, column) if role in ("age", "age_group") else text(obs, column)


def ages(obs: pd.DataFrame, column: str) -> np.ndarray:
    """A column of ages as text, each with the unit that its name or a column beside it tells.

    18 is a year and a half where `age_unit` says months.
    """
    values = text(obs, column)
    units = np.full(len(values), _unit_in_name(column), dtype=object)
    for other in map(str, obs.columns):
        if _UNIT_COLUMN.fullmatch(plain_name(other)):
            units = text(obs, other)
    pairs = zip(values.tolist(), units.tolist(), strict=True)
    with_unit = [
        f"{value} {unit}" if re.fullmatch(r"[\d.,]+", value) and not is_empty(unit) else value
        for value, unit in pairs
    ]
    return np.array(with_unit, dtype=object)


def _unit_in_name(column: str) -> str:
    """The unit that the name of a column of ages tells; '' where it tells none.

    >>> [_unit_in_name(name) for name in ("age_months", "Age (mo)", "Alter [Jahre]", "Age [pcw]")]
    ['months', 'mo', 'Jahre', 'pcw']
    >>> _unit_in_name("Age (at sampling)")
    ''
    """
    named = _UNIT_IN_NAME.fullmatch(plain_name(column))
    if named:
        return named[1]
    behind = re.search(r"[(\[]([^()\[\]]*)[)\]]\s*$", column)
    remark = behind[1].strip() if behind else ""
    is_unit = years_of(f"1 {remark}") is not None or _BEFORE_BIRTH.search(folded(remark))
    return remark if is_unit else ""


def per_group(values: np.ndarray, groups: np.ndarray) -> dict[str, list[str]]:
    """The different values of each group, most frequent first, without those that say nothing."""
    counted: dict[str, Counter[str]] = {}
    for (group, value), n in Counter(zip(groups.tolist(), values.tolist(), strict=True)).items():
        found = counted.setdefault(group, Counter())
        if not is_empty(value):
            found[value] += n
    return {group: [value for value, _ in found.most_common()] for group, found in counted.items()}


def _fits(obs: pd.DataFrame, column: str, role: str) -> bool:
    values = obs[column]
    n_different = sum(not is_empty(str(value)) for value in values.dropna().unique())
    if n_different == 0:
        return False
    if role == "age":
        given = {value for value in ages(obs, column).tolist() if not is_empty(value)}
        return sum(years_of(value) is not None for value in given) > 0.5 * len(given)
    if role == "cell_type":
        # Numbered clusters are not cell types.
        return n_different <= 300 and _share_numbers(text(obs, column)) < 0.5
    if role == "visit_day":
        return _share_numbers(text(obs, column)) > 0.9
    return n_different <= max(20, len(obs) // 5)


def is_empty(value: str) -> bool:
    """Whether a value says nothing."""
    return value.strip().lower() in EMPTY


def years_of(value: str) -> float | None:
    """An age in years, with or without its unit; None for bands and words.

    >>> years_of("63"), years_of("18 months"), years_of("P7Y"), years_of("60-69")
    (63.0, 1.5, 7.0, None)
    >>> years_of("1461 days"), years_of("12 weeks") < 1, years_of("20 weeks gestation")
    (4.0, True, None)
    """
    if _THOUSANDS.match(value.strip()):
        return None
    for in_a_year, form in _AGES.items():
        found = form.fullmatch(folded(value.strip()))
        if found:
            years = float(found[1].replace(",", ".")) / in_a_year
            return years if years <= MAX_AGE else None
    return None


def is_no_age(value: str) -> bool:
    """Whether a value is a number that no age is: -1, 999, or a year of birth.

    >>> is_no_age("999"), is_no_age("1,045"), is_no_age("45,5"), is_no_age("60-69")
    (True, True, False, False)
    """
    return bool(_MISFIT.fullmatch(value.strip())) and years_of(value) is None


def _share_numbers(values: np.ndarray) -> float:
    given = [value for value in set(values.tolist()) if not is_empty(value)]
    numbers = sum(bool(re.fullmatch(r"-?\d+(\.\d+)?", value)) for value in given)
    return numbers / len(given) if given else 0.0


def _sample_rule(
    obs: pd.DataFrame, roles: Mapping[str, str], cohort_id: str
) -> tuple[str, np.ndarray]:
    if "sample_id" in roles:
        return roles["sample_id"], text(obs, roles["sample_id"])
    if "donor_id" in roles:
        return roles["donor_id"], text(obs, roles["donor_id"])
    rule, samples, _ = barcode_rules(as_text(obs.index).tolist())[0]
    if rule:
        return rule, samples
    return f"constant:{cohort_id}", np.repeat(np.array([cohort_id], dtype=object), len(obs))


def barcode_rules(barcodes: Sequence[str]) -> list[tuple[str, np.ndarray, int]]:
    """Rules that cut samples from the barcodes, with the sample of each cell and their number.

    The finest cut of the first separator that tells samples comes first, then the
    others of that separator; a rule '' where the barcodes tell nothing.
    """
    for kind, separators in (("barcode_prefix", "_:#|"), ("barcode_suffix", "_:#|-")):
        usual = "first" if kind == "barcode_prefix" else "last"
        for separator in separators:
            found: dict[int, tuple[str, np.ndarray, int]] = {}
            for which in ("first", "last"):
                rule = f"{kind}:{separator}" + ("" if which == usual else f":{which}")
                parts = [cut_barcode(barcode, rule) for barcode in barcodes]
                names = set(parts)
                if (
                    all(parts)
                    and 1 < len(names) <= max(2, len(barcodes) // 10)
                    and not any(_WITH_BARCODE.search(name) for name in names)
                    and (len(names) not in found or which == usual)
                ):
                    found[len(names)] = (rule, np.array(parts, dtype=object), len(names))
            if found:
                return [found[n] for n in sorted(found, reverse=True)]
    return [("", np.zeros(0, dtype=object), 0)]
