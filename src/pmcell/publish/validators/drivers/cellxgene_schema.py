"""cellxgene-schema: each file of cells, in one process because loading the ontologies is slow."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of each file; its warnings are kept in the raw report."""
    from cellxgene_schema.validate import Validator

    logging.disable(logging.INFO)
    checks, raw = [], {}
    for name in options["targets"]:
        validator = Validator(ignore_labels=False)
        is_valid = validator.validate_adata(str(release / name))
        errors = list(validator.errors)
        if not is_valid and not errors:
            errors = ["the file is not valid; the validator gives no reason"]
        findings = [{"message": error, "where": name} for error in errors]
        checks.append({"target": name, "level": "schema 7.1.0", "findings": findings})
        raw[name] = {
            "is_valid": bool(is_valid),
            "errors": errors,
            "warnings": list(validator.warnings),
        }
    return {"checks": checks, "raw": raw}
