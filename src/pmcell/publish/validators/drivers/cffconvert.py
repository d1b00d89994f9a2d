"""cffconvert: CITATION.cff against the schema of the Citation File Format 1.2.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = "CITATION.cff"


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Every place where the citation breaks the schema, and its form for schema.org as a proof."""
    import jsonschema
    from cffconvert import Citation

    findings: list[dict[str, str]] = []
    raw: dict[str, Any] = {}
    try:
        citation = Citation((release / TARGET).read_text(encoding="utf-8"), src=TARGET)
        judge = jsonschema.Draft7Validator(
            citation.schema, format_checker=jsonschema.FormatChecker()
        )
        findings = [
            {"message": error.message, "where": "/".join(map(str, error.path))}
            for error in judge.iter_errors(citation.cffobj)
        ]
        if not findings:
            citation.validate()
            raw = {"schema.org": json.loads(citation.as_schemaorg())}
    except ValueError as error:
        findings.append({"message": str(error), "where": TARGET})
    checks = [{"target": TARGET, "level": "CFF 1.2.0", "findings": findings}]
    return {"checks": checks, "raw": {"findings": findings, **raw}}
