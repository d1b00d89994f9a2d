"""Made-up tables of cohorts, samples, cells, clusters and genes."""

from __future__ import annotations

import numpy as np
import pandas as pd

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
    "IL7R", "LEF1", "TCF7", "CD8A", "CD8B", "GZMK", "S100A8", "LYZ", "VCAN", "GNLY", "NKG7",
    "PRF1", "TCL1A", "IGHD", "FCER2", "FCGR3A", "MS4A7", "LST1", "CD27", "TNFRSF13B", "AIM2",
    "FOXP3", "CTLA4", "RTKN2", "SLC4A10", "KLRB1", "ZBTB16", "TRDC", "TRGC1", "TRDV2",
    "MT-CO1", "MT-ND4", "MALAT1", "MZB1", "XBP1", "IGHG1", "FCER1A", "CLEC10A", "CD1C", "PPBP",
    "PF4", "GP9",
)  # fmt: skip


def make_visits(rng: np.random.Generator, n_donors: int) -> pd.DataFrame:
    rows = []
    regions = {"liu_b1": "US-MD", "liu_b2": "US-MD", "lombardy_pbmc": "ITC4"}
    for number in range(n_donors):
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


def make_cells(rng: np.random.Generator, visits: pd.DataFrame, n: int) -> pd.DataFrame:
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
            "cell_row": pd.Series(passes)[passes].groupby(row["cohort_id"]).cumcount(),
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
            "label_method": np.where(passes, "source", None),
            "profile_cell_type": np.where(passes, labels, None),
            "source_cell_type": labels,
            "source_cell_type_ontology_term_id": terms,
            "umap_1": np.where(passes, place[:, 0], np.nan),
            "umap_2": np.where(passes, place[:, 1], np.nan),
        }
    )


def make_cohorts(cells: pd.DataFrame, donors: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
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
                "n_cells_left_out": 0,
                "left_out": "",
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
            "n_cells_left_out": 0,
            "left_out": "",
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
        programme_report="Interferon at each visit.",
        organism_ontology_term_id="NCBITaxon:9606",
        access="open",
        consent="no consent ledger: the cohort's own policy holds",
        license="CC-BY-4.0",
        source_doi="10.1016/j.cell.2021.02.018",
        source_accession="GSE161918",
    )
    frame["data_use"] = [["DUO:0000042"]] * len(frame)
    frame["programme_sources"] = [["10.1007/s10875-016-0359-1", "A handbook"]] * len(frame)
    return frame


def make_qc(cells: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (cohort, sample), own in cells.groupby(["cohort_id", "sample_id"]):
        measured = own["share_mitochondrial"].dropna()
        mito = measured.median() if len(measured) else np.nan
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


def make_clusters(passing: pd.DataFrame) -> pd.DataFrame:
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


def make_genes_markers(
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
    genes["highly_variable_in"] = [["UBERON:0000178"]] * len(genes)
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
                    "auc": share_in,
                    "score_wilcoxon": change[gene] * 10,
                    "p_wilcoxon": 0.001,
                    "q_wilcoxon": 0.01,
                    "share_in": share_in,
                    "share_out": 0.2,
                    "share_donors": 0.9,
                }
            )
    return genes, pd.DataFrame(rows)


def make_ledger(genes: pd.DataFrame) -> pd.DataFrame:
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
