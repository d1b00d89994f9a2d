"""Files of nothing, noise and foreign bytes under every ending: `check FILE` says what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmcell.cli import main

ODD = 'it\'s a "ré file" $(x) 🧬'


@pytest.mark.parametrize("content", [b"", b"\0\xff" * 99, b"[" * 100_000, b"\xff\xfea\0"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".h5", ".h5ad", ".xlsx", ".json", ".rds", ""])
def test_a_file_of_nothing_or_noise_is_refused_by_check(
    tmp_path, monkeypatch, capsys, content, ending
):
    monkeypatch.chdir(tmp_path)
    path = Path(f"{ODD}{ending}")
    path.write_bytes(content)
    assert main(["check", str(path)]) in (1, 2, 3)
    said = capsys.readouterr()
    assert (said.out + said.err).strip()
