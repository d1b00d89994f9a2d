"""What became of a run: each cohort's verdict, what the jobs took, and how to open the release."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from pmcell.cli.run._progress import Job, Progress
from pmcell.cli.run._study import Study
from pmcell.cli.run._workflow import short
from pmcell.io.atomic import read_json
from pmcell.io.benchmarks import read_benchmark

_ORDER = ("ok", "warned", "quarantined")
SLOWEST = 3


def summarise(study: Study, exit_code: int, progress: Progress) -> dict[str, Any]:
    """What a machine is told: verdicts, jobs of this run, and the release's folder, if there.

    Each cohort has `status`, `reason`, `message`, `fix` and, where its own
    files are at fault, the `command` that names all faults. `failed`,
    `cancelled` (by an interrupt) and `retried` name jobs, `slowest` the three
    that took longest (s), and `peak_memory` the one that took most (MB), as
    Snakemake measured.
    """
    verdicts = study.results / "atlas" / "cohorts.json"
    cohorts: dict[str, Any] = read_json(verdicts) if verdicts.is_file() else {}
    for path in sorted(study.results.glob("cohorts/*/status.json")):
        # The atlas's verdict is the last word, but only the cohort's own has the faults.
        own, name = read_json(path), path.parent.name
        command = _check_command(study, name) if own.get("status") == "quarantined" else ""
        cohorts[name] = own | cohorts.get(name, {}) | {"command": command}
    release = study.results / "release"
    finished = exit_code == 0 and (release / "manifest.json").is_file()
    return {
        "exit_code": exit_code,
        "release": short(release) if finished else None,
        "cohorts": {name: _verdict(cohort) for name, cohort in cohorts.items()},
        "duplicates": _duplicates(study),
        **_jobs(study, progress),
    }


def _duplicates(study: Study) -> dict[str, int]:
    """How many hints of each kind the stewards have to look at; empty where there is none."""
    from pmcell.io.tables import read_table

    path = study.results / "atlas" / "duplicates.parquet"
    if not path.is_file():
        return {}
    kinds = read_table(path, ["kind"])["kind"].value_counts()
    return {str(kind): int(number) for kind, number in sorted(kinds.items())}


def as_text(summary: dict[str, Any]) -> str:
    """The summary as a person reads it; names every cohort that is not simply ok, and why."""
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
            if cohort["fix"] and cohort["fix"] not in cohort["message"]:
                lines.append(f"    to do: {cohort['fix']}")
            if cohort["command"]:
                lines.append(f"    all faults: {cohort['command']}; once corrected, run again")
    for kind, number in summary["duplicates"].items():
        lines.append(
            f"  {kind.replace('_', ' ')}: {number} in results/atlas/duplicates.parquet; nothing "
            "was merged, the stewards decide"
        )
    lines += _jobs_as_text(summary)
    if summary["release"]:
        kept = [
            name for name, cohort in sorted(cohorts.items()) if cohort["status"] != "quarantined"
        ]
        lines += ["", *how_to_open(Path(summary["release"]), kept)]
    return "\n".join(lines)


def how_to_open(release: Path, cohorts: list[str]) -> list[str]:
    """Three ways into a release: browser, Python, SQL."""
    site, report = release / "site" / "index.html", release / "report.html"
    cells = release / "cells" / f"{cohorts[0] if cohorts else '*'}.h5ad"
    table = release / "tables" / "composition.parquet"
    query = f"SELECT cell_type, sum(n_cells) FROM '{table}' GROUP BY 1 ORDER BY 2 DESC"
    return [
        f"The release: {release}",
        f"  browser  {site if site.is_file() else report}",
        f'  Python   import scanpy as sc; sc.read_h5ad("{cells}")',
        f'  SQL      duckdb -c "{query}"',
    ]


def _verdict(cohort: dict[str, Any]) -> dict[str, str]:
    fixes = [str(fault.get("fix", "")).strip() for fault in cohort.get("faults") or ()]
    keys = ("status", "reason", "message", "command")
    found = {key: str(cohort.get(key, "")) for key in keys}
    return {**found, "fix": " ".join(dict.fromkeys(filter(None, fixes)))}


def _check_command(study: Study, name: str) -> str:
    """The command that names all faults of a cohort; its folder is given from outside the study."""
    is_here = study.folder.resolve() == Path.cwd()
    folder = study.cohorts_dir / name
    return shlex.join(["pmcell", "check", name if is_here else short(folder)])


def _jobs(study: Study, progress: Progress) -> dict[str, Any]:
    ran = [(job, _taken(study, job)) for job in progress.finished if job.rule != "all"]
    slowest = sorted(ran, key=lambda item: item[1]["wall_seconds"] or 0.0, reverse=True)
    peak = max(ran, key=lambda item: item[1]["peak_memory_mb"] or 0.0, default=None)
    return {
        "n_jobs": len(ran),
        "failed": [job.name for job in progress.failed.values()],
        "cancelled": [job.name for job in _cancelled(progress)],
        "retried": [
            {"job": job.name, "attempts": job.attempt, "memory_mb": job.memory_mb}
            for job in progress.retried()
        ],
        "slowest": [
            {"job": job.name, "seconds": round(taken["wall_seconds"], 1)}
            for job, taken in slowest[:SLOWEST]
            if taken["wall_seconds"]
        ],
        "peak_memory": {"job": peak[0].name, "mb": round(peak[1]["peak_memory_mb"])}
        if peak and peak[1]["peak_memory_mb"]
        else None,
    }


def _cancelled(progress: Progress) -> list[Job]:
    """Jobs that an interrupt ended: those that Snakemake names, and those it does not."""
    if not progress.is_interrupted:
        return []
    return [*progress.cancelled.values(), *progress.running.values()]


def _taken(study: Study, job: Job) -> dict[str, float | None]:
    name = job.entries.get("benchmark")
    taken = read_benchmark(study.folder / name) if name else {}
    return {"wall_seconds": job.seconds, "peak_memory_mb": None} | {
        key: value for key, value in taken.items() if value is not None
    }


def _jobs_as_text(summary: dict[str, Any]) -> list[str]:
    lines = []
    for job in summary["retried"]:
        memory = f" with {job['memory_mb'] / 1000:.1f} GB" if job["memory_mb"] else ""
        lines.append(f"  {job['job']}: needed {job['attempts']} attempts; the last{memory}")
    if lines:
        lines.insert(0, f"Retried: {len(lines)}")
    if summary["slowest"]:
        parts = [f"{item['job']} {item['seconds']:.1f} s" for item in summary["slowest"]]
        lines.append(f"Slowest: {', '.join(parts)}")
    if summary["peak_memory"]:
        item = summary["peak_memory"]
        lines.append(f"Peak memory: {item['mb'] / 1000:.1f} GB ({item['job']})")
    return lines
