"""pyshacl: dcat.ttl against each set of SHACL shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TARGET = "dcat.ttl"
LEVELS = {"Violation": "REQUIRED", "Warning": "RECOMMENDED"}


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Results of each shapes file (name → file in `shapes`), by severity."""
    import pyshacl
    import rdflib

    data = rdflib.Graph().parse(options["data"], format="nt")
    checks, raw = [], {}
    for name, file in options["shapes"].items():
        shapes = rdflib.Graph().parse(file, format="nt")
        try:
            _, report, _ = pyshacl.validate(
                data, shacl_graph=shapes, advanced=True, allow_infos=True, do_owl_imports=False
            )
        except Exception as error:  # A file of a user's folder that is no graph of shapes.
            checks.append(_not_applied(name, str(error)))
            continue
        results = sorted(_results(report), key=str)
        for severity, level in LEVELS.items():
            findings = [
                {"message": item["message"], "where": item["where"]}
                for item in results
                if item["severity"] == severity
            ]
            checks.append({"target": TARGET, "level": f"{name} {level}", "findings": findings})
        raw[name] = results
    return {"checks": checks, "raw": raw}


def _not_applied(name: str, why: str) -> dict[str, Any]:
    """Shapes that the engine cannot use: told, and no verdict on the record."""
    finding = {"message": f"these shapes cannot be applied: {why.strip()[:300]}", "where": name}
    return {"target": TARGET, "level": f"{name} RECOMMENDED", "findings": [finding]}


def _results(report: Any) -> list[dict[str, str]]:
    from rdflib.namespace import RDF, SH

    found = []
    for item in report.subjects(RDF.type, SH.ValidationResult):
        path = report.value(item, SH.resultPath)
        found.append(
            {
                "severity": str(report.value(item, SH.resultSeverity)).rpartition("#")[2],
                "message": str(report.value(item, SH.resultMessage) or "breaks the shape"),
                "where": f"{report.value(item, SH.focusNode)} {path or ''}".strip(),
            }
        )
    return found
