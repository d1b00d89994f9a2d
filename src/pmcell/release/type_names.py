"""Cell types of a release by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.registry.terms.shorthand import words_for
from pmcell.spelling import did_you_mean, folded

if TYPE_CHECKING:
    from pmcell.release.parts import Parts


def find_types(tables: Parts, present: Iterable[str], asked: str | Sequence[str]) -> list[str]:
    """Return the labels of which one name (label, synonym, abbreviation) has all words asked for.

    Of a list of labels each is taken as it stands. `UsageError` where nothing is found.
    """
    labels = list(present)
    if not isinstance(asked, str):
        return _exact(labels, list(asked))
    wanted = set(_words(asked))
    others = _other_names(tables)
    found = []
    for label in labels:
        names = [label, *others.get(label, ())]
        if wanted and any(wanted <= set(_words(name)) for name in names):
            found.append(label)
    if not found:
        near = f"{did_you_mean(asked, labels)} ".lstrip()
        raise UsageError(
            "cell_type must be words of a cell type of the release, such as 'CD8' or 'B cell'; "
            f"got {asked!r}. {near}Types: {', '.join(sorted(labels))}."
        )
    return found


def _exact(labels: Sequence[str], asked: list[str]) -> list[str]:
    unknown = [name for name in asked if name not in labels]
    if unknown or not asked:
        near = f"{did_you_mean(unknown[0], labels)} ".lstrip() if unknown else ""
        found = ", ".join(map(repr, unknown)) or "none"
        raise UsageError(
            f"a list in cell_type must hold labels of cell types of the release; got {found}. "
            f"{near}Types: {', '.join(sorted(labels))}."
        )
    return asked


def _other_names(tables: Parts) -> dict[str, list[str]]:
    """Synonyms and abbreviations of each label; none where an older release has no terms."""
    if "terms" not in tables:
        return {}
    terms = tables["terms"].to_pandas(["term_id", "label", "synonyms"])
    return {
        str(label): [*synonyms, *words_for(str(term_id))]
        for term_id, label, synonyms in terms.itertuples(index=False)
    }


def _words(name: str) -> Iterable[str]:
    """Words in small letters and the singular: 'CD8+ T-cells' is cd8, t, cell.

    What a type is not, or has little of, is one word with its negation: nobody who asks for
    'classical monocyte' means the non-classical ones, or by 'CD4' cells that are CD4-negative.
    """
    text = re.sub(r"\bnon[- ]+(?=[a-z0-9])", "non", folded(name))
    text = re.sub(r"(?<=[a-z0-9])(?:[- ]+neg(?:ative)?\b|-(?=[\s,;/)]|$))", "negative", text)
    text = re.sub(r"(?<=[a-z0-9])[- ]+lo(?:w)?\b", "low", text)
    for word in re.findall(r"[a-z0-9]+", text):
        yield word[:-1] if len(word) > 3 and word.endswith("s") else word
