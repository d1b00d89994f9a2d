"""Find people who stand twice, and samples whose sex is not the registered one.

Donors of all cohorts are compared by the counts of their cells: cells that were counted twice
(under other names, in another order, fewer of them, with other genes, another reference) are
known again. Another sample of the same person is not: that takes genotypes. Nothing is merged
or left out; what is found is shown to the stewards, who decide.

Example:
  pmcell duplicates --cohort liu_b1 results/cohorts/liu_b1 --cohort liu_b2 results/cohorts/liu_b2 \\
    --out results/atlas/duplicates.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    """Write duplicates.parquet."""
    from pmcell.io.tables import write_table
    from pmcell.registry.duplicates.find import SHARED_CELLS, find_duplicates
    from pmcell.schema import DUPLICATES

    found = find_duplicates({name: Path(folder) for name, folder in args.cohort})
    write_table(args.out, found, DUPLICATES)
    n_pairs = int((found["kind"] == SHARED_CELLS).sum())
    # Who it is stands in the table: a log may be read by more people than it.
    if len(found):
        print(
            f"warning: {n_pairs} pairs of donors share cells, {len(found) - n_pairs} donors have "
            f"cells of another sex than registered; nothing was merged: see {args.out}"
        )
    print(f"{n_pairs} pairs of donors who may be one person -> {args.out}")
    return 0
