"""Find people who stand twice, two people in one, and samples whose sex is not the registered one.

Donors of all cohorts are compared by the counts of their cells: cells that were counted twice
(under other names, in another order, fewer of them, with other genes, another reference) are
known again. Another sample of the same person is not: that takes genotypes. Two people in one are
told by genes that people have in different shares (Y and XIST, HLA-DRB5 and HLA-DRB1). Nothing is
merged or left out; what is found is shown to the stewards, who decide.

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
    from pmcell.registry.duplicates.find import SHARED_CELLS, TWO_PEOPLE, find_duplicates
    from pmcell.schema import DUPLICATES

    found = find_duplicates({name: Path(folder) for name, folder in args.cohort})
    write_table(args.out, found, DUPLICATES)
    n_pairs, n_two = (int((found["kind"] == kind).sum()) for kind in (SHARED_CELLS, TWO_PEOPLE))
    # Who it is stands in the table: a log may be read by more people than it.
    if len(found):
        print(
            f"warning: {n_pairs} pairs of donors share cells, {len(found) - n_pairs - n_two} have "
            f"cells of another sex than registered, {n_two} cells of two people; nothing was "
            f"merged: see {args.out}"
        )
    print(f"{n_pairs} pairs of donors who may be one person -> {args.out}")
    return 0
