"""What pmcell and the Snakefile must read alike: `workflow/scripts/registered.py`, typed.

The Snakefile parses without pmcell, so that the file lies in the workflow; here
it is loaded once, as it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pmcell.bundle import load_script

_SHARED = load_script("registered")

ID: str = _SHARED.ID
COHORT_FILE: str = _SHARED.COHORT_FILE
LEDGER_FILE: str = _SHARED.LEDGER_FILE
VIEW_FILE: str = _SHARED.VIEW_FILE
MUST_LIE_THERE: str = _SHARED.MUST_LIE_THERE
A_LINK: str = _SHARED.A_LINK
PUT_IT_THERE: str = _SHARED.PUT_IT_THERE
UnsafeYamlError: type[Any] = _SHARED.UnsafeYamlError

is_cohort_id: Callable[[str], bool] = _SHARED.is_cohort_id
list_cohorts: Callable[[Path], list[str]] = _SHARED.list_cohorts
not_cohorts: Callable[[Path], list[str]] = _SHARED.not_cohorts
read_small: Callable[..., bytes] = _SHARED.read_small
leads_to: Callable[[Path, Sequence[Path]], Path | None] = _SHARED.leads_to
matrix_outside: Callable[[Path, Sequence[Path]], tuple[Path, Path] | None] = _SHARED.matrix_outside
yaml_events: Callable[[str], Iterable[Any]] = _SHARED.yaml_events
is_usable: Callable[[str], bool] = _SHARED.is_usable
is_open: Callable[[Path], bool] = _SHARED.is_open
registration_files: Callable[[Path], list[Path]] = _SHARED.registration_files
programme_files: Callable[[Path], list[Path]] = _SHARED.programme_files
matrix_files: Callable[..., list[Path]] = _SHARED.matrix_files
