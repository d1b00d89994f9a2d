"""Nothing of anybody else can be read from a dossier, and nobody is found by guessing."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pandas as pd
import pytest

from crypt_keys import Keys, make_keys
from dossier.made_people import (
    ALONE,
    CANARY,
    CLOSED,
    ELSEWHERE,
    HIDDEN,
    PERSON,
    edit,
    make_people,
)
from pmcell.cli import main
from pmcell.dossier import build_dossier, write_dossier
from pmcell.io.crypt.keys import read_recipient, read_signing_key
from pmcell.publish.sealed.sealed import Sealer

WORD = "QQcanaryQQ"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release in which everybody but the person carries canaries, in ids, texts and values."""
    release = make_people(tmp_path_factory.mktemp("planted"))

    def others(frame: pd.DataFrame) -> pd.Series:
        return frame["donor_id"] != PERSON

    def plant(column: str, value: object):
        return lambda frame: frame.assign(**{column: frame[column].mask(others(frame), value)})

    for name in ("visits", "samples"):
        edit(release, name, plant("condition", WORD))
    edit(release, "samples", plant("batch_id", WORD))
    edit(release, "donors", plant("region", WORD))
    edit(release, "assignments", plant("ood_p", CANARY))
    edit(release, "assignments", plant("margin", CANARY))
    edit(release, "donors", plant("self_reported_ethnicity_ontology_term_id", WORD))

    def strange(frame: pd.DataFrame) -> pd.DataFrame:
        """One woman of the group has shares that nobody else has."""
        own = frame["donor_id"] == f"{ELSEWHERE}:F007"
        counts = [137, 1013, 211, 7, 331, 401, 89, 17]
        frame.loc[own, "n_cells"] = counts
        frame.loc[own, "share"] = [n / sum(counts) for n in counts]
        return frame

    edit(release, "composition", strange)
    return release


def written(release: Path, donor: str, out: Path) -> str:
    paths = write_dossier(build_dossier(release, donor, date="2026-11-30"), out)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_no_id_text_or_value_of_another_person_is_in_any_file(
    planted: Path, tmp_path: Path
) -> None:
    text = written(planted, PERSON, tmp_path / "out")
    donors = pd.read_parquet(planted / "tables/donors.parquet")["donor_id"]
    for donor in donors[donors != PERSON]:
        assert donor not in text
        # P2 is also a part of EP28-A3c.
        assert donor == ALONE or donor.split(":")[1] not in text
    assert WORD not in text
    assert f"{CANARY}"[:5] not in text
    # The strange woman has 1,013 of 2,206 memory B cells; nobody else has a fifth as many.
    for share in (1013 / 2206, 17 / 2206, 7 / 2206):
        for digits in (3, 4, 5):
            assert f"{100 * share:.{digits - 1}f}" not in text
    assert "45.9" not in text, "as a share is printed that is not rounded to two digits"
    assert "1013" not in text


def test_the_canaries_would_be_found(planted: Path, tmp_path: Path) -> None:
    text = written(planted, ALONE, tmp_path / "out")
    assert WORD in text, "the canaries of the person of the dossier itself are printed"


def test_changing_one_other_person_changes_no_printed_quantile_by_more_than_their_weight(
    planted: Path, people: Path
) -> None:
    with_strange, without = (build_dossier(release, PERSON) for release in (planted, people))
    pairs = zip(
        sorted(with_strange.shares, key=lambda item: item.cell_type),
        sorted(without.shares, key=lambda item: item.cell_type),
        strict=True,
    )
    for one, other in pairs:
        assert one.group.median == pytest.approx(other.group.median, rel=0.1)
        assert one.group.nine_of_ten.high == pytest.approx(other.group.nine_of_ten.high, rel=0.15)


