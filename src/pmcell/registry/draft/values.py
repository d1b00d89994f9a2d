"""Turn the values of a submitted obs into ids, terms and cells of the registration tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np

from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import TODO
from pmcell.registry.draft.column_names import ROLES
from pmcell.registry.draft.columns import Columns, is_no_age, per_group, text, values_of, years_of
from pmcell.registry.sheets.dates import VISIT, find_date
from pmcell.registry.terms.ontology import exact
from pmcell.registry.terms.rules import TERM_RULES, term_of, terms_near
from pmcell.schema import UNKNOWN
from pmcell.spelling import as_seen, folded

_BAND = re.compile(
    r"(\d{1,3}) ?(?:-|to|bis|tot|a|à) ?(\d{1,3})(?: ?(?:y|yrs?|years?|jahre?|ans|jaar)\.?)?",
    re.IGNORECASE,
)
ISLET_LETTERS = frozenset({"alpha", "beta", "gamma", "delta", "epsilon", "pp"})
"""What islet cells are called among themselves; alone a letter may be a T cell receptor's."""
_DECADE = re.compile(r"(\d)0'?s")


def one_per_sample(
    submission: Submission, columns: Columns, samples: np.ndarray, role: str
) -> dict[str, str]:
    """The sample's one value of a role; '' where there is none or several."""
    names = list(dict.fromkeys(samples.tolist()))
    if role not in columns.roles:
        return dict.fromkeys(names, "")
    found = per_group(text(submission.obs, columns.roles[role]), samples)
    return {name: one_cell(found[name][0]) if len(found[name]) == 1 else "" for name in names}


def kinds_of(
    submission: Submission, samples: np.ndarray, column: str, words: Mapping[str, str]
) -> dict[str, str]:
    """What a column of the file says of each sample, by `words`; {} unless it says it of all."""
    if column not in submission.obs.columns:
        return {}
    found = per_group(text(submission.obs, column), samples)
    kinds = {
        name: words.get(said[0].strip().lower(), "") if len(said) == 1 else ""
        for name, said in found.items()
    }
    return kinds if all(kinds.values()) else {}


def guess_visits(
    submission: Submission,
    columns: Columns,
    samples: np.ndarray,
    donors: Mapping[str, str],
    conditions: Mapping[str, str],
) -> tuple[dict[str, str], str]:
    """The visit of each sample, '' where it is not known, and a note for a person to look at."""
    given = one_per_sample(submission, columns, samples, "visit")
    if any(given.values()):
        dates = [visit for visit in given.values() if find_date(visit, VISIT)]
        if not dates:
            return given, ""
        return given, (
            f"visits in column {columns.roles['visit']!r} are dates ({dates[0]}, …), which "
            "identify people: write days since the donor's first visit in visit_day of "
            "samples.tsv, and labels such as T0 in visit"
        )
    of_donor = Counter(donors.values())
    if TODO in of_donor or max(of_donor.values()) == 1:
        return dict.fromkeys(donors, ""), ""
    guessed = {
        name: re.split(r"[_.-]+", name.replace(donor, "").strip("_.-"))[-1] if donor in name else ""
        for name, donor in donors.items()
    }
    for source, visits in (("the end of the sample ids", guessed), ("the condition", conditions)):
        pairs = {(donors[name], visits[name]) for name in donors}
        several = {name for name, donor in donors.items() if of_donor[donor] > 1}
        if all(visits[name] for name in several) and len(pairs) == len(donors):
            labels = list(dict.fromkeys(visits.values()))
            shown = ", ".join(labels[:4] + ["…"] * (len(labels) > 4))
            note = f"visits ({shown}) are taken from {source}: check them in samples.tsv"
            return dict(visits), note
    note = "donors have several samples and no column names visits: fill visit in samples.tsv"
    return dict.fromkeys(donors, ""), note


def age_groups(
    submission: Submission, columns: Columns, of_cell: np.ndarray
) -> tuple[dict[str, str], list[str]]:
    """The age band of each donor, and notes on those that a person should look at.

    It is the file's own band or word, else the decade of the age, '' where there
    is none; of several ages of a donor, as at several visits, the youngest.
    """
    names = list(dict.fromkeys(of_cell.tolist()))
    role = next((role for role in ("age_group", "age") if role in columns.roles), None)
    if role is None:
        return dict.fromkeys(names, ""), []
    column = columns.roles[role]
    found = per_group(values_of(submission.obs, columns, role), of_cell)
    # A column of ages may hold so many bands and words that it was taken for one of groups.
    in_years = re.sub(r"[^a-z]", "", folded(column)) not in ROLES["age_group"]
    bands = {name: _bands(found[name], in_years=in_years) for name in names}
    several = [name for name in names if len(bands[name]) > 1]
    notes = []
    if several:
        said = " | ".join(bands[several[0]][:4])
        notes.append(
            f"donors.tsv, age_group: {len(several)} donors have several ages in column {column!r} "
            f"({several[0]}: {said}); the first is taken, check them"
        )
    none = sorted({value for values in found.values() for value in values if is_no_age(value)})
    if none:
        shown = ", ".join(map(repr, none[:4]))
        notes.append(f"donors.tsv, age_group: {shown} in column {column!r} are no ages: left empty")
    if role == "age_group" and in_years:
        notes.append(f"donors.tsv, age_group: bands and words of column {column!r} as they are")
    return {name: (bands[name] or [""])[0] for name in names}, notes


