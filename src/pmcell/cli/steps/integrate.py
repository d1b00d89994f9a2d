"""Join the cohorts' embeddings and remove batch effects with Harmony, in each tissue by itself.

Example:
  pmcell integrate --cohort liu_b1 results/cohorts/liu_b1 --cohort liu_b2 results/cohorts/liu_b2 \\
    --out results/atlas/embedding.h5ad
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import IntegrateSettings
from pmcell.spelling import plural

CELL_COLUMNS = (
    "cohort_id",
    "donor_id",
    "sample_id",
    "visit",
    "batch_id",
    "region",
    "source_cell_type",
    "source_cell_type_ontology_term_id",
    "sex_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "assay_ontology_term_id",
    "suspension_type",
    "tissue_ontology_term_id",
)


def run(args: argparse.Namespace) -> int:
    """Write embedding.h5ad."""
    import numpy as np
    import pandas as pd
    from anndata import AnnData

    from pmcell import tl
    from pmcell.io.arrays import read_arrays
    from pmcell.io.h5ad import UNPACKED, write_h5ad
    from pmcell.schema import TISSUE_GROUP, X_PCA

    settings = step_settings(args, IntegrateSettings)
    tables, points = [], []
    for _, folder in sorted(args.cohort):
        arrays = read_arrays(Path(folder) / "embedding.npz")
        if arrays["cell_ids"].size:
            cells = _cells(Path(folder), arrays["cell_ids"])
            cells[TISSUE_GROUP] = arrays["tissues"].astype(object)
            tables.append(cells)
            points.append(arrays["X_pca"])
    obs = pd.concat(tables)
    for name in obs.columns:
        if obs[name].dtype == object:
            obs[name] = pd.Categorical(obs[name])
    atlas = AnnData(obs=obs, obsm={X_PCA: np.concatenate(points)})
    tl.integrate(atlas, theta=settings.theta, seed=settings.seed)
    write_h5ad(args.out, atlas, storage=UNPACKED)
    batches = plural(obs["batch_id"].nunique(), "batch", "batches")
    print(f"{atlas.n_obs} cells of {plural(len(points), 'cohort')}, {batches} -> {args.out}")
    return 0


def _cells(folder: Path, cell_ids: Any) -> Any:
    """The cells of one cohort with what later steps need to know of donor, visit and sample."""
    from pmcell.io.counts.open import open_counts
    from pmcell.io.tables import read_table
    from pmcell.strata.profiles.slots import MEDIANS

    obs = open_counts(folder / "intake.h5ad").read_obs().loc[cell_ids, list(CELL_COLUMNS)]
    qc = read_table(folder / "qc.parquet").set_index("cell_id")
    obs[list(MEDIANS)] = qc.loc[cell_ids, list(MEDIANS)]
    samples = read_table(folder / "samples.parquet").set_index("sample_id")
    donors = read_table(folder / "donors.parquet").set_index("donor_id")
    visits = read_table(folder / "visits.parquet").set_index(["donor_id", "visit"])
    obs["condition"] = obs["sample_id"].map(samples["condition"])
    obs["age_group"] = obs["donor_id"].map(donors["age_group"])
    days = visits["visit_day"].to_dict()
    obs["visit_day"] = [days.get(key) for key in zip(obs["donor_id"], obs["visit"], strict=True)]
    obs["visit_day"] = obs["visit_day"].astype(float)
    if "hours_to_processing" in samples and samples["hours_to_processing"].notna().any():
        # One number a visit: its samples were handled together, or their mean stands for them.
        hours = samples.groupby(["donor_id", "visit"])["hours_to_processing"].mean().to_dict()
        keys = zip(obs["donor_id"], obs["visit"], strict=True)
        obs["hours_to_processing"] = [float(hours[key]) for key in keys]
    return obs
