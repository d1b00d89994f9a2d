"""cellxgene-schema and hca-schema-validator: each h5ad file against the schema.

All files are checked in one process, because loading the ontologies is slow.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of each file; its warnings are kept in the raw report."""
    module, name = options["validator"].split(":")
    make_validator = getattr(importlib.import_module(module), name)
    logging.disable(logging.INFO)
    checks, raw = [], {}
    for name in options["targets"]:
        validator = make_validator(**options.get("arguments", {}))
        is_valid = validator.validate_adata(str(release / name))
        errors = list(validator.errors)
        if not is_valid and not errors:
            errors = ["the file is not valid; the validator gives no reason"]
        findings = [{"message": error, "where": name} for error in errors]
        checks.append({"target": name, "level": options["level"], "findings": findings})
        raw[name] = {
            "is_valid": bool(is_valid),
            "errors": errors,
            "warnings": list(validator.warnings),
        }
    return {"checks": checks, "raw": raw}
