"""Groups of donors: how many donors, visits and cells each has, and what is found with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pmcell.gaps.power import EFFECT, State, donors_needed, power
from pmcell.schema import DONOR_GROUPS, UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

DIMENSIONS = DONOR_GROUPS.key
"""What people are grouped by; a group is compared with others of its programme and tissue."""

COMPARED = ("programme", "tissue_ontology_term_id")

_YEARS = re.compile(r"(\d{1,3})-year-old")


def donor_groups(
    cohorts: pd.DataFrame,
    donors: pd.DataFrame,
    visits: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    effect: State | None = None,
) -> pd.DataFrame:
    """Return table `donor_groups`: one row a group of donors that have cells.

    Parameters
    ----------
    cohorts, donors, visits, samples
        Tables of a release; donors, visits and samples are those that may be shown.
    effect
        The effect for which power is stated; `EFFECT` standard deviations between donors
        by default.

    Returns
    -------
    pandas.DataFrame
        Columns of `pmcell.schema.DONOR_GROUPS`. A donor with several tissues or conditions is
        in several rows, so donors of rows do not add up to all donors.
    """
    import pandas as pd

    effect = effect or State(EFFECT)
    used = described_samples(cohorts, donors, visits, samples)
    if used.empty:
        return pd.DataFrame(columns=DONOR_GROUPS.columns)
    around = {
        key: own["donor_id"].nunique() for key, own in used.groupby(list(COMPARED), sort=True)
    }
    rows = []
    for key, own in used.groupby(list(DIMENSIONS), sort=True):
        place = dict(zip(DIMENSIONS, key, strict=True))
        n_donors = int(own["donor_id"].nunique())
        n_others = int(around[tuple(place[name] for name in COMPARED)]) - n_donors
        rows.append(
            {
                **place,
                "n_donors": n_donors,
                "n_visits": int(own[["donor_id", "visit"]].drop_duplicates().shape[0]),
                "n_cells": int(own["n_cells"].sum()),
                "n_cohorts": int(own["cohort_id"].nunique()),
                "n_other_donors": n_others,
                "effect": effect.difference,
                "power": power(n_donors, n_others, effect),
                "n_donors_needed": donors_needed(n_others, effect) if n_others > 1 else None,
            }
        )
    return pd.DataFrame(rows, columns=DONOR_GROUPS.columns)


def described_samples(
    cohorts: pd.DataFrame, donors: pd.DataFrame, visits: pd.DataFrame, samples: pd.DataFrame
) -> pd.DataFrame:
    """Return each sample that has cells, with what is known of its donor and visit."""
    people = donors.assign(age_band=_age_bands(donors))
    known = people[
        [
            "donor_id",
            "region",
            "age_band",
            "sex_ontology_term_id",
            "self_reported_ethnicity_ontology_term_id",
        ]
    ]
    used = samples.loc[
        samples["n_cells"] > 0,
        ["donor_id", "visit", "cohort_id", "tissue_ontology_term_id", "n_cells"],
    ]
    used = used.merge(known, on="donor_id", validate="many_to_one")
    used = used.merge(visits[["donor_id", "visit", "condition"]], on=["donor_id", "visit"])
    used = used.merge(cohorts[["cohort_id", "programme"]], on="cohort_id", validate="many_to_one")
    for name in DIMENSIONS:
        values = used[name].astype(object)
        used[name] = values.where(values.notna() & (values != ""), UNKNOWN)
    return used


def age_band(age_group: str, stage: str) -> str:
    """Return the band of a donor's age: the cohort's own, else ten years around a stated age.

    Parameters
    ----------
    age_group
        The band in the cohort's words, or `unknown`.
    stage
        Label of the development stage, such as '34-year-old stage'.

    Examples
    --------
    >>> age_band("unknown", "34-year-old stage"), age_band(">=60", "adult stage")
    ('30-39', '>=60')
    """
    if age_group not in (UNKNOWN, ""):
        return age_group
    found = _YEARS.search(stage)
    if not found:
        return UNKNOWN
    low = int(found.group(1)) // 10 * 10
    return f"{low}-{low + 9}"


def _age_bands(donors: pd.DataFrame) -> list[str]:
    from pmcell.registry.terms.ontology import resolve

    labels: dict[str, str] = {UNKNOWN: ""}
    for term in set(donors["development_stage_ontology_term_id"].dropna()) - {UNKNOWN, ""}:
        label = resolve(str(term))
        labels[term] = label if isinstance(label, str) else ""
    return [
        age_band(str(group), labels.get(stage, ""))
        for group, stage in zip(
            donors["age_group"].fillna(UNKNOWN),
            donors["development_stage_ontology_term_id"].fillna(UNKNOWN),
            strict=True,
        )
    ]
