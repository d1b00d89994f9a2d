"""The verdict on strata as a release may show it, by what each of its keys tells of donors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pmcell.io.tables import read_table
from pmcell.publish.disclosure.counted import ALL, USED
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redactions import WITHHELD
from pmcell.schema.verdict import COUNTS, DONORS, Verdict, keys_that_tell

NOT_SHOWN = "not shown: withheld donors took part"
_NUMBER = re.compile(r"\d")
_PEOPLE = re.compile(r"\d (?:\w+ )?donors?\b")
_PARTS = re.compile(r"\d (?:\w+ )?(?:visits?|samples?|pairs?)\b")
"""Counts within the words of a reason, which tell the same as a number of its own."""


def redact_verdict(verdict: Verdict, policy: Policy) -> Verdict:
    """Return what of the strata step's verdict may be shown, and which cohorts took part unseen.

    Where too few withheld donors took part only the words of the verdict remain: a number of
    donors would tell how many they are.
    """
    shown = redact_facts(verdict.as_json(), policy)
    if policy.few_took_part:
        words = {key: value for key, value in shown.items() if isinstance(value, str)}
        shown = {key: NOT_SHOWN if _NUMBER.search(text) else text for key, text in words.items()}
    withheld = [cohort.cohort_id for cohort in policy.facts.withheld]
    return Verdict.from_json({**shown, "withheld_by_access": withheld})


def redact_facts(facts: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """Return the same of the parts of a verdict as the strata step keeps them, arrays and all.

    Numbers of donors stay only where the withheld donors who were not placed or not used are
    none or enough; counts of visits, of pairs and of single strata go once a cohort is
    withheld. No withheld donor is named.
    """
    shown = _without_counts(facts, policy) if policy.is_mixed else dict(facts)
    return dict(_without_names(shown, policy))


def _without_counts(facts: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    hidden = policy.hidden
    left_out = (len(hidden.donors - hidden.used), len(hidden.placed - hidden.used))
    drop = keys_that_tell(COUNTS)
    few_are_left_out = any(hidden.is_few(number) for number in left_out)
    few_are_left_out |= USED in policy.told.get(ALL, ())
    if few_are_left_out:
        drop |= keys_that_tell(DONORS)
    kept = {key: value for key, value in facts.items() if key != "generalisation"}
    shown: dict[str, Any] = _without(kept, drop)
    if "not_tested" in shown:
        # A reason counts the donors who have the covariate.
        shown["not_tested"] = dict.fromkeys(shown["not_tested"], "not shown")
    if shown.get("adjusted"):
        shown["adjusted"] = _adjusted(shown["adjusted"], facts)
    shown = _without_reasons(shown, tell_donors=not few_are_left_out)
    if "generalisation" in facts:
        found = facts["generalisation"]
        shown["generalisation"] = _generalisation(found, policy) if found else {}
    return shown


def _without_reasons(value: Any, *, tell_donors: bool) -> Any:
    """The value with what its reasons count left out: visits and pairs, and donors unless told."""
    if isinstance(value, Mapping):
        return {key: _without_reasons(one, tell_donors=tell_donors) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_reasons(one, tell_donors=tell_donors) for one in value]
    if isinstance(value, str) and (
        _PARTS.search(value) or (_PEOPLE.search(value) and not tell_donors)
    ):
        return NOT_SHOWN
    return value


def _adjusted(shown: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Adjusted strata where all used donors are in them, without their sizes.

    Who has the covariates is known to the study alone: strata of fewer donors, or why
    there are none, could tell of a few.
    """
    found = facts["adjusted"]
    if found.get("n_donors") != facts.get("n_donors_used") or found.get("refused"):
        return {"adjust_for": list(found["adjust_for"]), "refused": NOT_SHOWN}
    return {key: value for key, value in shown.items() if key != "sizes"}


def _generalisation(found: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """Strata without each batch or region, unless a few withheld donors are in one."""
    unit = str(found.get("unit"))
    by_group: dict[str, set[str]] = {}
    for cohort in policy.facts.withheld:
        samples = read_table(cohort.folder / "samples.parquet").merge(
            read_table(cohort.folder / "donors.parquet").drop(columns="cohort_id", errors="ignore"),
            on="donor_id",
        )
        samples["cohort_id"] = cohort.cohort_id
        if unit not in samples:
            return {"unit": unit, "why": NOT_SHOWN}
        used = samples[samples["donor_id"].isin(policy.hidden.used)]
        for group, rows in used.groupby(unit):
            by_group.setdefault(str(group), set()).update(rows["donor_id"])
    if any(policy.hidden.is_few(len(donors)) for donors in by_group.values()):
        return {"unit": unit, "why": "not shown: too few withheld donors in a group"}
    return large_groups(found, policy.facts.options.min_donors)


def large_groups(found: Mapping[str, Any], least: int) -> dict[str, Any]:
    """Without the groups of fewer than `least` donors, and what would tell of them."""
    if "n_donors" not in found:
        return dict(found)
    large = np.asarray(found["n_donors"]) >= least
    kept: dict[str, Any] = {
        key: [item for item, is_large in zip(entry, large, strict=True) if is_large]
        for key, entry in found.items()
        if isinstance(entry, list | np.ndarray)
    }
    plain = {key: item for key, item in found.items() if key not in kept}
    if not large.all() or found["why"]:
        # Means over all groups and reasons would tell what the small ones hold.
        plain = {key: item for key, item in plain.items() if not key.startswith("mean")}
        plain["why"] = f"groups with fewer than {least} donors are not shown"
    return {**plain, **kept}


def _without(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return value


def _without_names(value: Any, policy: Policy) -> Any:
    """The value without entries that name a withheld donor."""
    if isinstance(value, Mapping):
        return {
            key: _without_names(item, policy)
            for key, item in value.items()
            if not policy.names_closed(str(key))
        }
    if isinstance(value, list | tuple):
        return [
            _without_names(item, policy)
            for item in value
            if not isinstance(item, str) or not policy.names_closed(item)
        ]
    if isinstance(value, str) and policy.names_closed(value):
        return WITHHELD
    return value
