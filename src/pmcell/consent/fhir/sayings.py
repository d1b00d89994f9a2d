"""What words and records say against a consent, where its coded parts permit.

Free words are not read for what they allow. But where they take something back, or say that more
stands in them than in the codes, nobody may take the codes for consent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pmcell.consent.entries import instant_of
from pmcell.consent.fhir.codes import OF_DOCUMENT, OPTING
from pmcell.consent.fhir.files import as_list, codings_of
from pmcell.errors import Fault

TAKES_BACK = re.compile(
    r"(?i)withdr[ae]w|revo[kc]|refus|declin|opt(?:ed|ing)?[-_ ]?out|\bdeni(?:ed|al)|\bdeny|"
    r"\bno (?:legal|valid) |\bnot (?:permitted|given|allowed)|wider+uf|abgelehnt"
)
ABOUT_USE = re.compile(r"(?i)consent|research|stud(?:y|ies)|data|einwilligung")
LIMITS = re.compile(r"(?i)\b(?:not|no|non|except|excluding|without|only|but)\b")
IN_WORDS = ("category", "regulatoryBasis", "policyText", "meta", "extension", "policyRule", "scope")
"""Keys of a consent in which words, tags and names of profiles may take it back."""
RECORDS: Mapping[str, Collection[str]] = {
    "Provenance": ("CREATE",),
    "AuditEvent": ("C", "R", "E"),
}
"""Records of what was done with a resource, and what does not change it."""


def words_against(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and words of a consent that take back what its codes permit."""
    text = item.get("text")
    if isinstance(text, Mapping) and text.get("status") == "additional":
        yield "text.status", "additional: the text says more than the codes"
    for key in IN_WORDS:
        for said in texts_in(item.get(key)):
            if TAKES_BACK.search(said):
                yield key, said[:60]
                break


def texts_in(value: Any) -> Iterator[str]:
    """All texts of a value, however deep, with the names of extensions."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)


def records_against(
    resources: Sequence[tuple[str, Mapping[str, Any]]], file: str
) -> Iterator[Fault]:
    """Resources that say of a consent of the file, or of its person, that it holds no more."""
    consents = {
        name
        for url, item in resources
        if item.get("resourceType") == "Consent"
        for name in (url, f"Consent/{item.get('id')}")
        if name
    }
    for row, (_, item) in enumerate(resources, start=1):
        kind = str(item.get("resourceType"))
        if kind in ("Consent", "Patient", "Person"):
            continue
        texts = list(texts_in({key: part for key, part in item.items() if key != "text"}))
        names_one = any(text.partition("/_history/")[0] in consents for text in texts)
        if (names_one and _changes(kind, item)) or _says_no(kind, item, texts):
            must = "must hold nothing beside the consents that takes one of them back"
            fix = "Ask what holds, and export that alone: a consent that is in force, or a denial."
            found = f"{kind}, which says something of a consent"
            yield Fault(file, must, found, fix, row=row, column=kind, reason="consent")


def _changes(kind: str, item: Mapping[str, Any]) -> bool:
    """Whether a resource that names a consent may say that it changed."""
    if kind in RECORDS:
        codes = {str(coding.get("code")) for coding in codings_of(item.get("activity"))}
        codes |= {str(item["action"])} if "action" in item else set()
        return not codes <= set(RECORDS[kind])
    if kind == "List":
        entries = [part for part in as_list(item.get("entry")) if isinstance(part, Mapping)]
        return any(part.get("deleted") or part.get("flag") for part in entries)
    return kind not in OF_DOCUMENT


def _says_no(kind: str, item: Mapping[str, Any], texts: Sequence[str]) -> bool:
    if kind == "QuestionnaireResponse":
        answers = [part for part in _parts(item.get("item")) if "valueBoolean" in part]
        return any(part["valueBoolean"] is False for part in answers)
    if kind in OF_DOCUMENT:
        return False
    takes_back = [text for text in texts if TAKES_BACK.search(text) or text == "OPTOUT"]
    return any(ABOUT_USE.search(text) or text in OPTING for text in takes_back)


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, Mapping):
        yield value
        for item in value.values():
            yield from _parts(item)


def outside_a_life(item: Mapping[str, Any], acted: datetime) -> str:
    """What a patient's record says against an act of that day; nothing where it says none."""
    for key, must in (("birthDate", "born later"), ("deceasedDateTime", "dead by then")):
        text = str(item.get(key) or "")
        text = f"{text}-12-31"[:10] if re.fullmatch(r"\d{4}", text) and key[0] == "d" else text
        try:
            moment = instant_of(text)
        except ValueError:
            continue
        if (moment > acted) if key == "birthDate" else (moment.date() < acted.date()):
            return must
    return ""
