"""`reference/`: the frozen model onto which new samples are mapped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import atomic_path, write_json
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.schema import SCHEMA_VERSION, TARGET_SUM, X_INTEGRATED, X_PCA
from pmcell.schema.text import text_array
from pmcell.version import __version__

COPIED = ("basis.npz", "features.parquet", "annotation.parquet")


def write_reference(facts: Facts, atlas: Atlas, folder: Path) -> None:
    """Copy basis, genes and labels and add the centroids of the clusters.

    The basis holds means over thousands of genes, from which membership of a
    person can be tested however many donors there are. So when cohorts without
    open access took part only the note is written.
    """
    note = {
        "pmcell": __version__,
        "schema_version": SCHEMA_VERSION,
        "normalisation": f"log1p({TARGET_SUM} * count / total counts of the cell)",
        "withheld_because_of": [cohort.cohort_id for cohort in facts.withheld],
        "files": {} if facts.withheld else _describe(),
    }
    write_json(folder / "reference.json", note)
    if facts.withheld:
        return
    for name in COPIED:
        source = facts.results / "atlas" / name
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source, temporary)
    write_arrays(folder / "centroids.npz", **centroids(atlas))


def centroids(atlas: Atlas) -> dict[str, np.ndarray]:
    """Mean coordinates of each cluster: `clusters`, `n_cells`, `X_pca` and `X_integrated`."""
    names, codes = np.unique(text_array(atlas.cells["cluster"]), return_inverse=True)
    n_cells = np.bincount(codes, minlength=names.size)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(n_cells)[:-1]])
    arrays: dict[str, np.ndarray] = {"clusters": names, "n_cells": n_cells}
    for name in (X_PCA, X_INTEGRATED):
        values = atlas.coordinates[name].astype(np.float64)[order]
        arrays[name] = np.add.reduceat(values, starts, axis=0) / n_cells[:, None]
    return arrays


def _describe() -> dict[str, str]:
    return {
        "basis.npz": "Principal components: genes, means, scales and loadings.",
        "features.parquet": "Genes of the atlas and which of them enter the components.",
        "annotation.parquet": "Label of each cluster with its evidence.",
        "centroids.npz": "Mean of each cluster's cells: clusters, n_cells, X_pca, X_integrated.",
    }
