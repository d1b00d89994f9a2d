"""The frozen model of a study's cells: what labels and places the cells of new people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import write_json, write_text
from pmcell.io.counts.aggregates import read_aggregate, read_groups
from pmcell.io.counts.open import open_counts
from pmcell.io.counts.sums import read_bases
from pmcell.io.tables import read_table
from pmcell.mapping.training import MIN_CELLS_OF_TYPE, training_cells
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.facts import Cohort
from pmcell.schema import UNKNOWN, X_INTEGRATED, X_PCA, X_UMAP
from pmcell.schema.halves import hash_cells
from pmcell.schema.text import as_text, text_array
from pmcell.strata._threads import single_thread

if TYPE_CHECKING:
    from scipy import sparse

    from pmcell.mapping.expression import GeneSpace
    from pmcell.mapping.reference import CellModel

CENTROIDS, LABELS = "centroids.npz", "labels.npz"
PREPARED = {CENTROIDS: "centroids.npz", LABELS: "reference_labels.npz"}
"""Arrays of the model in `reference/`, and what the step `reference` calls them in `atlas/`."""
RECORD = "reference.json"

NOT_WANTED = "no model was wanted (`freeze: false` in section `reference` of the settings)"

MAX_ANCHORS = 5_000
"""Cells whose place on the map is kept."""


def prepare_cells(
    results: Path, cohorts: Sequence[Cohort], folder: Path, *, freeze: bool
) -> dict[str, Any]:
    """Write the arrays of the model and its facts into `folder`; return the facts.

    Where a cohort is withheld nothing is frozen, and all files are empty.
    """
    for name in PREPARED.values():
        write_text(folder / name, "")
    record: dict[str, Any] = {}
    if not any(cohort.withheld for cohort in cohorts):
        places = {name: folder / prepared for name, prepared in PREPARED.items()}
        record = freeze_cells(results, cohorts, load_atlas(results), places, freeze=freeze)
    write_json(folder / RECORD, record)
    return record


def freeze_cells(
    results: Path,
    cohorts: Sequence[Cohort],
    atlas: Atlas,
    places: Mapping[str, Path],
    *,
    freeze: bool,
) -> dict[str, Any]:
    """Write the arrays to their places, as far as there is something to learn; return the facts.

    `cannot_map` of the facts says why there is not, else it is empty. Centroids are written in
    any case.
    """
    write_arrays(places[CENTROIDS], **centroids(atlas))
    why = _why_not(results, atlas) if freeze else NOT_WANTED
    if why:
        return {"cannot_map": why}
    from pmcell.mapping.reference import cell_arrays

    model = fit_cells(results, [cohort for cohort in cohorts if cohort.accepted], atlas)
    arrays, told = cell_arrays(model)
    write_arrays(places[LABELS], **arrays)
    return {"cannot_map": "", **model.facts, **told}


@single_thread
def fit_cells(results: Path, cohorts: Sequence[Cohort], atlas: Atlas) -> CellModel:
    """The model of the cells of accepted cohorts that are open and of one tissue.

    With one thread of BLAS: the last bits of its sums depend on how many there are.
    """
    from pmcell.mapping.calibration import LabelledCells
    from pmcell.mapping.coordinates import fit_mixture
    from pmcell.mapping.reference import FORM, CellModel, fit_labels, fit_rest

    ((tissue, basis),) = read_bases(results / "atlas" / "basis.npz").items()
    chosen = _training_cells(atlas)
    x, space = _expression(results, cohorts, atlas, chosen)
    cells = atlas.cells.iloc[chosen]
    training = LabelledCells(
        x,
        text_array(cells["cell_type"]),
        text_array(cells["batch_id"]),
        text_array(cells["donor_id"]),
    )
    named = cells.drop_duplicates("cell_type").set_index("cell_type")
    profiled = cells.groupby("cell_type", observed=True)["profile_cell_type"].agg(
        lambda names: as_text(names).value_counts(sort=True).sort_index(kind="stable").idxmax()
    )
    labels = fit_labels(
        training,
        basis,
        {str(k): str(v) for k, v in named["cell_type_ontology_term_id"].items()},
        {str(k): str(v) for k, v in profiled.items()},
        text_array(space.feature_symbols),
    )
    anchors = np.arange(chosen.size)[: min(chosen.size, MAX_ANCHORS)]
    order = np.argsort(hash_cells(text_array(cells.index)), kind="stable")
    mixture = fit_mixture(
        atlas.coordinates[X_INTEGRATED][chosen],
        atlas.coordinates[X_UMAP][chosen],
        np.sort(order[anchors]).astype(np.int64),
    )
    told = {
        "form": FORM,
        "tissue_ontology_term_id": tissue,
        "n_cells": len(atlas.cells),
        "n_cells_learned_from": int(chosen.size),
        "n_donors": int(atlas.cells["donor_id"].nunique()),
        "batches": sorted(set(map(str, atlas.cells["batch_id"]))),
    }
    return CellModel(told, space, basis, labels, mixture, fit_rest(training, basis))


def _why_not(results: Path, atlas: Atlas) -> str:
    """Why there is nothing to map onto; '' where there is."""
    chosen = _training_cells(atlas)
    n_types = atlas.cells["cell_type"].iloc[chosen].nunique()
    if n_types < 2:
        return f"{n_types} cell types have a label and {MIN_CELLS_OF_TYPE} cells; two are needed"
    if atlas.cells["donor_id"].iloc[chosen].nunique() < 2:
        return "all labelled cells are of one donor; two are needed"
    if len(read_bases(results / "atlas" / "basis.npz")) > 1:
        return "the release has several tissues; a reference is of one"
    return ""


def _training_cells(atlas: Atlas) -> NDArray[np.int64]:
    """Labelled cells to learn from, chosen by hash: rising positions in the atlas."""
    cells = atlas.cells
    known = np.flatnonzero(as_text(cells["cell_type_ontology_term_id"]) != UNKNOWN)
    types, batch = (
        text_array(as_text(cells[name]).iloc[known]) for name in ("cell_type", "batch_id")
    )
    chosen = training_cells(types, batch, text_array(cells.index[known]))
    return np.asarray(known[chosen], np.int64)


def _expression(
    results: Path, cohorts: Sequence[Cohort], atlas: Atlas, chosen: NDArray[np.int64]
) -> tuple[sparse.csr_matrix, GeneSpace]:
    """Expression of the chosen cells, and the genes that every cohort measured."""
    from scipy import sparse

    from pmcell.mapping.expression import log_expression

    space = _gene_space(results, cohorts)
    parts, places = [], []
    row_of = {str(name): row for row, name in enumerate(atlas.cells.index[chosen])}
    for cohort in cohorts:
        counts = open_counts(cohort.folder / "intake.h5ad")
        rows = np.array([row_of.get(str(name), -1) for name in counts.cell_ids], np.int64)
        wanted = np.flatnonzero(rows >= 0)
        for start in range(0, wanted.size, MAX_ANCHORS):
            part = wanted[start : start + MAX_ANCHORS]
            matrix = counts.read_rows(part)
            parts.append(log_expression(matrix, text_array(counts.gene_ids), space))
            places.append(rows[part])
    return sparse.vstack(parts, format="csr")[np.argsort(np.concatenate(places))], space


def _gene_space(results: Path, cohorts: Sequence[Cohort]) -> GeneSpace:
    from pmcell.mapping.expression import GeneSpace

    features = read_table(results / "atlas" / "features.parquet")
    chosen = set(as_text(features.loc[features["is_highly_variable"].to_numpy(bool), "gene_id"]))
    symbol = dict(zip(as_text(features["gene_id"]), as_text(features["symbol"]), strict=True))
    shared: set[str] | None = None
    for cohort in cohorts:
        genes = set(map(str, read_groups(cohort.folder / "aggregate.npz").gene_ids))
        shared = genes if shared is None else shared & genes
    # The components' genes belong to the space wherever they were measured.
    names = text_array(sorted((shared or set()) | chosen))
    total, place = np.zeros(names.size), {name: at for at, name in enumerate(names.tolist())}
    for measured, sums in _counted(cohorts):
        for gene, value in zip(measured, sums, strict=True):
            if gene in place:
                total[place[gene]] += value
    model = np.array([place[name] for name in _features(results)], np.int64)
    symbols = text_array([symbol.get(name, name) for name in names.tolist()])
    return GeneSpace(names, symbols, total / max(float(total.sum()), 1.0), model)


def _features(results: Path) -> list[str]:
    from pmcell.io.arrays import read_arrays

    return [str(name) for name in read_arrays(results / "atlas" / "basis.npz")["gene_ids"]]


def _counted(cohorts: Sequence[Cohort]) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
    """Genes of each cohort, and the counts of each in cells that passed QC."""
    from pmcell.core.counts.sums import COUNTS

    for cohort in cohorts:
        part = read_aggregate(cohort.folder / "aggregate.npz")
        sums = np.asarray(part.sums.matrix(COUNTS).sum(axis=0), np.float64).ravel()
        yield [str(gene) for gene in part.gene_ids], sums


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
