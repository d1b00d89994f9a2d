"""Programmes that are endless, nested or of wrong types: a fault with its line, in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmcell.registry.cohorts.programmes import MAX_VALUES, read_programme
from pmcell.settings import yaml_lines
from pmcell.settings.yaml_lines import read_document

HEAD = "id: p\ntitle: t\ndescription: d\ndisease_ontology_term_ids: [MONDO:0005148]\n"


def faults_of(tmp_path: Path, text: str | bytes):
    path = tmp_path / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    programme, faults = read_programme(path, look_up=True)
    assert programme is None or not faults
    assert {fault.file for fault in faults} <= {"p.yaml"}
    return faults


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "alias that stands for so many"),
        ("a: " + "[" * 100_000, "brackets within brackets"),
        ("a: " + "[" * 101 + "]" * 101, "brackets within brackets"),
        ("{a: " * 100_000, "brackets within brackets"),
        ("".join(f"k{at}: 1\n" for at in range(60_000)), "more than 10,000 values"),
        (HEAD.replace("[", "[" + "MONDO:0005148, " * 9_000), "must name each once"),
        (HEAD + "title: again\n", "line 2 has it too"),
        (HEAD + "variables: 7\n", "variables"),
        (HEAD + "contrasts: []\n", "contrasts"),
        (HEAD + "signatures: {S: {title: t, source: d, genes: [NO1GENE]}}\n", "signatures"),
        ("- id: p\n", "keys and values"),
        ("", "must have id"),
        ("a: !!python/object/apply:os.system [id]\n", "YAML tag"),
        (HEAD.encode("utf-16"), "UTF-8"),
        (b"\0" * 50, "valid YAML"),
        (HEAD + "x: 1\n" * 300_000, "at most 1,000,000 bytes"),
    ],
)
def test_what_is_no_programme_is_named(tmp_path, text, said):
    faults = faults_of(tmp_path, text)
    assert said in "\n".join(map(str, faults))
    assert all(fault.fix for fault in faults)
    assert len(faults) < 100


def test_endless_kinds_of_faults_are_gathered(tmp_path):
    genes = ", ".join(f"NO{at}GENE" for at in range(5_000))
    text = f"{HEAD}signatures:\n  s: {{title: t, source: d, genes: [{genes}]}}\n"
    programme, faults = read_programme_of(tmp_path, text)
    assert programme is not None
    assert len(faults) > 4_000 or "more like these" in faults[-1].found


def read_programme_of(tmp_path: Path, text: str):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return read_programme(path, look_up=True)


def test_a_file_with_as_many_values_as_are_allowed_is_read(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("a:\n" + "".join(f"  - {at}\n" for at in range(MAX_VALUES - 2)))
    assert not read_document(path, max_values=MAX_VALUES).faults


def test_both_parsers_read_alike(tmp_path, monkeypatch):
    import yaml

    path = tmp_path / "p.yaml"
    path.write_text("a: .nan\nb: '1'\nc: 010\nd: [1, {e: 2020-01-01}]\nf: &x {g: 1}\nh: *x\n")
    first = read_document(path)
    monkeypatch.setattr(yaml_lines, "_loader", lambda: yaml.SafeLoader)
    second = read_document(path)
    assert repr(first) == repr(second)
