"""Accept cohorts and select highly variable genes from their exact statistics.

Example:
  pmcell hvg --cohort liu_b1 results/cohorts/liu_b1 --cohort liu_b2 results/cohorts/liu_b2 \\
    --out results/atlas/features.parquet --cohorts-out results/atlas/cohorts.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.cli._common import add_cohorts_option, add_step_options, use_threads
from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import HvgSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_cohorts_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="features.parquet to write")
    parser.add_argument("--cohorts-out", type=Path, required=True, help="cohorts.json to write")
    add_step_options(parser, HvgSettings)


def run(args: argparse.Namespace) -> int:
    """Write features.parquet and cohorts.json."""
    from pmcell.errors import DataError
    from pmcell.io.atomic import read_json, write_json
    from pmcell.io.counts.sums import read_moments
    from pmcell.io.tables import write_table
    from pmcell.pp.accept import select
    from pmcell.schema import GENES

    use_threads(args.threads)
    settings = step_settings(args, HvgSettings)
    verdicts: dict[str, dict[str, Any]] = {}
    symbols: dict[str, str] = {}
    cohorts = []
    for name, folder in sorted(args.cohort):
        status = read_json(Path(folder) / "status.json")
        verdicts[name] = {key: status[key] for key in ("status", "reason", "message")}
        if status["status"] == "quarantined":
            continue
        ids, names, found = read_moments(Path(folder) / "moments.npz")
        symbols.update(zip(ids.tolist(), names.tolist(), strict=True))
        cohorts.append((name, ids, found))
    if cohorts:
        selection = select(cohorts, **settings.model_dump(exclude={"min_cohorts"}))
        for name, why in selection.refused.items():
            verdicts[name] = {
                "status": "quarantined",
                "reason": "too_few_shared_genes",
                "message": why,
            }
        for name, why in selection.warned.items():
            if verdicts[name]["status"] == "ok":
                verdicts[name] = {
                    "status": "warned",
                    "reason": "few_shared_genes",
                    "message": why,
                }
    accepted = [name for name, item in verdicts.items() if item["status"] != "quarantined"]
    min_cohorts = max(settings.min_cohorts, 1)
    if len(accepted) < min_cohorts:
        reasons = "\n".join(
            f"  - {name}: {item['message']}"
            for name, item in verdicts.items()
            if item["status"] == "quarantined"
        )
        raise DataError(
            f"at least {min_cohorts} cohorts must be accepted; {len(accepted)} of "
            f"{len(verdicts)} were:\n{reasons}",
            reason="too_few_cohorts",
        )
    write_table(args.out, _gene_table(selection, symbols), GENES)
    write_json(args.cohorts_out, verdicts)
    print(
        f"{len(accepted)} of {len(verdicts)} cohorts accepted; {int(selection.chosen.sum())} of "
        f"{selection.genes.size} genes selected -> {args.out}"
    )
    return 0


def _gene_table(selection: Any, symbols: dict[str, str]) -> Any:
    import numpy as np
    import pandas as pd

    names = np.array(selection.cohorts)
    return pd.DataFrame(
        {
            "gene_id": selection.genes,
            "symbol": [symbols[gene] for gene in selection.genes.tolist()],
            "measured_in": [names[column].tolist() for column in selection.measured.T],
            "n_cells_detected": selection.detected,
            "is_highly_variable": selection.chosen,
            "hvg_rank": selection.ranks,
        }
    )