def one_term(value: str, column: str) -> str | None:
    """The term that a value stands for; an age in years is a stage; None where a person decides."""
    if column != "development_stage_ontology_term_id":
        return term_of(value, column)
    age = years_of(value)
    if age is None:
        # Bands and words are kept as the age group; they are no stage of the ontology.
        return UNKNOWN
    years = int(age)
    label = f"{years}-year-old stage" if years else "under-1-year-old stage"
    found = exact(label, "HsapDv")
    return found.term_id if found else UNKNOWN


def unclear_sexes(values: Iterable[str]) -> set[str]:
    """Letters of a column that may mean either sex: M beside H is mujer, or mâle."""
    letters = {value.strip().lower() for value in values}
    return {"m"} if "h" in letters and "f" not in letters else set()


def sex_in_context(value: str, values: Iterable[str]) -> str:
    """A sex in full where the other values tell what its letter is short for: H beside F.

    >>> sex_in_context("H", ["F", "H"]), sex_in_context("H", ["H", "M"])
    ('homme', 'H')
    """
    letters = {one.strip().lower() for one in values}
    is_french = "f" in letters and "m" not in letters
    return "homme" if value.strip().lower() == "h" and is_french else value


def in_context(label: str, labels: Iterable[str]) -> str:
    """A label of cells in full where the others tell what it is short for.

    >>> in_context("beta", ["alpha", "beta", "acinar"]), in_context("alpha", ["alpha", "T"])
    ('beta cell', 'alpha')
    """
    plain = label.strip().lower()
    if plain in ISLET_LETTERS and {"alpha", "beta"} <= {one.strip().lower() for one in labels}:
        return f"{plain} cell"
    return label


def near(value: str, column: str) -> str:
    """The nearest terms, as a phrase."""
    found = terms_near(value, column)
    how = "nearest" if TERM_RULES[column].under else "it may be"
    return f"{how}: {' | '.join(found)}" if found else "no term is near"


def safe_ids(names: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Ids for names: the names themselves, or where they are no ids, the nearest that are.

    Names that nobody can tell apart (a no-break space, a letter of another alphabet) are one.
    """
    ids: dict[str, str] = {}
    by_look: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names.tolist()):
        seen = as_seen(name)
        if seen not in by_look:
            plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", seen).lstrip("_.-")
            plain = re.sub(r"\.\.+", ".", plain)[:60] or "unnamed"
            by_look[seen] = _unused(plain, taken)
            taken.add(by_look[seen])
        ids[name] = by_look[seen]
    renamed = {name: one for name, one in ids.items() if name != one}
    return np.array([ids[name] for name in names.tolist()], dtype=object), renamed


def taken_as_one(names: np.ndarray, ids: np.ndarray) -> list[str]:
    """A note for each id that stands for several names."""
    spelt: dict[str, list[str]] = {}
    for name, one in dict.fromkeys(zip(names.tolist(), ids.tolist(), strict=True)):
        spelt.setdefault(one, []).append(name)
    return [
        f"{', '.join(map(ascii, group))} look the same and are taken as one: {one}"
        for one, group in spelt.items()
        if len(group) > 1
    ]


def _unused(name: str, taken: set[str]) -> str:
    """The name, or with the first number behind it that is not taken."""
    return next(one for n in count(1) if (one := name if n == 1 else f"{name}_{n}") not in taken)


def _bands(values: Sequence[str], *, in_years: bool) -> list[str]:
    """The bands of a donor's ages: decades, youngest first, and what is no number as it is."""
    ages = [years_of(value) for value in values] if in_years else [None] * len(values)
    decades = sorted({int(age) // 10 * 10 for age in ages if age is not None})
    words = [
        _band(one_cell(value))
        for value, age in zip(values, ages, strict=True)
        if age is None and not is_no_age(value)
    ]
    return list(dict.fromkeys([*(f"{start}-{start + 9}" for start in decades), *words]))


def _band(value: str) -> str:
    """A band of ages in one spelling, 40-49, so that a group is not two; other words as they are.

    >>> _band("40 – 49 years"), _band("40 to 49"), _band("50s"), _band("adult")
    ('40-49', '40-49', '50-59', 'adult')
    """
    plain = as_seen(value)
    found = _BAND.fullmatch(plain)
    if found and int(found[1]) <= int(found[2]):
        return f"{found[1]}-{found[2]}"
    decade = _DECADE.fullmatch(plain)
    return f"{decade[1]}0-{decade[1]}9" if decade else plain


def one_cell(value: str) -> str:
    """A value as a cell of a table: one line, and never a formula."""
    plain = " ".join(value.split())
    return plain.lstrip("=+@") if plain[:1] in ("=", "+", "@") else plain
