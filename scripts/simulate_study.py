"""Write a study of simulated cohorts with a known truth, to try the workflow at any size.

    python scripts/simulate_study.py FOLDER [--cohorts 3] [--donors 18] [--cells 110] [--genes 250]

The folder is a study as `pmcell init` makes it; `pmcell run` in it does the rest. Equal arguments
give equal files. Existence tests are shortened: such a study is for the workflow, not for findings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pmcell as pm
from pmcell.cli.init import make_study
from pmcell.io.atomic import write_text
from pmcell.simulate.cohort_folders import write_cohort_folders

SHORT = "strata: {n_null: 19, n_bootstraps: 20, channels: all}\n"


def main() -> int:
    """Simulate, register, configure."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cohorts", type=int, default=3)
    parser.add_argument("--donors", type=int, default=18, help="in all cohorts together")
    parser.add_argument("--visits", type=int, default=1, help="samples of a donor")
    parser.add_argument("--cells", type=int, default=110, help="of a sample")
    parser.add_argument("--genes", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    adata = pm.simulate.simulate(
        n_cohorts=args.cohorts,
        n_donors=args.donors,
        n_visits=args.visits,
        cells_per_sample=args.cells,
        n_genes=args.genes,
        n_cell_types=4,
        real_genes=True,
        seed=args.seed,
    )
    make_study(args.folder, cohorts=())
    write_cohort_folders(adata, args.folder / "config" / "cohorts")
    write_text(args.folder / "config" / "config.yaml", SHORT)
    n_samples = adata.obs["sample_id"].nunique()
    print(f"{args.folder}: {args.cohorts} cohorts, {n_samples} samples, {adata.n_obs} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main())
