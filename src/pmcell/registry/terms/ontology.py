"""Ontology terms, offline: the label of an id, and the terms nearest to a text.

Terms are those of the CELLxGENE schema's pinned ontology releases, carried by
the package `cellxgene-ontology-guide`, so pmcell and the validators share one
release. Only the ontologies that are asked for are loaded.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from pmcell.errors import Fault, UsageError
from pmcell.registry.terms.one_by_one import OneByOne
from pmcell.registry.terms.species import SPECIES_NAMES
from pmcell.spelling import MAX_LETTERS, folded

CELLXGENE_SCHEMA = "7.1.0"
"""Version of the CELLxGENE schema whose ontology releases are used."""

MAX_TEXT = 200
"""No label is longer; what follows in a text is not compared."""
MAX_CANDIDATES = 200
"""Names with words in common that are looked at, the best first."""

LOOK_UP = "Look the term up by its label."

_TERM = re.compile(r"([A-Za-z]+):\d+")
_EXTRA = {"AfPO": "HANCESTRO"}
_CURIE = re.compile(r"(?:^|[/#])([A-Za-z]+)[_:](\d+)$")
_PREFIXES = ("AfPO", "CL", "EFO", "HANCESTRO", "HsapDv", "MONDO", "PATO", "UBERON")


@dataclass(frozen=True)
class Suggestion:
    """A term near to a text: id, label, the name that matched, and a score up to 1.0."""

    term_id: str
    label: str
    matched: str
    score: float

    def __str__(self) -> str:
        return f"{self.term_id} {self.label}"


def resolve(term_id: str, ontology: str | None = None) -> str | Fault:
    """The label of a current term, or the `Fault` that says why there is none.

    `ontology` (CL, EFO, MONDO, UBERON, HANCESTRO, HsapDv, PATO) must be the
    term's own when given.

    >>> resolve("CL:0000787")
    'memory B cell'
    """
    match = _TERM.fullmatch(term_id)
    if not match:
        return _fault(term_id, ontology, "must be a term id such as CL:0000236", repr(term_id))
    prefix = _EXTRA.get(match.group(1), match.group(1))
    if ontology is not None and prefix != ontology:
        return _fault(term_id, ontology, f"must be a term of {ontology}", f"{term_id} of {prefix}")
    if term_id in SPECIES_NAMES:
        return SPECIES_NAMES[term_id]
    try:
        term = terms(prefix).get(term_id)
    except UsageError:
        return _fault(term_id, ontology, "must be a term of a known ontology", term_id)
    if term is None:
        near = [other for other in terms(prefix) if _one_digit_apart(other, term_id)][:3]
        shown = "; ".join(f"{other} is {terms(prefix)[other]['label']}" for other in near)
        fix = f"One digit away: {shown}." if near else LOOK_UP
        return Fault(
            "", f"must be a term of {prefix} ({release(prefix)})", term_id, fix, reason="term"
        )
    label = str(term["label"])
    if term.get("deprecated"):
        instead = term.get("replaced_by") or term.get("consider") or "another term"
        found = f"{term_id} ({label}), which is obsolete"
        return Fault("", "must be a current term", found, f"Use {instead}.", reason="term")
    return label


def as_curie(text: str) -> str:
    """A term id written otherwise, as an address or with an underscore, as prefix:number; else ''.

    >>> as_curie("http://www.ebi.ac.uk/efo/EFO_0009922"), as_curie("cl:236"), as_curie("B cell")
    ('EFO:0009922', 'CL:0000236', '')
    """
    match = _CURIE.search(text.strip())
    prefix = next((one for one in _PREFIXES if match and one.lower() == match[1].lower()), "")
    return f"{prefix}:{match[2].zfill(7)}" if match and prefix else ""


@dataclass(frozen=True)
class Described:
    """What an ontology says of a term: label (the id where it is unknown), definition, synonyms."""

    label: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()


def described(term_id: str) -> Described:
    """What is known of a term, an obsolete one too.

    >>> described("CL:0000084").synonyms
    ('T lymphocyte', 'T-cell', 'T-lymphocyte')
    >>> described("XX:1")
    Described(label='XX:1', definition='', synonyms=())
    """
    if term_id in SPECIES_NAMES:
        return Described(SPECIES_NAMES[term_id])
    prefix = term_id.partition(":")[0]
    try:
        term = terms(_EXTRA.get(prefix, prefix)).get(term_id)
    except UsageError:
        term = None
    if term is None:
        return Described(term_id)
    return Described(
        str(term["label"]),
        str(term.get("description") or ""),
        tuple(sorted(set(term.get("synonyms") or ()))),
    )


def in_words(value: str) -> str:
    """A value with the labels of its ontology terms, of which it may have several.

    >>> in_words("PATO:0000384"), in_words("severe"), in_words("MONDO:0005148 || PATO:0000461")
    ('male', 'severe', 'type 2 diabetes mellitus and normal')
    """
    parts = value.split(" || ")
    return " and ".join(described(term).label if ":" in term else term for term in parts)


PART_BONUS, MAX_PART = 0.2, 0.98
"""By how much a name of which all words stand in a text goes before others; below the text."""


def suggest(text: str, ontology: str, n: int = 5, *, alike: bool = True) -> list[Suggestion]:
    """The `n` terms of `ontology` whose label or synonym is nearest to `text`, best first.

    Where not `alike`, only labels with all words of `text` are looked at: no synonym, and none
    that is spelt alike.

    A score of 1.0 means that the label, or 0.99 that a synonym, is the text,
    but for case, punctuation, plural and '+' for '-positive'. Names all of whose words stand in the
    text come before those of which some do not: severe COVID-19 is COVID-19 before long COVID-19.
    """
    index = _index(ontology)
    wanted = normalise(text[:MAX_TEXT])
    if not wanted:
        return []
    best: dict[str, Suggestion] = {}
    ranks: dict[str, float] = {}
    for entry in _candidates(wanted, index):
        name, term_id, is_label = index.names[entry]
        has_all = set(wanted.split()) <= set(index.normalised[entry].split())
        if not alike and not (is_label and has_all):
            continue
        score = difflib.SequenceMatcher(None, wanted, index.normalised[entry]).ratio()
        score = (1.0 if is_label else 0.99) * (
            1.0 if index.normalised[entry] == wanted else 0.9 * score
        )
        is_part = set(index.normalised[entry].split()) < set(wanted.split())
        rank = min(score + PART_BONUS, MAX_PART) if is_part else score
        ranks[term_id] = max(rank, ranks.get(term_id, 0.0))
        if term_id not in best or score > best[term_id].score:
            label = str(terms(ontology)[term_id]["label"])
            best[term_id] = Suggestion(term_id, label, name, score)
    return sorted(best.values(), key=lambda item: (-ranks[item.term_id], item.term_id))[:n]


def exact(text: str, ontology: str, *, alike: bool = True) -> Suggestion | None:
    """The one term with the label `text`, else (if `alike`) synonym; None if none or several."""
    found = [item for item in suggest(text, ontology, n=3, alike=alike) if item.score >= 0.99]
    top = [item for item in found if item.score == found[0].score]
    return top[0] if len(top) == 1 else None


def is_under(term_id: str, ancestors: tuple[str, ...]) -> bool:
    """Whether a term is one of `ancestors` or below one of them."""
    prefix = _EXTRA.get(term_id.split(":")[0], term_id.split(":")[0])
    term = terms(prefix).get(term_id, {})
    above = term.get("ancestors", {})
    return term_id in ancestors or any(ancestor in above for ancestor in ancestors)


@lru_cache(maxsize=16)
def terms(ontology: str) -> Mapping[str, Any]:
    """All terms of an ontology by id; `UsageError` when the schema has no such ontology."""
    if ontology not in _releases():
        raise UsageError(
            "ontology must be one of CL, EFO, HANCESTRO, HsapDv, MONDO, PATO, UBERON; "
            f"got {ontology!r}"
        )
    from pyarrow import input_stream

    path = _data() / f"{ontology}-ontology-{_releases()[ontology]['version']}.json.zst"
    with path.open("rb") as packed, input_stream(packed, compression="zstd") as file:
        return OneByOne(file.read().decode())


def release(ontology: str) -> str:
    """The release of an ontology that is used, for example `CL v2026-03-26`."""
    return f"{ontology} {_releases()[ontology]['version']}"


def normalise(text: str) -> str:
    """Lower case, words only, no plural, '+' and '-' of markers spelt out."""
    text = re.sub(r"(?<=[a-z0-9])\+", "-positive ", folded(text))
    text = re.sub(r"(?<=[a-z0-9])-(?=\s|$)", "-negative ", text)
    words = re.findall(r"[a-z0-9]+", text.replace("'", ""))
    return " ".join(word[:-1] if _is_plural(word) else word for word in words)


@dataclass(frozen=True)
class _Index:
    names: list[tuple[str, str, bool]]
    normalised: list[str]
    by_word: dict[str, list[int]]


@lru_cache(maxsize=16)
def _index(ontology: str) -> _Index:
    """Every label and synonym of the current terms, and in which of them each word stands."""
    names: list[tuple[str, str, bool]] = []
    normalised: list[str] = []
    by_word: dict[str, list[int]] = {}
    for term_id, term in terms(ontology).items():
        if term.get("deprecated"):
            continue
        spoken = [(term["label"], True), *((name, False) for name in term.get("synonyms") or ())]
        for name, is_label in spoken:
            plain = normalise(name)
            for word in set(plain.split()):
                by_word.setdefault(word, []).append(len(names))
            names.append((name, term_id, is_label))
            normalised.append(plain)
    return _Index(names, normalised, by_word)


def _candidates(wanted: str, index: _Index) -> list[int]:
    """Names that share most words with the text, rare words most; else words spelt alike."""
    shared: Counter[int] = Counter()
    for word in set(wanted.split()):
        alike = [word] if word in index.by_word else []
        if not alike and 3 < len(word) <= MAX_LETTERS:
            alike = difflib.get_close_matches(word, index.by_word, n=3, cutoff=0.75)
        for known in alike:
            entries = index.by_word[known]
            weight = max(1, round(1000 / len(entries)))
            for entry in entries:
                shared[entry] += weight
    ranked = sorted(
        shared,
        key=lambda entry: (-shared[entry], abs(len(index.normalised[entry]) - len(wanted)), entry),
    )
    same = [entry for entry in ranked if index.normalised[entry] == wanted]
    return same + ranked[:MAX_CANDIDATES]


@lru_cache(maxsize=1)
def _releases() -> Mapping[str, Any]:
    """What the schema says of each ontology: its version among others."""
    carried = json.loads((_data() / "ontology_info.json").read_text(encoding="utf-8"))
    if CELLXGENE_SCHEMA not in carried:
        raise UsageError(
            "cellxgene-ontology-guide must carry the ontologies of CELLxGENE schema "
            f"{CELLXGENE_SCHEMA}; the installed version does not. Install version 1.11 of it."
        )
    found: Mapping[str, Any] = carried[CELLXGENE_SCHEMA]["ontologies"]
    return found


def _data() -> Traversable:
    import cellxgene_ontology_guide

    return resources.files(cellxgene_ontology_guide) / "data"


def _fault(term_id: str, ontology: str | None, must: str, found: str) -> Fault:
    fix = LOOK_UP
    if ontology is not None and ":" not in term_id:
        near = suggest(term_id, ontology, n=3)
        if near:
            fix = f"Nearest: {'; '.join(str(item) for item in near)}."
    return Fault("", must, found, fix, reason="term")


def _one_digit_apart(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _is_plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
