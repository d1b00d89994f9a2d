"""The workflow's commands on one cohort, one process each: what `pipeline.py` measures as a whole.

The file's genes are renamed to canonical ids, as intake would else lose them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COHORT = """\
schema_version: "1"
id: bench
title: Made cells
source: {doi: unknown, accession: unknown, url: unknown}
steward: {name: Bench, email: unknown, organisation: unknown}
publisher: {name: unknown, url: unknown}
license: CC-BY-4.0
region: NL32
programme: t2d
organism_ontology_term_id: NCBITaxon:9606
access: open
data_use: [DUO:0000042]
matrix: {path: counts.h5ad, format: h5ad, counts: X, gene_column: index, gene_namespace: auto}
columns: {barcode: index, sample_id: "constant:s1", cell_type: cell_type}
defaults:
  assay_ontology_term_id: EFO:0009922
  tissue_ontology_term_id: UBERON:0000178
  tissue_type: tissue
  suspension_type: cell
"""
DONORS = (
    "donor_id\tsex_ontology_term_id\tdisease_ontology_term_id\nd1\tPATO:0000383\tPATO:0000461\n"
)
SAMPLES = "sample_id\tdonor_id\tvisit\tvisit_day\tbatch_id\tcondition\ns1\td1\tT0\t0\tb1\thealthy\n"
CONFIG = "qc: {score_doublets: false, min_genes: 200, max_share_mitochondrial: 0.15}\n"


def run_steps(file: Path, threads: int) -> dict[str, Any]:
    """Wall, CPU and peak of each command, and the agreement of the clusters with the types."""
    from importlib.metadata import version

    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder / "in" / "bench", file)
        (folder / "config.yaml").write_text(CONFIG)
        found = {
            step: timed([sys.executable, "-m", "pmcell", *arguments], folder)
            for step, arguments in commands(threads).items()
        }
        cells = pd.read_parquet(folder / "out/atlas/clusters.parquet").set_index("cell_id")
        types = true_types(folder / "out/cohorts/bench/intake.h5ad").loc[cells.index]
    ari = adjusted_rand_score(types, cells["cluster"])
    return {
        "wall": sum(figure[0] for figure in found.values()),
        "cpu": sum(figure[1] for figure in found.values()),
        "peak_mb": max(figure[2] for figure in found.values()),
        "ari": float(ari),
        "n_clusters": int(cells["cluster"].nunique()),
        "steps": found,
        "version": version("pmcell"),
    }


def commands(threads: int) -> dict[str, list[str]]:
    """The steps from intake to markers, as the rules call them."""
    own, atlas = "out/cohorts/bench", "out/atlas"
    counts, cells = ["--counts", f"{own}/intake.h5ad"], ["--qc", f"{own}/qc.parquet"]
    cohort = ["--cohort", "bench", *counts, *cells]
    atlas_files = ["--features", f"{atlas}/features.parquet", "--cohorts", f"{atlas}/cohorts.json"]
    features = ["--features", f"{atlas}/features.parquet"]
    config, use = ["--config", "config.yaml"], ["--threads", str(threads)]

    def step(name: str, *arguments: str, out: str = "") -> list[str]:
        return [name, *arguments, *(["--out", out] if out else []), *use]

    return {
        "intake": ["intake", "--cohort-dir", "in/bench", "--out-dir", own, "--memory", "8000"],
        "qc": step("qc", *counts, "--intake", f"{own}/intake.json", "--out-dir", own, *config),
        "gene_stats": step("gene_stats", *counts, *cells, out=f"{own}/moments.npz"),
        "hvg": step(
            "hvg",
            *("--cohort", "bench", own, "--cohorts-out", f"{atlas}/cohorts.json"),
            out=f"{atlas}/features.parquet",
        ),
        "covariance": step("covariance", *cohort, *atlas_files, out=f"{own}/gram.npz"),
        "pca": step("pca", "--gram", f"{own}/gram.npz", *features, out=f"{atlas}/basis.npz"),
        "pca_scores": step(
            "pca_scores",
            *cohort,
            *atlas_files,
            *("--basis", f"{atlas}/basis.npz"),
            out=f"{own}/embedding.npz",
        ),
        "integrate": step("integrate", "--cohort", "bench", own, out=f"{atlas}/embedding.h5ad"),
        "neighbors": step(
            "neighbors", "--embedding", f"{atlas}/embedding.h5ad", out=f"{atlas}/graph.h5ad"
        ),
        "leiden": step(
            "cluster", "--graph", f"{atlas}/graph.h5ad", out=f"{atlas}/clusters.parquet"
        ),
        "aggregate": step(
            "aggregate",
            *counts,
            *cells,
            *("--clusters", f"{atlas}/clusters.parquet"),
            out=f"{own}/aggregate.npz",
        ),
        "markers": step(
            "markers",
            *("--cohort", "bench", own, "--clusters", f"{atlas}/clusters.parquet"),
            *features,
            out=f"{atlas}/markers.parquet",
        ),
    }


def timed(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak megabytes of a command that must succeed.

    What a child of the command used counts towards its CPU, not towards its peak.
    """
    (folder / "out/atlas").mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return round(wall, 3), round(used.ru_utime + used.ru_stime, 3), round(used.ru_maxrss / 1024)


def write_cohort(folder: Path, file: Path) -> None:
    """The file as a registered cohort of one donor, its genes named canonically."""
    import anndata
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    from pmcell.registry.terms.gene_table import gene_table

    folder.mkdir(parents=True)
    shutil.copy(file, folder / "counts.h5ad")
    with h5py.File(folder / "counts.h5ad", "r+") as counts:
        names = [str(name) for name in anndata.io.read_elem(counts["var"]).index]
        ids = gene_table().symbols
        mitochondrial = sorted(gene for gene, symbol in ids.items() if symbol.startswith("MT-"))
        others = sorted(set(ids) - set(mitochondrial))
        is_mt = [name.startswith("MT-") for name in names]
        take = {True: iter(mitochondrial), False: iter(others)}
        renamed = [next(take[mt]) for mt in is_mt]
        del counts["var"]
        write_elem(counts, "var", pd.DataFrame(index=renamed))
    (folder / "cohort.yaml").write_text(COHORT)
    (folder / "donors.tsv").write_text(DONORS)
    (folder / "samples.tsv").write_text(SAMPLES)


def true_types(intake: Path) -> Any:
    """The type of each cell as intake carried it on."""
    from pmcell.io.counts.open import open_counts

    return open_counts(intake).read_obs()["source_cell_type"]
