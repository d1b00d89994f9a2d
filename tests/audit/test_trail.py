"""Every use is recorded, every change of the record is found, and nobody's name is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pmcell.audit.record import NOT_RECORDED, audited
from pmcell.audit.trail import ROLE, TRAIL, read_trail, unfinished
from pmcell.cli import GROUPS, main
from pmcell.errors import FaultsError
from pmcell.io.crypt.chain_form import head_path
from pmcell.io.crypt.keys import SIGNING_KEY
from pmcell.registry.intake.keyring import add_donors, new_keyring, write_keyring
from pmcell.registry.intake.pseudonyms import KEY_VARIABLE
from pmcell.simulate import simulate
from pmcell.simulate.cohort_folders import write_cohort_folders

CANARIES = ("CANARYdonor7", "CANARYsample7", "CANARYCODE", "CANARYphrase")
"""A donor's id, a sample's, the start of barcodes, and free text of a steward."""


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a trail is kept, and the key that signs it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = tmp_path / "sign.pem"
    raw = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    key.write_bytes(raw)
    key.chmod(0o600)
    path = tmp_path / "private" / "audit.jsonl"
    monkeypatch.setenv(SIGNING_KEY, str(key))
    monkeypatch.setenv(TRAIL, str(path))
    monkeypatch.setenv(ROLE, "steward")
    return path


def use_three_times(tmp_path: Path) -> None:
    for number in range(3):
        assert main(["verify", str(tmp_path / f"none-{number}")]) != 0


def test_a_command_is_recorded_before_and_after(trail: Path, tmp_path: Path) -> None:
    use_three_times(tmp_path)
    records, _ = read_trail(trail)
    assert [record.event for record in records] == ["begin", "end"] * 3
    assert {record.command for record in records} == {"verify"}
    assert {record.role for record in records} == {"steward"}
    assert all(record.exit_code not in (None, 0) for record in records[1::2])
    assert trail.stat().st_mode & 0o077 == 0


def test_a_command_that_was_killed_has_no_end(trail: Path) -> None:
    import argparse

    running = audited("verify", argparse.Namespace(release=Path("x")))
    running.__enter__()
    assert len(unfinished(read_trail(trail)[0])) == 1


def test_a_trail_that_was_ended_before_its_first_entry_begins(trail: Path, tmp_path: Path) -> None:
    trail.parent.mkdir()
    trail.touch()
    use_three_times(tmp_path)
    records, _ = read_trail(trail)
    assert len(records) == 6


def test_without_its_key_nothing_is_run(
    trail: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SIGNING_KEY)
    assert main(["pseudonyms", "new"]) == 2
    assert SIGNING_KEY in capsys.readouterr().err
    assert not trail.exists()


@pytest.mark.parametrize("change", ["edit", "order", "cut", "repeat", "head", "lost"])
def test_every_change_is_found(trail: Path, tmp_path: Path, change: str) -> None:
    use_three_times(tmp_path)
    lines = trail.read_bytes().splitlines(keepends=True)
    head = head_path(trail)
    old_head = head.read_text()
    if change == "edit":
        lines[1] = lines[1].replace(b"steward", b"visitor")
    elif change == "order":
        lines[2], lines[3] = lines[3], lines[2]
    elif change == "cut":
        lines = lines[:-1]
    elif change == "repeat":
        lines.append(lines[-1])
    elif change == "head":
        head.write_text(old_head.replace('"n": 6', '"n": 5'))
    trail.write_bytes(b"".join(lines))
    if change == "lost":
        head.unlink()
    with pytest.raises(FaultsError, match="must"):
        read_trail(trail)
    assert main(["audit", "verify"]) == 3
    assert main(["verify", str(tmp_path)]) != 0
    if change in ("cut", "repeat", "head", "lost"):
        # Nothing more is recorded, and so nothing more is run.
        assert trail.read_bytes() == b"".join(lines)


def test_an_older_state_is_found_by_a_noted_head(trail: Path, tmp_path: Path) -> None:
    use_three_times(tmp_path)
    older = trail.read_bytes(), head_path(trail).read_bytes()
    use_three_times(tmp_path)
    noted = tmp_path / "noted.json"
    noted.write_bytes(head_path(trail).read_bytes())
    assert main(["audit", "verify", "--witness", str(noted)]) == 0
    trail.write_bytes(older[0])
    head_path(trail).write_bytes(older[1])
    assert main(["audit", "verify"]) == 0
    assert main(["audit", "verify", "--witness", str(noted)]) == 3


def test_commands_that_are_not_recorded_exist() -> None:
    names = {name for _, commands in GROUPS for name, _ in commands}
    assert names >= NOT_RECORDED


def canary_cohort(root: Path) -> Path:
    """A controlled cohort whose first donor, sample, barcodes and words are canaries."""
    import anndata as ad

    adata = simulate(
        n_cohorts=1, n_donors=4, cells_per_sample=40, n_genes=300, real_genes=True, seed=2
    )
    folder = write_cohort_folders(adata, root / "config" / "cohorts", access="controlled")[0]
    donors, samples = folder / "donors.tsv", folder / "samples.tsv"
    donor = donors.read_text().splitlines()[1].split("\t")[0]
    sample = next(
        line.split("\t")[0]
        for line in samples.read_text().splitlines()[1:]
        if donor in line.split("\t")
    )
    names = {donor: CANARIES[0], sample: CANARIES[1]}

    def renamed(text: str) -> str:
        return "\t".join(names.get(cell, cell) for cell in text.split("\t"))

    for path in (donors, samples):
        lines = [renamed(line) for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")
    matrix = folder / "counts.h5ad"
    cells = ad.read_h5ad(matrix)
    for column in ("donor_id", "sample_id"):
        if column in cells.obs:
            cells.obs[column] = [names.get(str(value), str(value)) for value in cells.obs[column]]
    cells.obs_names = [f"{CANARIES[2]}{number}" for number in range(cells.n_obs)]
    matrix.unlink()
    cells.write_h5ad(matrix)
    cohort = folder / "cohort.yaml"
    text = cohort.read_text()
    known = text.replace("withdrawal_policy: unknown", f"withdrawal_policy: {CANARIES[3]}")
    cohort.write_text(known)
    return folder


def hdf5_text(path: Path) -> bytes:
    """Names, attributes and values of all that an HDF5 file holds."""
    import h5py

    parts: list[str] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        parts.append(f"{name} {dict(item.attrs)}")
        if isinstance(item, h5py.Dataset):
            value = item[()]
            parts.append(str(value.tolist() if hasattr(value, "tolist") else value))

    with h5py.File(path) as file:
        file.visititems(note)
    return " ".join(parts).encode()


def holders(*folders: Path, words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Files below some folders, h5ad unpacked, that hold one of the words in name or content."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            content = str(path.relative_to(folder)).encode()
            if path.is_file():
                content += path.read_bytes()
            if path.suffix == ".h5ad":
                content += hdf5_text(path)
            if path.suffix == ".parquet":
                import pyarrow.parquet as pq

                content += str(pq.read_table(path).to_pydict()).encode()
            found += [(path.name, word) for word in words if word.encode() in content]
    return found


@pytest.mark.parametrize("broken", [False, True])
def test_no_canary_is_in_what_intake_and_qc_leave(
    trail: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: bool,
) -> None:
    folder = canary_cohort(tmp_path)
    keys = tmp_path / "private" / "keys.json"
    keys.parent.mkdir(exist_ok=True)
    donors = [line.split("\t")[0] for line in (folder / "donors.tsv").read_text().splitlines()[1:]]
    write_keyring(keys, add_donors(new_keyring(), folder.name, donors))
    monkeypatch.setenv(KEY_VARIABLE, str(keys))
    assert [word for _, word in holders(folder, words=CANARIES[:3])], "the canaries must be there"
    if broken:
        # A sample whose donor the sheet of donors does not know.
        lines = (folder / "donors.tsv").read_text().splitlines()
        left = [line for line in lines if CANARIES[0] not in line]
        (folder / "donors.tsv").write_text("\n".join(left) + "\n")
    out = tmp_path / "results" / "cohorts" / folder.name
    code = main(["intake", "--cohort-dir", str(folder), "--out-dir", str(out)])
    assert code == 0
    status = json.loads((out / "intake.json").read_text())["status"]
    assert (status == "quarantined") == broken, status
    command = ["qc", "--counts", str(out / "intake.h5ad"), "--intake", str(out / "intake.json")]
    assert main([*command, "--out-dir", str(out)]) == 0
    assert main(["pseudonyms", "of", folder.name, CANARIES[0]]) == 0
    assert main(["pseudonyms", "of", folder.name, "CANARYphraseX"]) == 2
    donor = f"{folder.name}:{CANARIES[0]}"
    code = main(["receipts", donor, "--results", str(tmp_path / "results")])
    assert code == (2 if broken else 0)
    # The withdrawal policy is the steward's word to the public: it is meant to be read.
    words = CANARIES[:3]
    assert holders(tmp_path / "results", tmp_path / "private", words=words) == []
    printed = capsys.readouterr()
    assert not [word for word in CANARIES if word in printed.out + printed.err]
    records, _ = read_trail(trail)
    assert {record.command for record in records} == {"intake", "qc", "pseudonyms", "receipts"}
    assert {name for record in records for name in record.cohorts} == {folder.name}
    assert any("cohorts/" in name for record in records for name in record.outputs or {})
    taken_in = next(item for item in records if (item.command, item.event) == ("intake", "end"))
    assert "submitted-0" in (taken_in.inputs or {}) or broken
