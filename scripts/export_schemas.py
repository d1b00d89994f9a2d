"""Write the JSON schemas of config/schemas from the code.

Example: python scripts/export_schemas.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pmcell.cli import GROUPS
from pmcell.io.atomic import write_text
from pmcell.registry.json_schema import all_schemas

FOLDER = Path(__file__).resolve().parent.parent / "config" / "schemas"


def steps() -> list[str]:
    """Commands that take parameters from a section of config.yaml."""
    groups = [commands for title, commands in GROUPS if title.startswith("Steps")]
    return [name for commands in groups for name, _ in commands] + ["release", "report", "seal"]


def main(folder: Path = FOLDER) -> int:
    """Write every schema into `folder`."""
    for name, schema in all_schemas(steps()).items():
        path = folder / f"{name}.schema.json"
        write_text(path, json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:2])))
