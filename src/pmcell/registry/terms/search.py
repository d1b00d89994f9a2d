"""Search what may be written into a registration: terms, uses, licences, regions, categories.

Only terms that a column may hold are found. A text that is a term's label, synonym
or usual abbreviation comes first, then names with all its words, then names spelt
alike; of ethnicity, nothing is ever found by likeness of spelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pmcell.errors import UsageError
from pmcell.registry.terms.health_terms import LABELS
from pmcell.registry.terms.ontology import normalise, suggest, terms
from pmcell.registry.terms.regions import find_regions
from pmcell.registry.terms.rules import TERM_RULES, allowed_term, contradicts, spelt_out, term_of
from pmcell.registry.terms.vocabulary import DUO, DUO_CODES, LICENSES, SEXES
from pmcell.spelling import did_you_mean

MIN_SCORE = 0.55
"""Names that are less alike than this are not shown."""
MAX_TEXT = 300
"""No term has a longer name."""
WHOLE_WORDS = 0.8
"""Least score of a name that holds all words of the text."""


@dataclass(frozen=True)
class Found:
    """One thing that may be written: its code, label, where it is used, and how it was found.

    `kind` is the ontology or vocabulary, `used_in` the column or key that takes it, `matched` the
    name that was found, `score` from 0 to 1, `definition` '' where none is shipped.
    """

    code: str
    label: str
    kind: str
    used_in: str
    matched: str
    score: float
    definition: str = ""


def kinds() -> tuple[str, ...]:
    """The vocabularies that are searched."""
    ontologies = dict.fromkeys(rule.ontology for rule in TERM_RULES.values())
    return (*ontologies, "DUO", "SPDX", "region", "health")


def search_terms(text: str, *, n: int = 10, kind: str | None = None) -> list[Found]:
    """What may be written for a text, best first.

    Parameters
    ----------
    text
        A name, synonym, abbreviation or code; of regions a name.
    n
        How many at most.
    kind
        Only of this vocabulary, one of `kinds()`.

    Raises
    ------
    UsageError
        For an empty text, `n` below 1, or a vocabulary that is not searched.

    Examples
    --------
    >>> search_terms("memory B", n=1, kind="CL")[0].label
    'memory B cell'
    """
    if not normalise(text):
        raise UsageError(f"TEXT must hold a letter or digit; got {text[:40]!r}")
    if len(text) > MAX_TEXT:
        raise UsageError(f"TEXT must have at most {MAX_TEXT} letters; got {len(text):,}")
    if n < 1:
        raise UsageError(f"-n must be at least 1, got {n}")
    known = {name.casefold(): name for name in kinds()}
    if kind is not None and kind.casefold() not in known:
        raise UsageError(
            f"--in must be one of {', '.join(kinds())}; got {kind!r}. "
            f"{did_you_mean(kind, kinds())}".strip()
        )
    only = known[kind.casefold()] if kind else None
    found: list[Found] = []
    for column, rule in TERM_RULES.items():
        if only in (None, rule.ontology):
            found += _of_column(text, column)
    if only in (None, "DUO"):
        found += _duo(text)
    if only in (None, "SPDX"):
        found += _plain(text, dict.fromkeys(LICENSES, ""), "SPDX", "license")
    if only in (None, "health"):
        for path, labels in LABELS.items():
            found += _plain(text, labels, "health", path)
    if only in (None, "region"):
        found += [
            Found(region.code, region.name, "region", "region", region.matched, region.score)
            for region in find_regions(text)
        ]
    best: dict[str, Found] = {}
    for item in sorted(found, key=lambda one: (-one.score, one.kind, one.code)):
        best.setdefault(item.code, item)
    return list(best.values())[:n]


def _of_column(text: str, column: str) -> list[Found]:
    rule = TERM_RULES[column]
    if text.strip() in rule.terms or text.strip() in terms(rule.ontology):
        return _by_code(text.strip(), column)
    found: dict[str, Found] = {}
    known = term_of(text, column)
    if known:
        found[known] = _found(known, column, text.strip(), 1.0)
    if not rule.under:
        wanted = set(normalise(text).split())
        for term, label in SEXES.items():
            if term in rule.terms and wanted & set(normalise(label).split()):
                found.setdefault(term, _found(term, column, label, 1.0))
        return list(found.values())
    wanted = set(normalise(text).split())
    words = spelt_out(text, column) or text
    for asked in dict.fromkeys((text, words)):
        for item in suggest(asked, rule.ontology, n=30, alike=rule.by_spelling):
            if not allowed_term(item.term_id, rule) or contradicts(text, item.matched):
                continue
            has_all = wanted <= set(normalise(item.matched).split())
            score = item.score
            if has_all:
                score = max(score, _whole_words(wanted, normalise(item.matched)))
            if score < MIN_SCORE or (not has_all and not rule.by_spelling):
                continue
            before = found.get(item.term_id)
            if before is None or before.score < score:
                found[item.term_id] = _found(item.term_id, column, item.matched, score)
    return list(found.values())


def _whole_words(wanted: set[str], name: str) -> float:
    """The score of a name that holds all words of a text: the fewer others, the more."""
    return WHOLE_WORDS + 0.15 * len(wanted) / max(len(name.split()), len(wanted))


def _by_code(code: str, column: str) -> list[Found]:
    rule = TERM_RULES[column]
    term = terms(rule.ontology).get(code, {})
    if not allowed_term(code, rule) or term.get("deprecated"):
        return []
    return [_found(code, column, code, 1.0)]


def _found(term_id: str, column: str, matched: str, score: float) -> Found:
    prefix = term_id.split(":")[0]
    term = terms("HANCESTRO" if prefix == "AfPO" else prefix).get(term_id, {})
    label = str(term.get("label", term_id))
    definition = " ".join(str(term.get("description") or "").split())
    used_in = "values.cell_type" if column == "cell_type" else column
    return Found(term_id, label, prefix, used_in, matched, round(score, 3), definition)


def _duo(text: str) -> list[Found]:
    by_code = {term: short for short, term in DUO_CODES.items()}
    names = {term: f"{by_code[term]}: {label}" for term, label in DUO.items()}
    found = _plain(text, DUO, "DUO", "data_use")
    exact = DUO_CODES.get(text.strip().upper())
    if exact:
        found = [Found(exact, DUO[exact], "DUO", "data_use", text.strip(), 1.0)]
    return [
        Found(one.code, names[one.code], one.kind, one.used_in, one.matched, one.score)
        for one in found
    ]


def _plain(text: str, labels: Mapping[str, str], kind: str, used_in: str) -> Sequence[Found]:
    """Entries of a short vocabulary whose code or label has all words of the text."""
    wanted = set(normalise(text).split())
    found = []
    for code, label in labels.items():
        is_code = normalise(code) == normalise(text)
        words = set(normalise(label or code).split()) | set(normalise(code).split())
        if is_code or wanted <= words:
            is_same = is_code or (label and normalise(label) == normalise(text))
            score = 1.0 if is_same else _whole_words(wanted, normalise(label or code))
            found.append(Found(code, label or code, kind, used_in, label or code, score))
    return found
