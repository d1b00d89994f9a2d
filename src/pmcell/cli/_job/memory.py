"""Blocks of counts that fit the memory of a step, by the formula that asked for that memory."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pmcell.bundle import resource_formula
from pmcell.errors import UsageError

if TYPE_CHECKING:
    from pmcell.io.counts.open import CountsFile


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """`--memory` and `--soft-memory`, for steps that read counts in blocks."""
    parser.add_argument(
        "--memory",
        type=megabytes,
        metavar="SIZE",
        help="memory to stay within: megabytes, or a number with M or G (default: blocks of 32 MB)",
    )
    parser.add_argument(
        "--soft-memory",
        action="store_true",
        help="where --memory is too little, say so and take what the step needs",
    )


def megabytes(text: str) -> int:
    """Whole megabytes of `2000`, `2000M` or `2G`.

    >>> megabytes("1.5G"), megabytes("800")
    (1536, 800)
    """
    number, factor = text.strip().upper().removesuffix("B"), 1.0
    if number[-1:] in ("M", "G"):
        number, factor = number[:-1], {"M": 1.0, "G": 1024.0}[number[-1]]
    try:
        found = int(float(number) * factor)
    except (ValueError, OverflowError):
        found = 0
    if found < 1:
        raise argparse.ArgumentTypeError(
            f"must be a size such as 2000 (megabytes), 2000M or 2G, got {text!r}"
        )
    return found


def within_memory(
    counts: CountsFile, step: str, memory: int | None, *, is_soft: bool = False, **sizes: int
) -> CountsFile:
    """Return the counts, to be read in blocks that fit the memory of a step.

    Parameters
    ----------
    counts
        The step's count file.
    step
        Name of the step.
    memory
        Megabytes to stay within; None leaves blocks of the usual size.
    is_soft
        Whether to take more where that is too little, and say so.
    sizes
        What `table_bytes` of `workflow/scripts/resources.py` asks for of the step.

    Raises
    ------
    UsageError
        When `memory` is too little for one cell, with the number needed.
    """
    if memory is None:
        return counts
    formula = resource_formula()
    longest = counts.longest_cell()
    least = formula.least_bytes(
        step, n_cells=counts.n_cells, n_genes=counts.n_genes, longest=longest, **sizes
    )
    needed = -(-least // 2**20)
    if memory < needed:
        what = (
            f"--memory must be at least {needed} (MB) for {counts.path.name} with "
            f"{counts.n_cells} cells × {counts.n_genes} genes; got {memory}"
        )
        if not is_soft:
            raise UsageError(what)
        print(f"pmcell {step}: {what}. {needed} are taken: --soft-memory", file=sys.stderr)
        memory = needed
    free = (memory * 2**20 - least) // formula.BYTES_A_VALUE[step]
    return counts.in_blocks_of(int(max(longest, formula.MIN_VALUES) + free))
