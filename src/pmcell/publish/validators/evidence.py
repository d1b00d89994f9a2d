"""`validation/`: what every validator said of the release, for those who were not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.io.atomic import write_json, write_text
from pmcell.publish.validators.run import FAIL, NOT_RUN, Check, Verdict

FOLDER = "validation"
SUMMARY = f"{FOLDER}/summary.json"
MATRIX = f"{FOLDER}/README.md"
Reasons = Mapping[str, str]
MARKS = {"pass": "pass", "fail": "**fail**", "not_run": "not run"}


def write_evidence(
    folder: Path,
    verdicts: Sequence[Verdict],
    *,
    tolerated: Reasons | None = None,
    known_reasons: Reasons | None = None,
) -> None:
    """Write each raw report, `summary.json` and a matrix to read into `folder`/validation.

    `tolerated` says of a validator, `known_reasons` of a file, why a failure stands.
    """
    place = folder / FOLDER
    for verdict in verdicts:
        if verdict.exit_code is not None or verdict.failures:
            write_json(place / f"{verdict.name}.json", _report(verdict))
    rows = summary(verdicts, tolerated=tolerated, known_reasons=known_reasons)
    write_json(folder / SUMMARY, {"validators": rows})
    write_text(folder / MATRIX, matrix(rows))


def summary(
    verdicts: Sequence[Verdict],
    *,
    tolerated: Reasons | None = None,
    known_reasons: Reasons | None = None,
) -> list[dict[str, Any]]:
    """One row for each validator, target and level."""
    rows = []
    for verdict in verdicts:
        was_run = any(check.status != NOT_RUN for check in verdict.checks)
        for check in verdict.checks:
            rows.append(
                {
                    "name": verdict.name,
                    "version": verdict.version,
                    "target": check.target,
                    "level": check.level,
                    "status": check.status,
                    "reason": check.reason,
                    "n_findings": len(check.findings),
                    "tolerated": _why_it_stands(verdict, check, tolerated, known_reasons),
                    "report": f"{FOLDER}/{verdict.name}.json" if was_run else "",
                    "input_sha256": verdict.input_sha256.get(check.target, ""),
                    "exit_code": verdict.exit_code,
                }
            )
    return rows


def matrix(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as a page: who checked what, at which level, and what came out."""
    lines = [
        "# What independent validators say",
        "",
        "Each ran offline in an environment of its own, pinned by pmcell. They judge structure: "
        "a release can pass them all and still tell wrong facts. `RECOMMENDED` failures are "
        "shown, but do not stop a release. `pmcell validate .` in the folder of the release "
        "runs them again; the reports beside this page are the validators' own.",
        "",
        "| validator | version | target | level | result | first finding, or why not run |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        note = f"tolerated: {row['tolerated']}; " if row["tolerated"] else ""
        cells = [row["name"], row["version"], f"`{row['target']}`", row["level"]]
        cells += [MARKS[row["status"]], note + row["reason"]]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join([*lines, ""])


def failures_as_faults(
    verdicts: Sequence[Verdict],
    *,
    tolerated: Reasons | None = None,
    known_reasons: Reasons | None = None,
) -> list[Fault]:
    """One fault for each finding that breaks a standard and is not tolerated."""
    return [
        _fault(verdict, check, finding)
        for verdict in verdicts
        for check in verdict.failures
        if not _why_it_stands(verdict, check, tolerated, known_reasons)
        for finding in check.findings
    ]


def _why_it_stands(
    verdict: Verdict, check: Check, tolerated: Reasons | None, known_reasons: Reasons | None
) -> str:
    if check.status != FAIL:
        return ""
    return (tolerated or {}).get(verdict.name) or (known_reasons or {}).get(check.target, "")


def _fault(verdict: Verdict, check: Check, finding: Mapping[str, str]) -> Fault:
    where = finding.get("where") or check.target
    file = check.target if where == check.target else f"{check.target} ({where})"
    return Fault(
        file=file,
        must=f"{verdict.name} {verdict.version} must accept it ({check.level or 'at all'})",
        found=finding["message"],
        fix="Supply what is missing, or name the validator with a reason in "
        "release.tolerate_validators.",
        reason="validator",
    )


def _report(verdict: Verdict) -> dict[str, Any]:
    return {
        "validator": verdict.name,
        "version": verdict.version,
        "exit_code": verdict.exit_code,
        "input_sha256": verdict.input_sha256,
        "checks": [
            {
                "target": check.target,
                "level": check.level,
                "status": check.status,
                "findings": list(check.findings),
            }
            for check in verdict.checks
        ],
        "raw": verdict.raw,
    }


def _cell(text: str) -> str:
    line = " ".join(str(text).split()).replace("|", "\\|")
    return line if len(line) <= 300 else line[:299] + "…"
