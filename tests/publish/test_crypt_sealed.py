"""Sealed packages: only recipients read them, changes are found, no plaintext is left."""

from __future__ import annotations

import io
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from crypt_keys import Keys, make_keys
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.crypt.crypt4gh import CIPHER_SEGMENT, SEGMENT, encrypt_file, open_crypt4gh
from pmcell.io.crypt.keys import SIGNING_KEY, read_recipient, read_signer, read_signing_key
from pmcell.publish.sealed.controlled import write_controlled
from pmcell.publish.sealed.sealed import (
    Sealer,
    archive_name,
    extract,
    package_faults,
    read_manifest,
)
from pmcell.publish.sealed.unsealed import open_controlled

HEADER = 16 + 108


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A recipient's pair, another's, a signer's pair; all marked as test keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def environment(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a steward sets, and that test keys are allowed."""
    monkeypatch.setenv("PMCELL_ALLOW_TEST_KEYS", "1")
    monkeypatch.setenv(SIGNING_KEY, str(keys.signing))


@pytest.fixture
def package(tmp_path: Path, keys: Keys) -> Path:
    """One file of four and a half segments, sealed."""
    plain = tmp_path / "plain.bin"
    plain.write_bytes(np.random.default_rng(1).bytes(4 * SEGMENT + 1000))
    folder = tmp_path / "package"
    folder.mkdir()
    recipients = {"region": read_recipient(keys.public)}
    sealer = Sealer(folder, recipients, read_signing_key(), {"cohort_id": "c"})
    sealer.add(plain, "plain.bin")
    sealer.close()
    return folder


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """`results/controlled` of the small study."""
    from results_folder import make_results

    results = make_results(tmp_path_factory.mktemp("sealed"))
    config = {"seal": {"recipients": {"region": str(keys.public), "escrow": str(keys.other)}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PMCELL_ALLOW_TEST_KEYS", "1")
        patch.setenv(SIGNING_KEY, str(keys.signing))
        assert write_controlled(results, results / "controlled", config=config) == ["closed"]
    return results / "controlled"


def test_any_range_read_through_the_encrypted_file_equals_the_slice_of_the_plaintext(
    tmp_path: Path, keys: Keys
) -> None:
    rng = np.random.default_rng(2)
    data = rng.bytes(3 * SEGMENT + 77)
    (tmp_path / "plain").write_bytes(data)
    encrypt_file(tmp_path / "plain", tmp_path / "cipher", [read_recipient(keys.public)])
    with (tmp_path / "cipher").open("rb") as stream:
        reader = open_crypt4gh(stream, keys.private_bytes)
        assert reader.seek(0, io.SEEK_END) == len(data)
        for offset, length in rng.integers(0, len(data) + 9, (200, 2)):
            reader.seek(int(offset))
            assert reader.read(int(length)) == data[offset : offset + length]


def test_the_reference_implementation_decrypts_what_was_sealed(
    package: Path, keys: Keys, tmp_path: Path
) -> None:
    from crypt4gh.lib import decrypt

    out = io.BytesIO()
    with (package / "plain.bin.c4gh").open("rb") as stream:
        decrypt([(0, keys.private_bytes, None)], stream, out)
    assert out.getvalue() == (tmp_path / "plain.bin").read_bytes()


@pytest.mark.parametrize(
    "tamper", ["flip", "last segment lost", "cut inside", "swapped", "repeated", "header only"]
)
def test_a_changed_order_number_or_content_of_segments_is_refused(
    package: Path, keys: Keys, tmp_path: Path, tamper: str
) -> None:
    path = package / "plain.bin.c4gh"
    raw = path.read_bytes()
    head, body = raw[:HEADER], raw[HEADER:]
    parts = [body[n : n + CIPHER_SEGMENT] for n in range(0, len(body), CIPHER_SEGMENT)]
    changed = {
        "flip": head + body[:5000] + bytes([body[5000] ^ 1]) + body[5001:],
        "last segment lost": head + b"".join(parts[:-1]),
        "cut inside": raw[:-500],
        "swapped": head + b"".join([parts[1], parts[0], *parts[2:]]),
        "repeated": head + b"".join([parts[0], *parts]),
        "header only": head,
    }[tamper]
    path.write_bytes(changed)
    manifest = read_manifest(package, read_signer(keys.signer))
    assert [fault.reason for fault in package_faults(package, manifest)] == ["changed"]
    with pytest.raises(FaultsError, match="other bytes"):
        extract(package, manifest, "plain.bin", keys.private_bytes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_crypt4gh_alone_accepts_what_the_signed_manifest_refuses(
    package: Path, keys: Keys, tmp_path: Path
) -> None:
    from crypt4gh.lib import decrypt

    raw = (package / "plain.bin.c4gh").read_bytes()
    swapped = raw[:HEADER] + raw[HEADER + CIPHER_SEGMENT :][:CIPHER_SEGMENT]
    out = io.BytesIO()
    decrypt([(0, keys.private_bytes, None)], io.BytesIO(swapped), out)
    assert out.getvalue() == (tmp_path / "plain.bin").read_bytes()[SEGMENT : 2 * SEGMENT]


def test_a_manifest_that_was_edited_or_signed_by_another_is_refused(
    package: Path, keys: Keys, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="must be signed by sha256:"):
        read_manifest(package, read_signer(keys.other_signer))
    path = package / "manifest.json"
    value = json.loads(path.read_text())
    value["files"]["plain.bin"]["plaintext_size"] += 1
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match="someone else signed it"):
        read_manifest(package, read_signer(keys.signer))
    path.write_text("{")
    with pytest.raises(DataError, match="must be signed"):
        read_manifest(package, read_signer(keys.signer))


def test_missing_and_unlisted_files_are_all_named(package: Path, keys: Keys) -> None:
    (package / "plain.bin.c4gh").rename(package / "extra.c4gh")
    faults = package_faults(package, read_manifest(package, read_signer(keys.signer)))
    assert sorted((fault.file, fault.reason) for fault in faults) == [
        ("extra.c4gh", "extra"),
        ("plain.bin.c4gh", "missing"),
    ]


def test_cells_open_in_anndata_through_the_encrypted_file(sealed: Path, keys: Keys) -> None:
    package = open_controlled(sealed / "closed", key=keys.private, signer=keys.signer)
    cells = package.cells()
    assert cells.n_obs == len(package.table("cells").query("passes_qc"))
    assert cells.obs["cohort_id"].unique().tolist() == ["closed"]
    assert cells.raw is not None
    assert float(cells.raw.X.sum()) > 0
    assert set(package.table("donors")["cohort_id"]) == {"closed"}
    assert package.table("pseudobulk")["sample_id"].str.startswith("closed:").all()
    assert package.table("assignments")["donor_id"].str.startswith("closed:").all()


def test_each_recipient_opens_the_package_and_a_stranger_does_not(sealed: Path, keys: Keys) -> None:
    other = open_controlled(sealed / "closed", key=keys.other_private, signer=keys.signer)
    assert len(other.table("donors")) == 4
    stranger = open_controlled(sealed / "closed", key=keys.stranger, signer=keys.signer)
    with pytest.raises(DataError, match="encrypted to this key"):
        stranger.cells()


def test_sealing_leaves_no_plaintext_and_no_key_outside_the_cohort(
    sealed: Path, keys: Keys
) -> None:
    results = sealed.parent
    assert not list((results / "cohorts" / "closed").glob(".sealing*"))
    for path in (item for item in sealed.rglob("*") if item.is_file()):
        raw = path.read_bytes()
        plain = (b"closed:D0", b"\x89HDF", b"PAR1", keys.private_bytes)
        assert not [text for text in plain if text in raw]
    names = [path.relative_to(sealed).as_posix() for path in sealed.rglob("*") if path.is_file()]
    assert all(archive_name(name) for name in names)


def test_without_a_signing_key_or_with_wrong_recipients_nothing_is_written(
    results: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"seal": {"recipients": {"region": str(keys.public)}}}
    recipients = {"a": str(keys.private), "b": "nowhere.pub"}
    for more, said in (
        ({"key": "x"}, r"seal\.key: must be a key of seal"),
        ({"cohorts": {"closed": ["nobody"]}}, "'nobody' is none of a, b"),
        ({"cohorts": {"closed": []}}, r"seal\.cohorts\.closed: must list names"),
    ):
        bad = {"seal": {"recipients": recipients, **more}}
        with pytest.raises(UsageError, match=said):
            write_controlled(results, results / "controlled", config=bad)
    with pytest.raises(UsageError, match="2 faults") as caught:
        write_controlled(
            results, results / "controlled", config={"seal": {"recipients": recipients}}
        )
    assert "it is a private key" in str(caught.value)
    with pytest.raises(UsageError, match="must have 'recipients'"):
        write_controlled(results, results / "controlled", config={})
    monkeypatch.delenv(SIGNING_KEY)
    with pytest.raises(UsageError, match="PMCELL_SIGNING_KEY_FILE must name the file"):
        write_controlled(results, results / "controlled", config=good)
    assert not (results / "controlled").exists()


def test_open_key_files_and_test_keys_are_refused(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = tmp_path / "loose.pem"
    loose.write_bytes(keys.signing.read_bytes())
    loose.chmod(0o640)
    monkeypatch.setenv(SIGNING_KEY, str(loose))
    with pytest.raises(UsageError, match="readable by its owner alone"):
        read_signing_key()
    monkeypatch.setenv(SIGNING_KEY, str(keys.signing))
    monkeypatch.delenv("PMCELL_ALLOW_TEST_KEYS")
    with pytest.raises(UsageError, match="marked as a test key"):
        read_signing_key()
    with pytest.raises(UsageError, match="marked as a test key"):
        read_recipient(keys.public)


def test_crypt4gh_never_logs_a_session_key(
    tmp_path: Path, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "plain").write_bytes(os.urandom(10))
    encrypt_file(tmp_path / "plain", tmp_path / "cipher", [read_recipient(keys.public)])
    with (tmp_path / "cipher").open("rb") as stream:
        open_crypt4gh(stream, keys.private_bytes).read()
    assert not [record for record in caplog.records if record.name.startswith("crypt4gh")]


def test_sealing_removes_packages_of_cohorts_that_left_and_nothing_else(
    tmp_path: Path, keys: Keys, package: Path
) -> None:
    from results_folder import make_results

    results = make_results(tmp_path / "study")
    package.rename(results / "withdrawn")
    for name, manifest in {
        "release": '{"pmcell": "0", "content_sha256": "a", "cohorts": {}}',
        "extension": '{"name": "of a browser"}',
    }.items():
        (results / name).mkdir()
        (results / name / "manifest.json").write_text(manifest)
    config = {"seal": {"recipients": {"region": str(keys.public)}}}
    assert write_controlled(results, results, config=config) == ["closed"]
    assert not (results / "withdrawn").exists()
    assert (results / "release" / "manifest.json").is_file()
    assert (results / "extension" / "manifest.json").is_file()


def test_names_that_ega_refuses_are_refused() -> None:
    for name in ("a b.h5ad", "a#.h5ad", "../x", "/x", "a//b", "a:b"):
        with pytest.raises(UsageError, match="a name that EGA accepts"):
            archive_name(name)
    assert archive_name("cells/liu_b1.h5ad") == "cells/liu_b1.h5ad"
