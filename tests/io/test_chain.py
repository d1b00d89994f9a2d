"""Chains of records: whatever is done to them behind their back is seen, a crash is not blamed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.crypt import chain as module
from pmcell.io.crypt.chain import append, read_chain
from pmcell.io.crypt.chain_form import digest_of, head_path, pending_path

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NAME = "test"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "records.jsonl"
    append(
        file,
        [{"what": f"n{i}", "text": "é\u2028x"} for i in range(6)],
        chain=NAME,
        key=KEY,
        create=True,
    )
    return file


def verify(path: Path, **options):
    return read_chain(path, chain=NAME, signers=[KEY.public_key()], **options)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_entries_come_back_in_order_and_the_head_counts_them(path: Path) -> None:
    append(path, [{"what": "later"}], chain=NAME, key=KEY)
    found = verify(path)
    assert [entry["what"] for entry in found.entries] == [*(f"n{i}" for i in range(6)), "later"]
    assert found.entries[0]["text"] == "é\u2028x"
    assert found.head.n == 7
    assert not found.was_interrupted


def test_an_empty_chain_is_one_and_can_be_added_to(tmp_path: Path) -> None:
    file = tmp_path / "a" / "records.jsonl"
    append(file, [], chain=NAME, key=KEY, create=True)
    assert verify(file).entries == ()
    append(file, [{"a": 1}], chain=NAME, key=KEY)
    assert verify(file).entries == ({"a": 1},)


def _edit(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"n2", b"n9") for line in lines]


def _edit_last(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b"n5", b"n9")]


def _swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _repeat(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def _insert(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], b'{"entry":{},"prev":"x","seq":4}\n', *lines[3:]]


def _add(lines: list[bytes]) -> list[bytes]:
    prev = digest_of(lines[-1])
    return [*lines, json.dumps({"seq": 7, "prev": prev, "entry": {}}).encode() + b"\n"]


TAMPERED = {
    "an edit": (_edit, "row 4: must follow the record before it", "chain_edited"),
    "an edit of the last record": (_edit_last, "must end with the record", "chain_edited"),
    "a reordering": (_swap, "row 2: must have number 2; found number 3", "chain_reordered"),
    "a repeated record": (_repeat, "row 4: must have a number of its own", "chain_duplicate"),
    "an inserted record": (_insert, "row 4: must follow", "chain_edited"),
    "an added record": (_add, "nobody signed those after row 6", "chain_unsigned"),
    "a removed record": (lambda lines: lines[:2] + lines[3:], "must have number 3", "chain_reo"),
    "a removed first record": (lambda lines: lines[1:], "row 1: must have number 1", "chain_reo"),
    "a cut tail": (lambda lines: lines[:-2], "the last 2 were cut off", "chain_cut"),
    "everything cut": (lambda lines: [], "the last 6 were cut off", "chain_cut"),
    "a tail cut in a line": (lambda lines: [*lines[:-1], lines[-1][:9]], "whole line", "chain_cut"),
    "a lost line end": (lambda lines: [*lines[:-1], lines[-1][:-1]], "whole line", "chain_cut"),
    "something else": (lambda lines: [*lines[:-1], b"[]\n"], "must hold a record", "chain_edited"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_named(path: Path, name: str) -> None:
    change, words, reason = TAMPERED[name]
    path.write_bytes(b"".join(change(lines_of(path))))
    with pytest.raises(FaultsError, match=words) as caught:
        verify(path)
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize("name", ["an added record", "a cut tail", "an edit of the last record"])
def test_nothing_is_added_to_a_chain_whose_end_is_not_the_signed_one(path: Path, name: str) -> None:
    path.write_bytes(b"".join(TAMPERED[name][0](lines_of(path))))
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"must (have the|end with)"):
        append(path, [{}], chain=NAME, key=KEY)
    assert path.read_bytes() == before


def test_any_changed_byte_is_noticed(path: Path) -> None:
    whole, draw = path.read_bytes(), random.Random(7)
    for _ in range(150):
        place = draw.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"records\.jsonl"):
            verify(path)


def test_a_head_of_another_key_chain_or_state_is_refused(path: Path, tmp_path: Path) -> None:
    old = head_path(path).read_text()
    other = tmp_path / "other.jsonl"
    append(other, [{}], chain=NAME, key=OTHER, create=True)
    head_path(path).write_text(head_path(other).read_text())
    with pytest.raises(FaultsError, match="must be signed by"):
        verify(path)
    forged = {**json.loads(old), "n": 5}
    head_path(path).write_text(json.dumps(forged))
    with pytest.raises(FaultsError, match="must be as it was signed"):
        verify(path)
    head_path(path).write_text(old)
    append(path, [{}], chain=NAME, key=KEY)
    head_path(path).write_text(old)
    with pytest.raises(FaultsError, match="nobody signed those after row 6"):
        verify(path)
    head_path(path).unlink()
    with pytest.raises(FaultsError, match="must be there, signed"):
        verify(path)
    with pytest.raises(FaultsError, match="must be the head of 'else'"):
        head_path(path).write_text(old)
        read_chain(path, chain="else", signers=[KEY.public_key()])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"n": 1}', "null", "\x00"])
def test_a_damaged_head_is_a_clear_error(path: Path, text: str) -> None:
    head_path(path).write_text(text)
    with pytest.raises(FaultsError, match="must be the signed head of a chain"):
        verify(path)


def test_an_older_state_put_back_is_noticed_by_a_witness_alone(path: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path, tmp_path / "old")
    witness = append(path, [{}], chain=NAME, key=KEY)
    assert verify(path, witness=witness).head == witness
    append(path, [{}], chain=NAME, key=KEY)
    assert verify(path, witness=witness).head.n == 8
    old = tmp_path / "old" / path.name
    assert verify(old).head.n == 6
    with pytest.raises(FaultsError, match="an older state was put back"):
        verify(old, witness=witness)


def test_a_missing_chain_is_not_begun_anew_by_itself(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is none"):
        append(tmp_path / "none.jsonl", [{}], chain=NAME, key=KEY)
    with pytest.raises(UsageError, match="there is none"):
        verify(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="must not be there yet"):
        append(path, [{}], chain=NAME, key=KEY, create=True)
    path.unlink()
    with pytest.raises(FaultsError, match="its signed head is"):
        verify(path)
    with pytest.raises(DataError, match="must have the"):
        append(path, [{}], chain=NAME, key=KEY)


class Killed(BaseException):
    """Stands for a process that ends here."""


def _kill_at(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """End the next append before the pending file, or after it with some bytes of the lines."""
    if moment == "before":

        def no_pending(target, text):
            raise Killed

        monkeypatch.setattr(module, "write_text", no_pending)
        return

    def finish(path, stream, begun, lines, signed):
        whole = b"".join(lines)
        stream.write(whole[: int(float(moment) * len(whole))])
        stream.flush()
        raise Killed

    monkeypatch.setattr(module, "_finish", finish)


@pytest.mark.parametrize("moment", ["before", "0", "0.1", "0.5", "0.9", "1"])
def test_an_append_that_was_killed_is_whole_or_was_never(path: Path, moment: str) -> None:
    before = verify(path)
    with pytest.MonkeyPatch.context() as patch:
        _kill_at(patch, moment)
        with pytest.raises(Killed):
            append(path, [{"what": "a"}, {"what": "b"}], chain=NAME, key=KEY)
    new = () if moment == "before" else ({"what": "a"}, {"what": "b"})
    torn = path.read_bytes()
    found = verify(path)
    assert found.entries == (*before.entries, *new)
    assert found.was_interrupted == bool(new)
    assert path.read_bytes() == torn
    append(path, [{"what": "c"}], chain=NAME, key=KEY)
    found = verify(path)
    assert found.entries == (*before.entries, *new, {"what": "c"})
    assert not found.was_interrupted
    assert not pending_path(path).exists()


def test_a_tail_that_is_no_part_of_the_pending_append_is_no_crash(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _kill_at(patch, "0.5")
        with pytest.raises(Killed):
            append(path, [{"what": "a"}], chain=NAME, key=KEY)
    torn = path.read_bytes()
    path.write_bytes(torn[:-3] + b"???")
    with pytest.raises(FaultsError, match="must end with a whole line"):
        verify(path)
    with pytest.raises(DataError, match="must have the"):
        append(path, [{}], chain=NAME, key=KEY)
    raw = json.loads(pending_path(path).read_text())
    forged = [line.replace('"a"', '"z"') for line in raw["lines"]]
    pending_path(path).write_text(json.dumps({**raw, "lines": forged}))
    path.write_bytes(torn)
    for call in (lambda: verify(path), lambda: append(path, [{}], chain=NAME, key=KEY)):
        with pytest.raises(FaultsError, match="must hold the lines that its head signs"):
            call()


def test_a_crash_after_the_head_leaves_nothing_to_mend(path: Path) -> None:
    kept, write = {}, module.write_text

    def keep(target, text):
        kept[target] = text
        write(target, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_text", keep)
        append(path, [{"what": "a"}], chain=NAME, key=KEY)
    pending_path(path).write_text(kept[pending_path(path)])
    assert verify(path).head.n == 7
    append(path, [{"what": "b"}], chain=NAME, key=KEY)
    assert [entry["what"] for entry in verify(path).entries[-2:]] == ["a", "b"]


def test_values_that_are_no_json_are_refused_before_anything_is_written(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        append(path, [{"x": float("nan")}], chain=NAME, key=KEY)
    assert path.read_bytes() == before
    assert not pending_path(path).exists()
