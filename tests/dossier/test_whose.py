"""What the step `duplicates` found of a donor of a release is not passed over in the dossier."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dossier.made_people import ELSEWHERE, PERSON, make_people, suspect
from pmcell.cli import main
from pmcell.dossier import build_dossier
from pmcell.dossier.page import render
from pmcell.dossier.whose import doubts_of
from pmcell.errors import DataError
from pmcell.registry.duplicates.find import DOUBTS, SEX_CONFLICT, SHARED_CELLS, TWO_PEOPLE


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_people(tmp_path / "release", n_women=12, n_men=0)


def test_a_donor_with_cells_of_two_people_has_no_dossier(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suspect(release, SEX_CONFLICT, TWO_PEOPLE)
    out = tmp_path / "out"
    assert main(["patient", PERSON, "--release", str(release), "--out", str(out)]) == 3
    assert "321 of the cells are of another person than the rest" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("kind", [SEX_CONFLICT, SHARED_CELLS])
def test_samples_that_may_be_anothers_are_doubted_on_both_pages(release: Path, kind: str) -> None:
    assert "It is not sure that all of these cells are yours" not in render(
        build_dossier(release, PERSON)
    )
    suspect(release, kind)
    dossier = build_dossier(release, PERSON)
    assert dossier.notes[0] == DOUBTS[kind]
    page = render(dossier)
    assert page.count("It is not sure that all of these cells are yours") == 1
    assert f"{ELSEWHERE}:F007" not in page
    with pytest.raises(DataError, match="--mode device needs cells that are surely of the person"):
        doubts_of(pd.read_parquet(release / "tables" / "duplicates.parquet"), "device")


def test_a_donor_of_whom_nothing_was_found_has_no_doubts(release: Path) -> None:
    suspect(release, TWO_PEOPLE)
    assert build_dossier(release, f"{ELSEWHERE}:F000").doubts == ()
