"""A made-up release of many people, as small as the dossier needs: tables, profiles, manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from made_release import list_anew
from pmcell.io.atomic import write_json
from pmcell.io.tables import write_table
from pmcell.registry.duplicates.find import SHARED_CELLS
from pmcell.schema import SCHEMA_VERSION, table

TYPES = {
    "naive B cell": 0.10,
    "memory B cell": 0.05,
    "classical monocyte": 0.20,
    "natural killer cell": 0.12,
    "CD4-positive, alpha-beta memory T cell": 0.30,
    "CD8-positive, alpha-beta memory T cell": 0.18,
    "platelet": 0.04,
    "plasmablast": 0.01,
}
N_CELLS = 2_000
FEMALE, MALE = "PATO:0000383", "PATO:0000384"
NORMAL, COVID = "PATO:0000461", "MONDO:0100096"
THIRTIES = "HsapDv:0000127"
HERE, ELSEWHERE, CLOSED = "near", "far", "closed"
PERSON = f"{HERE}:P1"
"""Two visits, female, in the thirties, ill; few natural killer cells, many plasmablasts."""
ALONE = f"{HERE}:P2"
"""One visit; nothing is known of age and sex, no stratum, no row of drivers."""
HIDDEN = f"{CLOSED}:H1"
CANARY = 0.4142135


def make_people(
    folder: Path,
    *,
    n_women: int = 130,
    n_men: int = 20,
    n_rare: int = 0,
    min_donors: int = 10,
    seed: int = 5,
) -> Path:
    """Write a release with healthy people in the thirties and two others, and return it."""
    rng = np.random.default_rng(seed)
    healthy = [(f"{ELSEWHERE}:F{n:03d}", FEMALE) for n in range(n_women)]
    healthy += [(f"{ELSEWHERE}:M{n:03d}", MALE) for n in range(n_men)]
    donors = [_donor(name, sex, THIRTIES, NORMAL) for name, sex in healthy]
    donors += [
        _donor(PERSON, FEMALE, THIRTIES, COVID, n_visits=2),
        _donor(ALONE, "unknown", "unknown", NORMAL),
    ]
    visits = [(name, "T0", 0.0) for name, _ in healthy]
    visits += [(PERSON, "T0", 0.0), (PERSON, "T1", 28.0), (ALONE, "once", np.nan)]
    counts = {
        (name, visit): rng.multinomial(N_CELLS, rng.dirichlet(60 * np.array([*TYPES.values()])))
        for name, visit, _ in visits
    }
    counts[PERSON, "T1"] = _person_counts()
    kinds = [*TYPES, *(f"rare type {n} of cells with a long name" for n in range(n_rare))]
    counts = {pair: np.append(values, np.ones(n_rare, int)) for pair, values in counts.items()}
    frames = {
        "donors": pd.DataFrame(donors),
        "visits": pd.DataFrame([_visit(*item) for item in visits]),
        "samples": pd.DataFrame([_sample(name, visit) for name, visit, _ in visits]),
        "composition": _composition(counts, kinds),
        "qc": pd.DataFrame([_qc(name, visit) for name, visit, _ in visits]),
        "cohorts": pd.DataFrame([_cohort(name) for name in (HERE, ELSEWHERE, CLOSED)]),
        "assignments": _assignments(visits),
        "drivers": _drivers(),
        "movement": pd.DataFrame(
            [
                {
                    "donor_id": PERSON, "visit": "T1", "previous_visit": "T0", "moved": 1.5,
                    "moved_by_chance": 0.3, "p_value": 0.002, "q_value": 0.002,
                    "same_batch": True, "stratum": "S1", "previous_stratum": "S2",
                }
            ]
        ),
        "measurements": pd.DataFrame(
            [
                {
                    "donor_id": PERSON, "loinc": "4548-4", "number": n, "cohort_id": HERE,
                    "variable": "hba1c", "visit": f"T{min(n, 2) - 1}", "day": 28.0 * (n - 1),
                    "value": value, "unit": "%", "source": "clinic", "comparator": "",
                    "submitted_value": value, "submitted_unit": "%",
                }
                for n, value in ((1, 6.5), (2, 7.25), *((n + 3, n / 2) for n in range(n_rare)))
            ]
        ),
        "strata": pd.DataFrame(
            {
                "stratum": ["S1", "S2"], "n_donors": [100, 52], "stability": [0.9, 0.9],
                "medoid_donor_id": [f"{ELSEWHERE}:F000", f"{ELSEWHERE}:F001"],
                "description": ["set apart by state of monocytes", "set apart by B cells"],
            }
        ),
    }  # fmt: skip
    write_release_folder(folder, frames, min_donors=min_donors)
    _write_profiles(folder / "donors.h5ad", visits, kinds[len(TYPES) :], rng)
    return folder


def write_release_folder(
    folder: Path, frames: Mapping[str, pd.DataFrame], *, min_donors: int
) -> None:
    """Write tables, verdict, citation and a manifest that names them."""
    for name, frame in frames.items():
        write_table(folder / "tables" / f"{name}.parquet", frame, table(name))
    write_json(
        folder / "strata.json",
        {
            "decision": "strata", "why": "",
            "placement": {"coverage": 0.9, "fold_agreement": 0.97},
            "generalisation": {"unit": "batch_id", "balanced_accuracy": [0.8, 0.9]},
        },
    )  # fmt: skip
    (folder / "CITATION.cff").write_text("authors:\n- name: The made-up institute\n")
    cohorts = {
        name: {
            "access": "controlled" if name == CLOSED else "open",
            "published": name != CLOSED,
            "status": "ok",
        }
        for name in (HERE, ELSEWHERE, CLOSED)
    }
    entry = {"size": 1, "sha256": "0" * 64, "content_sha256": "0" * 64}
    files = {f"tables/{name}.parquet": entry for name in frames}
    write_json(
        folder / "manifest.json",
        {
            "files": files, "cohorts": cohorts, "parameters": {}, "title": "Made-up people",
            "version": "3", "pmcell": "0", "content_sha256": "ab" * 32,
            "schema_version": SCHEMA_VERSION, "min_donors": min_donors,
        },
    )  # fmt: skip
    list_anew(folder)


def edit(folder: Path, name: str, change: Any) -> None:
    """Change one table of a release in place by a function of its frame."""
    path = folder / "tables" / f"{name}.parquet"
    write_table(path, change(pd.read_parquet(path)), table(name))
    list_anew(folder)


def _person_counts() -> np.ndarray:
    counts = dict.fromkeys(TYPES, 0)
    counts |= {
        "naive B cell": 200, "memory B cell": 100, "classical monocyte": 400,
        "natural killer cell": 4, "CD4-positive, alpha-beta memory T cell": 640,
        "CD8-positive, alpha-beta memory T cell": 356, "platelet": 0, "plasmablast": 300,
    }  # fmt: skip
    assert sum(counts.values()) == N_CELLS
    return np.array([*counts.values()])


def _donor(name: str, sex: str, stage: str, disease: str, n_visits: int = 1) -> dict[str, Any]:
    return {
        "donor_id": name, "cohort_id": name.split(":")[0], "region": "NL2",
        "sex_ontology_term_id": sex, "self_reported_ethnicity_ontology_term_id": "unknown",
        "development_stage_ontology_term_id": stage, "disease_ontology_term_id": disease,
        "age_group": "unknown", "n_visits": n_visits, "n_samples": n_visits,
        "n_cells": n_visits * N_CELLS,
    }  # fmt: skip


def _visit(name: str, visit: str, day: float) -> dict[str, Any]:
    return {
        "donor_id": name, "visit": visit, "cohort_id": name.split(":")[0], "visit_day": day,
        "condition": "ill" if name == PERSON else "well", "n_samples": 1, "n_cells": N_CELLS,
    }  # fmt: skip


def _sample(name: str, visit: str) -> dict[str, Any]:
    return {
        "sample_id": f"{name}_{visit}", "donor_id": name, "visit": visit,
        "cohort_id": name.split(":")[0], "batch_id": "b1",
        "assay_ontology_term_id": "EFO:0009899", "tissue_ontology_term_id": "UBERON:0000178",
        "tissue_type": "tissue", "suspension_type": "cell", "condition": "x",
        "n_cells_submitted": N_CELLS + 100, "n_cells": N_CELLS, "hours_to_processing": np.nan,
    }  # fmt: skip


def _qc(name: str, visit: str) -> dict[str, Any]:
    zeros = dict.fromkeys(
        ("n_low_counts", "n_high_counts", "n_low_genes", "n_high_mitochondrial", "n_doublets"), 0
    )
    return {
        "sample_id": f"{name}_{visit}", "cohort_id": name.split(":")[0],
        "n_cells_submitted": N_CELLS + 100, "n_cells": N_CELLS, "median_total_counts": 4321.0,
        "median_genes_detected": 1234.0, "median_share_mitochondrial": 0.05,
        "min_total_counts": 1.0, "max_total_counts": 1e5, "min_genes_detected": 1.0,
        "max_share_mitochondrial": 0.2, "max_doublet_score": None, **zeros,
    }  # fmt: skip


def _cohort(name: str) -> dict[str, Any]:
    known = {
        "cohort_id": name, "title": f"Cohort {name}", "region": "NL2", "programme": "none",
        "programme_report": "", "programme_sources": [],
        "organism_ontology_term_id": "NCBITaxon:9606", "license": "CC-BY-4.0",
        "consent": "no consent ledger: the cohort's own policy holds",
        "access": "controlled" if name == CLOSED else "open", "status": "ok",
        "data_use": ["DUO:0000042", "DUO:0000043"], "reason": "", "message": "", "left_out": "",
        "source_doi": "unknown", "source_accession": "unknown",
    }  # fmt: skip
    numbers = {item.name: None for item in table("cohorts").fields if item.name not in known}
    return known | numbers


def _composition(counts: Mapping[tuple[str, str], np.ndarray], kinds: list[str]) -> pd.DataFrame:
    rows = [
        (name, visit, kind, int(n), n / values.sum())
        for (name, visit), values in counts.items()
        for kind, n in zip(kinds, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["donor_id", "visit", "cell_type", "n_cells", "share"])


def _assignments(visits: list[tuple[str, str, float]]) -> pd.DataFrame:
    rows = []
    for name, visit, _ in visits:
        is_alone = name == ALONE
        rows.append(
            {
                "donor_id": name, "visit": visit, "stratum": None if is_alone else "S1",
                "candidate_stratum": None if is_alone else "S1",
                "status": "novel" if is_alone else "assigned",
                "probability": None if is_alone else 0.875,
                "conformal_set": "none" if is_alone else "S1;S2", "ood_p": 0.25, "margin": 0.5,
                "n_cells": N_CELLS, "left_out": "", "axis_1": 0.0, "axis_2": 0.0, "axis_3": 0.0,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _drivers() -> pd.DataFrame:
    parts = [("state", "classical monocyte", 0.6), ("composition", "platelet", -0.2)]
    return pd.DataFrame(
        [(PERSON, "T1", *part, False) for part in parts],
        columns=["donor_id", "visit", "channel", "cell_type", "contribution", "flips_without"],
    )


def _write_profiles(
    path: Path, visits: list[tuple[str, str, float]], rare: list[str], rng: np.random.Generator
) -> None:
    import anndata

    types = np.repeat(["classical monocyte", "platelet", *rare], 3)
    values = rng.normal(0, 1, (len(visits), types.size))
    rows = {(name, visit): row for row, (name, visit, _) in enumerate(visits)}
    values[rows[PERSON, "T1"], :3] = 9.0
    values[rows[PERSON, "T1"], 3:] = np.nan
    obs = pd.DataFrame(
        {"donor_id": [item[0] for item in visits], "visit": [item[1] for item in visits]},
        index=[f"{item[0]}|{item[1]}" for item in visits],
    )
    adata = anndata.AnnData(obs=obs, obsm={"X_state": values})
    adata.uns["profile"] = {"state_cell_type": types.astype(object)}
    adata.write_h5ad(path)


def suspect(folder: Path, *kinds: str, n_found: int = 321) -> None:
    """Say of the ill woman what the step `duplicates` finds, in a table of the release."""
    other = f"{ELSEWHERE}:F007"
    rows = [
        {
            "donor_id": PERSON, "other_donor_id": other if kind == SHARED_CELLS else PERSON,
            "kind": kind, "n_found": n_found, "n_compared": 2_000, "similarity": None,
            "what_to_do": "Ask the laboratory.",
        }
        for kind in kinds
    ]  # fmt: skip
    write_table(folder / "tables" / "duplicates.parquet", pd.DataFrame(rows), table("duplicates"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["tables/duplicates.parquet"] = manifest["files"]["tables/donors.parquet"]
    write_json(folder / "manifest.json", manifest)
    list_anew(folder)
