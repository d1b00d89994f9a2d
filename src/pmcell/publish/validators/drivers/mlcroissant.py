"""mlcroissant: croissant.json itself, then the first records of each record set.

It reads a file whole, however few records are asked for: record sets of tables that are
called too large are described, but not opened.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

TARGET = "croissant.json"


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of the description, and every record set that cannot be loaded."""
    import mlcroissant

    large = _record_sets(release / TARGET, options["not_opened"])
    raw: dict[str, Any] = {"records_read": {}, "warnings": [], "not_opened": large}
    try:
        dataset = mlcroissant.Dataset(str(release / TARGET))
    except mlcroissant.ValidationError as error:
        findings = [{"message": str(error), "where": TARGET}]
        return {
            "checks": [{"target": TARGET, "level": "Croissant", "findings": findings}],
            "raw": {"error": str(error)},
        }
    issues = dataset.metadata.ctx.issues
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
            # Each from the start: one Dataset gives its record sets only once, then joins fail.
            again = mlcroissant.Dataset(str(release / TARGET))
            records = again.records(record_set=record_set.uuid)
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


def _record_sets(path: Path, files: list[str]) -> list[str]:
    """Names of the record sets with a field out of one of the files."""
    described = json.loads(path.read_text(encoding="utf-8"))
    return [
        item["@id"]
        for item in described.get("recordSet", [])
        if any(field["source"]["fileObject"]["@id"] in files for field in item["field"])
    ]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
