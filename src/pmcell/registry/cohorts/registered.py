"""What pmcell and the Snakefile must read alike: `workflow/scripts/registered.py`, typed.

The Snakefile parses without pmcell, so that the file lies in the workflow; here
it is loaded once, as it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pmcell.bundle import load_script

_SHARED = load_script("registered")

ID: str = _SHARED.ID
COHORT_FILE: str = _SHARED.COHORT_FILE
UnsafeYamlError: type[Any] = _SHARED.UnsafeYamlError

is_cohort_id: Callable[[str], bool] = _SHARED.is_cohort_id
list_cohorts: Callable[[Path], list[str]] = _SHARED.list_cohorts
not_cohorts: Callable[[Path], list[str]] = _SHARED.not_cohorts
read_small: Callable[[Path], bytes] = _SHARED.read_small
yaml_events: Callable[[str], Iterable[Any]] = _SHARED.yaml_events
is_usable: Callable[[str], bool] = _SHARED.is_usable
is_open: Callable[[Path], bool] = _SHARED.is_open
matrix_files: Callable[[Path], list[Path]] = _SHARED.matrix_files
files_below: Callable[[Path], list[Path]] = _SHARED.files_below
