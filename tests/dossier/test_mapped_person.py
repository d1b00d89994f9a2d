"""The dossier of a person who was mapped onto a release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dossier.made_people import PERSON, TYPES
from pmcell.cli import main
from pmcell.dossier import build_mapped_dossier
from pmcell.dossier.page import render
from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_json
from pmcell.io.tables import write_table
from pmcell.release.reference import FILES, reference_digest
from pmcell.schema import mapped as m

COUNTS = dict(zip(TYPES, (100, 50, 200, 2, 300, 178, 0, 150), strict=True)) | {"unknown": 20}
STRATUM = m.StratumAnswer(
    m.ASSIGNED, "", "S2", "S2", {"S1": 0.2, "S2": 0.8}, ("S2",), 0.9, "donors", 0.5, 0.4,
    (m.Driver("state", "platelet", 0.3), m.Driver("state", "plasmablast", -0.1)),
)  # fmt: skip


def visit(name: str, label: str, stratum: m.StratumAnswer = STRATUM) -> m.MappedVisit:
    return m.MappedVisit(
        name, label, "new", (f"{name}_{label}",), m.Quality(1_100, 1_000, {}, 4_000.0),
        m.Labels(900, 80, 20, 5, {}), (m.Surprise("plasmablast", 0.15, 0.0, 0.05, 152),), stratum,
        ("The batch is new.",), 0.1, m.Residual(1.2, 0.3, ()),
    )  # fmt: skip


def document(*visits: m.MappedVisit, version: str = "3") -> m.Mapped:
    return m.Mapped(
        "1.0.0", "0", "research", m.ReferenceUsed("ab", version, "UBERON:0000178", 1, 2, 3),
        (m.MappedFile("x.h5ad", "ab", "X", 1_100, 900, ("2 samples were taken as one person's",)),),
        m.GeneOverlap(1_000, 900, 0.95, ()),
        visits,
        m.UnseenSite(
            "batch", "", ("a", "b"), (1, 1), answered_accuracy=(0.9, 0.97),
            confident_wrong=(0.01, 0.04),
        ),
        (),
    )  # fmt: skip


def composition(*people: tuple[str, str]) -> pd.DataFrame:
    rows = [
        {
            "donor_id": name, "visit": label, "cell_type": kind, "n_cells": n, "n_certain": n,
            "cell_type_ontology_term_id": "unknown" if kind == "unknown" else "CL:0000000",
            "n_possible": n, "share": n / 1_000, "n_donors": 152, "reference_low": None,
            "reference_median": None, "reference_high": None, "p": None,
        }
        for name, label in people
        for kind, n in COUNTS.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    folder = tmp_path / "mapped"
    people = (("new1", "T0"), ("new1", "T1"), ("new2", "T0"))
    write_table(folder / m.COMPOSITION_FILE, composition(*people), m.MAPPED_COMPOSITION)
    write_json(folder / m.FILE, document(*(visit(*item) for item in people)).as_json())
    return folder


def test_a_mapped_person_is_compared_with_the_people_of_the_release(
    mapped: Path, people: Path
) -> None:
    told = build_mapped_dossier(
        people, mapped, "new1", sex="female", age_group="30-39 years", date="2026-11-30"
    )
    assert told.group.n == 130
    by_type = {item.cell_type: item for item in told.shares}
    assert set(by_type) == set(TYPES), "cells without a label are no type"
    assert by_type["plasmablast"].share == 0.15, "and still are of the visit's cells"
    assert by_type["plasmablast"].position == "above"
    assert told.place.stratum == "S2"
    assert told.place.probability == 0.8
    assert [part.cell_type for part in told.place.parts] == ["platelet", "plasmablast"]
    assert told.previous_visit == "T0"
    assert "We are not sure of the exact kind of 100 of them." in render(told)
    said = " ".join((*told.notes, *told.reference_facts, *told.unsaid))
    for text in (
        "900 of the 1,000 genes",
        "No donor of the reference had such a share of plasmablast.",
        "The batch is new.",
        "2 samples were taken as one person's.",
        "0.90 to 0.97 of the labels that were given were right",
        "not matched by suspension: not known of this person",
        "Shares are of the 1,000 cells",
    ):
        assert text in said
    assert "new2" not in render(told)


def test_an_age_band_is_known_without_its_unit_and_a_misspelt_one_is_named(
    mapped: Path, people: Path
) -> None:
    assert (
        build_mapped_dossier(people, mapped, "new1", sex="female", age_group="30-39").group.n == 130
    )
    with pytest.raises(UsageError, match="an age band of the release: 30-39 years; got '30 to 39'"):
        build_mapped_dossier(people, mapped, "new1", age_group="30 to 39")


def test_a_set_of_one_group_is_said_as_what_was_ruled_out(mapped: Path, people: Path) -> None:
    page = render(build_mapped_dossier(people, mapped, "new1"))
    assert "We could rule out every other group. For 9 of 10 people" in page
    assert "We cannot rule out: S2" not in page


def test_without_sex_and_age_the_group_is_wider_and_says_so(mapped: Path, people: Path) -> None:
    told = build_mapped_dossier(people, mapped, "new1")
    assert told.group.n == 151
    assert "The group is not matched by sex: not known of this person." in told.unsaid


def test_a_person_who_cannot_be_placed_is_told_why(people: Path, tmp_path: Path) -> None:
    why = "the site is new and has 1 sample, 5 are needed"
    answer = replace(STRATUM, status=m.NOT_PLACED, why=why, stratum=None)
    folder = tmp_path / "mapped"
    write_table(folder / m.COMPOSITION_FILE, composition(("new1", "T0")), m.MAPPED_COMPOSITION)
    write_json(folder / m.FILE, document(visit("new1", "T0", answer)).as_json())
    told = build_mapped_dossier(people, folder, "new1")
    assert told.place.stratum == ""
    assert f"No stratum is given: {why}." in told.unsaid
    plain_half = render(told).split('id="technical"')[0]
    assert "whose cells look like yours: too little is known to compare them" in plain_half
    assert why not in plain_half, "reasons for experts stand on the other page"
    assert told.place.probability is None


def test_cells_of_two_people_are_no_persons_dossier(people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mapped"
    write_table(folder / m.COMPOSITION_FILE, composition(("new1", "T0")), m.MAPPED_COMPOSITION)
    mixed = replace(visit("new1", "T0"), n_cells_of_another=1_234)
    write_json(folder / m.FILE, document(mixed).as_json())
    with pytest.raises(DataError, match="1,234 of the cells at visit 'T0' are of another person"):
        build_mapped_dossier(people, folder, "new1")


def test_the_command_writes_it_and_refuses_what_does_not_fit(
    mapped: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["patient", "new1", "--release", str(people), "--mapped", str(mapped)]
    assert main([*call, "--out", str(out), "--sex", "female"]) == 0
    assert "new1" in (out / "dossier.html").read_text()
    assert "new2" not in "".join(path.read_text() for path in out.iterdir())
    other = [*call, "--out", str(tmp_path / "other")]
    capsys.readouterr()
    assert main([*other, "--sex", "woman"]) == 2
    assert "--sex must be one of female, male" in capsys.readouterr().err
    assert main([*other, "--package", str(mapped)]) == 2
    assert main([*other, "--visit", "T5"]) == 2
    call[1] = "new"
    assert main([*call, "--out", str(tmp_path / "other")]) == 2
    said = capsys.readouterr().err
    assert "Ids of others are not proposed" in said
    assert "new2" not in said
    assert not (tmp_path / "other").exists()


def test_a_mapping_onto_another_release_is_refused(
    mapped: Path, people: Path, tmp_path: Path
) -> None:
    write_json(mapped / m.FILE, document(visit("new1", "T0"), version="2").as_json())
    with pytest.raises(UsageError, match="version 3; it is of version 2"):
        build_mapped_dossier(people, mapped, "new1")


@pytest.mark.parametrize(("text", "code"), [("{", 3), ("[]", 3), ('{"visits": 3}', 3), (None, 2)])
def test_a_broken_mapping_is_refused_without_a_traceback(
    text, code, mapped: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        (mapped / m.FILE).unlink()
    else:
        (mapped / m.FILE).write_text(text)
    call = ["patient", PERSON, "--release", str(people), "--mapped", str(mapped)]
    assert main([*call, "--out", str(tmp_path / "out")]) == code
    assert capsys.readouterr().err.startswith("pmcell patient: ")


def test_a_mapping_onto_another_reference_of_the_same_version_is_refused(
    mapped: Path, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: {"sha256": "0" * 64} for name in FILES}
    digest = reference_digest({"files": files})
    assert len(digest) == 64
    monkeypatch.setattr("pmcell.dossier.mapped.reference_digest", lambda _: digest)
    with pytest.raises(UsageError, match=f"digest {digest[:12]}; it is of ab"):
        build_mapped_dossier(people, mapped, "new1")
