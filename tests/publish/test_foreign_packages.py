"""A sealed package comes from others: nothing in it is trusted, not even what is rightly signed."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crypt_keys import Keys, make_keys
from pmcell.cli import main
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.crypt.keys import (
    PRIVATE_KEY,
    SIGNER_PUBLIC_KEY,
    SIGNING_KEY,
    key_file,
    read_recipient,
    read_signer,
    read_signing_key,
)
from pmcell.io.crypt.signed_json import sign_document
from pmcell.publish.sealed import sealed
from pmcell.publish.sealed.unsealed import open_controlled

NAMES = ("cells/x.h5ad", "tables/donors.parquet")
ESCAPING = (
    "../escaped",
    "a/../../escaped",
    "/tmp/escaped",
    "",
    ".",
    "..",
    ".ssh/authorized_keys",
    "a/.hidden",
    "~/escaped",
    "a//b",
    "a/",
    "a\\..\\b",
    "a\0b",
    "a\nb",
    "a\u202eb",
    "x" * 250,
    "/".join("abcdefghij"),
)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("foreign-keys"))


@pytest.fixture
def package(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound package of two files, and the environment that opens it."""
    monkeypatch.setenv("PMCELL_ALLOW_TEST_KEYS", "1")
    monkeypatch.setenv(SIGNING_KEY, str(keys.signing))
    monkeypatch.setenv(SIGNER_PUBLIC_KEY, str(keys.signer))
    monkeypatch.setenv(PRIVATE_KEY, str(keys.private))
    folder = tmp_path / "package"
    folder.mkdir()
    about = {"cohort_id": "x", "access": "controlled"}
    sealer = sealed.Sealer(folder, {"me": read_recipient(keys.public)}, read_signing_key(), about)
    for name in NAMES:
        (tmp_path / "plain").write_text(f"plain {name}")
        sealer.add(tmp_path / "plain", name)
    sealer.close()
    return folder


