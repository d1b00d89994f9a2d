"""datacite: datacite.json against the JSON Schema of DataCite 4.5, and its form as XML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = "datacite.json"


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Every place where the record breaks the schema."""
    from datacite import schema45

    record = json.loads((release / TARGET).read_text(encoding="utf-8"))
    findings = [
        {"message": error.message, "where": "/".join(map(str, error.path))}
        for error in schema45.validator.iter_errors(record)
    ]
    if not findings:
        schema45.tostring(record)
    checks = [{"target": TARGET, "level": "DataCite 4.5", "findings": findings}]
    return {"checks": checks, "raw": {"findings": findings}}
