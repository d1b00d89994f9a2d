"""R, where it is installed with the packages that read a release."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEEDED = ("rhdf5", "Matrix", "SingleCellExperiment", "SeuratObject", "jsonlite", "reticulate")


@functools.cache
def why_no_r() -> str:
    """Why R cannot be tried; empty where it can."""
    if shutil.which("Rscript") is None:
        return "no Rscript on PATH"
    asked = ", ".join(f'"{name}"' for name in NEEDED)
    code = f"cat(Filter(function(p) !nzchar(system.file(package = p)), c({asked})))"
    missing = subprocess.run(
        ["Rscript", "-e", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"R lacks {missing}" if missing else ""


def needs_r() -> None:
    """Skip the test without R, or fail where PMCELL_REQUIRE_R=1."""
    why = why_no_r()
    if why and os.environ.get("PMCELL_REQUIRE_R") == "1":
        pytest.fail(why)
    if why:
        pytest.skip(f"{why}: nothing is tried in R")


def run_r(code: str, folder: Path, *arguments: str) -> None:
    """Run code in a folder; an error or a warning of R fails the test."""
    environment = {**os.environ, "RETICULATE_PYTHON": sys.executable}
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
