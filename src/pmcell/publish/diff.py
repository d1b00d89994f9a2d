"""What differs between two releases: cohorts, donors, cells, columns, labels, strata, parameters.

Read from the releases alone, so it can tell nothing that they do not. Two
releases together tell more than each: of a cohort without open access no
number of donors or cells is told that is, or differs by, less than the larger
`min_donors` of the two, and no donor is ever named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pmcell.publish.lineage import lineage
from pmcell.release import Release
from pmcell.schema import Verdict

if TYPE_CHECKING:
    import pandas as pd

TOO_FEW = "not told: too few"
NOT_ASSIGNED = "not assigned"


def diff_releases(a: Release, b: Release) -> dict[str, Any]:
    """Everything that differs, as plain values for JSON; `same` when the contents are equal."""
    return {
        "same": a.manifest["content_sha256"] == b.manifest["content_sha256"],
        "releases": [_identity(a), _identity(b)],
        "cohorts": _cohorts(a, b),
        "donors": _ids(a, b, "donors", "donor_id"),
        "cells": _ids(a, b, "cells", "cell_id"),
        "hidden": _hidden(a, b),
        "columns": _columns(a, b),
        "labels": _labels(a, b),
        "strata": _strata(a, b),
        "lineage": lineage(a, b),
        "parameters": _parameters(a, b),
        "files": _files(a, b),
    }


def _identity(release: Release) -> dict[str, Any]:
    keys = ("title", "version", "pmcell", "schema_version", "content_sha256")
    return {key: release.manifest.get(key) for key in keys}


def _cohorts(a: Release, b: Release) -> dict[str, Any]:
    """Cohorts by name, and verdict and access where they changed."""
    before, after = a.manifest["cohorts"], b.manifest["cohorts"]
    changed = [
        {"cohort_id": name, "what": key, "a": before[name].get(key), "b": after[name].get(key)}
        for name in sorted(set(before) & set(after))
        for key in ("status", "access", "published", "intake_sha256", "qc_sha256")
        if before[name].get(key) != after[name].get(key)
    ]
    return {**_added_and_removed(before, after), "changed": changed}


def _ids(a: Release, b: Release, table: str, key: str) -> list[dict[str, Any]]:
    """Rows of each published cohort in A, in B and in both, with the ones that are new or gone."""
    columns = [key, "cohort_id"]
    before, after = a.tables[table].to_pandas(columns), b.tables[table].to_pandas(columns)
    rows = []
    for name in sorted({*before["cohort_id"], *after["cohort_id"]}):
        old = set(before.loc[before["cohort_id"] == name, key])
        new = set(after.loc[after["cohort_id"] == name, key])
        counts = {"a": len(old), "b": len(new), "added": len(new - old), "removed": len(old - new)}
        rows.append({"cohort_id": name, **counts})
    return rows


def _hidden(a: Release, b: Release) -> list[dict[str, Any]]:
    """Donors and cells of cohorts without open access, where enough of them differ."""
    least = max(int(release.manifest.get("min_donors") or 0) for release in (a, b))
    tables = [
        release.tables["cohorts"].to_pandas().set_index("cohort_id", drop=False)
        for release in (a, b)
    ]
    hidden = sorted(
        {name for table in tables for name in table.index[table["access"] != "open"]}
        - {
            name
            for release in (a, b)
            for name, cohort in release.manifest["cohorts"].items()
            if cohort["published"]
        }
    )
    rows = []
    for name in hidden:
        donors = [_number(table, name, "n_donors") for table in tables]
        told = all(count is not None and count >= least for count in donors)
        told &= donors[0] == donors[1] or abs((donors[0] or 0) - (donors[1] or 0)) >= least
        for what in ("n_donors", "n_cells"):
            numbers = [_number(table, name, what) for table in tables]
            same = told and donors[0] == donors[1] and numbers[0] != numbers[1]
            # Cells that change under the same donors may be those of one of them.
            told_now = told and not same
            rows.append(
                {
                    "cohort_id": name,
                    "what": what,
                    "a": numbers[0] if told_now else TOO_FEW,
                    "b": numbers[1] if told_now else TOO_FEW,
                }
            )
    return rows


def _number(table: pd.DataFrame, cohort_id: str, what: str) -> int | None:
    import pandas as pd

    value = table[what].get(cohort_id)
    return None if pd.isna(value) else int(value)


def _columns(a: Release, b: Release) -> dict[str, Any]:
    """Tables that came or went, and columns that came, went, or changed type or description."""
    changed = []
    for name in sorted(set(a.tables) & set(b.tables)):
        before, after = (_fields(release, name) for release in (a, b))
        for column in sorted({*before, *after}):
            old, new = before.get(column), after.get(column)
            if old != new:
                what = _what_of_column(old, new)
                changed.append({"table": name, "column": column, "what": what, "a": old, "b": new})
    return {"tables": _added_and_removed(a.tables, b.tables), "columns": changed}


def _what_of_column(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    return "described" if old.split(", ")[0] == new.split(", ")[0] else "retyped"


def _fields(release: Release, table: str) -> dict[str, str]:
    described = release.tables[table].describe()
    return {
        str(name): ", ".join(str(value) for value in row if value)
        for name, row in zip(described.index, described.itertuples(index=False), strict=True)
    }


def _labels(a: Release, b: Release) -> dict[str, Any]:
    """Cells in both whose label is another, and how alike the two clusterings are."""
    import pyarrow.compute as pc
    from sklearn.metrics import adjusted_rand_score

    columns = ["cell_id", "cell_type", "cluster"]
    before, after = (
        release.tables["cells"].to_pandas(columns, pc.field("passes_qc")) for release in (a, b)
    )
    both = before.merge(after, on="cell_id", suffixes=("_a", "_b"))
    moved = both[both["cell_type_a"] != both["cell_type_b"]]
    pair = (both["cluster_a"], both["cluster_b"])
    return {
        "n_shared": len(both),
        "n_moved": len(moved),
        "moves": _moves(moved, "cell_type", "n_cells"),
        "n_clusters": [len(release.tables["clusters"]) for release in (a, b)],
        "adjusted_rand_of_clusters": round(float(adjusted_rand_score(*pair)), 4)
        if len(both)
        else None,
    }


def _strata(a: Release, b: Release) -> dict[str, Any]:
    """The verdicts, and visits in both whose stratum is another; strata are named by size."""
    keys = ["donor_id", "visit"]
    before, after = (
        release.tables["assignments"]
        .to_pandas([*keys, "stratum"])
        .fillna({"stratum": NOT_ASSIGNED})
        for release in (a, b)
    )
    both = before.merge(after, on=keys, suffixes=("_a", "_b"))
    moved = both[both["stratum_a"] != both["stratum_b"]]
    verdicts = [_verdict(release) for release in (a, b)]
    return {
        "verdict": [
            {"what": key, "a": verdicts[0].get(key), "b": verdicts[1].get(key)}
            for key in sorted({*verdicts[0], *verdicts[1]})
            if verdicts[0].get(key) != verdicts[1].get(key)
        ],
        "n_strata": [len(release.tables["strata"]) for release in (a, b)],
        "n_shared": len(both),
        "n_moved": len(moved),
        "moves": _moves(moved, "stratum", "n_donor_visits"),
    }


def _verdict(release: Release) -> dict[str, Any]:
    """Words and numbers of the verdict, by path; no arrays."""
    told = release.folder.verdict()
    if told is None:
        return {}
    verdict = Verdict(told.decision, told.why, existence=told.existence)
    return {
        key: value
        for key, value in _flat(verdict.as_json()).items()
        if isinstance(value, str | int | float) and not key.startswith("existence.null_")
    }


def _moves(moved: pd.DataFrame, name: str, count: str) -> list[dict[str, Any]]:
    """How many moved from which to which, the most first."""
    grouped = moved.groupby([f"{name}_a", f"{name}_b"], observed=True).size()
    rows = [{"from": old, "to": new, count: int(n)} for (old, new), n in grouped.items()]
    return sorted(rows, key=lambda row: (-row[count], row["from"], row["to"]))


def _parameters(a: Release, b: Release) -> list[dict[str, Any]]:
    before, after = (_flat(release.manifest["parameters"]) for release in (a, b))
    return [
        {"key": key, "a": before.get(key), "b": after.get(key)}
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _files(a: Release, b: Release) -> dict[str, Any]:
    before, after = a.manifest["files"], b.manifest["files"]
    changed = [
        name
        for name in sorted(set(before) & set(after))
        if before[name]["content_sha256"] != after[name]["content_sha256"]
    ]
    return {**_added_and_removed(before, after), "changed": changed}


def _added_and_removed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"added": sorted(set(after) - set(before)), "removed": sorted(set(before) - set(after))}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path: value}
    return {
        key: item
        for name, part in value.items()
        for key, item in _flat(part, f"{path}.{name}" if path else str(name)).items()
    }
