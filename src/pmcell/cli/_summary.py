"""What became of a run: each cohort's verdict, and how to open the release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pmcell.cli._workflow import Study, short
from pmcell.io.atomic import read_json

_ORDER = ("ok", "warned", "quarantined")


def summarise(study: Study, exit_code: int) -> dict[str, Any]:
    """Verdict of each cohort (`status`, `reason`, `message`) and the release's folder, if there."""
    verdicts = study.results / "atlas" / "cohorts.json"
    cohorts: dict[str, Any] = read_json(verdicts) if verdicts.is_file() else {}
    for path in sorted(study.results.glob("cohorts/*/status.json")):
        cohorts.setdefault(path.parent.name, read_json(path))
    release = study.results / "release"
    finished = exit_code == 0 and (release / "manifest.json").is_file()
    keys = ("status", "reason", "message")
    return {
        "exit_code": exit_code,
        "release": short(release) if finished else None,
        "cohorts": {
            name: {key: cohort.get(key, "") for key in keys} for name, cohort in cohorts.items()
        },
    }


def as_text(summary: dict[str, Any]) -> str:
    """The summary as a person reads it; names every cohort that is not simply ok."""
    cohorts = summary["cohorts"]
    counts = [
        f"{sum(cohort['status'] == status for cohort in cohorts.values())} {status}"
        for status in _ORDER
        if any(cohort["status"] == status for cohort in cohorts.values())
    ]
    lines = [f"Cohorts: {', '.join(counts) or 'none judged yet'}"]
    for name, cohort in sorted(cohorts.items()):
        if cohort["status"] != "ok":
            lines.append(f"  {name}: {cohort['status']} ({cohort['reason']}): {cohort['message']}")
    if summary["release"]:
        kept = [
            name for name, cohort in sorted(cohorts.items()) if cohort["status"] != "quarantined"
        ]
        lines += ["", *how_to_open(Path(summary["release"]), kept)]
    return "\n".join(lines)


def how_to_open(release: Path, cohorts: list[str]) -> list[str]:
    """Three ways into a release: browser, Python, SQL."""
    cells = release / "cells" / f"{cohorts[0] if cohorts else '*'}.h5ad"
    table = release / "tables" / "composition.parquet"
    query = f"SELECT cell_type, sum(n_cells) FROM '{table}' GROUP BY 1 ORDER BY 2 DESC"
    return [
        f"The release: {release}",
        f"  browser  {release / 'report.html'}",
        f'  Python   import scanpy as sc; sc.read_h5ad("{cells}")',
        f'  SQL      duckdb -c "{query}"',
    ]
