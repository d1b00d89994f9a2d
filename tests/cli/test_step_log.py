"""The log of a job: its command, its version, what it took."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pmcell.version import __version__


def logged(folder: Path, *arguments: str) -> list[str]:
    """Lines of the log as a rule writes it: both streams to one file."""
    with (folder / "step.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "pmcell", *arguments],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return (folder / "step.log").read_text().splitlines()


def test_log_starts_with_the_command_and_ends_with_what_it_took(tmp_path: Path) -> None:
    lines = logged(tmp_path, "umap", "--graph", "a b.h5ad", "--embedding", "e", "--out", "u")
    assert lines[0] == "$ pmcell umap --graph 'a b.h5ad' --embedding e --out u"
    assert lines[1] == f"# pmcell {__version__}, run in the study's folder"
    assert lines[2].startswith("pmcell umap: a b.h5ad must be a file")
    end = re.fullmatch(r"# exit code 2 in \d+\.\d s, \d+\.\d CPU s, peak memory (\d+) MB", lines[3])
    assert end is not None
    assert 10 < int(end[1]) < 2000
    assert len(lines) == 4


def test_other_commands_say_only_what_they_are_asked_for(tmp_path: Path) -> None:
    assert not any(line.startswith(("$", "#")) for line in logged(tmp_path, "verify", "none"))
