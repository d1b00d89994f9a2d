"""How an added cohort agrees with a full run that had it from the beginning.

    python tests/benchmarks/release/addition.py RELEASE RESULTS COHORT

RELEASE is what `pmcell release add COHORT` wrote, RESULTS the results folder of a run of all
cohorts. Strata of the two are matched by the donors that both have (`pmcell release diff`'s
lineage). Measured figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from pmcell.io.tables import read_table
from pmcell.mapping.labels import covers
from pmcell.publish.atlas import load_atlas
from pmcell.publish.lineage import groups_lineage

KEYS = ["donor_id", "visit"]


def main() -> int:
    """Print labels, composition and strata beside those of the full run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("cohort")
    args = parser.parse_args()
    compare_labels(args.release, args.results, args.cohort)
    compare_strata(args.release, args.results, args.cohort)
    return 0


def compare_labels(release: Path, results: Path, cohort_id: str) -> None:
    """Print shares of cells whose label, and whose type in profiles, are those of the full run."""
    cells = read_table(release / "tables" / "cells.parquet")
    cells = cells[(cells["cohort_id"] == cohort_id) & cells["passes_qc"]].set_index("cell_id")
    full = load_atlas(results).cells.reindex(cells.index)
    term = "cell_type_ontology_term_id"
    answered = (cells[term] != "unknown").to_numpy()
    known = answered & (full[term] != "unknown").to_numpy()
    right = np.array([covers(*pair) for pair in zip(cells[term], full[term], strict=True)], bool)
    same = (cells["profile_cell_type"] == full["profile_cell_type"]).to_numpy()
    print(f"cells: {len(cells)}, answered {answered.mean():.3f}")
    print(f"label the same or above: {right[known].mean():.3f} of {known.sum()}")
    print(f"type in profiles the same: {same.mean():.3f}")


def compare_strata(release: Path, results: Path, cohort_id: str) -> None:
    """Print strata of the added donors beside those of the full run, by the earlier donors."""
    placed = read_table(release / "tables" / "assignments.parquet")
    full = read_table(results / "strata" / "assignments.parquet")
    both = placed.merge(full, on=KEYS, suffixes=("", "_full"))
    is_added = both["donor_id"].str.startswith(f"{cohort_id}:")
    earlier = both[~is_added]
    matched = {
        row["new"]: row["old"]
        for row in groups_lineage(earlier["stratum"], earlier["stratum_full"], noun="stratum")
        if row["what"] == "same"
    }
    added = both[is_added].assign(matched=lambda rows: rows["stratum_full"].map(matched))
    decided = added.dropna(subset=["stratum", "stratum_full"])
    print(f"strata that are the same: {matched}")
    print(pd.crosstab(added["status"], added["status_full"]).to_string())
    n_same = int((decided["stratum"] == decided["matched"]).sum())
    print(f"visits with a stratum in both: {len(decided)}, of them the same {n_same}")


if __name__ == "__main__":
    raise SystemExit(main())
