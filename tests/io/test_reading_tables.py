"""Parquet tables: what reading one takes, and that a process may end right after it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from pmcell.io.tables import read_table

READ_AND_END = (
    "import sys, pyarrow.parquet; from pmcell.io.tables import read_table; read_table(sys.argv[1])"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table in a folder whose name looks like a partition."""
    folder = tmp_path / "run=1"
    folder.mkdir()
    pd.DataFrame({"kind": ["a", "b"], "n": [1, 2]}).to_parquet(folder / "table.parquet")
    return folder / "table.parquet"


def test_folders_named_like_partitions_add_no_column(path: Path) -> None:
    assert list(read_table(path)) == ["kind", "n"]
    assert list(read_table(str(path), ["n"])["n"]) == [1, 2]


def test_a_missing_table_is_told_as_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        read_table(tmp_path / "none.parquet")


def test_a_process_may_end_right_after_reading(path: Path) -> None:
    # With a file of Python's, one in eight such processes was aborted on a busy machine.
    command = [sys.executable, "-c", READ_AND_END, str(path)]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(subprocess.run, command, capture_output=True) for _ in range(8)]
    assert [run.result().returncode for run in runs] == [0] * 8
