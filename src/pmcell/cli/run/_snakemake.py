"""Start Snakemake as `python -m snakemake` does, with pandas loaded only when it is used.

Snakemake imports every plugin that is installed, and one of them pandas, which no rule needs: it
would take 80 MB for as long as a run waits for its jobs.
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from types import ModuleType
from typing import Any

LAUNCHER = "pmcell.cli.run._snakemake"
"""This module, as `python -m` is given it."""


class LazyModule(ModuleType):
    """Stands for a module until something of it is asked for.

    The standard library's `LazyLoader` loads as soon as the module is imported a second time,
    since that looks at `__spec__`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.util.find_spec(name)

    def __getattr__(self, name: str) -> Any:
        here = self.__name__
        if sys.modules.get(here) is self:
            del sys.modules[here]
        return getattr(importlib.import_module(here), name)


def main() -> None:
    """Run Snakemake with this program's arguments."""
    if importlib.util.find_spec("pandas") is not None:
        sys.modules["pandas"] = LazyModule("pandas")
    sys.argv[0] = "snakemake"
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
