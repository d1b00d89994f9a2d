"""Find strata of donors, test whether they exist, and say what they go with.

Labels are published only if a model without strata is rejected and the labels
do not follow the batch; otherwise the axes are, with the reason. Research use only.

Example:
  pmcell strata --profiles results/strata/profiles.h5ad --out-dir results/strata
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.cli._common import add_step_options, section, use_threads

DEFAULTS = {
    "max_batch_share": 0.3,
    "min_reliability": 0.5,
    "n_bootstraps": 200,
    "donor_share": 0.8,
    "n_null": 199,
    "alpha": 0.05,
    "max_confounding": 0.6,
    "coverage": 0.9,
    "n_folds": 10,
    "n_permutations": 999,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--profiles", type=Path, required=True, help="profiles.h5ad of the profile step"
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        required=True,
        help="folder for strata.json, donors.h5ad and four tables",
    )
    add_step_options(parser, seed=True)


def run(args: argparse.Namespace) -> int:
    """Write strata.json, four tables, and donors.h5ad: the profiles with distances and strata."""
    from pmcell import schema, strata
    from pmcell.io.atomic import write_json
    from pmcell.io.h5ad import read_h5ad, write_h5ad
    from pmcell.io.tables import write_table

    use_threads(args.threads)
    options = section(args.config, "strata", DEFAULTS)
    donors = read_h5ad(args.profiles)
    associations = _analyse(donors, options, args.seed)
    folder = args.out_dir
    write_h5ad(folder / "donors.h5ad", donors)
    write_table(folder / "strata.parquet", strata.strata_table(donors), schema.STRATA)
    write_table(folder / "assignments.parquet", strata.assignments(donors), schema.ASSIGNMENTS)
    write_table(folder / "associations.parquet", associations, schema.ASSOCIATIONS)
    write_table(folder / "drivers.parquet", strata.drivers(donors), schema.DRIVERS)
    facts = strata.summary(donors)
    facts["parameters"] = {**facts["parameters"], "strata": options}
    write_json(folder / "strata.json", facts)
    print(_sentence(facts) + f" -> {folder}")
    return 0


def _analyse(donors: Any, options: dict[str, Any], seed: int) -> Any:
    from pmcell import strata

    def some(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    strata.distances(donors, **some("max_batch_share", "min_reliability"))
    strata.cluster(donors, **some("n_bootstraps", "donor_share"), seed=seed)
    strata.existence(donors, **some("n_null", "alpha", "max_confounding"), seed=seed)
    strata.place(donors, **some("coverage", "n_folds"), seed=seed)
    strata.generalise(donors)
    return strata.associate(donors, **some("n_permutations"), seed=seed)


def _sentence(facts: dict[str, Any]) -> str:
    p = facts["existence"].get("p")
    test = "" if p is None else f", p = {p:.3g}"
    if facts["decision"] == "strata":
        return f"{len(facts['stability'])} strata of {facts['n_donors_used']} donors{test}"
    return f"No strata published ({facts['decision']}{test}): {facts['why']}"
