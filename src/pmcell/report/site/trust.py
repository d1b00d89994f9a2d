"""Whether a release can be trusted: verdicts and checks, a line each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.limitations import RESEARCH_USE, limitation
from pmcell.report import flow
from pmcell.report import strata as verdicts
from pmcell.report.methods import known
from pmcell.report.parts import Cell, Column, Grid, listed, text_cell
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release import ReleaseFolder
    from pmcell.release.report_tables import Release

SUMMARY = "validation/summary.json"
DISCLOSURE = "validation/disclosure.json"
TONES = {"pass": "good", "fail": "bad", "not_run": "open"}
QUESTION = "Do independent validators accept it?"
WORDS = {"pass": "PASS", "fail": "FAIL", "advice": "not met", "not_run": "not run"}


@dataclass(frozen=True)
class Sign:
    """One answer: `tone` is good, bad or open (nobody knows yet); `href` says more.

    `of_validators`: the words differ with the validators that are set up, so the release's
    content digest leaves them out.
    """

    tone: str
    question: str
    answer: str
    more: str
    href: str
    of_validators: bool = False


def validators(folder: ReleaseFolder) -> list[dict[str, Any]]:
    """What independent validators said, from `validation/summary.json`; [] where none ran."""
    found = folder.json(SUMMARY).get("validators")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def signs(folder: ReleaseFolder, release: Release, checks: list[dict[str, Any]]) -> list[Sign]:
    """What a reader must know before using the release, most important first."""
    has_manifest = bool(release.manifest.get("files"))
    return [
        _strata(release),
        _validators(checks),
        _cohorts(release),
        _privacy(release, folder.json(DISCLOSURE)),
        _licences(release),
        Sign(
            "good" if has_manifest else "open",
            "Is it intact?",
            "All files with SHA-256" if has_manifest else "No manifest",
            "pmcell verified the folder before it was put in place, and verifies a copy.",
            "use.html#intact",
            of_validators=True,
        ),
    ]


def _strata(release: Release) -> Sign:
    if verdicts.is_published(release):
        found = plural(len(release["strata"]), "stratum", "strata")
        technical = verdicts.technical_signs(release)
        tone, answer = "open" if technical else "good", found
        more = " ".join(filter(None, [verdicts.confounding(release), technical]))
    else:
        tone, answer, more = "open", "None published", "The axes of variation are, without labels."
    return Sign(tone, "Are there strata of donors?", answer, more, "strata.html")


def _status(item: dict[str, Any]) -> str:
    """`pass`, `fail`, `not_run`, or `advice`: only a recommendation of a standard is not met."""
    status = str(item.get("status"))
    is_advice = status == "fail" and str(item.get("level")).endswith("RECOMMENDED")
    return "advice" if is_advice else status


def _validators(checks: list[dict[str, Any]]) -> Sign:
    counted = Counter(map(_status, checks))
    if counted["not_run"] == len(checks):
        return Sign(
            "open",
            QUESTION,
            "Next step: run them",
            "No validator was set up when this release was written. pmcell validate --set-up "
            "installs the light ones (once, a minute or two); then: pmcell validate .",
            "#validators",
            of_validators=True,
        )
    words = {"pass": "passed", "fail": "failed", "advice": "advise more", "not_run": "not run"}
    parts = [f"{counted[key]} {word}" for key, word in words.items() if counted[key]]
    tone = "bad" if counted["fail"] else "good" if counted["pass"] else "open"
    failed = [str(item.get("name")) for item in checks if _status(item) == "fail"]
    return Sign(
        tone,
        QUESTION,
        f"Checks: {', '.join(parts)}",
        f"Rejected by {listed(failed)}." if failed else "No validator that ran rejected it.",
        "#validators",
        of_validators=True,
    )


def _cohorts(release: Release) -> Sign:
    cohorts = release["cohorts"]
    out = flow.quarantined(release)
    n_in = len(cohorts) - len(out)
    warned = [str(name) for name in cohorts.loc[cohorts["status"] == "warned", "cohort_id"]]
    more = [f"Quarantined: {listed([str(name) for name in out['cohort_id']])}." if len(out) else ""]
    more.append(f"Accepted with a warning: {listed(warned)}." if warned else "")
    return Sign(
        "open" if len(out) or warned else "good",
        "Did every cohort pass?",
        f"{n_in} of {plural(len(cohorts), 'cohort')} accepted",
        " ".join(text for text in more if text) or "Every registered cohort passed its checks.",
        "cohorts.html",
    )


def _privacy(release: Release, gate: dict[str, Any]) -> Sign:
    hidden = [str(name) for name in flow.hidden_cohorts(release)["cohort_id"]]
    more = [
        f"Used, but not published: {listed(hidden)}."
        if hidden
        else "No cohort of restricted access took part."
    ]
    least = release.manifest.get("min_donors")
    if hidden and least:
        more.append(f"Groups of fewer than {least} of their donors are not counted.")
    if gate.get("passed") is True:
        more.append("The disclosure gate passed.")
    more.append(limitation("personal_data"))
    passed = gate.get("passed") is True or not hidden
    href = f"../{DISCLOSURE}" if gate else "cohorts.html"
    return Sign(
        "good" if passed else "open",
        "Whose cells are here?",
        "Open cohorts only",
        " ".join(more),
        href,
    )


def _licences(release: Release) -> Sign:
    cohorts = release["cohorts"]
    used = cohorts[cohorts["status"] != "quarantined"]
    names = sorted({known(value) for value in used["license"]} - {""})
    missing = [str(row.cohort_id) for row in used.itertuples() if not known(row.license)]
    return Sign(
        "open" if missing or not names else "good",
        "May I use it?",
        listed(names) if names else "Licence unknown",
        (
            f"No licence is known for {listed(missing)}: ask the source. "
            if missing
            else "Each cohort keeps its own licence and terms. "
        )
        + f"{RESEARCH_USE.capitalize()}.",
        "use.html#cite",
    )


def validator_grid(checks: list[dict[str, Any]]) -> Grid | None:
    """Validators × what they read, with PASS or FAIL."""
    if not checks:
        return None
    rows = []
    for item in sorted(checks, key=_order):
        status = _status(item)
        report = str(item.get("report") or "")
        safe = report and ":" not in report and not report.startswith(("/", "\\"))
        rows.append(
            (
                text_cell(
                    item.get("name"),
                    note=f"version {item['version']}" if item.get("version") else "",
                ),
                text_cell(item.get("target")),
                text_cell(item.get("level")),
                Cell(WORDS.get(status, status), tone=TONES.get(status, "open")),
                text_cell(item.get("reason")),
                Cell("report", href=f"../{report}") if safe else text_cell(""),
            )
        )
    columns = ("Validator", "Reads", "Level", "Result", "Reason", "Evidence")
    return Grid(
        "What independent validators say",
        tuple(Column(name) for name in columns),
        tuple(rows),
        ("validation/summary.json",),
    )


def _order(item: dict[str, Any]) -> tuple[int, str, str, str]:
    rank = {"fail": 0, "advice": 1, "pass": 2}.get(_status(item), 3)
    return rank, str(item.get("name")), str(item.get("target")), str(item.get("level"))
