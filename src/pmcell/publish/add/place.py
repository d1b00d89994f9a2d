"""Place the cells and people of a cohort on the frozen reference of a release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import DataError
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import empty_table, read_table
from pmcell.mapping.mapper import MARKS, Mapping, map_cells
from pmcell.mapping.reference import Reference
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Cohort
from pmcell.schema import CELL_TYPES, CLUSTERS, UNKNOWN, X_INTEGRATED, X_PCA, X_UMAP
from pmcell.schema.mapped import MappedVisit
from pmcell.schema.text import as_text, text_array

if TYPE_CHECKING:
    import pandas as pd

CELLS_AT_ONCE = 50_000
"""Cells that are in memory together; those of one batch always are."""
NOT_CLUSTERED = "not clustered"
"""Stands for the cluster of a cell that took no part in clustering."""


@dataclass(frozen=True)
class Placed:
    """A cohort on a reference.

    `cells` (index cell_id) are those that passed QC, with the columns of `MAPPED_CELLS`;
    `counted_as` the type under which each counts and `counted_by` who says so; `composition` and
    `visits` are what `pmcell map` tells of people; `n_genes` how many genes of the model there
    are, and were measured.
    """

    atlas: Atlas
    cells: pd.DataFrame
    composition: pd.DataFrame
    visits: tuple[MappedVisit, ...]
    n_genes: tuple[int, int]


def place_cohort(cohort: Cohort, reference: Reference) -> Placed:
    """Map a cohort's cells, as intake and QC left them, onto a reference.

    Batches are mapped apart from each other, with all visits of a person together, so memory
    follows the largest batch and not the cohort. `DataError` where the cohort is of another
    tissue, has too few genes or cells, or cells unlike the reference's.
    """
    counts = open_counts(cohort.folder / "intake.h5ad")
    try:
        found = [_mapped(cohort, counts, rows, reference) for rows in _portions(cohort, counts)]
    except DataError as error:
        raise DataError(
            f"cohort {cohort.cohort_id!r} cannot be placed: {error}", reason=error.reason
        ) from error
    return _joined(cohort, counts, found)


def _portions(cohort: Cohort, counts: CountsFile) -> Iterator[NDArray[np.int64]]:
    """Rows of cells that are mapped together: whole batches, with all of their people's visits."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    obs = counts.read_obs()
    donor, donors = _codes(as_text(obs["donor_id"]))
    batch, batches = _codes(as_text(obs["batch_id"]))
    n = donors + batches
    links = coo_array((np.ones(donor.size, bool), (donor, donors + batch)), shape=(n, n))
    part = connected_components(links, directed=False)[1][donor]
    sizes = np.bincount(part)
    portion = np.zeros(sizes.size, np.int64)
    held = number = 0
    for one, size in enumerate(sizes):
        if held and held + size > CELLS_AT_ONCE:
            number, held = number + 1, 0
        portion[one], held = number, held + int(size)
    for one in range(number + 1):
        yield np.flatnonzero(portion[part] == one).astype(np.int64)


def _codes(values: pd.Series[str]) -> tuple[NDArray[np.int64], int]:
    names, codes = np.unique(text_array(values), return_inverse=True)
    return codes.astype(np.int64), names.size


def _mapped(
    cohort: Cohort, counts: CountsFile, rows: NDArray[np.int64], reference: Reference
) -> Mapping:
    import anndata as ad

    obs = counts.read_obs()
    qc = read_table(cohort.folder / "qc.parquet", ["cell_id", *MARKS])
    if not np.array_equal(qc["cell_id"].to_numpy(object), counts.cell_ids):
        raise DataError(
            f"{cohort.folder / 'qc.parquet'} must list the cells of intake.h5ad in their order. "
            "Run qc again.",
            reason="stale_intermediate",
        )
    for name in MARKS:
        obs[name] = qc[name].to_numpy()
    cells = ad.AnnData(counts.read_rows(rows), obs.iloc[rows].copy(), counts.read_var())
    return map_cells(cells, reference, is_marked=True, by_source=True)


def _joined(cohort: Cohort, counts: CountsFile, found: list[Mapping]) -> Placed:
    import pandas as pd

    cells = pd.concat([item.cells for item in found], ignore_index=True)
    cells = cells[cells["passes_qc"].to_numpy(bool)].set_index("cell_id")
    located = [item.located for item in found]
    names = np.concatenate([item.cell_ids for item in located])
    assert np.array_equal(names, cells.index.to_numpy(object))
    cells["counted_as"] = np.concatenate([item.counted_as for item in located])
    is_source = np.concatenate([item.by_source for item in located])
    cells["counted_by"] = np.where(is_source, "source", "reference")
    told = pd.DataFrame(
        {
            "cohort_id": cohort.cohort_id,
            "donor_id": cells["donor_id"],
            "batch_id": as_text(counts.read_obs()["batch_id"]).reindex(cells.index),
            "cluster": NOT_CLUSTERED,
            "cell_type": cells["cell_type"],
            "cell_type_ontology_term_id": cells["cell_type_ontology_term_id"],
            "cell_type_confidence": cells["probability"].astype(float),
            "label_method": "reference",
            "profile_cell_type": cells["counted_as"],
            "cell_type_set": cells["cell_type_set"],
        },
        index=cells.index,
    )
    coordinates = {
        X_PCA: np.concatenate([item.scores for item in located]),
        X_INTEGRATED: np.concatenate([item.integrated for item in located]),
        X_UMAP: cells[["umap_1", "umap_2"]].to_numpy(np.float32),
    }
    genes = found[0].genes
    return Placed(
        Atlas(told, coordinates, empty_table(CLUSTERS), _types(cells["counted_as"])),
        cells,
        pd.concat([item.composition for item in found], ignore_index=True),
        tuple(visit for item in found for visit in item.visits),
        (genes.n_reference, genes.n_shared),
    )


def _types(counted_as: pd.Series[str]) -> pd.DataFrame:
    """Table `CELL_TYPES` in which the type under which cells count stands for their cluster."""
    import pandas as pd

    names = np.unique(text_array(counted_as)).astype(object)
    frame = pd.DataFrame({"cluster": names, "profile_cell_type": names, "cell_type": names})
    for field in CELL_TYPES.fields:
        if field.name not in frame:
            frame[field.name] = 1.0 if field.kind == "float64" else UNKNOWN
    return frame
