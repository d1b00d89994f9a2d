"""Print what a file is and what it lacks, below its faults."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pmcell.spelling import plural, visible

MIN_WIDTH, MAX_WIDTH = 30, 96
"""Letters of a line: what is indented needs some, and eyes lose longer ones."""


def print_health(metrics: Mapping[str, Any]) -> None:
    """Print the numbers of a health report in words; nothing where the file could not be read."""
    width = max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 0)).columns))
    for name, said in _lines(metrics):
        line = visible(f"{name:<13}{said}")
        print(textwrap.fill(line, width, initial_indent="  ", subsequent_indent=" " * 15))


def _lines(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "counts_in" not in metrics:
        return
    yield "raw counts", f"{metrics['counts_in'] or 'none'} ({metrics['counts_are']})"
    yield "genes", f"var {metrics['gene_column']}; {metrics['species']}"
    n_donors = metrics["n_donors"]
    donors = plural(n_donors, "donor") if n_donors else "no donors"
    yield "people", f"{donors} named, {plural(metrics['n_samples'], 'sample')}"
    told = metrics["told_by"]
    yield "columns", ", ".join(f"{meaning} = {column}" for meaning, column in told.items())
    for note in metrics["notes"]:
        yield "look at", note
    if metrics["unused"]:
        yield "not used", "; ".join(metrics["unused"])
    if not metrics.get("counts_read", True):
        yield "not done", "cells that stand twice and sexes: the file is large; --deep reads it all"
    lacks = metrics["lacks"]
    yield "lacks", f"no column tells {', '.join(lacks)}" if lacks else "nothing that cells can tell"
    yield "to be said", f"by a person, at registration: {', '.join(metrics['to_be_said'])}"
