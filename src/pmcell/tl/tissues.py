"""Cells of different tissues are kept apart: which cells, clusters and sums belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import Aggregate, Groups, groups_of, positions
from pmcell.core.counts.sums import take_groups
from pmcell.pp._adata import column
from pmcell.registry.terms.tissues import tissue_groups as group_of_tissue
from pmcell.registry.terms.tissues import tissue_label
from pmcell.schema import TISSUE_GROUP
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@dataclass(frozen=True)
class TissueSums:
    """Sums of the clusters of one tissue: the aggregates, the clusters, the tissues of samples."""

    aggregates: Sequence[Aggregate]
    clusters: frozenset[str]
    tissues: frozenset[str]


def tissue_groups(adata: AnnData, *, tissue: str = "tissue_ontology_term_id") -> None:
    """Write obs `tissue_group`: the organ (UBERON) that each cell's tissue is part of.

    `integrate`, `neighbors`, `cluster` and `umap` keep cells of different groups apart
    where there is this column. Genes and components are those of one tissue: call
    `pm.pp.highly_variable_genes` and `pm.tl.pca` on each by itself.

    >>> import anndata, pandas as pd
    >>> obs = pd.DataFrame({"tissue_ontology_term_id": ["UBERON:0013756", "UBERON:0000006"]})
    >>> adata = anndata.AnnData(obs=obs)
    >>> tissue_groups(adata); adata.obs["tissue_group"].tolist()
    ['UBERON:0000178', 'UBERON:0001264']
    """
    given = as_text(column(adata, tissue))
    adata.obs[TISSUE_GROUP] = given.map(group_of_tissue(given.unique())).astype(object)


def cells_by_tissue(obs: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Positions of the cells of each tissue group; all together where there are no groups."""
    if TISSUE_GROUP not in obs:
        return [np.arange(len(obs))]
    group = as_text(obs[TISSUE_GROUP]).to_numpy(object)
    return [np.flatnonzero(group == name) for name in sorted(set(group))]


def in_tissue(cell_types: pd.Series, tissue_group: pd.Series) -> pd.Series:
    """Cell types as they are compared between donors where there are several tissues.

    >>> import pandas as pd
    >>> groups = pd.Series(["UBERON:0000178", "UBERON:0001264"])
    >>> in_tissue(pd.Series(["macrophage", "macrophage"]), groups).tolist()
    ['macrophage (blood)', 'macrophage (pancreas)']
    """
    groups = as_text(tissue_group)
    labels = groups.map({group: tissue_label(group) for group in groups.unique()})
    return as_text(cell_types) + " (" + labels + ")"


def sums_by_tissue(aggregates: Sequence[Aggregate]) -> list[TissueSums]:
    """The aggregates of each tissue, with its clusters only; one item where there is one tissue.

    Tissues that a cluster spans belong together.
    """
    known = groups_of(aggregates)
    tissues = {str(tissue) for part in known for tissue in part.sample_tissues}
    sets = _joined_sets(known, group_of_tissue(tissues))
    if len(sets) == 1:
        return [TissueSums(aggregates, frozenset(sets[0]), frozenset(tissues))]
    found = []
    for clusters in sets:
        parts = tuple(
            part for item in aggregates if (part := _only(item, clusters)).group_cluster.size
        )
        own = frozenset(
            str(part.sample_tissues[sample]) for part in parts for sample in part.group_sample
        )
        found.append(TissueSums(parts, frozenset(clusters), own))
    return found


def _joined_sets(known: Sequence[Groups], group_of: dict[str, str]) -> list[set[str]]:
    """Sets of clusters of which no two share a tissue group, in the order of the groups."""
    of_group: dict[str, set[str]] = {}
    for part in known:
        for sample, cluster in zip(part.group_sample, part.group_cluster, strict=True):
            group = group_of[str(part.sample_tissues[sample])]
            of_group.setdefault(group, set()).add(str(part.clusters[cluster]))
    sets: list[set[str]] = []
    for group in sorted(of_group):
        touched = [item for item in sets if item & of_group[group]]
        rest = [item for item in sets if not item & of_group[group]]
        sets = [*rest, of_group[group].union(*touched)]
    return sets


def _only(part: Aggregate, clusters: set[str]) -> Aggregate:
    """The aggregate without the groups of other clusters."""
    kept = np.array([str(name) in clusters for name in part.clusters], bool)
    groups = np.flatnonzero(kept[part.group_cluster])
    names = part.clusters[kept]
    return replace(
        part,
        clusters=names,
        group_sample=part.group_sample[groups],
        group_cluster=positions(names, part.clusters[part.group_cluster[groups]]),
        group_label=part.group_label[groups],
        group_half=part.group_half[groups],
        group_n_cells=part.group_n_cells[groups],
        sums=take_groups(part.sums, groups),
    )
