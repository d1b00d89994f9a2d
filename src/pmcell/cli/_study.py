"""A study folder: where it lies, how it is configured, where its results go."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pmcell.cli import GROUPS
from pmcell.cli._common import read_config
from pmcell.errors import UsageError

STUDY_KEYS = ("cohorts_dir", "cohorts", "resources")


@dataclass(frozen=True)
class Study:
    """A study folder: where it lies, and its configuration file."""

    folder: Path
    config: Path
    is_own_config: bool

    @property
    def results(self) -> Path:
        """Where the workflow writes."""
        return self.folder / "results"


def open_study(folder: Path, config: Path | None) -> Study:
    """The study in `folder`, configured by `config` or its own `config/config.yaml`."""
    path = config or folder / "config" / "config.yaml"
    if not path.is_file():
        raise UsageError(
            f"a study folder must hold config/config.yaml; there is no {path}. "
            f"Make one: pmcell init {shlex.quote(str(folder))}"
        )
    _check_sections(path)
    return Study(folder, path.resolve(), config is None)


def _check_sections(path: Path) -> None:
    """Raise `UsageError` for a section that no step reads: it would be ignored without a word."""
    import difflib

    known = [*STUDY_KEYS, *(name for _, commands in GROUPS for name, _ in commands)]
    for key in read_config(path):
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{path}: there is no section {key!r}.{hint} See config/README.md")
