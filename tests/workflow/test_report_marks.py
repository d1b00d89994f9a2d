"""Marks for Snakemake's report: captions that exist, and only files that may leave."""

from __future__ import annotations

import re

from pmcell.bundle import bundle_folder

WORKFLOW = bundle_folder() / "workflow"
RULES = sorted((WORKFLOW / "rules").glob("*.smk"))


def test_every_caption_is_a_file_and_every_file_a_caption() -> None:
    named = {
        (path.parent / found).resolve()
        for path in RULES
        for found in re.findall(r'caption="([^"]+)"', path.read_text(encoding="utf-8"))
    }
    named.add((WORKFLOW / "report" / "workflow.rst").resolve())
    assert named == {path.resolve() for path in (WORKFLOW / "report").iterdir()}


def test_only_files_of_the_release_are_shown_with_category_and_label() -> None:
    marks = [
        mark
        for path in RULES
        for mark in re.findall(r"report\(\n(.*?)\n        \)", path.read_text(), flags=re.DOTALL)
    ]
    assert len(marks) >= 5
    for mark in marks:
        assert re.match(r'\s*update\("results/release/[^"]+"\),\n', mark), mark
        assert "category=" in mark
        assert "labels=" in mark
