"""What nobody could mean who writes an entry today, and is refused though its form is right.

A ledger keeps what was written before, under another release of an ontology or of pmcell; so
these rules hold for what is entered, not for what is read from a ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pmcell.consent.uses import DPV_PURPOSES
from pmcell.registry.terms.ontology import release, terms
from pmcell.registry.terms.vocabulary import DUO_DISEASE_SPECIFIC, DUO_PERMISSIONS

Problem = tuple[str, str, str, str]
"""Column, what must hold, what was found, and the fix."""

FIRST_YEAR = 1970
MAX_YEARS_AHEAD, MAX_YEARS_TO_END = 30, 100
"""Years after that of the record in which an entry may begin to hold, and end."""
NO_END = ("2999", "3000", "9999")
"""Years that registries write for no end."""
CALENDARS = (
    "It is read in the Gregorian calendar, and other calendars count other years: 2026 is 1447 of "
    "the Hijri, 1404 of the Persian, 2569 of the Buddhist and 5786 of the Jewish calendar. Convert "
    "the day."
)
MONDO_ID = re.compile(r"MONDO:\d{7}")
DISEASE_FIX = f"Write for example '{DUO_DISEASE_SPECIFIC} MONDO:0005148'."
_NOBODY = re.compile(
    r"[-–—?*.]+|n\.?/?a\.?|tbd|unknown|unspecified|(everyone|everybody|anyone|anybody|nobody|none)"
    r"|(all|any|every|no)( (one|but|except|others?|parties|partners|recipients|researchers)\b.*)?"
    r"|(not|except|without|ohne|nicht|sans|sauf|behalve|zonder|excepto|salvo|tranne)( .*)?"
    r"|(alle|allen|jeder|jedermann|iedereen|tous|toutes|todos|tutti|wszyscy|všichni)( .*)?"
    r"|niemand|nieman|kein\w*|geen\w*|personne|aucune?|nadie|ningun\w*|ninguém|nessuno|nikt|nikdo"
    r"|ingen|inga|ei kukaan|unbekannt|onbekend|inconnu|desconocido|sconosciuto"
    r"|[!~¬≠#].*|[-–—]\s*\w.*",
    re.IGNORECASE,
)
"""What stands in tables for all, for none or for nothing known, and is no name of a recipient."""


def unclear(
    given: Mapping[str, str], values: Mapping[str, Any], recorded_at: str
) -> Iterator[Problem]:
    """What is written as an entry should be and cannot be meant.

    Parameters
    ----------
    given
        Texts by column.
    values
        Terms of `purposes` and names of `recipients`.
    recorded_at
        When they are entered: its year bounds the years of the entry.

    Examples
    --------
    >>> given = {"effective_from": "1447-09-12", "expires": ""}
    >>> values = {"purposes": ("DUO:0000042",), "recipients": ("anyone", "All of Us")}
    >>> [column for column, *_ in unclear(given, values, "2026-01-01")]
    ['effective_from', 'recipients']
    """
    yield from _other_years(given, int(recorded_at[:4]))
    yield from _unclear_purposes(values["purposes"])
    for name in values["recipients"]:
        if _NOBODY.fullmatch(name):
            fix = (
                "Leave it empty where all may receive data, else write their names; where nobody "
                "may, it is no consent."
            )
            must = "must be names of those who may receive data, or empty for all"
            yield "recipients", must, repr(name[:40]), fix


def _other_years(given: Mapping[str, str], year: int) -> Iterator[Problem]:
    """Days of another calendar: whoever withdrew in 1447 did not withdraw before all consents."""
    for column, last in (("effective_from", MAX_YEARS_AHEAD), ("expires", MAX_YEARS_TO_END)):
        text = given[column]
        if not re.match(r"[0-9]{4}", text) or (column == "expires" and text[:4] in NO_END):
            continue
        if not FIRST_YEAR <= int(text[:4]) <= year + last:
            must = f"must lie in the years {FIRST_YEAR} to {year + last}"
            yield column, must, repr(text[:40]), CALENDARS


def _unclear_purposes(purposes: tuple[str, ...]) -> Iterator[Problem]:
    """A disease that is none, permissions that differ."""
    codes = [code for term in purposes for code in DPV_PURPOSES.get(term, (term.split(" ")[0],))]
    permissions = sorted({code for code in codes if code in DUO_PERMISSIONS})
    if len(permissions) > 1:
        fix = "Write the narrower one, or an entry for each that the person gave."
        must = "must hold one permission: they allow different uses"
        yield "purposes", must, ", ".join(permissions)[:60], fix
    for term in purposes:
        code, _, disease = term.partition(" ")
        is_disease = code == DUO_DISEASE_SPECIFIC and MONDO_ID.fullmatch(disease)
        if is_disease and disease not in terms("MONDO"):
            must = f"must name a disease of {release('MONDO')}"
            yield "purposes", must, repr(term[:60]), DISEASE_FIX
