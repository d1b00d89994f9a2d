"""Publish: write the release folder and verify it; one standard a file.

To add a standard, write one module with a function that takes the facts and
the folder, and call it in `release.py` before the digests are taken. What
one standard's library costs to load, only that standard pays.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmcell.publish.release import write_release
    from pmcell.release.verify import verify_release

_FUNCTIONS = {
    "verify_release": "pmcell.release.verify",
    "write_release": "pmcell.publish.release",
}

__all__ = ["verify_release", "write_release"]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'pmcell.publish' has no attribute {name!r}")
