"""The plain half: what the numbers say in words and natural frequencies, for the person.

No percentile, no diagnosis, no advice, no count per volume of blood. A share that counting a
few more cells could carry over an edge is said to be too close to tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pmcell.dossier.model import ABOVE, BELOW, DEVICE, WITHIN, Dossier
from pmcell.dossier.ranges import MIN_NINE_OF_TEN
from pmcell.dossier.unsaid import people_text
from pmcell.limitations import limitation
from pmcell.registry.terms.ontology import is_under
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import AMBIGUOUS, NO_STRATA, NOVEL, TOO_FEW_CELLS

GLOSSES = (
    ("CL:0000980", "plasmablasts make large amounts of antibodies"),
    ("CL:0000236", "B cells make antibodies and remember germs"),
    ("CL:0000084", "T cells find infected cells and direct the defence"),
    ("CL:0000623", "natural killer cells kill infected cells"),
    ("CL:0000576", "monocytes clear up and raise the alarm"),
    ("CL:0000451", "dendritic cells show T cells what to look for"),
    ("CL:0000233", "platelets help blood to clot"),
    ("CL:0000232", "red blood cells carry oxygen"),
    ("CL:0000169", "beta cells make insulin"),
)
"""What kinds of cells do, by the Cell Ontology term above them, the narrower first."""


WHY_NO_GROUP = {
    AMBIGUOUS: "more than one group fits them, or none fits clearly",
    NOVEL: "they are unlike those of each group",
    TOO_FEW_CELLS: "too few of them could be used",
    NO_STRATA: "the people of this collection do not fall into groups",
}
"""Why there is no group, in plain words, by the status of the placement."""
WHY_NOTHING = "too little is known to compare them (page 2 says what)"

MAX_KINDS = 8
"""Kinds of cells that a sentence names."""


@dataclass(frozen=True)
class Finding:
    """A sentence and the kinds of cells that it is about."""

    tone: str
    sentence: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Plain:
    """The texts of the plain half; `answer` is the sentence that comes first."""

    answer: str
    lead: str
    findings: tuple[Finding, ...]
    pictogram: str
    caption: str
    change: tuple[Finding, ...]
    place: str
    cannot: tuple[str, ...]
    glosses: tuple[str, ...]


def plain(dossier: Dossier) -> Plain:
    """The plain half of a dossier."""
    n_told = sum(bool(item.position) for item in dossier.shares)
    drawn = "9 of 10 people like you are inside the range, 1 is outside" if n_told else ""
    return Plain(
        _answer(dossier),
        _lead(dossier),
        tuple(_findings(dossier)),
        drawn,
        _caption(n_told) if n_told else "",
        tuple(_change(dossier)),
        _place(dossier),
        tuple(_cannot(dossier)),
        tuple(_glosses(dossier)),
    )


def _answer(dossier: Dossier) -> str:
    told = [item for item in dossier.shares if item.share is not None and item.position]
    group = dossier.group
    if group.n < group.least:
        return "We cannot say how your cells compare with those of others."
    if not told:
        place = dossier.place
        alike = (
            "" if place.why_not else f" Your cells look most like those of group {place.stratum}."
        )
        return (
            "We cannot say what is usual for people like you: "
            f"{people_text(group.n, group.least)} could be compared with, and we need at least "
            f"{MIN_NINE_OF_TEN}.{alike}"
        )
    more, less = (
        [item.cell_type for item in told if item.is_sure and item.position == where]
        for where in (ABOVE, BELOW)
    )
    n_edge = sum(not item.is_sure and item.position != WITHIN for item in told)
    n_within = len(told) - len(more) - len(less) - n_edge
    usual = "within what 9 of 10 people like you have"
    if n_within == len(told):
        kinds = f"All {n_within} kinds of cells that we could compare are" if n_within > 1 else ""
        return f"{kinds or 'The one kind of cells that we could compare is'} {usual}."
    said = f"Of {len(told)} kinds of cells, {n_within} {'is' if n_within == 1 else 'are'} {usual}."
    outside = [f"more {plural_kinds(more)}"] if more else []
    outside += [f"fewer {plural_kinds(less)}"] if less else []
    if outside:
        said += f" You have {' and '.join(outside)}."
    if n_edge:
        said += f" {n_edge} {'is' if n_edge == 1 else 'are'} too close to the edge to tell."
    return said


def _lead(dossier: Dossier) -> str:
    total = dossier.shares[0].n_cells_visit if dossier.shares else dossier.visit.n_cells
    tissues = sorted({item.tissue for item in dossier.samples if item.tissue != UNKNOWN})
    where = f" of {' and '.join(tissues)}" if tissues else ""
    looked = (
        f"We looked at {total:,} single cells from your sample{where} and sorted them into kinds."
    )
    if dossier.n_cells_unsure:
        looked += f" We are not sure of the exact kind of {dossier.n_cells_unsure:,} of them."
    group = dossier.group
    if group.n < group.least:
        return (
            f"{looked} We cannot compare you with others: {people_text(group.n, group.least)} in "
            "this collection are enough like you."
        )
    return f"{looked} We compared you with {group.n:,} {group.in_words}."


def _findings(dossier: Dossier) -> Iterator[Finding]:
    sure = {BELOW: [], WITHIN: [], ABOVE: []}  # type: dict[str, list[str]]
    edge, few = [], []
    for item in dossier.shares:
        if item.share is None:
            continue
        if not item.position:
            few.append(item.cell_type)
        elif item.is_sure:
            sure[item.position].append(item.cell_type)
        elif item.position != WITHIN:
            edge.append(item.cell_type)
        else:
            sure[WITHIN].append(item.cell_type)
    for where, tone, sentence in (
        (ABOVE, "outside", "You have more than what 9 of 10 people like you have:"),
        (BELOW, "outside", "You have less than what 9 of 10 people like you have:"),
        (WITHIN, "within", "You have about what 9 of 10 people like you have:"),
    ):
        if sure[where]:
            yield Finding(tone, sentence, tuple(sure[where]))
    if edge:
        yield Finding(
            "edge",
            "Just outside what 9 of 10 people like you have, but too close to the edge to tell. "
            "Counting other cells of the same sample could turn it:",
            tuple(edge),
        )
    if few:
        people = people_text(dossier.group.n, dossier.group.least)
        found = "Found" if not dossier.n_cells_unsure else "Most likely"
        yield Finding(
            "few",
            f"Too few people to compare you with: {people}, and we need at least "
            f"{MIN_NINE_OF_TEN} to say what is usual. {found} in your sample:",
            tuple(item.cell_type for item in dossier.shares if item.n_cells and not item.position),
        )


def _caption(n_told: int) -> str:
    usual = max(1, round(n_told / 10))
    kinds = f"{n_told} kinds of cells" if n_told > 1 else "1 kind of cells"
    return (
        "For each kind of cells, 9 of 10 people like you are inside the range and 1 of 10 is "
        f"outside. With {kinds}, a person who is well is outside for about {usual} of them. To be "
        "outside is not an illness."
    )


def _change(dossier: Dossier) -> Iterator[Finding]:
    if not dossier.previous_visit:
        return
    more, less = (
        tuple(
            item.cell_type
            for item in dossier.changes
            if item.is_clear and (item.difference > 0) == is_up
        )
        for is_up in (True, False)
    )
    if more:
        yield Finding("change", "More than at your visit before:", more)
    if less:
        yield Finding("change", "Less than at your visit before:", less)
    judged = any(item.repeats and item.repeats.is_judged for item in dossier.changes)
    if not more and not less:
        chance = "people vary from visit to visit" if judged else "counting other cells can make"
        yield Finding("within", f"No kind of cells changed by more than {chance}.", ())
    elif judged:
        sentence = "This is more than people vary from visit to visit without a cause."
        yield Finding("aside", sentence, ())
    else:
        sentence = (
            "The same person also differs from day to day. How much is not known here, so a "
            "change need not mean anything."
        )
        yield Finding("aside", sentence, ())


def _place(dossier: Dossier) -> str:
    place = dossier.place
    if place.why_not:
        why = WHY_NO_GROUP.get(place.status, WHY_NOTHING)
        return f"We cannot name a group of people whose cells look like yours: {why}."
    people = f", which {place.n_donors:,} people are in" if place.n_donors else ""
    said = (
        "People in this collection fall into groups by their cells. Your cells look most like "
        f"those of group {place.stratum}{people}."
    )
    if place.conformal_set is not None and place.coverage is not None:
        often = natural(place.coverage)
        if place.conformal_set == (place.stratum,):
            left = "We could rule out every other group"
        else:
            left = f"We cannot rule out: {' or '.join(place.conformal_set) or 'none of the groups'}"
        said += (
            f" {left}. For {often} people of this collection the right group is not ruled out in "
            "this way."
        )
    return f"{said} A group is a description, not a diagnosis."


def natural(share: float) -> str:
    """A share as a natural frequency, of 10 where that says it, else of 100.

    >>> natural(0.9), natural(0.95)
    ('9 of 10', '95 of 100')
    """
    tenths = 10 * share
    if abs(tenths - round(tenths)) < 1e-9:
        return f"{round(tenths)} of 10"
    return f"{round(100 * share)} of 100"


def _cannot(dossier: Dossier) -> Iterator[str]:
    if dossier.mode != DEVICE:
        yield limitation("research_use")
    yield (
        "It says which part of the cells in the sample is of which kind. It does not say how many "
        "cells are in your blood."
    )
    if dossier.group.cohorts and dossier.person.cohort_id not in dossier.group.cohorts:
        yield "The others were measured elsewhere. That alone can make a difference."
    yield "Questions? Take both pages to the people who took your sample."


def _glosses(dossier: Dossier) -> Iterator[str]:
    seen: list[str] = []
    for item in dossier.shares:
        if not item.n_cells or item.term == UNKNOWN:
            continue
        text = next((text for term, text in GLOSSES if is_under(item.term, (term,))), "")
        if text and text not in seen:
            seen.append(text)
    yield from sorted(seen, key=[text for _, text in GLOSSES].index)


def _plain_names(kinds: Sequence[str]) -> list[str]:
    """Names of kinds of cells without what only tells experts more, where each stays one's own.

    >>> _plain_names(["CD8-positive, alpha-beta memory T cell", "mature alpha-beta T cell"])
    ['CD8 memory T cell', 'mature T cell']
    >>> _plain_names(["alpha-beta T cell", "T cell"])
    ['alpha-beta T cell', 'T cell']
    """
    plain = [re.sub(r"(-positive,)? ?alpha-beta|thymus-derived ", "", name) for name in kinds]
    plain = [name.strip() for name in plain]
    return [
        short if plain.count(short) == 1 else name for short, name in zip(plain, kinds, strict=True)
    ]


def plural_kinds(kinds: Sequence[str]) -> str:
    """Names of kinds of cells as a list in a sentence, the most common; how many others.

    >>> plural_kinds(["naive B cell", "platelet"])
    'naive B cells, platelets'
    >>> plural_kinds(["platelet"] * 9).endswith("platelets, and 1 rarer kind (page 2)")
    True
    """
    names = _plain_names(kinds)[:MAX_KINDS]
    shown = [name if name.endswith("s") else f"{name}s" for name in names]
    if n_more := len(kinds) - len(shown):
        shown.append(f"and {n_more} rarer kind{'' if n_more == 1 else 's'} (page 2)")
    return ", ".join(shown)
