"""The report of a release: one offline HTML page, written from the release folder only."""

from __future__ import annotations

from pathlib import Path

from pmcell.io.atomic import write_text
from pmcell.io.collection import rare_collection
from pmcell.release.report_tables import read_release
from pmcell.report.page import render

__all__ = ["read_release", "render", "write_report"]


def write_report(release: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a release folder; give its path (default: `report.html` in it).

    Raises `UsageError` where the folder is no release and `DataError` where a
    table breaks the contract; nothing is written then.
    """
    folder = Path(release)
    target = folder / "report.html" if out is None else Path(out)
    with rare_collection():
        write_text(target, render(read_release(folder)))
    return target
