"""frictionless: datapackage.json itself, then the rows of each table with its keys.

It holds each table whole in memory, however few rows are asked for: those that
are called too large are described, but not opened, as are files of cells that take it
long to digest. To look up a foreign key it reads every row of the other table, so a table
without rows has its keys described, but not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = "datapackage.json"


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Errors of the descriptor and of the rows, as far as `rows` (0: all of them) allows."""
    import frictionless
    from frictionless.formats.parquet import ParquetParser

    frictionless.system.trusted = True
    ParquetParser.read_cell_stream_create = cells_of
    rows = int(options["rows"]) or None
    try:
        package = frictionless.Package(str(release / TARGET))
    except frictionless.FrictionlessException as error:
        errors = [error.error, *error.reasons]
        findings = [{"message": item.message, "where": TARGET} for item in errors]
        checks = [{"target": TARGET, "level": "Data Package v2", "findings": findings}]
        return {"checks": checks, "raw": {"findings": findings}}
    large = [item.name for item in package.resources if str(item.path) in options["not_opened"]]
    for name in large:
        package.remove_resource(name)
    without_rows = []
    for item in package.resources:
        keys = item.schema.foreign_keys
        if keys and str(item.path) in options["no_rows"]:
            without_rows.append(item.name)
            keys = []
        item.schema.foreign_keys = [
            key for key in keys if key["reference"]["resource"] not in large
        ]
    report = package.validate(limit_rows=rows, limit_errors=20)
    findings = [{"message": error.message, "where": TARGET} for error in report.errors]
    row_findings = [
        {"message": error.message, "where": task.place}
        for task in report.tasks
        for error in task.errors
    ]
    read = {task.name: task.stats.get("rows") for task in report.tasks}
    checks = [
        {"target": TARGET, "level": "Data Package v2", "findings": findings},
        {"target": TARGET, "level": "rows and keys", "findings": row_findings},
    ]
    raw = {
        "rows_read": read,
        "limit_rows": rows,
        "not_opened": large,
        "keys_not_looked_up": without_rows,
        "findings": findings + row_findings,
    }
    return {"checks": checks, "raw": raw}


def cells_of(parser: Any) -> Iterator[list[Any]]:
    """Names of the columns of a Parquet file, then its rows, as few at a time as are asked for.

    The tool's own reader makes a dictionary of a row for each of its values.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(parser.resource.normpath)
    yield table.column_names
    for batch in table.to_batches(max_chunksize=1_000):
        yield from map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True))
