"""What stands where a command writes is replaced only where pmcell made it, and is a file."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pmcell.errors import DataError, UsageError
from pmcell.io import atomic
from pmcell.io.atomic import read_json, write_text
from pmcell.io.outputs import is_dossier, is_package, is_release, refuse_in_release
from pmcell.publish.folder import whole_folder

RELEASE = {"pmcell": "0", "content_sha256": "a", "cohorts": {}}
PACKAGE = {"format": "f", "recipients": {}, "signer": "s", "files": {}}
DOSSIER = {"format": "pmcell-dossier-1", "sha256": {}}


def place(folder: Path, manifest: object) -> Path:
    folder.mkdir()
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("manifest", "kinds"),
    [
        (RELEASE, (True, False, False)),
        (PACKAGE, (False, True, False)),
        (DOSSIER, (False, False, True)),
        ({"name": "An extension of a browser", "version": "1"}, (False, False, False)),
        ([RELEASE], (False, False, False)),
        ("{", (False, False, False)),
        ("[" * 100_000, (False, False, False)),
    ],
)
def test_what_pmcell_wrote_is_known_by_its_manifest(tmp_path, manifest, kinds):
    folder = place(tmp_path / "x", manifest)
    assert (is_release(folder), is_package(folder), is_dossier(folder)) == kinds


def test_a_pipe_that_is_called_like_a_manifest_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    assert not is_release(tmp_path)


def test_nothing_is_written_into_a_release_by_whatever_path(tmp_path):
    release = place(tmp_path / "release", RELEASE)
    (tmp_path / "link").symlink_to(release, target_is_directory=True)
    for where in (release, release / "a" / "b.csv", tmp_path / "link" / "x", release / ".." / "x"):
        if where.name == "x" and ".." in where.parts:
            refuse_in_release(where)
            continue
        with pytest.raises(UsageError, match="--out must not lie in a release"):
            refuse_in_release(where)


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "/dev/null", "/dev/stdout"])
def test_a_device_or_pipe_is_never_replaced(tmp_path, kind):
    target = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(target)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        target.symlink_to(tmp_path / "pipe")
    else:
        target = Path(kind)
    before = os.lstat(target)
    with pytest.raises(UsageError, match="it is a device or pipe"):
        write_text(target, "x")
    assert os.lstat(target)[:3] == before[:3]
    assert not list(tmp_path.glob(".x.*"))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[1]", "7", "\x00"])
def test_a_record_that_is_damaged_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "intake.json").write_text(text)
    with pytest.raises(DataError, match=r"intake.json must be a JSON object.*backup, or remove"):
        read_json(tmp_path / "intake.json")


def test_a_disk_that_syncs_no_folders_takes_files_all_the_same(tmp_path, monkeypatch):
    sync = os.fsync

    def files_only(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_a_release_may_take_the_place_of_empty_folders_and_of_no_others(tmp_path: Path) -> None:
    target = tmp_path / "release"
    (target / "tables").mkdir(parents=True)
    with whole_folder(target) as folder:
        (folder / "made.txt").write_text("made")
    assert (target / "made.txt").read_text() == "made"
    with pytest.raises(UsageError, match="release holds other files"), whole_folder(target):
        pass
    other = tmp_path / "other" / "below"
    other.mkdir(parents=True)
    (other / "theirs.txt").write_text("theirs")
    with pytest.raises(UsageError, match="other holds other files"), whole_folder(other.parent):
        pass
    assert (other / "theirs.txt").read_text() == "theirs"


def test_files_that_belong_together_are_in_place_together_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "b").write_text("before")
    texts = {"last": "1", "a": "2", "b": "3"}
    whole = atomic.write_text

    def full(target, text):
        if Path(target).name == "b":
            raise OSError(errno.ENOSPC, "full", str(target))
        whole(target, text)

    monkeypatch.setattr(atomic, "write_text", full)
    with pytest.raises(OSError, match="full"):
        atomic.write_texts(tmp_path, texts, last="last")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "before"
    monkeypatch.undo()
    placed = []
    move = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (placed.append(Path(b).name), move(a, b)))
    atomic.write_texts(tmp_path, texts, last="last")
    assert {name: (tmp_path / name).read_text() for name in texts} == texts
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(texts)
    assert placed[-1] == "last"


def test_what_cannot_be_written_is_named_as_it_will_be_called(tmp_path):
    with pytest.raises(OSError, match="full") as caught, atomic.atomic_path(tmp_path / "r.html"):
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.filename == str(tmp_path / "r.html")
