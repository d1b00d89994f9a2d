"""hca-schema-validator: each given h5ad file against the Human Cell Atlas schema."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of each file; its warnings are kept in the raw report."""
    from hca_schema_validator import HCAValidator

    logging.disable(logging.INFO)
    checks, raw = [], {}
    for name in options["targets"]:
        validator = HCAValidator()
        is_valid = validator.validate_adata(str(release / name))
        errors = list(validator.errors)
        if not is_valid and not errors:
            errors = ["the file is not valid; the validator gives no reason"]
        findings = [{"message": error, "where": name} for error in errors]
        checks.append({"target": name, "level": "HCA schema", "findings": findings})
        raw[name] = {
            "is_valid": bool(is_valid),
            "errors": errors,
            "warnings": list(validator.warnings),
        }
    return {"checks": checks, "raw": raw}
