"""A made-up release that keeps the schema: three cohorts and a quarantined one, 60 donors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from made_cells import (
    make_cells,
    make_clusters,
    make_cohorts,
    make_genes_markers,
    make_ledger,
    make_qc,
    make_visits,
)
from made_donors import (
    make_assignments,
    make_associations,
    make_drivers,
    make_gaps,
    make_outcomes,
    make_strata_rows,
    make_survival,
)
from made_explanation import make_explanation
from pmcell.gaps.groups import donor_groups
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.outputs import MANIFEST
from pmcell.io.tables import write_table
from pmcell.schema import table


def make_release(
    folder: Path,
    *,
    n_cells: int = 12_000,
    n_donors: int = 60,
    published: bool = False,
    hostile: str = "",
    seed: int = 7,
) -> Path:
    """Write a whole release into `folder`; `hostile` is put into every free-text field."""
    frames = make_frames(n_cells=n_cells, n_donors=n_donors, published=published, seed=seed)
    strata = make_strata(frames, published=published)
    if hostile:
        frames = {name: _poison(frame, name, hostile) for name, frame in frames.items()}
        strata = _poison_json(strata, hostile)
    for name, frame in frames.items():
        write_table(folder / "tables" / f"{name}.parquet", frame, table(name))
    write_json(folder / "strata.json", strata)
    return folder


def list_anew(folder: Path) -> None:
    """Let the manifest name the files as they are now, as if they had been written so."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, entry in manifest["files"].items():
        if (folder / name).is_file():
            entry |= {"size": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def make_frames(
    *, n_cells: int, n_donors: int, published: bool, seed: int
) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    visits = make_visits(rng, n_donors)
    cells = make_cells(rng, visits, n_cells)
    frames = {"cells": cells.assign(cell_type_set=None)}
    passing = cells[cells["passes_qc"]]
    per_sample = passing.groupby("sample_id").size()
    visits["n_cells"] = visits["sample_id"].map(per_sample).fillna(0).astype(int)
    frames["samples"] = pd.DataFrame(
        {
            "sample_id": visits["sample_id"],
            "donor_id": visits["donor_id"],
            "visit": visits["visit"],
            "cohort_id": visits["cohort_id"],
            "batch_id": visits["cohort_id"],
            "assay_ontology_term_id": "EFO:0009899",
            "tissue_ontology_term_id": "UBERON:0000178",
            "tissue_type": "tissue",
            "suspension_type": "cell",
            "condition": visits["condition"],
            "n_cells_submitted": visits["sample_id"].map(cells.groupby("sample_id").size()),
            "n_cells": visits["n_cells"],
            "hours_to_processing": np.nan,
        }
    )
    frames["visits"] = visits.assign(n_samples=1)[
        ["donor_id", "visit", "cohort_id", "visit_day", "condition", "n_samples", "n_cells"]
    ]
    donors = visits.groupby("donor_id", as_index=False).agg(
        cohort_id=("cohort_id", "first"),
        region=("region", "first"),
        n_visits=("visit", "size"),
        n_samples=("sample_id", "size"),
        n_cells=("n_cells", "sum"),
    )
    donors["sex_ontology_term_id"] = rng.choice(["PATO:0000383", "PATO:0000384"], len(donors))
    donors["self_reported_ethnicity_ontology_term_id"] = "unknown"
    donors["development_stage_ontology_term_id"] = "unknown"
    donors["disease_ontology_term_id"] = "MONDO:0100096"
    donors["age_group"] = rng.choice(["20-39", "40-59", "60-79"], len(donors))
    frames["donors"] = donors
    frames["cohorts"] = make_cohorts(cells, donors, frames["samples"])
    frames["qc"] = make_qc(cells)
    frames["clusters"] = make_clusters(passing)
    frames["genes"], frames["markers"] = make_genes_markers(rng, frames["clusters"])
    frames["gene_ledger"] = make_ledger(frames["genes"])
    shares = (
        passing.groupby(["donor_id", "visit", "cell_type"]).size().rename("n_cells").reset_index()
    )
    total = shares.groupby(["donor_id", "visit"])["n_cells"].transform("sum")
    frames["composition"] = shares.assign(share=shares["n_cells"] / total)
    frames["assignments"] = make_assignments(rng, visits, published)
    frames["strata"] = make_strata_rows(frames["assignments"], published)
    frames["associations"] = make_associations(rng)
    frames["drivers"] = make_drivers(rng, frames["assignments"], published)
    frames["outcomes"] = make_outcomes(published)
    frames["survival"] = make_survival(np.random.default_rng(3), published)
    frames.update(make_explanation(frames["genes"], published=published))
    frames["outcomes"] = make_outcomes(published)
    frames["survival"] = make_survival(np.random.default_rng(3), published)
    frames["gaps"] = make_gaps(donors)
    frames["donor_groups"] = donor_groups(
        *(frames[name] for name in ("cohorts", "donors", "visits", "samples"))
    )
    frames["cohort_counts"] = pd.DataFrame(
        {item.name: [] for item in table("cohort_counts").fields}
    )
    frames["pseudobulk"] = pd.DataFrame(
        {
            "sample_id": visits["sample_id"].iloc[:1],
            "cell_type": "platelet",
            "gene_id": frames["genes"]["gene_id"].iloc[0],
            "counts": 1,
            "n_cells_detected": 1,
            "n_cells": 1,
        }
    )
    return frames


def make_strata(frames: dict[str, pd.DataFrame], *, published: bool) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    order = frames["assignments"][["donor_id", "visit"]].drop_duplicates("donor_id")
    why = "" if published else "donors without strata give as clear a clustering (p = 0.41)"
    return {
        "decision": "strata" if published else "continuum",
        "why": why,
        "existence": {
            "statistic": 4.1 if published else 1.2,
            "null_statistics": [round(float(v), 4) for v in rng.gumbel(1.0, 0.5, 199)],
            "null": "gauss_lowrank",
            "p": 0.005 if published else 0.41,
            "n_null": 199,
            "n_donors": int(order["donor_id"].nunique()),
            "k": 2,
            "k_p": [0.31, None, None, None],
            "silhouette": [0.31, 0.22, 0.2, None],
            "null_silhouette_mean": [0.2, 0.19, 0.19, 0.18],
        },
        "clustering": {
            "ks": [2, 3, 4, 5],
            "pac": [0.05, 0.2, 0.31, 0.33],
            "axes_share": [0.31, 0.12],
        },
        "placement": {
            "coverage": 0.9,
            "n_folds": 10,
            "donors_needed_for_a_set": 10,
            "novel_at": 0.04,
            "strata_without_set": [],
        }
        if published
        else {},
        "generalisation": {
            "unit": "batch_id",
            "why": "b3: 2 donors, 3 are needed",
            "group": ["b1", "b2"],
            "n_donors": [9, 8],
            "n_strata": [2, 2],
            "balanced_accuracy": [0.87, 1.0],
            "balanced_accuracy_own_offset": [0.93, 1.0],
        },
        "channels": {
            "composition": {
                "r": 0.95,
                "q": 0.52,
                "weight": 0.0,
                "dropped": True,
                "why": "batch share 0.52 is at or above 0.3",
            },
            "state": {"r": 0.98, "q": 0.09, "weight": 0.98, "dropped": False, "why": ""},
        },
        "withheld_by_access": [],
    }


_FREE_TEXT = {
    "title", "region", "programme", "access", "license", "source_doi", "source_accession",
    "reason", "message", "condition", "age_group", "cell_type", "label_evidence", "description",
    "batch_id", "visit", "why_it_matters", "symbol", "source_cell_type", "exclusion", "status",
    "covariate", "cohort_id", "donor_id", "sample_id", "cluster", "label_method", "test",
    "effect_name", "channel", "why", "fate", "source_gene", "outcome", "family", "column",
    "stratum", "candidate_stratum", "medoid_donor_id", "programme_report",
}  # fmt: skip


def _poison(frame: pd.DataFrame, name: str, payload: str) -> pd.DataFrame:
    frame = frame.copy()
    for column in frame.columns.intersection(list(_FREE_TEXT)):
        if name == "cells" and column == "exclusion":
            frame[column] = frame[column].map(lambda value: value + payload if value else "")
        elif name == "assignments" and column == "status":
            continue
        elif not (name == "cohorts" and column == "status"):
            frame[column] = frame[column].map(
                lambda value: None if value is None or value != value else f"{value}{payload}"
            )
    return frame


def _poison_json(value: Any, payload: str) -> Any:
    if isinstance(value, dict):
        return {key: _poison_json(item, payload) for key, item in value.items()}
    if isinstance(value, list):
        return [_poison_json(item, payload) for item in value]
    return value + payload if isinstance(value, str) else value
