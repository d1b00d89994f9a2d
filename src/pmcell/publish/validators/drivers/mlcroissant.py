"""mlcroissant: croissant.json itself, then the first records of each record set.

It reads a file whole, however few records are asked for, and those that it refers to with it:
record sets that need a table that is called too large are described, but not opened. Nor are
those without rows that refer to another: joining nothing to many rows takes it long.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TARGET = "croissant.json"


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of the description, and every record set that cannot be loaded."""
    import mlcroissant

    large = _record_sets(release / TARGET, options["not_opened"], options["no_rows"])
    raw: dict[str, Any] = {"records_read": {}, "warnings": [], "not_opened": large}
    try:
        dataset = mlcroissant.Dataset(str(release / TARGET))
    except mlcroissant.ValidationError as error:
        findings = [{"message": str(error), "where": TARGET}]
        return {
            "checks": [{"target": TARGET, "level": "Croissant", "findings": findings}],
            "raw": {"error": str(error)},
        }
    context = dataset.metadata.ctx
    # Every node asks for its version each time that it is compared, a third of all it takes.
    context.is_v0 = functools.cache(context.is_v0)
    issues = context.issues
    raw["warnings"] = sorted(map(str, issues.warnings))
    findings = [
        {"message": str(error), "where": TARGET} for error in sorted(map(str, issues.errors))
    ]
    failures = []
    if not dataset.metadata.record_sets:
        failures.append({"message": "there is no record set to load", "where": TARGET})
    for record_set in dataset.metadata.record_sets:
        if record_set.uuid in large:
            continue
        try:
            _forget_streams(dataset.operations.operations.nodes)
            records = dataset.records(record_set=record_set.uuid)
            n_read = sum(1 for _ in itertools.islice(records, int(options["records"])))
        except Exception as error:  # The loader raises whatever the library below it does.
            failures.append({"message": _first_line(error), "where": record_set.uuid})
        else:
            raw["records_read"][record_set.uuid] = n_read
    checks = [
        {"target": TARGET, "level": "Croissant", "findings": findings},
        {"target": TARGET, "level": "every record set loads", "findings": failures},
    ]
    return {"checks": checks, "raw": {**raw, "findings": findings + failures}}


def _record_sets(path: Path, large: list[str], empty: list[str]) -> list[str]:
    """Names of the record sets that need a large file, or join an empty one to another."""
    described = json.loads(path.read_text(encoding="utf-8")).get("recordSet", [])
    file_of = {
        field["@id"]: field["source"]["fileObject"]["@id"]
        for item in described
        for field in item["field"]
    }
    found = []
    for item in described:
        others = [
            file_of.get(field["references"]["field"]["@id"])
            for field in item["field"]
            if "references" in field
        ]
        own = [file_of[field["@id"]] for field in item["field"]]
        if {*own, *others} & {*large} or (others and {*own} & {*empty}):
            found.append(item["@id"])
    return found


def _forget_streams(operations: Iterable[Any]) -> None:
    """Let records that were yielded be read again; tables that were read stay for the next join."""
    for operation in operations:
        if isinstance(operation.__dict__.get("_output"), Iterator):
            del operation.__dict__["_output"]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
