"""What each ontology column may hold: the CELLxGENE schema's rules, and `unknown`.

Source: CELLxGENE schema 7.1.0 (`schema_definition.yaml` of the wheel
cellxgene-schema 7.1.2). pmcell accepts `unknown` in every column; where
CELLxGENE does not, the release says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pmcell.errors import Fault
from pmcell.registry.terms.languages import readings
from pmcell.registry.terms.ontology import (
    LOOK_UP,
    as_curie,
    exact,
    is_under,
    normalise,
    resolve,
    suggest,
)
from pmcell.registry.terms.shorthand import SHORTHAND, SPELT, shorthand
from pmcell.registry.terms.vocabulary import NORMAL, SEXES
from pmcell.schema import UNKNOWN

SEPARATOR = " || "
_OTHER_SPECIES = re.compile(r"\((?:Mmus|sensu (?!Vertebrata|Mammalia)[^)]*)\)")
"""What stands behind the labels of cells that people do not have."""
_NOT = frozenset({"no", "non", "not", "without", "never", "negative"})


@dataclass(frozen=True)
class TermRule:
    """Terms must be of `ontology` and under one of `under` (or among `terms`), not `forbidden`.

    No term below `not_under` is offered, for cohorts are of people. `several` allows more than
    one term, sorted and joined by ' || '. `strict` is where the CELLxGENE schema does not accept
    `unknown`. Where not `by_spelling`,
    a term is offered by its own label only, not by a synonym nor by likeness: a wrong one would
    harm ("White" is a synonym of European American, and a word in every country).
    """

    ontology: str
    under: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    not_under: str = ""
    several: bool = False
    strict: bool = False
    example: str = ""
    by_spelling: bool = True


TERM_RULES: Mapping[str, TermRule] = {
    "assay_ontology_term_id": TermRule(
        "EFO", under=("EFO:0002772", "EFO:0010183"), strict=True, example="EFO:0009922 10x 3' v3"
    ),
    "cell_type": TermRule(
        "CL",
        under=("CL:0000000",),
        forbidden=("CL:0000255", "CL:0000257", "CL:0000548"),
        example="CL:0000236 B cell",
    ),
    "development_stage_ontology_term_id": TermRule(
        "HsapDv", under=("HsapDv:0000001",), example="HsapDv:0000159 65-year-old stage"
    ),
    "disease_ontology_term_id": TermRule(
        "MONDO",
        under=("MONDO:0000001", "MONDO:0021178"),
        terms=(NORMAL,),
        not_under="MONDO:0005583",
        several=True,
        strict=True,
        example="MONDO:0005148 type 2 diabetes mellitus, or PATO:0000461 for healthy",
    ),
    "self_reported_ethnicity_ontology_term_id": TermRule(
        "HANCESTRO",
        under=("HANCESTRO:0601", "HANCESTRO:0602"),
        several=True,
        example="HANCESTRO:0590 European American",
        by_spelling=False,
    ),
    "sex_ontology_term_id": TermRule(
        "PATO", terms=tuple(SEXES), example="PATO:0000383 female, PATO:0000384 male"
    ),
    "tissue_ontology_term_id": TermRule(
        "UBERON", under=("UBERON:0001062",), strict=True, example="UBERON:0000178 blood"
    ),
}


def check_term(
    value: str,
    column: str,
    *,
    file: str,
    row: int | None = None,
    where: str | None = None,
    hint: bool = True,
) -> Fault | None:
    """The fault of a value of an ontology column, or None; `unknown` is no fault.

    Looking for the nearest terms takes long: without `hint` an example stands for them.
    """
    nearest = _nearest if hint else _example
    rule = TERM_RULES[column]
    if value == UNKNOWN:
        return None
    place = where or column

    def fault(must: str, found: str, fix: str) -> Fault:
        return Fault(file, must, found, fix, row=row, column=place, reason="term")

    parts = value.split(SEPARATOR) if rule.several else [value]
    for part in parts:
        if part in rule.terms:
            if len(parts) > 1 and part == NORMAL:
                return fault(
                    "healthy must stand alone", repr(value), f"Use {NORMAL} or the diseases."
                )
            continue
        if not rule.under:
            return fault(
                f"must be one of {', '.join(rule.terms)} or unknown",
                repr(part),
                nearest(part, column),
            )
        label = resolve(part, rule.ontology)
        if isinstance(label, Fault):
            near = label.fix
            if ":" not in part or near == LOOK_UP:
                near = nearest(part, column)
            written = as_curie(part)
            if written not in ("", part) and isinstance(resolve(written, rule.ontology), str):
                near = f"Write {written}."
            together = SEPARATOR.join(sorted(set(re.split(r"\s*[,;|]+\s*", part))))
            if rule.several and together != part and not check_term(together, column, file=file):
                near = f"Write {together}."
            must = label.must
            if must.startswith("must be a term id"):
                must = f"must be a term id such as {rule.example.split(' ')[0]}"
            return fault(f"{must}, or unknown", label.found, near)
        if part in rule.forbidden or not is_under(part, rule.under):
            said = " or ".join(f"{item} {resolve(item)}" for item in rule.under)
            near = nearest(label, column, but=part)
            return fault(f"must be a term under {said}", f"{part} ({label})", near)
    if parts != sorted(set(parts)):
        return fault(
            "terms must be sorted and different", repr(value), SEPARATOR.join(sorted(set(parts)))
        )
    return None


def term_of(text: str, column: str) -> str | None:
    """The one term that `text` is, or is the label, a synonym or a known shorthand of, or None.

    A question mark is a doubt, which a person decides.

    >>> term_of("NK cells", "cell_type"), term_of("2", "sex_ontology_term_id")
    ('CL:0000623', None)
    >>> term_of("NK-Zellen", "cell_type")
    'CL:0000623'
    >>> term_of("PATO:0000384", "sex_ontology_term_id"), term_of("male?", "sex_ontology_term_id")
    ('PATO:0000384', None)
    """
    rule = TERM_RULES[column]
    if "?" in text:
        return None
    if ":" in text and check_term(text.strip(), column, file="", hint=False) is None:
        return text.strip()
    for said in _said(text, column):
        known = SHORTHAND.get(column, {}).get(shorthand(said))
        if known or not rule.under:
            return known
        found = exact(said, rule.ontology, alike=rule.by_spelling)
        if found and allowed_term(found.term_id, rule):
            return found.term_id
    return None


def terms_near(text: str, column: str, n: int = 3) -> list[str]:
    """The terms that the column may hold, nearest to `text` first, as 'id label'."""
    rule = TERM_RULES[column]
    if not rule.under:
        sex = term_of(text, column)
        return [f"{term} {SEXES[term]}" for term in ((sex,) if sex else rule.terms[:2])]
    if not re.search("[a-z]", normalise(text)):
        # A number is a code: what it stands for is in a code book, not in its spelling.
        return []
    words = spelt_out(text, column)
    known = [term_of(text, column), term_of(f"{words} cell", column)]
    found = [
        item.term_id
        for item in suggest(words or text, rule.ontology, n=n * 5, alike=rule.by_spelling)
        if not contradicts(text, item.matched)
    ]
    near = [term for term in dict.fromkeys([*known, *found]) if term and allowed_term(term, rule)]
    return [f"{term} {resolve(term)}" for term in near[:n]]


def spelt_out(text: str, column: str) -> str:
    """The words of a text, abbreviations of cell types written out."""
    words = normalise(text)
    if column == "cell_type":
        words = (readings(words) or [words])[0]
        words = " ".join(SPELT.get(word, word) for word in words.split())
    return words


def _said(text: str, column: str) -> list[str]:
    """A text, and what it may say in English."""
    return [text, *(readings(normalise(text)) if column == "cell_type" else ())]


def contradicts(text: str, name: str) -> bool:
    """Whether a term's name says the opposite of a text, or another number.

    >>> contradicts("non-diabetic", "diabetic cataract"), contradicts("type 1", "type 2 diabetes")
    (True, True)
    >>> contradicts("CD4 T", "CD4-positive, alpha-beta T cell")
    False
    """
    said, named = (normalise(item).split() for item in (text, name))
    if bool(_NOT & set(said)) != bool(_NOT & set(named)):
        return True
    numbers, others = (set(re.findall(r"\d+", " ".join(item))) for item in (said, named))
    return bool(numbers and others) and not numbers & others


def allowed_term(term_id: str, rule: TermRule) -> bool:
    """Whether a column with a rule may hold a term: one of people, not of other species."""
    if term_id in rule.terms:
        return True
    if term_id in rule.forbidden or not is_under(term_id, rule.under):
        return False
    is_of_animals = rule.not_under != "" and is_under(term_id, (rule.not_under,))
    return not (is_of_animals or _OTHER_SPECIES.search(str(resolve(term_id))))


def _nearest(text: str, column: str, but: str = "") -> str:
    if ":" not in text:
        near = [term for term in terms_near(text, column) if not but or not term.startswith(but)]
        if near:
            return f"Nearest: {'; '.join(near)}."
    return _example(text, column)


def _example(text: str, column: str, but: str = "") -> str:
    return f"For example {TERM_RULES[column].example}."
