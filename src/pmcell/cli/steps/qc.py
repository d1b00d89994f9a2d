"""Mark the cells of one cohort by MAD-adaptive thresholds and doublet score.

Reads what intake wrote, sample by sample; cells are marked, none is dropped.

Example:
  pmcell qc --counts results/cohorts/liu_b1/intake.h5ad \\
    --intake results/cohorts/liu_b1/intake.json --out-dir results/cohorts/liu_b1
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pmcell.cli._job.memory import within_memory
from pmcell.cli._settings import step_settings
from pmcell.schema.text import as_text, text_array
from pmcell.settings.cohort import QcSettings
from pmcell.spelling import plural

if TYPE_CHECKING:
    import numpy as np


def run(args: argparse.Namespace) -> int:
    """Write qc.parquet, qc_samples.parquet and status.json."""
    from pmcell.io.atomic import read_json, write_json
    from pmcell.io.counts.open import open_counts
    from pmcell.io.tables import write_table
    from pmcell.pp.qc import QcOptions, mark_cells, measure_cells
    from pmcell.registry.terms.mitochondria import mitochondrial_features
    from pmcell.schema import QC, QC_CELLS

    settings = step_settings(args, QcSettings)
    options = QcOptions(**settings.model_dump(exclude={"min_cells_passing"}))
    counts = open_counts(args.counts)
    intake = read_json(args.intake)
    cohort = intake["cohort_id"]
    obs = counts.read_obs()
    samples = text_array(obs["sample_id"]) if counts.n_cells else _no_text()
    stored = counts.stored_of(samples) if options.score_doublets else samples[:0]
    counts = within_memory(
        counts,
        "qc",
        args.memory,
        is_soft=args.soft_memory,
        largest=int(stored.max(initial=0)),
        n_stored=int(stored.sum()),
        n_samples=stored.size,
    )
    is_mitochondrial = mitochondrial_features(counts.read_var())
    metrics, scores = measure_cells(counts, is_mitochondrial, samples, options)
    cells, thresholds = mark_cells(metrics, bool(is_mitochondrial.any()), scores, samples, options)
    cells.insert(0, "sample_id", samples)
    cells.insert(0, "cell_id", as_text(counts.cell_ids))
    thresholds["cohort_id"] = cohort
    write_table(args.out_dir / "qc.parquet", cells, QC_CELLS, sort=False)
    write_table(args.out_dir / "qc_samples.parquet", thresholds, QC)
    verdict = _verdict(intake, int(cells["passes_qc"].sum()), settings.min_cells_passing)
    write_json(args.out_dir / "status.json", verdict)
    print(
        f"{cohort}: {verdict['status']}; {verdict['metrics'].get('n_cells', 0)} of "
        f"{len(cells)} cells pass QC in {plural(len(thresholds), 'sample')}"
    )
    return 0


def _no_text() -> np.ndarray:
    import numpy as np

    return np.zeros(0, "U1")


def _verdict(intake: dict[str, Any], n_passing: int, min_passing: int) -> dict[str, Any]:
    """The cohort's final verdict: intake's, or quarantine when too few cells pass."""
    verdict = {key: value for key, value in intake.items() if key not in ("registration", "inputs")}
    verdict["metrics"] = {**intake.get("metrics", {}), "n_cells": n_passing}
    if verdict["status"] != "quarantined" and n_passing < min_passing:
        verdict.update(
            status="quarantined",
            reason="too_few_cells_pass_qc",
            message=(
                f"at least {min_passing} cells must pass QC; {n_passing} did. Look at the "
                f"thresholds in qc_samples.parquet, or set them in section 'qc'"
            ),
        )
    return verdict
