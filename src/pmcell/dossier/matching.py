"""Who a person is compared with: people of the same tissue without a disease, alike in age and sex.

The rule is fixed before anyone looks. Tissue and the reference condition always hold, the
kind of suspension where it is known. Age band, then sex, are asked for as well where they
are known of the person and leave enough people; what is given up is said, with the numbers.
Every person counts once, at the first visit, and the person of the dossier is not in the
group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmcell.dossier.model import Group, Step
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.tissues import organ_of, tissue_label
from pmcell.registry.terms.vocabulary import NORMAL, SEXES
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

_YEARS = re.compile(r"(\d+)-year-old")
_BAND = re.compile(r"\d+-\d+")


@dataclass(frozen=True)
class Likeness:
    """The properties of the person by which the group is chosen."""

    donor_id: str
    tissue: str
    suspension: str
    age: str
    sex: str


def age_band(stage: str, age_group: str) -> str:
    """The decade of a stage with years (HsapDv), else the band in the cohort's own words.

    >>> age_band("HsapDv:0000127", "unknown"), age_band("HsapDv:0000258", ">=60")
    ('30-39 years', '>=60')
    >>> age_band("unknown", "30-39")
    '30-39 years'
    """
    label = resolve(stage) if ":" in stage else stage
    years = _YEARS.search(label) if isinstance(label, str) else None
    if years:
        decade = int(years.group(1)) // 10 * 10
        return f"{decade}-{decade + 9} years"
    return f"{age_group} years" if _BAND.fullmatch(age_group) else age_group


def first_visits(donors: pd.DataFrame, visits: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """One row a donor: first visit, organ, kind of suspension, age band, sex and disease."""
    ordered = visits.assign(row=range(len(visits))).sort_values(
        ["donor_id", "visit_day", "row"], kind="stable", na_position="last"
    )
    first = ordered.drop_duplicates("donor_id")[["donor_id", "visit", "cohort_id"]]
    one = samples.drop_duplicates(["donor_id", "visit"])
    first = first.merge(
        one[["donor_id", "visit", "tissue_ontology_term_id", "suspension_type"]],
        on=["donor_id", "visit"],
        how="left",
    )
    about = donors[
        [
            "donor_id",
            "sex_ontology_term_id",
            "development_stage_ontology_term_id",
            "age_group",
            "disease_ontology_term_id",
        ]
    ]
    first = first.merge(about, on="donor_id", how="left")
    text = as_text(first)
    organs = {name: organ_of(name) for name in text["tissue_ontology_term_id"].unique()}
    pairs = list(zip(text["development_stage_ontology_term_id"], text["age_group"], strict=True))
    bands = {pair: age_band(*pair) for pair in set(pairs)}
    return text.assign(
        organ=[organs[name] for name in text["tissue_ontology_term_id"]],
        age=[bands[pair] for pair in pairs],
    )


def choose_group(
    people: pd.DataFrame, person: Likeness, *, least: int
) -> tuple[pd.DataFrame, Group]:
    """The people compared with, and by which rule.

    Parameters
    ----------
    people
        `first_visits` of the open donors.
    person
        Whom they are to be like.
    least
        People that age and sex must leave to be asked for.

    Returns
    -------
    tuple
        Their rows, and what is said of them.
    """
    organ = organ_of(person.tissue) if person.tissue != UNKNOWN else UNKNOWN
    rows = people[people["donor_id"] != person.donor_id]
    steps: list[Step] = []
    for what, column, value, shown in (
        ("tissue", "organ", organ, tissue_label(organ)),
        ("suspension", "suspension_type", person.suspension, person.suspension),
        ("condition", "disease_ontology_term_id", NORMAL, "without a disease"),
    ):
        if value != UNKNOWN:
            rows = rows[rows[column] == value]
            steps.append(Step(what, shown, True, "", len(rows)))
            continue
        why = "not known of this person"
        if what == "tissue":
            rows, why = rows[:0], f"{why}, so nobody can be compared with"
        steps.append(Step(what, shown, False, why, len(rows)))
    for what, column, value, shown in (
        ("age", "age", person.age, person.age),
        ("sex", "sex_ontology_term_id", person.sex, SEXES.get(person.sex, person.sex)),
    ):
        if value == UNKNOWN:
            steps.append(Step(what, shown, False, "not known of this person", len(rows)))
            continue
        kept = rows[rows[column] == value]
        if len(kept) >= least:
            rows = kept
            steps.append(Step(what, shown, True, "", len(rows)))
        else:
            # Of a group that is too small even its size stays unsaid.
            why = f"fewer than {least} people would be left"
            steps.append(Step(what, shown, False, why, len(rows)))
    cohorts = tuple(sorted(rows["cohort_id"].unique())) if len(rows) >= least else ()
    return rows, Group(len(rows), least, tuple(steps), cohorts, _in_words(steps))


def _in_words(steps: list[Step]) -> str:
    """The group as a noun phrase."""
    used = {step.what: step.value for step in steps if step.used}
    words = []
    if "sex" in used:
        words.append(f"of {used['sex']} sex")
    if "age" in used:
        words.append(f"of age {used['age']}")
    return " ".join(["people", *words, "without a known disease"])