@pytest.mark.parametrize("near", ["near:P3", "near:p1", "far:F1", "far:F0000", "near:"])
def test_an_id_that_is_not_there_is_refused_without_a_word_on_which_are(
    near: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["patient", near, "--release", str(people), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert code == 2
    assert "Ids of others are not proposed" in said
    for donor in pd.read_parquet(people / "tables/donors.parquet")["donor_id"]:
        assert donor not in said
        assert f"'{donor.split(':')[1]}'" not in said
    assert not (tmp_path / "out").exists()


def test_a_misspelt_cohort_is_answered_for_cohorts_are_no_people(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["patient", "neer:P1", "--release", str(people), "--out", str(tmp_path / "o")])
    assert code == 2
    assert "Did you mean 'near'?" in capsys.readouterr().err


@pytest.mark.parametrize("donor", [HIDDEN, f"{CLOSED}:nobody"])
def test_a_cohort_that_is_not_open_is_refused_alike_for_donors_that_are_there_or_not(
    donor: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["patient", donor, "--release", str(people), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert code == 2
    assert "access to cohort closed is controlled" in said
    assert "--package FOLDER" in said
    assert donor.split(":")[1] not in said


def test_a_row_of_a_closed_cohort_in_a_broken_release_is_refused_too(tmp_path: Path) -> None:
    release = make_people(tmp_path / "release", n_women=12, n_men=0)
    edit(release, "donors", lambda frame: frame.replace({ALONE: HIDDEN}))
    code = main(["patient", HIDDEN, "--release", str(release), "--out", str(tmp_path / "out")])
    assert code == 2
    assert not (tmp_path / "out").exists()


def test_rows_of_a_cohort_that_is_not_open_are_not_compared_with(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=30, n_men=0)
    hide = {f"{ELSEWHERE}:F{n:03d}": f"{CLOSED}:F{n:03d}" for n in range(10)}
    for name in ("donors", "visits", "samples", "composition"):
        edit(release, name, lambda frame: frame.replace(hide))
    edit(
        release,
        "donors",
        lambda frame: frame.assign(cohort_id=frame["donor_id"].str.split(":").str[0]),
    )
    assert build_dossier(release, PERSON).group.n == 20


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def package(keys: Keys, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed package of the closed cohort, as its recipient holds it, with the keys set."""
    monkeypatch.setenv("PMCELL_ALLOW_TEST_KEYS", "1")
    monkeypatch.setenv("PMCELL_SIGNING_KEY_FILE", str(keys.signing))
    monkeypatch.setenv("PMCELL_SIGNER_PUBLIC_KEY_FILE", str(keys.signer))
    monkeypatch.setenv("PMCELL_PRIVATE_KEY_FILE", str(keys.private))
    folder = tmp_path / "package"
    folder.mkdir()
    about = {"cohort_id": CLOSED, "access": "controlled", "release_version": "3"}
    sealer = Sealer(folder, {"me": read_recipient(keys.public)}, read_signing_key(), about)
    plain = make_people(tmp_path / "plain", n_women=12, n_men=0, seed=9)
    rename = {PERSON: HIDDEN, f"{PERSON}_T0": f"{HIDDEN}_T0", f"{PERSON}_T1": f"{HIDDEN}_T1"}
    for path in sorted((plain / "tables").glob("*.parquet")):
        if path.stem != "cohorts":
            edit(plain, path.stem, lambda frame: frame.replace(rename))
        sealer.add(path, f"tables/{path.name}")
    sealer.close()
    return folder


def test_the_recipient_of_a_sealed_package_gets_the_dossier(
    package: Path, people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    call = ["patient", HIDDEN, "--release", str(people), "--package", str(package)]
    assert main([*call, "--out", str(out)]) == 0
    told = build_dossier(people, HIDDEN, package=package)
    assert told.source.access == "controlled"
    assert told.group.n == 130, "compared with the open people of the release alone"
    assert told.states == ()
    assert any("The state of the cells is not compared" in text for text in told.unsaid)
    assert HIDDEN in (out / "dossier.html").read_text()


def test_a_package_of_another_cohort_or_release_is_refused(
    package: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--package", str(package), "--out", str(tmp_path / "out")]
    assert main(["patient", PERSON, "--release", str(people), *base]) == 2
    assert "--package must be of the donor's cohort, near; it is of closed" in (
        capsys.readouterr().err
    )
    later = tmp_path / "later"
    make_people(later, n_women=12, n_men=0)
    manifest = json.loads((later / "manifest.json").read_text())
    (later / "manifest.json").write_text(json.dumps({**manifest, "version": "4"}))
    assert main(["patient", HIDDEN, "--release", str(later), *base]) == 3
    assert "must be of the same run as the release, version 4" in capsys.readouterr().err
    assert main(["patient", f"{CLOSED}:X", "--release", str(people), *base]) == 2
    assert "in the package" in capsys.readouterr().err


def test_a_package_needs_the_recipients_key(
    package: Path, people: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMCELL_PRIVATE_KEY_FILE", str(keys.stranger))
    call = ["patient", HIDDEN, "--release", str(people), "--package", str(package)]
    assert main([*call, "--out", str(tmp_path / "out")]) in (2, 3)
    assert not (tmp_path / "out").exists()


def test_files_are_their_owners_alone(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert main(["patient", PERSON, "--release", str(people), "--out", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert sorted(path.name for path in out.iterdir()) == [
        "dossier.fhir.json",
        "dossier.html",
        "dossier.phenopacket.json",
        "manifest.json",
    ]


def test_without_out_the_folder_lies_where_the_command_runs(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["patient", PERSON, "--release", str(people), "--page-only"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["dossier_near_P1"]
    monkeypatch.chdir(people)
    assert main(["patient", PERSON, "--release", ".", "--page-only"]) == 2


@pytest.mark.parametrize("place", [".", "tables", "new/folder", "tables/../dossier"])
def test_a_dossier_is_not_written_into_a_release(
    place: str, people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(people.rglob("*"))
    out = f"{people}/{place}"
    assert main(["patient", PERSON, "--release", str(people), "--out", out]) == 2
    assert "--out must not lie in" in capsys.readouterr().err
    assert sorted(people.rglob("*")) == before


def test_a_link_into_the_release_is_seen_through(people: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(people)
    out = tmp_path / "link" / "out"
    assert main(["patient", PERSON, "--release", str(people), "--out", str(out)]) == 2
    assert not (people / "out").exists()


def test_a_folder_of_something_else_is_left_as_it_is(people: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["patient", PERSON, "--release", str(people), "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_earlier_dossier_is_replaced_and_a_release_is_not(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["patient", PERSON, "--release", str(people), "--date", "2026-11-30"]
    assert main([*call, "--out", str(out)]) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main([*call, "--out", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    other = make_people(tmp_path / "other", n_women=12, n_men=0)
    before = sorted(other.rglob("*"))
    assert main([*call, "--out", str(other)]) == 2
    assert sorted(other.rglob("*")) == before


def test_a_folder_that_others_can_write_in_is_refused(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    assert main(["patient", PERSON, "--release", str(people), "--out", str(out)]) == 2
    assert list(out.iterdir()) == []
