"""Write what is made from the code in config/: the JSON schemas, and the tables of README.md.

Example: python scripts/export_schemas.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pmcell.io.atomic import write_text
from pmcell.registry.cohorts.json_schema import data_schemas
from pmcell.settings.documents import with_tables
from pmcell.settings.json_schema import config_schema

CONFIG = Path(__file__).resolve().parent.parent / "config"


def main(folder: Path = CONFIG) -> int:
    """Write every schema into `folder/schemas`, and the tables into `folder/README.md`."""
    for name, schema in {**data_schemas(), "config": config_schema()}.items():
        path = folder / "schemas" / f"{name}.schema.json"
        write_text(path, json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
        print(path)
    readme = folder / "README.md"
    write_text(readme, with_tables(readme.read_text(encoding="utf-8")))
    print(readme)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:2])))
