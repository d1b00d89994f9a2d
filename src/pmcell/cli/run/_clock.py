"""Files that are dated ahead of this machine's clock, as after it was set back.

Snakemake fails each job whose input is newer than what the job writes now, and would until the
clock has caught up. Such files are dated anew, in the order that they had among themselves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pmcell.cli.run._study import Study
from pmcell.errors import UsageError
from pmcell.registry.cohorts.registered import list_cohorts, matrix_files

AHEAD_NS = 2_000_000_000
"""A clock that is less behind than this has caught up before a job has ended."""


def date_anew(study: Study) -> int:
    """Date what lies ahead of the clock between the newest other file and now; how many there were.

    Raises
    ------
    UsageError
        Where a file of somebody else lies ahead.
    """
    now = time.time_ns()
    dated = dict(_dated(_files(study)))
    ahead = {path: at for path, at in dated.items() if at > now + AHEAD_NS}
    if not ahead:
        return 0
    newest = max((at for path, at in dated.items() if at <= now), default=now - AHEAD_NS)
    moments = sorted(set(ahead.values()))
    step = max((now - newest) // (len(moments) + 1), 0)
    place = {at: newest + step * number for number, at in enumerate(moments, start=1)}
    for path, at in ahead.items():
        try:
            os.utime(path, ns=(place[at], place[at]))
        except OSError:
            raise UsageError(
                f"files must not be dated ahead of this machine's clock; {path} is, by "
                f"{(at - now) / 1e9:.0f} s. Set the clock right, or date it anew: touch {path}"
            ) from None
    return len(ahead)


def _files(study: Study) -> Iterator[Path]:
    yield study.config
    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    for name in names:
        folder = study.cohorts_dir / name
        yield from folder.rglob("*")
        for item in matrix_files(folder, study.settings.study.allowed(name, study.folder)):
            yield item
            if item.is_dir():
                yield from item.rglob("*")
    yield from study.results.rglob("*")


def _dated(paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    for path in paths:
        with suppress(OSError):
            if not path.is_symlink():
                yield path, path.stat().st_mtime_ns
