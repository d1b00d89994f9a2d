"""`reference/`: the frozen model onto which new samples are mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import read_json, write_json, write_text
from pmcell.io.counts.aggregates import read_aggregate, read_groups
from pmcell.io.counts.open import open_counts
from pmcell.io.counts.sums import read_bases
from pmcell.io.h5ad import read_h5ad
from pmcell.io.stamps import is_made_of_present
from pmcell.io.tables import read_table
from pmcell.mapping.training import MIN_CELLS_OF_TYPE, training_cells
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.facts import Cohort, Facts
from pmcell.publish.placed import place_file
from pmcell.schema import SCHEMA_VERSION, TARGET_SUM, UNKNOWN, X_INTEGRATED, X_PCA, X_UMAP
from pmcell.schema.halves import hash_cells
from pmcell.schema.text import as_text, text_array
from pmcell.settings.cohort import QcSettings
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReferenceSettings
from pmcell.strata._threads import single_thread
from pmcell.strata.profiles import slots
from pmcell.version import __version__

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy import sparse

    from pmcell.mapping.expression import GeneSpace
    from pmcell.mapping.reference import Reference

COPIED = ("basis.npz", "features.parquet", "annotation.parquet")
CENTROIDS, LABELS, DONORS = "centroids.npz", "labels.npz", "donors.npz"
PREPARED = {
    CENTROIDS: "centroids.npz",
    LABELS: "reference_labels.npz",
    DONORS: "reference_donors.npz",
}
"""Arrays of the model in `reference/`, and what the step `reference` calls them in `atlas/`."""
RECORD = "reference.json"

MAX_ANCHORS = 5_000
"""Cells whose place on the map is kept."""


def prepare_reference(facts: Facts, folder: Path) -> dict[str, Any]:
    """Write the arrays of the model and its facts into `folder`; return the facts.

    Where a cohort is withheld nothing is frozen, and all files are empty.
    """
    for name in PREPARED.values():
        write_text(folder / name, "")
    record: dict[str, Any] = {}
    if not facts.withheld:
        places = {name: folder / prepared for name, prepared in PREPARED.items()}
        record = _freeze_into(facts, load_atlas(facts.results), places)
    write_json(folder / RECORD, record)
    return record


def write_reference(facts: Facts, atlas: Atlas, folder: Path) -> None:
    """Put the frozen basis, genes, labels, embedding and donors into the release.

    What the step `reference` froze of the same results is linked, else it is frozen here.
    The basis holds means over thousands of genes, from which membership of a
    person can be tested however many donors there are. So when cohorts without
    open access took part only the note is written. Where there is nothing to learn
    labels from the note says why, and new samples cannot be mapped.
    """
    note: dict[str, Any] = {
        "pmcell": __version__,
        "schema_version": SCHEMA_VERSION,
        "normalisation": f"log1p({TARGET_SUM} * count / total counts of the cell)",
        "withheld_because_of": [cohort.cohort_id for cohort in facts.withheld],
        "files": {},
    }
    if not facts.withheld:
        for name in COPIED:
            place_file(facts.results / "atlas" / name, folder / name)
        record = _link_prepared(facts.results, folder) or _freeze_into(
            facts, atlas, {name: folder / name for name in PREPARED}
        )
        note |= {**record, "files": _describe(can_map=not record["cannot_map"])}
        if not record["cannot_map"]:
            qc = QcSettings(**dict(facts.parameters.get("qc", {})))
            note["qc"] = qc.model_dump(mode="json", exclude={"min_cells_passing"})
            note["release_version"] = facts.options.version
    write_json(folder / RECORD, note)


def _link_prepared(results: Path, folder: Path) -> dict[str, Any]:
    """Link what the step froze of these very results; its facts, none where it did not."""
    paths = [results / "atlas" / name for name in (RECORD, *PREPARED.values())]
    if not all(path.is_file() and is_made_of_present(path, results) for path in paths):
        return {}
    record: dict[str, Any] = read_json(paths[0])
    for name, path in zip(PREPARED, paths[1:], strict=True):
        if record and path.stat().st_size:
            place_file(path, folder / name)
    return record


def _freeze_into(facts: Facts, atlas: Atlas, places: Mapping[str, Path]) -> dict[str, Any]:
    """Write the arrays to their places, as far as there is something to learn; return the facts."""
    write_arrays(places[CENTROIDS], **centroids(atlas))
    donors = read_h5ad(facts.results / "strata" / "donors.h5ad")
    why = _why_not(facts, atlas, donors)
    if why:
        return {"cannot_map": why}
    from pmcell.mapping.donors import donor_arrays
    from pmcell.mapping.reference import label_arrays

    reference = freeze_reference(facts, atlas, donors)
    arrays, told = label_arrays(reference)
    write_arrays(places[LABELS], **arrays)
    arrays, of_donors = donor_arrays(reference.donors)
    write_arrays(places[DONORS], **arrays)
    return {"cannot_map": "", **reference.facts, **told, "donors": of_donors}


@single_thread
def freeze_reference(facts: Facts, atlas: Atlas, donors: AnnData) -> Reference:
    """The reference of a study all of whose cohorts are open and of one tissue.

    With one thread of BLAS: the last bits of its sums depend on how many there are.
    `donors` are those of the strata step.
    """
    from pmcell.mapping.calibration import LabelledCells
    from pmcell.mapping.coordinates import fit_mixture
    from pmcell.mapping.donors import has_strata, reduce_donors
    from pmcell.mapping.reference import FORM, Reference, fit_labels, fit_rest
    from pmcell.strata.discovery.uncertainty import freeze

    ((tissue, basis),) = read_bases(facts.results / "atlas" / "basis.npz").items()
    chosen = _training_cells(atlas)
    x, space = _expression(facts, atlas, chosen)
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
    frozen = freeze(donors) if has_strata(donors) else None
    told = {
        "form": FORM,
        "tissue_ontology_term_id": tissue,
        "n_cells": len(atlas.cells),
        "n_cells_learned_from": int(chosen.size),
        "n_donors": int(atlas.cells["donor_id"].nunique()),
        "batches": sorted(set(map(str, atlas.cells["batch_id"]))),
        "decision": str(donors.uns.get("existence", {}).get("decision", "")),
        "stratum_accuracy": _accuracy(donors),
    }
    return Reference(
        told,
        space,
        basis,
        labels,
        mixture,
        fit_rest(training, basis),
        reduce_donors(donors, frozen),
    )


def _accuracy(donors: Any) -> list[float]:
    """Balanced accuracy of strata found without each group, where that was tried."""
    found = donors.uns.get("generalisation", {})
    return [float(value) for value in np.asarray(found.get("balanced_accuracy", []), float)]


def _why_not(facts: Facts, atlas: Atlas, donors: AnnData) -> str:
    """Why there is nothing to map onto; '' where there is."""
    if not checked_section(ReferenceSettings, facts.parameters.get("reference")).freeze:
        return "no model was wanted (`freeze: false` in section `reference` of the settings)"
    if slots.SUM not in donors.obsm or not donors.n_vars:
        return "the strata step left no sums of donors' cells"
    tissues = read_bases(facts.results / "atlas" / "basis.npz")
    if len(tissues) > 1:
        return "the release has several tissues; a reference is of one"
    chosen = _training_cells(atlas)
    n_types = atlas.cells["cell_type"].iloc[chosen].nunique()
    if n_types < 2:
        return f"{n_types} cell types have a label and {MIN_CELLS_OF_TYPE} cells; two are needed"
    if atlas.cells["donor_id"].iloc[chosen].nunique() < 2:
        return "all labelled cells are of one donor; two are needed"
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
    facts: Facts, atlas: Atlas, chosen: NDArray[np.int64]
) -> tuple[sparse.csr_matrix, GeneSpace]:
    """Expression of the chosen cells, and the genes that every cohort measured."""
    from scipy import sparse

    from pmcell.mapping.expression import log_expression

    cohorts = [cohort for cohort in facts.cohorts if cohort.accepted]
    space = _gene_space(facts, cohorts)
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


def _gene_space(facts: Facts, cohorts: list[Cohort]) -> GeneSpace:
    from pmcell.mapping.expression import GeneSpace

    features = read_table(facts.results / "atlas" / "features.parquet")
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
    model = np.array([place[name] for name in _features(facts)], np.int64)
    symbols = text_array([symbol.get(name, name) for name in names.tolist()])
    return GeneSpace(names, symbols, total / max(float(total.sum()), 1.0), model)


def _features(facts: Facts) -> list[str]:
    from pmcell.io.arrays import read_arrays

    return [str(name) for name in read_arrays(facts.results / "atlas" / "basis.npz")["gene_ids"]]


def _counted(cohorts: list[Cohort]) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
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


def _describe(*, can_map: bool) -> dict[str, str]:
    model = {
        LABELS: "Genes, label head, calibration, vetoes, mixture of the embedding, residual.",
        DONORS: "Sums of the donors' cells, and their distances to the strata when left out.",
    }
    return {
        "basis.npz": "Principal components: genes, means, scales and loadings.",
        "features.parquet": "Genes of the atlas and which of them enter the components.",
        "annotation.parquet": "Label of each cluster with its evidence.",
        CENTROIDS: "Mean of each cluster's cells: clusters, n_cells, X_pca, X_integrated.",
        **(model if can_map else {}),
    }
