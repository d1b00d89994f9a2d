"""A study of an open and a controlled cohort with people who differ, for attackers to try.

The controlled cohort has 96 donors of three diagnoses, two sexes and three age
bands; every donor has a profile of genes of their own. `strangers` are people
of the same population who are not in the study.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

import results_folder
from results_folder import CELLS_PER_SAMPLE, make_results

N_HIDDEN = 96
N_OPEN = 12
N_GENES = 300
DONOR_SPREAD = 1.0


@dataclass(frozen=True)
class Study:
    """Results folder, and what an attacker may know: detection rates, donors × genes."""

    results: Path
    population: np.ndarray
    hidden: np.ndarray
    strangers: np.ndarray


def make_study(root: Path, *, access: str = "controlled", n_few: int = 0) -> Study:
    """Write `root/results`; `access` is that of the cohort `closed`.

    With `n_few` there is a controlled cohort `few` of so many donors, too.
    """
    rng = np.random.default_rng(11)
    genes = [f"ENSG{number:011d}" for number in range(1, N_GENES + 1)]
    base = rng.gamma(2.0, 0.4, N_GENES)

    def people(n: int) -> np.ndarray:
        return base * np.exp(rng.normal(0, DONOR_SPREAD, (n, N_GENES)) - DONOR_SPREAD**2 / 2)

    known, hidden, strangers = people(N_OPEN), people(N_HIDDEN), people(N_HIDDEN)
    cohorts = {
        "alpha": _spec(known, genes, "open", "NL2"),
        "alpha-2": _spec(people(2), genes, "open", "BE2"),
        "closed": _spec(hidden, genes, access, "DE1"),
    }
    if n_few:
        cohorts["few"] = _spec(people(n_few), genes, "controlled", "FR1")
    with (
        patch.object(results_folder, "GENE_IDS", genes),
        patch.dict(results_folder.COHORTS, cohorts),
    ):
        results = make_results(root)
    _describe(results, rng)
    _add_up(results)
    return Study(results, 1 - np.exp(-people(200)), 1 - np.exp(-hidden), 1 - np.exp(-strangers))


def leave_out(results: Path, *donor_ids: str) -> None:
    """Let none of the donors' cells pass QC, and take them out of what is made from them.

    All are of one cohort.
    """
    import anndata as ad

    folder = results / "cohorts" / donor_ids[0].partition(":")[0]
    qc = pd.read_parquet(folder / "qc.parquet")
    samples = pd.read_parquet(folder / "samples.parquet")
    gone = set(samples.loc[samples["donor_id"].isin(donor_ids), "sample_id"])
    left = set(qc.loc[qc["sample_id"].isin(gone), "cell_id"])
    qc["passes_qc"] &= ~qc["sample_id"].isin(gone)
    qc.to_parquet(folder / "qc.parquet", index=False)
    embedding = ad.read_h5ad(results / "atlas" / "embedding.h5ad")
    embedding[~embedding.obs_names.isin(left)].copy().write_h5ad(results / "atlas/embedding.h5ad")
    for name in ("clusters", "umap"):
        path = results / "atlas" / f"{name}.parquet"
        table = pd.read_parquet(path)
        table[~table["cell_id"].isin(left)].to_parquet(path, index=False)
    for name in ("assignments", "composition", "drivers"):
        path = results / "strata" / f"{name}.parquet"
        table = pd.read_parquet(path)
        table[~table["donor_id"].isin(donor_ids)].to_parquet(path, index=False)
    _add_up(results)


def _spec(rates: np.ndarray, genes: list[str], access: str, region: str) -> dict:
    people = np.append(np.arange(len(rates)), 0)
    return {
        "donors": len(rates),
        "genes": genes,
        "access": access,
        "status": "ok",
        "region": region,
        "rate": rates[np.repeat(people, CELLS_PER_SAMPLE)],
    }


def _describe(results: Path, rng: np.random.Generator) -> None:
    """Give the controlled cohort's donors facts by which they can be told apart."""
    folder = results / "cohorts" / "closed"
    donors = pd.read_parquet(folder / "donors.parquet")
    n = len(donors)
    donors["disease_ontology_term_id"] = np.repeat(
        ["MONDO:0005148", "PATO:0000461", "MONDO:0005147"], [n // 2, n // 3, n - n // 2 - n // 3]
    )
    donors["sex_ontology_term_id"] = np.where(rng.random(n) < 0.5, "PATO:0000383", "PATO:0000384")
    donors["age_group"] = rng.choice(["20-39", "40-59", "60-79"], n, p=[0.2, 0.35, 0.45])
    donors.to_parquet(folder / "donors.parquet", index=False)


def _add_up(results: Path) -> None:
    """Write the sums and markers that the steps would have written."""
    import anndata as ad

    from pmcell.io.counts.aggregates import open_aggregates, write_aggregate
    from pmcell.io.tables import write_table
    from pmcell.schema import MARKERS
    from pmcell.tl.aggregate import aggregate
    from pmcell.tl.markers import find_markers

    clusters = pd.read_parquet(results / "atlas" / "clusters.parquet").set_index("cell_id")
    paths = []
    for folder in sorted((results / "cohorts").iterdir()):
        if folder.name == "wrong":
            continue
        cells = ad.read_h5ad(folder / "intake.h5ad")
        cells.obs["cluster"] = clusters["cluster"].reindex(cells.obs_names).astype(object)
        write_aggregate(folder / "aggregate.npz", aggregate(cells))
        paths.append(folder / "aggregate.npz")
    found = find_markers(open_aggregates(paths), n_top=N_GENES)
    write_table(results / "atlas" / "markers.parquet", found, MARKERS)
