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
    r"\bobject(?:ed|ion)\b|(?:patient|person|subject) objects|"
    r"\bno (?:legal|valid) |\bnot (?:permitted|given|allowed)|"
    r"wider(?:r[iu]e?f|spr[aou])|abgelehnt|zurückgezog|zurückgenomm|"  # German
    r"intrek|ingetrokken|\btrek\b.*\bin\b|geweiger|weiger|bezwaar|"  # Dutch
    r"retir|révoq|\brefus|s'oppose|opposition|"  # French
    r"revo[cg]|rechaz|retirad|retiro\b|recus|rifiut|ritirat|"  # Spanish, Portuguese, Italian
    r"cofn[ię]|odmow|odmów|odvol|odmítn|"  # Polish, Czech
    r"återkall|tilbagekald|tilbagetruk|trukket tilbake|avböj|nekat|nektet|"  # Scandinavian
    r"perut|kieltä|kiellet|"  # Finnish
    r"撤回|拒绝|拒絕|拒否|отозва|отзыв|отказ"
)
"""Words that take something back, in languages of the regions that send data."""
AT_ANY_TIME = re.compile(
    r"(?i)\b(?:can|may (?:be|with|revo|also)|could|if|right to|any ?time|"
    r"kann|können|jederzeit|falls|wenn|recht|kan|kunt|"
    r"wanneer|altijd|peut|pouvez|peuvent|à tout moment|si|droit|puede|podrá|derecho|può|diritto|"
    r"mož|kdyk|kan|när som helst|voi)\b"
)
"""What says that something may be taken back, and not that it was."""
ABOUT_USE = re.compile(
    r"(?i)consent|research|stud(?:y|ies)|data|einwilligung|forschung|studie|toestemming|onderzoek|"
    r"recherche|consentimi|investiga|consens|ricerca|zgod|badan|souhlas|výzkum|samtyck|samtykke|"
    r"forskn|suostumus|tutkimu|同意|研究|согласи|исследован"
)
NO = re.compile(r"(?i)(?:n|no|nein|non|nee|nej|nei|nie|ne|não|ei|нет|否|不|いいえ)")
LIMITS = re.compile(r"(?i)\b(?:not|no|non|except|excluding|without|only|but)\b")
IN_WORDS = (
    *("category", "regulatoryBasis", "policyText", "meta", "extension", "policyRule", "scope"),
    *("sourceAttachment", "identifier"),
)
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
    if isinstance(text, Mapping):
        for said in re.split(r"[.;!?]|<[^>]*>", str(text.get("div"))):
            if TAKES_BACK.search(said) and not AT_ANY_TIME.search(said):
                yield "text.div", said.strip()[:60]
                break
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
    parts = list(_parts([item]))
    if kind == "QuestionnaireResponse":
        return any(map(_is_no, parts))
    if kind in OF_DOCUMENT:
        return False
    takes_back = any(TAKES_BACK.search(text) or text == "OPTOUT" for text in texts)
    is_about = any(ABOUT_USE.search(text) or text in OPTING for text in texts)
    return is_about and (takes_back or any(map(_is_no, parts)))


def _is_no(part: Mapping[str, Any]) -> bool:
    """Whether an answer or a value is no, as a truth, a word or a code."""
    coding = part.get("valueCoding")
    coding = coding if isinstance(coding, Mapping) else {}
    words = (part.get("valueString"), coding.get("code"), coding.get("display"))
    is_word = any(isinstance(word, str) and NO.fullmatch(word.strip()) for word in words)
    return part.get("valueBoolean") is False or is_word


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
