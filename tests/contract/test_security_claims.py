"""SECURITY.md names a test beside each thing that it says is protected, and the test is there."""

from __future__ import annotations

import re

from repository import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_claim_names_tests_that_exist():
    table = TEXT.split("## What pmcell protects, and how")[1].split("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row.split("|")[-2])
        assert named, row
        assert not [name for name in named if not (ROOT / name).is_file()], row


def test_every_test_that_the_page_of_attacks_names_exists_and_every_row_has_one_or_a_reason():
    page = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("| open |")]
    assert len(rows) > 35
    for row in rows:
        _, _, shown, reason, _ = row.split("|")
        named = re.findall(r"`(tests/[^`:]+)::(test_[a-z0-9_]+)`", shown)
        assert named or reason.strip(), row
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"
