"""The cells of the atlas with their cluster, label and coordinates, found by cell id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.tables import read_table
from pmcell.io.transferred import transferred_sets, with_transferred
from pmcell.schema import SOURCE_CELL_TYPE_TERM, UNKNOWN, X_INTEGRATED, X_PCA, X_UMAP
from pmcell.schema.text import as_text
from pmcell.tl.cell_types import PER_CELL, types_of

if TYPE_CHECKING:
    import pandas as pd


OBSERVED = ("cohort_id", "donor_id", "batch_id", SOURCE_CELL_TYPE_TERM.name)
"""What is read of each cell of the embedding."""


@dataclass(frozen=True)
class Atlas:
    """What the across-cohort steps said of each cell; O(cells) in memory, no counts.

    `cells` (index cell_id) has cohort_id, donor_id, batch_id, cluster, `PER_CELL` and, of cells
    that were asked for a label, the types that cannot be ruled out (`cell_type_set`);
    `coordinates` has `X_pca`, `X_integrated` and `X_umap` in the same order.
    `annotation` has a row for each cluster, `cell_types` one for each cluster and label
    of the source.
    """

    cells: pd.DataFrame
    coordinates: Mapping[str, np.ndarray]
    annotation: pd.DataFrame
    cell_types: pd.DataFrame

    def rows_of(self, cell_ids: np.ndarray, *, cohort_id: str) -> np.ndarray:
        """Where a cohort's cells that passed QC stand; `DataError` if the atlas has others."""
        rows = np.asarray(self.cells.index.get_indexer(cell_ids))
        n_atlas = int((self.cells["cohort_id"] == cohort_id).sum())
        n_missing = int((rows < 0).sum())
        if n_missing or n_atlas != len(cell_ids):
            raise DataError(
                f"the atlas must hold the {len(cell_ids)} cells of cohort {cohort_id!r} "
                f"that passed QC; it holds {n_atlas}, {n_missing} are missing. "
                "Run the steps after qc again.",
                reason="stale_intermediate",
            )
        return rows


def load_atlas(results: Path, *, cohort_id: str | None = None) -> Atlas:
    """Read embedding, clusters, map, labels, annotation and cell types below `results`.

    With `cohort_id` only that cohort's cells: what it takes does not grow with the other cohorts.
    """
    import pandas as pd

    folder = results / "atlas"
    embedding = folder / "embedding.h5ad"
    observed, rows = _read_embedding(embedding, cohort_id)
    clusters, umap = (
        _by_cell(_read_cells(folder / name, cohort_id), observed.index, name)
        for name in ("clusters.parquet", "umap.parquet")
    )
    annotation = read_table(folder / "annotation.parquet")
    annotation["cluster"] = as_text(annotation["cluster"])
    cell_types = read_table(folder / "cell_types.parquet")
    cluster = as_text(clusters["cluster"])
    unlabelled = sorted(set(cluster) - set(annotation["cluster"]))
    if unlabelled:
        raise DataError(
            f"annotation.parquet must have a row for each cluster; {', '.join(unlabelled)} "
            "is missing. Run annotate again.",
            reason="stale_intermediate",
        )
    cells = pd.DataFrame(
        {
            "cohort_id": as_text(observed["cohort_id"]),
            "donor_id": as_text(observed["donor_id"]),
            "batch_id": as_text(observed["batch_id"]),
            "cluster": cluster.to_numpy(),
        },
        index=observed.index,
    )
    source = {SOURCE_CELL_TYPE_TERM.name: observed.get(SOURCE_CELL_TYPE_TERM.name, UNKNOWN)}
    # A study from before labels were transferred has no such file.
    labels = folder / "cell_labels.parquet"
    known = labels if labels.is_file() else None
    told = with_transferred(cells.assign(**source), known)
    types = types_of(cell_types, told)
    cells[list(PER_CELL)] = types
    cells["cell_type_set"] = transferred_sets(cells.index, known)
    places = {X_UMAP: umap[["umap_1", "umap_2"]].to_numpy(np.float32)}
    return Atlas(cells, _Coordinates(embedding, rows, places), annotation, cell_types)


def best_term(source_term: pd.Series[str], atlas_term: np.ndarray) -> np.ndarray:
    """The source's Cell Ontology term where it gave one, else the atlas's."""
    source = source_term.astype(object).to_numpy()
    return np.where(source != UNKNOWN, source, atlas_term.astype(object))


@dataclass
class _Coordinates(Mapping[str, np.ndarray]):
    """Coordinates of some rows of an embedding, each kind read when it is first asked for."""

    path: Path
    rows: slice
    known: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        import h5py

        if name not in self.known and name in self:
            with h5py.File(self.path, "r", locking=False) as file:
                self.known[name] = file["obsm"][name][self.rows].astype(np.float32, copy=False)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter((X_PCA, X_INTEGRATED, X_UMAP))

    def __len__(self) -> int:
        return 3

    def __contains__(self, name: object) -> bool:
        return name in tuple(self)


def _read_embedding(path: Path, cohort_id: str | None) -> tuple[pd.DataFrame, slice]:
    """What is read of each cell, and where in the file the cells lie."""
    import h5py
    import pandas as pd

    with h5py.File(path, "r", locking=False) as file:
        obs = file["obs"]
        rows = slice(None) if cohort_id is None else _rows_of(obs["cohort_id"], cohort_id)
        names = [name for name in OBSERVED if name in obs]
        observed = pd.DataFrame({name: _text(obs[name], rows) for name in names})
        observed.index = pd.Index(_text(obs[obs.attrs["_index"]], rows), name=obs.attrs["_index"])
    return observed, rows


def _rows_of(item: Any, cohort_id: str) -> slice:
    """Where a cohort's cells lie in the embedding, whose cells are in the order of the cohorts."""
    rows = np.flatnonzero(_text(item, slice(None)) == cohort_id)
    if rows.size and rows[-1] - rows[0] + 1 != rows.size:
        raise DataError(
            f"embedding.h5ad must hold the cells of cohort {cohort_id!r} one after the other; "
            "others lie between them. Run integrate again.",
            reason="stale_intermediate",
        )
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else slice(0, 0)


def _text(item: Any, rows: slice) -> np.ndarray:
    """Some rows of a text column as pmcell writes it: plain, or a categorical."""
    import h5py

    if isinstance(item, h5py.Dataset):
        return np.asarray(item.asstr()[rows], object)
    # The last one, None, stands for the code -1: no value.
    values = np.array([*item["categories"].asstr()[:], None], object)
    return np.asarray(values[item["codes"][rows]])


def _read_cells(path: Path, cohort_id: str | None) -> pd.DataFrame:
    """A table of cells, which is sorted by cell: what is not the cohort's is hardly read."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if cohort_id is None:
        return read_table(path)
    name = pc.field("cell_id")
    # A cell's id is its cohort's, a colon and its own; `;` comes after `:`.
    is_own = (name >= f"{cohort_id}:") & (name < f"{cohort_id};")
    with pa.OSFile(str(path), "rb") as stream:
        return pq.read_table(stream, filters=is_own).to_pandas()


def _by_cell(frame: pd.DataFrame, cell_ids: pd.Index[str], file: str) -> pd.DataFrame:
    frame = frame.set_index("cell_id")
    if (
        len(frame) != len(cell_ids)
        or not frame.index.is_unique
        or not cell_ids.isin(frame.index).all()
    ):
        raise DataError(
            f"{file} must have one row for each of the {len(cell_ids)} cells of embedding.h5ad; "
            f"it has {len(frame)}. Run the step that writes it again.",
            reason="stale_intermediate",
        )
    return frame.loc[cell_ids]
