"""The figures in PRIVACY.md are those of the attacks, run again."""

from __future__ import annotations

from attack_figures import MARKS, table
from repository import ROOT


def test_the_figures_of_the_attacks_are_those_that_are_printed() -> None:
    text = (ROOT / "PRIVACY.md").read_text(encoding="utf-8")
    printed = text.split(MARKS[0])[1].split(MARKS[1])[0].strip()
    assert printed == table(), "write it anew: python tests/attack_figures.py"