def sign_again(package: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as its signer could, and sign it."""
    path = package / "manifest.json"
    value = json.loads(path.read_text())
    value.pop("signature")
    change(value)
    path.write_text(json.dumps(sign_document(value, read_signing_key())))


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("name", ESCAPING)
@pytest.mark.parametrize("what", [["--check"], ["--out", "out/dir"]])
def test_a_signed_name_that_leads_out_of_the_folder_is_refused(
    package, tmp_path, monkeypatch, capsys, name, what
):
    monkeypatch.chdir(tmp_path)
    sign_again(
        package, lambda m: m["files"].update({name: m["files"].pop("tables/donors.parquet")})
    )
    before = everything(tmp_path)
    assert main(["unseal", str(package), *what]) == 3
    assert "must have names that EGA accepts" in capsys.readouterr().err
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["../x.c4gh", "/x.c4gh", "cells/x.h5ad.c4gh/../../../x", 7, None])
def test_a_signed_place_of_the_encrypted_file_that_is_not_its_own_is_refused(package, keys, name):
    sign_again(package, lambda m: m["files"]["cells/x.h5ad"].update(name=name))
    with pytest.raises(FaultsError, match=r"must be kept as cells/x\.h5ad\.c4gh"):
        sealed.read_manifest(package, read_signer(keys.signer))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("files", []),
        ("files", None),
        ("files", "x"),
        ("files", {"a": []}),
        ("files", {"a": None}),
        ("cohort_id", None),
        ("cohort_id", "../x"),
        ("cohort_id", ["x"]),
        ("recipients", []),
        ("recipients", {"me": 1}),
    ],
)
def test_a_signed_manifest_of_another_shape_is_a_fault(package, capsys, place, value):
    sign_again(package, lambda m: m.update({place: value}))
    assert main(["unseal", str(package), "--check"]) == 3
    said = capsys.readouterr().err
    assert f"manifest.json, column '{place}" in said


@pytest.mark.parametrize("field", ["plaintext_size", "ciphertext_size"])
@pytest.mark.parametrize("value", [-1, "1", None, True, 1.5])
def test_a_signed_size_that_is_none_is_a_fault(package, keys, field, value):
    sign_again(package, lambda m: m["files"]["cells/x.h5ad"].update({field: value}))
    with pytest.raises(FaultsError, match="must be a number of bytes"):
        sealed.read_manifest(package, read_signer(keys.signer))


@pytest.mark.parametrize("value", ["", "0" * 63, "A" * 64, 5, None])
def test_a_signed_digest_that_is_none_is_a_fault(package, keys, value):
    sign_again(package, lambda m: m["files"]["cells/x.h5ad"].update(plaintext_sha256=value))
    with pytest.raises(FaultsError, match="must be a SHA-256 in hexadecimal"):
        sealed.read_manifest(package, read_signer(keys.signer))


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"', "{}", "[" * 100_000, '{"a":' * 50_000])
def test_a_manifest_that_is_no_object_is_not_signed(package, capsys, text):
    (package / "manifest.json").write_text(text)
    assert main(["unseal", str(package), "--check"]) == 3
    assert "must be signed by" in capsys.readouterr().err


def test_a_manifest_of_gigabytes_is_not_read(package, capsys):
    os.truncate(package / "manifest.json", 1 << 32)
    assert main(["unseal", str(package), "--check"]) == 3
    assert "must have at most" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("a", "A"), ("a", "a/b"), ("A/b", "a")])
def test_names_that_a_disk_could_take_for_one_are_refused(package, keys, names):
    def rename(manifest: dict[str, Any]) -> None:
        entry = manifest["files"].popitem()[1]
        manifest["files"] = {name: {**entry, "name": f"{name}.c4gh"} for name in names}

    sign_again(package, rename)
    with pytest.raises(FaultsError, match="no disk takes for the same"):
        sealed.read_manifest(package, read_signer(keys.signer))


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_decrypted_files_are_their_owners_alone(package, tmp_path, mask):
    before = os.umask(mask)
    try:
        assert main(["unseal", str(package), "--out", str(tmp_path / "out")]) == 0
    finally:
        os.umask(before)
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    for name in NAMES:
        assert (tmp_path / "out" / name).read_text() == f"plain {name}"


@pytest.mark.parametrize("there", ["file", "link", "dangling link", "folder", "linked folder"])
def test_nothing_is_written_where_a_name_is_taken(package, tmp_path, capsys, there):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "donors.parquet").write_text("mine")
    target = out / "tables" / "donors.parquet"
    if there == "linked folder":
        target.parent.symlink_to(tmp_path / "mine")
        (tmp_path / "mine" / "donors.parquet").unlink()
    else:
        target.parent.mkdir()
        if there == "file":
            target.write_text("mine")
        elif there == "folder":
            target.mkdir()
        else:
            lost = "nowhere" if there == "dangling link" else "mine/donors.parquet"
            target.symlink_to(tmp_path / lost)
    before = everything(tmp_path)
    assert main(["unseal", str(package), "--out", str(out)]) == 2
    assert "holds tables/donors.parquet. Nothing was written" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_decrypting_twice_into_one_folder_is_refused(package, tmp_path, capsys):
    assert main(["unseal", str(package), "--out", str(tmp_path / "out")]) == 0
    assert main(["unseal", str(package), "--out", str(tmp_path / "out")]) == 2
    assert "Name a new folder" in capsys.readouterr().err


def test_nothing_is_decrypted_into_a_folder_that_others_can_write(package, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    assert main(["unseal", str(package), "--out", str(tmp_path / "out")]) == 2
    assert "you alone can write" in capsys.readouterr().err
    assert not everything(tmp_path / "out")


def test_a_file_of_that_name_that_comes_later_is_not_replaced(package, keys, tmp_path):
    manifest = sealed.read_manifest(package, read_signer(keys.signer))
    (tmp_path / "late").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        sealed.extract(package, manifest, NAMES[0], keys.private_bytes, tmp_path / "late")
    assert (tmp_path / "late").read_text() == "mine"
    assert not list(tmp_path.glob(".late*"))


@pytest.mark.parametrize("kind", ["dangling link", "link to a file", "link to a folder", "pipe"])
@pytest.mark.parametrize("place", ["extra", "cells/extra", "cells/x.h5ad.c4gh"])
def test_what_is_no_file_in_a_package_is_a_fault(package, keys, tmp_path, kind, place):
    path = package / place
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        target = {"dangling link": "nowhere", "link to a file": "f", "link to a folder": "d"}[kind]
        (tmp_path / "f").touch()
        (tmp_path / "d").mkdir()
        path.symlink_to(tmp_path / target)
    faults = sealed.package_faults(package, sealed.read_manifest(package, read_signer(keys.signer)))
    assert [fault.file for fault in faults] == [place]
    assert faults[0].found == ("a device or pipe" if kind == "pipe" else "a link")


def test_a_folder_of_the_package_that_is_a_link_is_a_fault(package, keys, tmp_path):
    (package / "cells").rename(tmp_path / "cells")
    (package / "cells").symlink_to(tmp_path / "cells")
    faults = sealed.package_faults(package, sealed.read_manifest(package, read_signer(keys.signer)))
    assert {(fault.file, fault.reason) for fault in faults} == {
        ("cells", "not_a_file"),
        ("cells/x.h5ad.c4gh", "missing"),
    }


def test_a_file_that_became_a_pipe_after_the_check_is_not_waited_for(package, keys):
    manifest = sealed.read_manifest(package, read_signer(keys.signer))
    (package / "cells" / "x.h5ad.c4gh").unlink()
    os.mkfifo(package / "cells" / "x.h5ad.c4gh")
    with pytest.raises(FaultsError, match="must be a regular file"):
        sealed.open_member(package, manifest, "cells/x.h5ad", keys.private_bytes)


def test_foreign_bytes_in_a_package_are_a_fault_of_the_file(package, keys):
    opened = open_controlled(package, key=keys.private, signer=keys.signer)
    with pytest.raises(DataError, match=r"cells/x\.h5ad of the package must be readable"):
        opened.cells()
    with pytest.raises(DataError, match="donors of the package must be readable"):
        opened.table("donors")


@pytest.mark.parametrize("kind", ["external link", "external storage", "index out of range"])
def test_cells_that_would_lead_out_of_their_file_are_not_read(tmp_path, package, keys, kind):
    import anndata as ad
    import h5py
    import numpy as np
    from scipy import sparse

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(64))
    path = tmp_path / "x.h5ad"
    ad.AnnData(sparse.csr_matrix(np.eye(4, dtype="float32"))).write_h5ad(path)
    with h5py.File(path, "a") as file:
        if kind == "external link":
            file["layers/other"] = h5py.ExternalLink(str(secret), "/")
        elif kind == "external storage":
            external = [(str(secret), 0, 64)]
            file["layers"].create_dataset("other", (4, 4), "float32", external=external)
        else:
            file["X/indices"][1] = 1_000_000
    folder = tmp_path / "hostile"
    folder.mkdir()
    about = {"cohort_id": "x"}
    sealer = sealed.Sealer(folder, {"me": read_recipient(keys.public)}, read_signing_key(), about)
    sealer.add(path, "cells/x.h5ad")
    sealer.close()
    opened = open_controlled(folder, key=keys.private, signer=keys.signer)
    with pytest.raises(DataError, match=r"must lie in the file|must be stored in the|inside its"):
        opened.cells()


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31)])
def test_a_key_whose_secret_everyone_knows_is_no_recipient(tmp_path, point):
    path = tmp_path / "zero.pub"
    body = base64.b64encode(point).decode()
    path.write_text(
        f"-----BEGIN CRYPT4GH PUBLIC KEY-----\n{body}\n-----END CRYPT4GH PUBLIC KEY-----\n"
    )
    with pytest.raises(UsageError, match="everyone knows the secret"):
        read_recipient(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_secret_key_that_another_user_owns_is_refused(tmp_path, keys, monkeypatch):
    from pmcell.registry.intake.pseudonyms import KEY_VARIABLE, load_key

    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    os.chown(path, 23_452, 23_452)
    with pytest.raises(UsageError, match="it belongs to user 23452"):
        key_file(path, "the key", secret=True)
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    with pytest.raises(UsageError, match="it belongs to user 23452"):
        load_key()


def test_a_key_file_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    os.truncate(path, 1 << 32)
    with pytest.raises(UsageError, match="a key file of at most"):
        key_file(path, "the key", secret=True)
