"""What a file says of its own source: title, DOI, accession, licence and region."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import DOI
from pmcell.registry.draft.columns import is_empty, text
from pmcell.registry.terms.regions import region_of
from pmcell.registry.terms.vocabulary import LICENSES, region_problem

_DOI = re.compile(r"10\.\d{4,9}/[^\s\"“”„«»;,]+")
_ACCESSION = re.compile(
    r"(?<![A-Za-z0-9])(GSE\d{3,}|E-[A-Z]{4}-\d+|EGA[SD]\d{8,}|PRJ(?:NA|EB|DB)\d+|SCP\d{2,}"
    r"|phs\d{6}(?:\.v\d+\.p\d+)?|HRA\d{6}|SRP\d{5,}|ERP\d{5,})(?![A-Za-z0-9])"
)
_REGIONS = ("region", "nuts", "nuts2", "regioncode")
MAX_TITLE = 200


def source_facts(submission: Submission) -> dict[str, tuple[str, str]]:
    """Keys of cohort.yaml that the file answers, each with its value and where it stands.

    A DOI or accession is taken where the file names one only: of several, which is the source is
    a person's to say.
    """
    uns: Mapping[str, str] = submission.detail.get("uns", {})
    found: dict[str, tuple[str, str]] = {}
    for key, pattern in (("source.doi", _DOI), ("source.accession", _ACCESSION)):
        one = _only(uns, pattern)
        if one:
            value, place = one
            value = value.rstrip(".)]}>")
            if key != "source.doi" or re.match(DOI, value):
                found[key] = (value, place)
    for path, value in uns.items():
        name = path.split(".")[-1].lower()
        if name == "title" and "title" not in found and 3 < len(value) <= MAX_TITLE:
            found["title"] = (value, f"uns {path}")
        if name in ("license", "licence") and value in LICENSES:
            found["license"] = (value, f"uns {path}")
    region = _region(submission, uns)
    if region:
        found["region"] = region
    return found


def _only(uns: Mapping[str, str], pattern: re.Pattern[str]) -> tuple[str, str] | None:
    seen = {
        match.group().rstrip(".)]}>"): path
        for path, value in uns.items()
        for match in pattern.finditer(value)
    }
    return (next(iter(seen)), f"uns {next(iter(seen.values()))}") if len(seen) == 1 else None


def _region(submission: Submission, uns: Mapping[str, str]) -> tuple[str, str] | None:
    for value, place in _said_regions(submission, uns):
        code = value if not region_problem(value) else region_of(value)
        if code:
            return code, place
    return None


def _said_regions(submission: Submission, uns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for column in submission.obs.columns:
        if re.sub(r"[^a-z0-9]", "", str(column).lower()) in _REGIONS:
            values = {one.strip() for one in set(text(submission.obs, str(column)).tolist())}
            values = {one for one in values if not is_empty(one)}
            if len(values) == 1:
                yield values.pop(), f"column {str(column)!r}"
    for path, value in uns.items():
        if path.split(".")[-1].lower() in _REGIONS:
            yield value, f"uns {path}"
