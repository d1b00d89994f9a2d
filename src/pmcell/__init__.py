"""pmcell: from registered single-cell cohorts to a published release.

`pp`, `tl`, `pl` and `strata` work on an AnnData in memory, without files and
without a workflow; `open_counts` gives them a file in place of X; `open_release` reads what was
published. Importing pmcell is cheap: the parts load on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from pmcell.version import __version__

_PARTS = ("pp", "tl", "pl", "strata", "simulate", "io", "registry", "publish")
_FUNCTIONS = {
    "label_transfer": "pmcell.mapping.transfer",
    "map": "pmcell.release.reference",
    "open_controlled": "pmcell.publish.sealed.unsealed",
    "open_counts": "pmcell.io.counts.open",
    "open_reference": "pmcell.release.reference",
    "open_release": "pmcell.release",
}

__all__ = ["__version__", *_FUNCTIONS, *_PARTS]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"pmcell.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'pmcell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
