"""What a command reads stays as it is while it reads: whole releases, results of no run at work.

It is asked by the dispatcher of the command line, so that no command can forget it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pmcell.io.outputs import MANIFEST
from pmcell.steps import BY_NAME

RELEASES = ("release", "a", "b")
"""Options that name a release that is read."""


@contextmanager
def undisturbed(name: str, args: argparse.Namespace) -> Iterator[None]:
    """Hold what the command reads in place; `PmcellError` where it is being made or was replaced.

    Steps read what the workflow gives them; those that write what leaves the study are started
    by hand as well, and then need results that no run changes.
    """
    if name in BY_NAME and not BY_NAME[name].is_product:
        yield
        return
    with ExitStack() as held:
        # Results first: whoever waits for a run to end needs no release held.
        for study in _studies(name, args):
            from pmcell.cli.run._readers import reading_results

            held.enter_context(reading_results(study, name))
        for option in RELEASES:
            folder = getattr(args, option, None)
            if isinstance(folder, Path):
                from pmcell.io.held_folder import hold_folder

                held.enter_context(_finished(folder))
                held.enter_context(hold_folder(folder))
        yield


@contextmanager
def _finished(release: Path) -> Iterator[None]:
    """Say that a run makes the release anew, before it is read and where that began meanwhile."""
    _refuse_unfinished(release)
    try:
        yield
    finally:
        _refuse_unfinished(release)


def _refuse_unfinished(release: Path) -> None:
    """`PmcellError` where the run that works in a study is making its release, or makes it anew.

    Snakemake takes the manifest of the older one away before.
    """
    if not os.path.exists(release / MANIFEST):
        from pmcell.cli.run._lock import refuse_while_held

        refuse_while_held(release.absolute().parent.parent)


def _studies(name: str, args: argparse.Namespace) -> Iterator[Path]:
    """Folders of the studies whose results a command reads."""
    results = getattr(args, "results", None)
    if isinstance(results, Path):
        yield results.absolute().parent
    if name == "withdraw" and args.scan_only:
        yield args.directory
