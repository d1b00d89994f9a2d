"""A made-up release that keeps the schema: 3 cohorts and a quarantined one, 60 donors, 12,000 cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pmcell.io.atomic import write_json
from pmcell.io.tables import write_table
from pmcell.schema import table

TYPES = (
    ("CD4-positive, alpha-beta T cell", "CL:0000624"),
    ("CD8-positive, alpha-beta T cell", "CL:0000625"),
    ("classical monocyte", "CL:0000860"),
    ("natural killer cell", "CL:0000623"),
    ("naive B cell", "CL:0000788"),
    ("non-classical monocyte", "CL:0000875"),
    ("memory B cell", "CL:0000787"),
    ("regulatory T cell", "CL:0000815"),
    ("mucosal invariant T cell", "CL:0000940"),
    ("gamma-delta T cell", "CL:0000798"),
    ("unknown", "unknown"),
    ("plasmablast", "CL:0000980"),
    ("conventional dendritic cell", "CL:0000990"),
    ("platelet", "CL:0000233"),
)
GENES = (
    "IL7R LEF1 TCF7 CD8A CD8B GZMK S100A8 LYZ VCAN GNLY NKG7 PRF1 TCL1A IGHD FCER2 FCGR3A MS4A7 "
    "LST1 CD27 TNFRSF13B AIM2 FOXP3 CTLA4 RTKN2 SLC4A10 KLRB1 ZBTB16 TRDC TRGC1 TRDV2 MT-CO1 "
    "MT-ND4 MALAT1 MZB1 XBP1 IGHG1 FCER1A CLEC10A CD1C PPBP PF4 GP9"
).split()


def make_release(
    folder: Path,
    *,
    n_cells: int = 12_000,
    published: bool = False,
    hostile: str = "",
    seed: int = 7,
) -> Path:
    """Write a whole release into `folder`; `hostile` is put into every free-text field."""
    frames = make_frames(n_cells=n_cells, published=published, seed=seed)
    strata = make_strata(frames, published=published)
    if hostile:
        frames = {name: _poison(frame, name, hostile) for name, frame in frames.items()}
        strata = _poison_json(strata, hostile)
    for name, frame in frames.items():
        write_table(folder / "tables" / f"{name}.parquet", frame, table(name))
    write_json(folder / "strata.json", strata)
    return folder


def make_frames(*, n_cells: int, published: bool, seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    visits = _visits(rng)
    cells = _cells(rng, visits, n_cells)
    frames = {"cells": cells}
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
    frames["cohorts"] = _cohorts(cells, donors, frames["samples"])
    frames["qc"] = _qc(cells)
    frames["clusters"] = _clusters(passing)
    frames["genes"], frames["markers"] = _genes_markers(rng, frames["clusters"])
    frames["gene_ledger"] = _ledger(frames["genes"])
    shares = (
        passing.groupby(["donor_id", "visit", "cell_type"]).size().rename("n_cells").reset_index()
    )
    total = shares.groupby(["donor_id", "visit"])["n_cells"].transform("sum")
    frames["composition"] = shares.assign(share=shares["n_cells"] / total)
    frames["assignments"] = _assignments(rng, visits, published)
    frames["strata"] = _strata_rows(frames["assignments"], published)
    frames["associations"] = _associations(rng)
    frames["drivers"] = _drivers(rng, frames["assignments"], published)
    frames["gaps"] = _gaps(donors)
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
            "silhouette": [0.31, 0.22, 0.2, None],
            "null_silhouette_mean": [0.2, 0.19, 0.19, 0.18],
        },
        "clustering": {
            "ks": [2, 3, 4, 5],
            "pac": [0.05, 0.2, 0.31, 0.33],
            "axes_share": [0.31, 0.12],
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
            "used": ["state"],
        },
        "withheld_by_access": [],
    }


def _visits(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    regions = {"liu_b1": "US-MD", "liu_b2": "US-MD", "lombardy_pbmc": "ITC4"}
    for number in range(60):
        cohort = list(regions)[number % 3]
        donor = f"{cohort}:D{number:03d}"
        condition = "healthy control" if rng.random() < 0.33 else "severe COVID-19"
        for visit in range(1 + (condition[0] == "s" and rng.random() < 0.4) * rng.integers(1, 3)):
            rows.append(
                {
                    "sample_id": f"{cohort}:D{number:03d}-T{visit}",
                    "donor_id": donor,
                    "visit": f"T{visit}",
                    "visit_day": float(visit * 7),
                    "cohort_id": cohort,
                    "region": regions[cohort],
                    "condition": condition,
                }
            )
    return pd.DataFrame(rows)


def _cells(rng: np.random.Generator, visits: pd.DataFrame, n: int) -> pd.DataFrame:
    home = rng.integers(0, len(visits), n)
    weights = np.array([16, 13, 12, 9, 8, 6, 6, 5, 4, 4, 3, 3, 3, 2.0])
    kind = rng.choice(14, n, p=weights / weights.sum())
    centres = np.random.default_rng(3).normal(size=(14, 2)) * 6
    centres += np.array([[0, 0], [3, 1]] * 7)
    place = centres[kind] + rng.normal(size=(n, 2)) * np.array([0.9, 0.7])
    counts = np.exp(rng.normal(7.6 + 0.1 * (home % 5), 0.45)).astype(int) + 20
    genes = np.minimum(counts // 3 + rng.integers(0, 60, n), 950)
    mito = rng.beta(2, 40, n)
    doublet = rng.beta(1.5, 18, n)
    reasons = [
        ";".join(
            name
            for name, hit in (
                ("low_counts", c < 500),
                ("low_genes", g < 200),
                ("high_mitochondrial", m > 0.13),
                ("doublet", d > 0.28),
            )
            if hit
        )
        for c, g, m, d in zip(counts, genes, mito, doublet, strict=True)
    ]
    passes = np.array([not reason for reason in reasons])
    row = visits.iloc[home].reset_index(drop=True)
    labels = np.array([name for name, _ in TYPES], dtype=object)[kind]
    terms = np.array([term for _, term in TYPES], dtype=object)[kind]
    return pd.DataFrame(
        {
            "cell_id": [f"{c}:{i:06d}-1" for i, c in enumerate(row["cohort_id"])],
            "cohort_id": row["cohort_id"],
            "donor_id": row["donor_id"],
            "sample_id": row["sample_id"],
            "visit": row["visit"],
            "batch_id": row["cohort_id"],
            "total_counts": counts,
            "n_genes_detected": genes,
            "share_mitochondrial": np.where(row["cohort_id"] == "liu_b2", np.nan, mito),
            "doublet_score": doublet,
            "passes_qc": passes,
            "exclusion": reasons,
            "cluster": np.where(passes, kind.astype(str), None),
            "cell_type": np.where(passes, labels, None),
            "cell_type_ontology_term_id": np.where(passes, terms, None),
            "cell_type_confidence": np.where(passes, 0.9, np.nan),
            "source_cell_type": labels,
            "source_cell_type_ontology_term_id": terms,
            "umap_1": np.where(passes, place[:, 0], np.nan),
            "umap_2": np.where(passes, place[:, 1], np.nan),
        }
    )


def _cohorts(cells: pd.DataFrame, donors: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for cohort, own in cells.groupby("cohort_id"):
        rows.append(
            {
                "cohort_id": cohort,
                "title": f"Time-resolved PBMC of COVID-19, {cohort}",
                "region": donors.loc[donors["cohort_id"] == cohort, "region"].iloc[0],
                "status": "ok",
                "reason": "",
                "message": "",
                "n_cells_submitted": len(own),
                "n_cells": int(own["passes_qc"].sum()),
                "n_donors": int((donors["cohort_id"] == cohort).sum()),
                "n_samples": int((samples["cohort_id"] == cohort).sum()),
                "n_genes_submitted": 1000,
                "n_genes": 987,
                "share_umis_lost": 0.013,
            }
        )
    rows.append(
        {
            "cohort_id": "islets_log",
            "title": "Islets, laboratory B",
            "region": "BE2",
            "status": "quarantined",
            "reason": "not_counts",
            "message": "matrix X must hold raw counts; found 3.17 at row 0, column 12. "
            "Point matrix.counts in cohort.yaml at the layer that holds the counts.",
            "n_cells_submitted": 546,
            "n_cells": 0,
            "n_donors": 0,
            "n_samples": 0,
            "n_genes_submitted": 457,
            "n_genes": 0,
            "share_umis_lost": 0.0,
        }
    )
    frame = pd.DataFrame(rows).assign(
        programme="covid19",
        organism_ontology_term_id="NCBITaxon:9606",
        access="open",
        license="CC-BY-4.0",
        source_doi="10.1016/j.cell.2021.02.018",
        source_accession="GSE161918",
    )
    frame["data_use"] = [["DUO:0000042"]] * len(frame)
    return frame


def _qc(cells: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (cohort, sample), own in cells.groupby(["cohort_id", "sample_id"]):
        mito = own["share_mitochondrial"].median()
        rows.append(
            {
                "sample_id": sample,
                "cohort_id": cohort,
                "n_cells_submitted": len(own),
                "n_cells": int(own["passes_qc"].sum()),
                "median_total_counts": own["total_counts"].median(),
                "median_genes_detected": own["n_genes_detected"].median(),
                "median_share_mitochondrial": mito,
                "min_total_counts": 500.0,
                "max_total_counts": 11_000.0,
                "min_genes_detected": 200.0,
                "max_share_mitochondrial": np.nan if np.isnan(mito) else 0.13,
                "max_doublet_score": 0.28,
                "n_low_counts": int((own["total_counts"] < 500).sum()),
                "n_high_counts": 0,
                "n_low_genes": int((own["n_genes_detected"] < 200).sum()),
                "n_high_mitochondrial": int((own["share_mitochondrial"] > 0.13).sum()),
                "n_doublets": int((own["doublet_score"] > 0.28).sum()),
            }
        )
    return pd.DataFrame(rows)


def _clusters(passing: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for kind, (name, term) in enumerate(TYPES):
        own = passing[passing["cluster"] == str(kind)]
        known = term != "unknown"
        rows.append(
            {
                "cluster": str(kind),
                "cell_type": name,
                "cell_type_ontology_term_id": term,
                "cell_type_confidence": 0.95 - 0.03 * kind if known else 0.31,
                "label_method": "source_majority" if known else "abstained",
                "label_evidence": f"{95 - 3 * kind} % of the source's labels agree"
                if known
                else "best source label CD4 T 31 %, below 50 %; markers are mitochondrial",
                "n_cells": len(own),
                "n_donors": int(own["donor_id"].nunique()),
                "batch_entropy": 0.97 - 0.02 * kind,
            }
        )
    return pd.DataFrame(rows)


def _genes_markers(
    rng: np.random.Generator, clusters: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    genes = pd.DataFrame(
        {
            "gene_id": [f"ENSG{index:011d}" for index in range(len(GENES))],
            "symbol": GENES,
            "n_cells_detected": rng.integers(100, 9000, len(GENES)),
            "is_highly_variable": True,
            "hvg_rank": np.arange(len(GENES), dtype=float),
        }
    )
    genes["measured_in"] = [["liu_b1", "liu_b2", "lombardy_pbmc"]] * len(genes)
    rows = []
    for cluster in range(len(clusters)):
        change = rng.normal(0, 0.5, len(GENES))
        change[3 * cluster : 3 * cluster + 3] += 3
        order = np.argsort(-change)
        for rank, gene in enumerate(order, start=1):
            share_in = float(1 / (1 + np.exp(-change[gene])))
            rows.append(
                {
                    "cluster": str(cluster),
                    "gene_id": genes["gene_id"][gene],
                    "symbol": GENES[gene],
                    "rank": rank,
                    "score": change[gene] * 20,
                    "log2_fold_change": change[gene],
                    "p_value": 0.001,
                    "q_value": 0.01,
                    "share_in": share_in,
                    "share_out": 0.2,
                    "share_donors": 0.9,
                }
            )
    return genes, pd.DataFrame(rows)


def _ledger(genes: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for cohort in ("liu_b1", "liu_b2", "lombardy_pbmc"):
        for row, (gene, symbol) in enumerate(zip(genes["gene_id"], genes["symbol"], strict=True)):
            fate = ("kept", "renamed", "merged")[0 if row > 3 else row % 3]
            rows.append(
                (cohort, row, symbol, gene, symbol, fate, "" if fate == "kept" else "alias", 900)
            )
        rows.append((cohort, len(genes), "1-Mar", None, None, "lost", "looks like a date", 120))
    columns = ["cohort_id", "row", "source_gene", "gene_id", "symbol", "fate", "why", "umis"]
    return pd.DataFrame(rows, columns=columns)


def _assignments(rng: np.random.Generator, visits: pd.DataFrame, published: bool) -> pd.DataFrame:
    ill = (visits["condition"] == "severe COVID-19").to_numpy()
    shift = np.where(ill, 1.0, -1.4)
    candidate = np.where(ill, "S1", "S2").astype(object)
    probability = rng.uniform(0.55, 1.0, len(visits))
    status = np.where(probability < 0.6, "ambiguous", "assigned" if published else "withheld")
    frame = pd.DataFrame(
        {
            "donor_id": visits["donor_id"],
            "visit": visits["visit"],
            "stratum": np.where((status == "assigned") & published, candidate, None),
            "candidate_stratum": candidate,
            "status": status.astype(object),
            "probability": probability,
            "n_cells": visits["n_cells"],
            "axis_1": shift + rng.normal(0, 0.5, len(visits)),
            "axis_2": rng.normal(0, 0.6, len(visits)),
            "axis_3": rng.normal(0, 0.4, len(visits)),
        }
    )
    few = frame.index[:2]
    frame.loc[few, ["candidate_stratum", "stratum"]] = None
    frame.loc[few, "status"] = "too_few_cells"
    frame.loc[few, ["probability", "axis_1", "axis_2", "axis_3"]] = np.nan
    return frame


def _strata_rows(assignments: pd.DataFrame, published: bool) -> pd.DataFrame:
    columns = ["stratum", "n_donors", "stability", "medoid_donor_id", "description"]
    if not published:
        return pd.DataFrame(columns=columns).astype({"n_donors": "int64", "stability": "float64"})
    rows = []
    for name, own in assignments.dropna(subset=["stratum"]).groupby("stratum"):
        text = "high interferon state in classical monocytes"
        rows.append((name, own["donor_id"].nunique(), 0.93, own["donor_id"].iloc[0], text))
    return pd.DataFrame(rows, columns=columns)


def _associations(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for outcome in ("axis_1", "axis_2", "axis_3", "stratum"):
        for covariate, family in (
            ("cohort_id", "technical"),
            ("batch_id", "technical"),
            ("n_cells", "technical"),
            ("condition", "clinical"),
            ("sex_ontology_term_id", "clinical"),
            ("age_group", "clinical"),
        ):
            strong = covariate == "condition" and outcome in ("axis_1", "stratum")
            effect = 0.71 if strong else float(rng.uniform(0.01, 0.2))
            p = 0.001 if strong else float(rng.uniform(0.05, 1))
            rows.append(
                {
                    "outcome": outcome,
                    "covariate": covariate,
                    "family": family,
                    "test": "permutation of Cramer's V"
                    if outcome == "stratum"
                    else "Kruskal permutation",
                    "effect": effect,
                    "effect_name": "cramers_v" if outcome == "stratum" else "epsilon_squared",
                    "p_value": p,
                    "q_value": min(1.0, p * 2),
                    "n_donors": 58,
                }
            )
    return pd.DataFrame(rows)


def _drivers(rng: np.random.Generator, assignments: pd.DataFrame, published: bool) -> pd.DataFrame:
    rows = []
    for _, own in assignments.dropna(subset=["candidate_stratum"]).iterrows():
        for channel in ("composition", "state"):
            for index, (name, _) in enumerate(TYPES):
                if name == "unknown":
                    continue
                base = 0.2 if (channel == "state" and index == 2) else 0.03
                rows.append(
                    (own["donor_id"], own["visit"], channel, name, base + rng.normal(0, 0.02))
                )
    columns = ["donor_id", "visit", "channel", "cell_type", "contribution"]
    return pd.DataFrame(rows if published else [], columns=columns).astype({"contribution": float})


def _gaps(donors: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for cohort, own in donors.groupby("cohort_id"):
        n = len(own)
        for column, missing, why in (
            (
                "self_reported_ethnicity_ontology_term_id",
                n,
                "fairness across ancestries cannot be checked",
            ),
            ("development_stage_ontology_term_id", n, "age cannot be adjusted for"),
            ("sex_ontology_term_id", n // 3 if cohort == "liu_b2" else 0, "sex cannot be adjusted"),
        ):
            if missing:
                rows.append((cohort, "donors", column, missing, n, why))
    columns = ["cohort_id", "table", "column", "n_missing", "n_rows", "why_it_matters"]
    return pd.DataFrame(rows, columns=columns)


_FREE_TEXT = {
    "title", "region", "programme", "access", "license", "source_doi", "source_accession",
    "reason", "message", "condition", "age_group", "cell_type", "label_evidence", "description",
    "batch_id", "visit", "why_it_matters", "symbol", "source_cell_type", "exclusion", "status",
    "covariate", "cohort_id", "donor_id", "sample_id", "cluster", "label_method", "test",
    "effect_name", "channel", "why", "fate", "source_gene", "outcome", "family", "column",
    "stratum", "candidate_stratum", "medoid_donor_id",
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


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release without published strata."""
    return make_release(tmp_path_factory.mktemp("release"), n_cells=4_000)


@pytest.fixture(scope="session")
def release_with_strata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with two published strata."""
    return make_release(tmp_path_factory.mktemp("strata"), n_cells=4_000, published=True)
