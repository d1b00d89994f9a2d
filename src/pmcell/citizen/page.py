"""The plain page of a person's package."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pmcell.limitations import RESEARCH_USE

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.citizen.person import Person
    from pmcell.citizen.receipts import Receipts, UseOfData

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "th,td{border:1px solid #bbb;padding:.3rem .6rem;text-align:left}"
)
PLACED = ("visit", "status", "stratum", "probability", "conformal_set")
"""Columns of the table of assignments that the page shows."""
FILES = (
    ("cells.h5ad", "your cells: counts, labels and coordinates (AnnData)"),
    ("tables/", "rows of every table that are about you (Parquet)"),
    ("fhir.json", "you, the make-up of your samples and your consent (FHIR R4)"),
    ("contributions.json", "every result of the study that was made with your cells"),
    ("receipts.json", "who used the data, for what, in which releases, since when"),
)


def page(
    person: Person,
    frames: Mapping[str, pd.DataFrame],
    receipts: Receipts,
    contributions: Sequence[Mapping[str, Any]],
) -> str:
    """Return the page as HTML: no script, nothing loaded from anywhere."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">",
        f"<title>Your data</title><style>{_STYLE}</style></head><body><main>",
        "<h1>Your data in this study</h1>",
        f"<p>You are called {_text(person.donor_id)} here. This package holds all that the study "
        f"keeps of you, and nobody else. {_text(RESEARCH_USE.capitalize())}: nothing in it is a "
        "diagnosis or advice for treatment.</p>",
        "<h2>What is held</h2>",
        _table(("what", "number"), _numbers(person, frames)),
        "<h2>Group</h2>",
        *_strata(frames),
        "<h2>Who used it</h2>",
        *_uses(receipts),
        "<h2>What was made with it</h2>",
        _table(("step", "what"), [(item["step"], item["what"]) for item in contributions]),
        "<h2>Files</h2>",
        _table(("file", "what it is"), FILES),
        "<h2>What you can do</h2>",
        "<p>You can ask the steward of the cohort to correct what is wrong, to narrow what your "
        "data may be used for, or to leave you out. What is left out, and what stays and why, the "
        "receipt of the withdrawal says.</p>",
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _numbers(person: Person, frames: Mapping[str, pd.DataFrame]) -> list[tuple[str, Any]]:
    return [
        ("samples", len(person.samples)),
        ("visits", len(frames["visits"])),
        ("cells", len(person.rows)),
        *((f"rows of {name}", len(frame)) for name, frame in sorted(frames.items()) if len(frame)),
    ]


def _strata(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    rows = frames["assignments"]
    shown = [name for name in PLACED if name in rows]
    if rows.empty:
        return ["<p>You were not placed in a group.</p>"]
    return [
        "<p>Groups of donors were looked for. A group describes the donors at hand; how sure your "
        "place in it is stands beside it.</p>",
        _table(shown, rows[shown].itertuples(index=False)),
    ]


def _uses(receipts: Receipts) -> list[str]:
    parts = [f"<p>{_text(sentence)}</p>" for sentence in receipts.unknown]
    if receipts.uses:
        names = ("who", "role", "for", "under permit", "commands", "times", "since", "until")
        rows = [
            (*_who(use), ", ".join(use.commands), use.n_times, use.since, use.until)
            for use in receipts.uses
        ]
        parts.append(_table(names, rows))
    if receipts.releases:
        keys = {"title": "release", "version": "version", "permit": "permit", "how": "you in it"}
        told = [[item[key] for key in keys] for item in receipts.releases]
        parts.append(_table(tuple(keys.values()), told))
    for item in receipts.packages:
        whom = ", ".join(item["recipients"])
        parts.append(f"<p>Encrypted copies of the cohort were made for: {_text(whom)}.</p>")
    return parts


def _who(use: UseOfData) -> tuple[str, str, str, str]:
    return use.user, use.role, use.purpose, use.permit


def _table(names: Sequence[str], rows: Any) -> str:
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_text(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    if isinstance(value, float):
        value = "–" if math.isnan(value) else f"{value:.3g}"
    return html.escape(str(value))
