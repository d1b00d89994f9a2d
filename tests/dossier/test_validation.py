"""Device mode: only with a validation file that the laboratory signed, for this release, today."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crypt_keys import Keys, make_keys
from dossier.made_people import PERSON, edit, make_people
from pmcell.cli import main
from pmcell.cli.person import patient as command
from pmcell.dossier import build_dossier, read_validation, sign_validation
from pmcell.dossier.fhir import fhir_bundle
from pmcell.dossier.page import render
from pmcell.errors import DataError, FaultsError, UsageError

TODAY = date(2026, 11, 30)
DIGEST = "ab" * 32
DOCUMENT: dict[str, Any] = {
    "device": "Cell panel 1",
    "institution": "Hospital laboratory",
    "intended_use": "Monitoring of adults under treatment.",
    "release_content_sha256": DIGEST,
    "valid_from": "2026-01-01",
    "valid_until": "2026-12-31",
    "performance": [{"what": "coverage", "value": 0.95, "low": 0.9, "high": 0.97, "n": 200}],
}
KEY = Ed25519PrivateKey.generate()


def written(folder: Path, **other: Any) -> Path:
    path = folder / "validation.json"
    path.write_text(json.dumps(sign_validation(DOCUMENT | other, KEY)))
    return path


def read(path: Path, *, days: tuple[date, ...] = (TODAY,), key: Any = KEY):
    return read_validation(path, signer=key.public_key(), content_sha256=DIGEST, days=days)


def test_a_signed_file_for_this_release_is_read(tmp_path: Path) -> None:
    told = read(written(tmp_path))
    assert (told.device, told.institution) == ("Cell panel 1", "Hospital laboratory")
    assert told.signer.startswith("sha256:")
    assert (told.claims[0].what, told.claims[0].n) == ("coverage", 200)


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2026, 12, 31)])
def test_it_is_valid_on_its_first_and_its_last_day(day: date, tmp_path: Path) -> None:
    assert read(written(tmp_path), days=(day,)).device == "Cell panel 1"


@pytest.mark.parametrize(
    ("other", "days", "found"),
    [
        ({}, (date(2027, 1, 1),), "it has expired"),
        ({}, (TODAY, date(2027, 1, 1)), "it has expired"),
        ({}, (date(2025, 12, 31),), "must not be after 2025-12-31"),
        ({"release_content_sha256": "cd" * 32}, (TODAY,), "must be that of this release"),
        ({"valid_until": "31.12.2026"}, (TODAY,), "must be a day as YYYY-MM-DD"),
        ({"performance": []}, (TODAY,), "with at least one"),
        ({"performance": [{"what": "x", "value": None}]}, (TODAY,), "must have the numbers"),
        ({"format": "other"}, (TODAY,), "must be pmcell-validation-1"),
        ({"device": " "}, (TODAY,), "device"),
    ],
)
def test_what_is_signed_and_wrong_is_refused(other, days, found, tmp_path: Path) -> None:
    with pytest.raises(FaultsError, match=found):
        read(written(tmp_path, **other), days=days)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, device="", valid_until="2020-01-01", release_content_sha256="x")
    with pytest.raises(FaultsError) as caught:
        read(path)
    assert {fault.column for fault in caught.value.faults} == {
        "device",
        "valid_until",
        "release_content_sha256",
    }


def test_another_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="someone else signed it"):
        read(written(tmp_path), key=Ed25519PrivateKey.generate())


@pytest.mark.parametrize("name", sorted(DOCUMENT))
def test_any_change_after_signing_is_refused(name: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    value = json.loads(path.read_text())
    value[name] = "2030-01-01" if name.startswith("valid") else f"{value[name]}x"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match="was changed"):
        read(path)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", json.dumps(DOCUMENT), '{"signature": 5}', '{"signature": ""}']
)
def test_an_unsigned_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "validation.json"
    path.write_text(text)
    with pytest.raises(DataError, match="must be signed by"):
        read(path)


def test_device_mode_without_validation_is_refused_and_so_is_the_contrary(
    people: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"Article 5\(5\)"):
        build_dossier(people, PERSON, mode="device")
    with pytest.raises(UsageError, match="interprets nothing"):
        build_dossier(people, PERSON, validation=read(written(tmp_path)))
    with pytest.raises(UsageError, match="--mode must be one of research, device; got 'clinic'"):
        build_dossier(people, PERSON, mode="clinic")


def test_device_mode_needs_terms_of_the_cohort_that_name_care(tmp_path: Path) -> None:
    release = make_people(tmp_path / "release", n_women=12, n_men=0)
    terms = {"data_use": [["DUO:0000042"]] * 3}
    edit(release, "cohorts", lambda frame: frame.assign(**terms))
    validation = read(written(tmp_path))
    with pytest.raises(UsageError, match=r"cohort near \(DUO:0000042\) do not name DUO:0000043"):
        build_dossier(release, PERSON, mode="device", validation=validation)
    assert build_dossier(release, PERSON).source.data_use == ("general research use",)


def test_only_device_mode_flags_and_only_against_reference_intervals(
    people: Path, dossier, tmp_path: Path
) -> None:
    assert {item.flag for item in dossier.shares} == {""}
    told = build_dossier(
        people, PERSON, mode="device", validation=read(written(tmp_path)), date="2026-11-30"
    )
    flags = {item.cell_type: item.flag for item in told.shares}
    assert flags["plasmablast"] == "H"
    assert flags["natural killer cell"] == "L"
    assert flags["classical monocyte"] == "N"
    page = render(told)
    assert "In-house device Cell panel 1 of Hospital laboratory" in page
    assert "Research use only" not in page
    codes = [
        item["coding"][0]["code"]
        for entry in fhir_bundle(told)["entry"]
        for item in entry["resource"].get("interpretation", [])
    ]
    assert sorted(codes) == sorted(flags.values())
    assert "interpretation" not in json.dumps(fhir_bundle(dossier))


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv("PMCELL_ALLOW_TEST_KEYS", "1")
    return make_keys(tmp_path)


def test_the_command_holds_the_file_against_release_key_and_day(
    people: Path, keys: Keys, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pmcell.io.crypt.keys import read_signing_key

    monkeypatch.setattr(command, "_today", lambda: TODAY)
    monkeypatch.setenv("PMCELL_SIGNING_KEY_FILE", str(keys.signing))
    path = tmp_path / "validation.json"
    path.write_text(json.dumps(sign_validation(DOCUMENT, read_signing_key())))
    out = tmp_path / "out"
    call = ["patient", PERSON, "--release", str(people), "--out", str(out)]
    device = [*call, "--mode", "device", "--validation", str(path)]
    assert main(device) == 2
    assert "PMCELL_VALIDATOR_PUBLIC_KEY_FILE must name the file" in capsys.readouterr().err
    monkeypatch.setenv("PMCELL_VALIDATOR_PUBLIC_KEY_FILE", str(keys.other_signer))
    assert main(device) == 3
    monkeypatch.setenv("PMCELL_VALIDATOR_PUBLIC_KEY_FILE", str(keys.signer))
    monkeypatch.setattr(command, "_today", lambda: date(2027, 1, 1))
    assert main([*device, "--date", "2026-11-30"]) == 3, "an older date does not revive it"
    assert main([*call, "--validation", str(path)]) == 2
    assert not out.exists()
    monkeypatch.setattr(command, "_today", lambda: TODAY)
    assert main(device) == 0
    assert "In-house device" in (out / "dossier.html").read_text()
