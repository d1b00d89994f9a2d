"""Print what became of each file that was mapped, one line a file: outcome.json, one below another.

Standard library only.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

COLUMNS = ("file", "status", "reason", "message", "folder")


def main(paths: Sequence[str]) -> int:
    """Write a table (TSV) of the outcomes to standard output, refused files first."""
    rows = []
    for path in map(Path, paths):
        outcome = json.loads(path.read_text(encoding="utf-8"))
        message = " ".join(str(outcome["message"]).split())
        rows.append({**outcome, "message": message, "folder": str(path.parent)})
    rows.sort(key=lambda row: (row["status"] == "mapped", row["file"]))
    writer = csv.DictWriter(sys.stdout, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
