"""The limits of the method are written down once, and the project's own pages agree with them."""

from __future__ import annotations

import re

import pytest

from pmcell.limitations import LIMITATIONS
from repository import ROOT

WORDS = {
    "research_use": "research use only",
    "personal_data": "single cells stay personal data",
    "descriptive_strata": "strata describe the donors at hand until they are confirmed in others",
    "withdrawal": "withdrawal reaches what the publisher still holds",
    "differencing": "two releases, one before and one after, can reveal who left",
    "thresholds": "thresholds protect tables, not expression vectors",
}
"""How SECURITY.md says each limit that is about protection."""


@pytest.mark.parametrize("key", sorted(WORDS))
def test_security_md_says_each_limit_of_protection(key: str) -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split()).lower()
    assert key in {item.key for item in LIMITATIONS}
    assert WORDS[key] in text


def test_no_page_or_document_spells_a_limit_again() -> None:
    source = ROOT / "src" / "pmcell"
    starts = [re.escape(item.sentence[:44]) for item in LIMITATIONS]
    again = [
        path.relative_to(source).as_posix()
        for folder in ("publish", "report", "release")
        for path in sorted((source / folder).rglob("*.*"))
        if path.suffix in (".py", ".j2")
        and re.search("|".join(starts), " ".join(path.read_text(encoding="utf-8").split()))
    ]
    assert again == []
