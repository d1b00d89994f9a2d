"""What a HealthDCAT-AP record says of a release and its cohorts, and what nobody supplied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.io.tables import read_table
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.metadata.attribution import keywords, publishers
from pmcell.publish.metadata.subjects import NOT_DISEASES
from pmcell.registry.cohorts.catalogue import FORMS, missing_metadata
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.schema import (
    ASSAY,
    COHORT_COUNTS,
    COHORTS,
    DISEASE,
    DONORS,
    SAMPLES,
    TISSUE,
    UNKNOWN,
)


@dataclass(frozen=True)
class Size:
    """Cells and donors that may be told; None where they may not."""

    n_cells: int | None
    n_donors: int | None


def described(facts: Facts) -> list[Cohort]:
    """Cohorts with a record of their own: accepted ones whose steward gave all it must have."""
    return [
        cohort
        for cohort in facts.cohorts
        if cohort.accepted
        and not any(fault.severity == "error" for fault in missing_from_record(cohort))
    ]


def missing_from_record(cohort: Cohort) -> list[Fault]:
    """What the record of a cohort lacks by HealthDCAT-AP, in the words of `pmcell check`."""
    return missing_metadata({**cohort.registration, **given_for(cohort)}, meaning)


def given_for(cohort: Cohort) -> dict[str, Any]:
    """What a cohort's steward supplied for the catalogue, with the publisher."""
    publisher = {
        key: value
        for key in ("name", "url", "email")
        if (value := cohort.text("publisher", key)) != UNKNOWN
    }
    return {**(cohort.registration.get("catalogue") or {}), "publisher": publisher}


def given_for_release(facts: Facts) -> dict[str, Any]:
    """What holds for the release: configured, else what its open cohorts have in common or in all.

    An access body, a contact and a publisher are one, so they are taken from
    the cohorts only where these agree.
    """
    all_given = [given_for(cohort) for cohort in facts.published]
    found: dict[str, Any] = {"keywords": keywords(facts), "languages": ["ENG"]}
    for key in ("health_categories", "health_themes", "personal_data", "applicable_legislation"):
        values = sorted({value for given in all_given for value in given.get(key, ())})
        if values:
            found[key] = values
    known = {item["name"]: item for given in all_given if (item := given["publisher"])}
    publisher = publishers(facts)
    if len(publisher) == 1:
        own = {key: value for key, value in asdict(publisher[0]).items() if value}
        found["publisher"] = {**known.get(publisher[0].name, {}), **own}
    for key in ("hdab", "contact"):
        configured: Mapping[str, str] = getattr(facts.options, key)
        first = all_given[0].get(key)
        if configured:
            found[key] = configured
        elif first and all(given.get(key) == first for given in all_given):
            found[key] = first
    return found


def reasons(facts: Facts) -> dict[str, Any]:
    """What keeps each cohort's record from being whole: JSON for those who read the release."""
    names = {cohort.cohort_id for cohort in described(facts)}
    return {
        "standard": "HealthDCAT-AP Release 8",
        "meaning": "What stewards did not supply. Where a value that must be given is missing, "
        "dcat.ttl has no record of the cohort.",
        "cohorts": {
            cohort.cohort_id: {
                "form": FORMS[cohort.access],
                "has_record": cohort.cohort_id in names,
                "lacks": [
                    {
                        "key": fault.column,
                        "severity": fault.severity,
                        "must": fault.must,
                        "found": fault.found,
                        "fix": fault.fix,
                    }
                    for fault in missing_from_record(cohort)
                ],
            }
            for cohort in facts.cohorts
            if cohort.accepted
        },
    }


def read_sizes(folder: Path) -> dict[str, Size]:
    """Cells and donors of each cohort, as far as the table of cohorts shows them."""
    frame = read_table(folder / "tables" / f"{COHORTS.name}.parquet")
    rows = zip(frame["cohort_id"], frame["n_cells"], frame["n_donors"], strict=True)
    return {
        str(name): Size(*(None if value != value or value is None else int(value) for value in row))
        for name, *row in rows
    }


def add_up(sizes: list[Size]) -> Size:
    """Size of several cohorts together; None where one of them may not be told."""
    cells, donors = [item.n_cells for item in sizes], [item.n_donors for item in sizes]
    return Size(
        None if None in cells else sum(filter(None, cells)),
        None if None in donors else sum(filter(None, donors)),
    )


def read_codes(facts: Facts, folder: Path) -> dict[str, list[str]]:
    """Ontology terms that the tables show of each cohort: diseases, tissues and assays."""
    found: dict[str, set[str]] = {cohort.cohort_id: set() for cohort in facts.cohorts}
    for table, columns in ((DONORS, (DISEASE,)), (SAMPLES, (TISSUE, ASSAY))):
        path = folder / "tables" / f"{table.name}.parquet"
        frame = read_table(path, ["cohort_id", *(item.name for item in columns)])
        for item in columns:
            for cohort_id, value in frame[["cohort_id", item.name]].drop_duplicates().to_numpy():
                found[str(cohort_id)] |= set(str(value).split(" || "))
    counts = read_table(folder / "tables" / f"{COHORT_COUNTS.name}.parquet")
    shown = counts[(counts["grouping"] == DISEASE.name) & counts["n_donors"].notna()]
    for cohort_id, group in zip(shown["cohort_id"], shown["group"], strict=True):
        found[str(cohort_id)] |= set(str(group).split(" || "))
    return {
        name: sorted(code for code in codes if ":" in code and code not in NOT_DISEASES)
        for name, codes in found.items()
    }
