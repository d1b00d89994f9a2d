"""A type for each cell: its source's label, else that of its cluster by labels or markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.aggregate import Aggregate, natural_order, pool_clusters
from pmcell.errors import DataError, UsageError
from pmcell.pp._adata import write_columns
from pmcell.registry.terms.cell_types import Consensus, consensus, is_label, name_of
from pmcell.registry.terms.marker_panel import CellTypeMarkers, marker_panel, types_of_tissues
from pmcell.registry.terms.ontology import is_under
from pmcell.schema import CLUSTERS, UNKNOWN
from pmcell.schema.text import as_text
from pmcell.tl.aggregate import aggregate, symbols_of
from pmcell.tl.cell_types import PER_CELL, label_cells, types_of
from pmcell.tl.marker_labels import MarkerLabel, marker_labels
from pmcell.tl.tissues import sums_by_tissue

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_LABELLED_SHARE = 0.2
"""The source's labels decide where at least this share of the cluster's cells carry one …"""

MIN_LABELLED_CELLS = 20
"""… and at least this many, or all."""

MIN_COVERAGE = 0.8
"""Share of the labelled cells that one term, else a common ancestor, must cover to be the label."""


def annotate(
    adata: AnnData, *, by: tuple[str, str] = ("sample_id", "cluster"), seed: int = 0
) -> None:
    """Give every cell the type that its source gave it, else that of its cluster.

    `adata.X` holds raw counts, `by` names the sample and the cluster column of
    `adata.obs`, and `adata.var["symbol"]` the gene symbols where they are not
    the index. Columns of `adata.obs` that are used where present: `donor_id`,
    `batch_id`, `cohort_id`, `tissue_ontology_term_id` and the source's own labels in
    `source_cell_type_ontology_term_id`.

    Writes `adata.obs` columns `cell_type`, `cell_type_ontology_term_id`,
    `cell_type_confidence`, `label_method` ('source' or 'cluster') and
    `profile_cell_type`, the type that `pm.strata.profile(adata, by="profile_cell_type")`
    needs where cohorts have labels of different depth or none. A cluster without enough
    evidence is a type of its own, 'cluster 7'. `adata.uns["clusters"]` holds the table
    `schema.CLUSTERS`. How: `annotate_clusters` and `pmcell.tl.cell_types`.
    Columns of these names that came with the cells are kept as source_<name>.

    >>> import anndata, numpy as np, pandas as pd
    >>> obs = pd.DataFrame({"sample_id": "s", "cluster": list("0011")}, list("abcd"))
    >>> var = pd.DataFrame(index=["MS4A1", "CD79A", "CD19", "CD3D", "CD3E", "TRAC"])
    >>> adata = anndata.AnnData(np.repeat([[9, 8, 7, 0, 0, 0], [0, 0, 0, 8, 9, 7]], 2, 0), obs, var)
    >>> annotate(adata); list(adata.obs["cell_type"])
    ['B cell', 'B cell', 'T cell', 'T cell']
    """
    sums = aggregate(adata, by=by)
    sample, cluster = by
    cells = adata.obs.assign(sample_id=adata.obs[sample], cluster=adata.obs[cluster])
    for column, default in (("donor_id", cells["sample_id"]), ("batch_id", UNKNOWN)):
        if column not in cells:
            cells[column] = default
    cells = cells[cells["cluster"].notna() & cells["sample_id"].notna()]
    table = annotate_clusters(cells, sums, symbols=symbols_of(adata), seed=seed)
    types = types_of(label_cells(cells, table), cells)
    write_columns(adata, {name: types[name].reindex(adata.obs_names) for name in PER_CELL})
    adata.uns["clusters"] = table


def annotate_clusters(
    cells: pd.DataFrame,
    aggregates: Aggregate | Sequence[Aggregate],
    *,
    symbols: Mapping[str, str] | None = None,
    panel: Sequence[CellTypeMarkers] | None = None,
    expected: Sequence[CellTypeMarkers] = (),
    seed: int = 0,
) -> pd.DataFrame:
    """Label every cluster (table `schema.CLUSTERS`).

    `cells` has one row a cell: `cluster`, `donor_id`, `batch_id` and, where the
    source gave cell types, their Cell Ontology terms in
    `source_cell_type_ontology_term_id`. A cluster with enough labelled cells
    takes the term of at least `MIN_COVERAGE` of them, else the closest common ancestor
    of as many that is not too general (`label_method` source_majority, confidence:
    share of labelled cells); where they share none, it has no label. Any other cluster
    is scored against the marker panel of its own tissue, beside the other clusters of
    it (markers, confidence: share of
    marker resamples that agree). Where the evidence is weak (abstained, confidence 0)
    the cluster is a type of its own, 'cluster 7', with the term 'unknown'. `symbols`
    maps gene ids of `aggregates` to gene symbols; `panel` replaces the
    package's own. `expected` are types that a study expects in a tissue: beside the package's
    own types, and in place of one of the same term. `batch_entropy` is 1 where there is only
    one batch.
    """
    import pandas as pd

    for column in ("cluster", "donor_id", "batch_id"):
        if column not in cells:
            known = ", ".join(map(str, cells.columns))
            raise UsageError(
                f"annotate needs a column {column!r} of cells; the columns are {known}"
            )
    parts = [aggregates] if isinstance(aggregates, Aggregate) else aggregates
    by_marker = _by_markers(parts, symbols or {}, panel, expected, seed)
    clusters = natural_order({str(name) for name in cells["cluster"]})
    lost = [str(name) for name in clusters if str(name) not in by_marker]
    if lost:
        raise DataError(
            f"aggregates must hold every cluster of the cells; cluster {lost[0]!r} and "
            f"{len(lost) - 1} more are missing. Run aggregate again for every accepted cohort.",
            reason="stale_intermediate",
        )
    rows = []
    groups = dict(list(cells.groupby(as_text(cells["cluster"]), observed=True)))
    batches = cells["batch_id"].value_counts().to_numpy()
    for name in clusters:
        inside = groups[str(name)]
        rows.append(
            {
                "cluster": str(name),
                **_label(str(name), inside, by_marker[str(name)]),
                "n_cells": len(inside),
                "n_donors": inside["donor_id"].nunique(),
                "batch_entropy": _relative_entropy(
                    inside["batch_id"].value_counts().to_numpy(), batches
                ),
            }
        )
    return pd.DataFrame(rows, columns=CLUSTERS.columns)


def _label(cluster: str, cells: pd.DataFrame, found: MarkerLabel) -> dict[str, object]:
    """Label columns of one cluster: by source where it decides, else by markers, else none.

    Where the two know different things, the evidence says so.
    """
    votes = _source_votes(cells)
    labelled = sum(votes.values())
    least = min(MIN_LABELLED_CELLS, len(cells))
    decides = labelled >= max(least, MIN_LABELLED_SHARE * len(cells))
    if decides:
        source = consensus(votes, majority=MIN_COVERAGE, coverage=MIN_COVERAGE)
        if source is None:
            return _columns(cluster, None, "abstained", _disagreement(votes))
        how = "are" if source.is_majority else "fall under"
        n_agree = round(source.share * labelled)
        text = f"{n_agree} of {labelled} cells with a source label {how} {source.label}"
        if found.label and not _related(found.label.term_id, source.term_id):
            text += f"; markers point to {found.label.label}"
        return _columns(cluster, source, "source_majority", text)
    if found.label is None:
        return _columns(cluster, None, "abstained", found.evidence)
    text = found.evidence
    if labelled:
        n_agree = sum(n for term, n in votes.items() if _related(term, found.label.term_id))
        text += f"; {n_agree} of {labelled} cells with a source label agree"
    return _columns(cluster, found.label, "markers", text)


def _disagreement(votes: Mapping[str, int]) -> str:
    first = sorted(votes, key=lambda term: (-votes[term], term))[:3]
    named = ", ".join(f"{votes[term]} {name_of(term)}" for term in first)
    return f"source labels share no type: of {sum(votes.values())} cells {named}"


def _source_votes(cells: pd.DataFrame) -> dict[str, int]:
    """Cells of each Cell Ontology term that the source gave."""
    if "source_cell_type_ontology_term_id" not in cells:
        return {}
    counts = as_text(cells["source_cell_type_ontology_term_id"]).value_counts()
    return {str(term): int(n) for term, n in counts.items() if is_label(str(term))}


def _related(one: str, other: str) -> bool:
    return is_under(one, (other,)) or is_under(other, (one,))


def _by_markers(
    parts: Sequence[Aggregate],
    symbols: Mapping[str, str],
    panel: Sequence[CellTypeMarkers] | None,
    expected: Sequence[CellTypeMarkers],
    seed: int,
) -> dict[str, MarkerLabel]:
    found: dict[str, MarkerLabel] = {}
    for item in sums_by_tissue(parts):
        sums = pool_clusters(item.aggregates)
        own = types_of_tissues(marker_panel(), item.tissues) if panel is None else tuple(panel)
        own = _with_expected(own, types_of_tissues(expected, item.tissues), symbols)
        labels = marker_labels(sums, symbols, own, seed=seed)
        found |= {str(name): label for name, label in zip(sums.clusters, labels, strict=True)}
    return found


def _with_expected(
    panel: Sequence[CellTypeMarkers],
    expected: Sequence[CellTypeMarkers],
    symbols: Mapping[str, str],
) -> tuple[CellTypeMarkers, ...]:
    """The panel with the types that a study expects; their markers may be gene ids."""
    named = {row.term_id for row in expected}
    own = [
        replace(row, positive=tuple(symbols.get(gene, gene) for gene in row.positive))
        for row in expected
    ]
    return (*(row for row in panel if row.term_id not in named), *own)


def _columns(
    cluster: str, label: Consensus | None, method: str, evidence: str
) -> dict[str, object]:
    return {
        "cell_type": label.label if label else f"cluster {cluster}",
        "cell_type_ontology_term_id": label.term_id if label else UNKNOWN,
        "cell_type_confidence": label.share if label else 0.0,
        "label_method": method,
        "label_evidence": evidence,
    }


def _relative_entropy(inside: np.ndarray, everywhere: np.ndarray) -> float:
    whole = _entropy(everywhere)
    return 1.0 if whole == 0 else min(_entropy(inside) / whole, 1.0)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
