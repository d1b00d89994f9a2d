"""What the operator lets matrices be read from outside their cohorts' folders, in config.yaml."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pmcell.io.atomic import write_text
from pmcell.settings.load import load_study

CONFIG_FILE = Path("config/config.yaml")
"""The configuration of the study that is the working folder."""
KEY = "matrix_paths"
_BLOCK = re.compile(rf"{KEY}: *(#.*)?")


def allowed_paths(folder: Path, config: Path | None = None) -> list[Path]:
    """Return what the matrix of a cohort may be read from besides the cohort's own folder.

    Parameters
    ----------
    folder
        The cohort's folder; its name is the cohort's id.
    config
        The configuration; by default that of the study in the working folder, if there is one.

    Raises
    ------
    SettingsError
        For faults of the configuration's keys outside any section.
    """
    if config is None and CONFIG_FILE.is_file():
        config = CONFIG_FILE
    return load_study(config).allowed(folder.name)


def as_line(cohort_id: str, paths: Sequence[str]) -> str:
    """Return the line that allows a cohort its paths, as it stands below `matrix_paths`.

    Examples
    --------
    >>> as_line("island_b2", ["/data/island b2.h5ad"])
    'island_b2: ["/data/island b2.h5ad"]'
    >>> as_line("007", ["a.h5ad"])
    '"007": ["a.h5ad"]'
    """
    import yaml

    plain = yaml.safe_load(cohort_id) == cohort_id
    key = cohort_id if plain else json.dumps(cohort_id)
    return f"{key}: {json.dumps(list(paths), ensure_ascii=False)}"


def add_matrix_paths(config: Path, cohort_id: str, paths: Sequence[str]) -> bool:
    """Write a cohort's paths into a configuration, which is made where there is none.

    All else of the file stays as it is, comments too. Returns False, and writes nothing, where
    that cannot be done by adding lines: the file is no YAML, or has the cohort already.
    """
    import yaml

    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    try:
        before: Any = yaml.safe_load(text) or {}
        known = before.get(KEY) or {}
        if known.get(cohort_id) == list(paths):
            return True
        edited = _with_line(text, as_line(cohort_id, paths))
        if yaml.safe_load(edited) != {**before, KEY: {**known, cohort_id: list(paths)}}:
            return False
    except (yaml.YAMLError, AttributeError, TypeError):
        return False
    write_text(os.path.realpath(config), edited)
    return True


def _with_line(text: str, line: str) -> str:
    lines = text.splitlines()
    for at, found in enumerate(lines):
        if _BLOCK.fullmatch(found):
            below = [item for item in lines[at + 1 :] if item.strip(" ")[:1] not in ("", "#")]
            indent = len(below[0]) - len(below[0].lstrip(" ")) if below else 0
            lines.insert(at + 1, " " * (indent or 2) + line)
            break
    else:
        lines += ["", f"{KEY}:   # where matrices outside their cohorts' folders lie", f"  {line}"]
    return "\n".join(lines).lstrip("\n") + "\n"
