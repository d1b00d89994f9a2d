"""Label the cells of a run whose source gave no label, from those whose source gave one.

The label head of a reference (`pmcell.mapping.head`) is fitted within the run, on the principal
components of the labelled cells, and calibrated by batches and donors left out in turn. The
labelled cells of a cell's cluster have a voice: the head's probabilities are multiplied by the
types' shares among them to the power `VOTE`. Where few cells of the cluster are labelled, the
shares are drawn to those of all labelled cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.pca.gram import Basis
from pmcell.errors import UsageError
from pmcell.io.tables import empty_table
from pmcell.mapping.calibration import (
    LabelledCells,
    LeftOut,
    batch_folds,
    calibrate,
    donor_folds,
    leave_out,
)
from pmcell.mapping.head import fit_head
from pmcell.mapping.labels import CellLabels, label_cells, nodes_above
from pmcell.mapping.training import training_cells
from pmcell.registry.terms.cell_types import is_label
from pmcell.schema import CELL_LABELS, UNKNOWN, X_PCA
from pmcell.schema.mapped import ANCESTOR
from pmcell.schema.steps import TRANSFERRED
from pmcell.schema.text import as_text, text_array
from pmcell.strata._threads import single_thread
from pmcell.tl.aggregate import SOURCE_TERM, source_labels
from pmcell.tl.tissues import cells_by_tissue

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Text = NDArray[np.str_]

VOTE = 0.5
"""Power of the cluster's shares. Chosen on development data (tests/benchmarks/person/within.py)."""
LEAF_MASS = 0.95
"""Probability that a type must have to be the label inside a run, where cells count by their
label: with more, as new samples have it, shares err more (there the nearest type counts)."""
PRIOR = 10.0
"""Cells that the shares of all labelled cells weigh in a cluster."""
MIN_DONORS = 2
"""Donors with labels: with one, nothing can be left out, and no label be calibrated."""
BLOCK = 65_536
"""Cells that are judged at a time."""


@single_thread
def transfer_labels(cells: pd.DataFrame, scores: NDArray[np.floating]) -> pd.DataFrame:
    """Label the cells whose source gave none.

    Parameters
    ----------
    cells
        One row a cell (index: its id) with `cluster`, `batch_id`, `donor_id`, the source's label
        in `source_cell_type_ontology_term_id` and, where known, `tissue_group`: tissues are
        looked at one by one. A term that is obsolete or does not name a type is no label.
    scores
        Principal component scores of the cells (cells, components).

    Returns
    -------
    pandas.DataFrame
        Table `schema.CELL_LABELS`, by cell id. No rows for cells that have a label, and none for
        a tissue whose labelled cells are of one type or of one donor.
    """
    import pandas as pd

    parts = [_transfer(cells.iloc[own], scores[own]) for own in cells_by_tissue(cells)]
    found = [part for part in parts if len(part)] or [empty_table(CELL_LABELS)]
    return pd.concat(found, ignore_index=True).sort_values("cell_id", ignore_index=True)


def label_transfer(adata: AnnData) -> None:
    """Label the cells whose source gave none, from those whose source gave a label.

    Parameters
    ----------
    adata
        With `obsm["X_pca"]`, and in obs what `transfer_labels` takes; without `batch_id` or
        `donor_id` all cells are of one batch, and each `sample_id` of one donor.

    Notes
    -----
    Writes columns of `adata.obs`, null where the source gave a label or none could be told:
    `transferred_cell_type_ontology_term_id`, `transferred_nearest_cell_type_ontology_term_id`,
    `transferred_probability`, and `transferred_cell_type_set`, the types that cannot be ruled out
    with ';' between them. `pm.tl.annotate` then uses them.

    Raises
    ------
    UsageError
        Where a slot is missing.

    Examples
    --------
    >>> import pmcell as pm
    >>> import anndata, numpy as np, pandas as pd
    >>> term = np.tile(["CL:0000236", "CL:0000084", "unknown"], 40)
    >>> columns = {"cluster": "0", "donor_id": np.repeat(["a", "b"], 60)}
    >>> obs = pd.DataFrame({**columns, "source_cell_type_ontology_term_id": term})
    >>> place = np.where(np.arange(120) % 3 == 0, 5.0, -5.0)[:, None]
    >>> place = place + np.random.default_rng(0).normal(size=(120, 2))
    >>> adata = anndata.AnnData(obs=obs.set_index(obs.index.astype(str)), obsm={"X_pca": place})
    >>> pm.label_transfer(adata)
    >>> adata.obs["transferred_nearest_cell_type_ontology_term_id"].dropna().unique().tolist()
    ['CL:0000084']
    """
    missing = [name for name in ("cluster", SOURCE_TERM) if name not in adata.obs]
    if missing or X_PCA not in adata.obsm:
        lost = ", ".join([*(f"obs[{name!r}]" for name in missing), f"obsm[{X_PCA!r}]"])
        raise UsageError(
            f"label_transfer needs obs['cluster'], obs[{SOURCE_TERM!r}] and obsm[{X_PCA!r}]; "
            f"one of these is missing: {lost}. Run pm.tl.pca and pm.tl.cluster, and give the "
            "source's labels as terms of the Cell Ontology."
        )
    cells = adata.obs.assign(cluster=as_text(adata.obs["cluster"]))
    for column, other in (("batch_id", UNKNOWN), ("donor_id", adata.obs.get("sample_id", UNKNOWN))):
        if column not in cells:
            cells[column] = other
    table = transfer_labels(cells, np.asarray(adata.obsm[X_PCA])).set_index("cell_id")
    known = table[as_text(table["label_level"]) != UNKNOWN].reindex(adata.obs_names)
    for column, name in TRANSFERRED.items():
        adata.obs[name] = known[column].to_numpy()
    sets = table["cell_type_set"].map(";".join).reindex(adata.obs_names)
    adata.obs["transferred_cell_type_set"] = sets.to_numpy()


def _transfer(cells: pd.DataFrame, scores: NDArray[np.floating]) -> pd.DataFrame:
    """The same for the cells of one tissue."""
    import pandas as pd

    source = text_array(source_labels(cells))
    terms = {str(term) for term in np.unique(source)}
    has_label = np.isin(source, sorted(term for term in terms if is_label(term)))
    asked, voters = np.flatnonzero(~has_label), np.flatnonzero(has_label)
    run = Run(
        np.asarray(scores, np.float64),
        source,
        *(text_array(as_text(cells[name])) for name in ("cluster", "batch_id", "donor_id")),
    )
    ids = text_array(cells.index)
    learned = voters[training_cells(source[voters], run.batch[voters], ids[voters])]
    names = np.unique(source[learned])
    if not asked.size or names.size < 2 or np.unique(run.donor[learned]).size < MIN_DONORS:
        return empty_table(CELL_LABELS)
    voters = voters[np.isin(source[voters], names)]
    told, probability = label_run(run, asked, learned, voters, names)
    return pd.DataFrame(
        {
            "cell_id": ids[asked],
            "cell_type_ontology_term_id": told.term.astype(object),
            "label_level": told.level.astype(object),
            "cell_type_set": [names[row].tolist() for row in told.sets],
            "nearest_cell_type_ontology_term_id": names[told.best].astype(object),
            "probability": np.round(probability, 6),
        }
    )


@dataclass(frozen=True)
class Run:
    """Scores (cells, components), and source label, cluster, batch and donor of each cell."""

    scores: Floats
    label: Text
    cluster: Text
    batch: Text
    donor: Text


def label_run(
    run: Run,
    asked: Ints,
    learned: Ints,
    voters: Ints,
    names: Text,
    *,
    basis: Basis | None = None,
    vote: float = VOTE,
) -> tuple[CellLabels, Floats]:
    """Label cells by a head that is fitted, calibrated and asked.

    Parameters
    ----------
    run
        What is known of all cells.
    asked, learned, voters
        Positions of the cells that are labelled, of those that the head learns from, and of those
        that vote in their clusters.
    names
        The types, sorted.
    basis
        Coordinates of the scores; without it they are principal components already.
    vote
        Power of the cluster's shares; 0 leaves them out.

    Returns
    -------
    tuple
        Labels of the asked cells, and the probability of each.
    """
    cells = LabelledCells(
        run.scores[learned], run.label[learned], run.batch[learned], run.donor[learned]
    )
    basis = _plain_basis(run.scores.shape[1]) if basis is None else basis
    votes = _Votes(
        np.unique(run.cluster, return_inverse=True)[1],
        voters,
        np.searchsorted(names, run.label[voters]),
        names.size,
        vote,
    )
    left = []
    for fold, of_cell, of_run in (
        (batch_folds(cells.batch), cells.batch, run.batch),
        (donor_folds(cells.donor), cells.donor, run.donor),
    ):
        found = leave_out(cells, fold, basis, names)
        left.append(found if fold is None else _voted(found, fold, of_cell, of_run, votes, learned))
    calibration = calibrate(cells, names, *left)
    code = np.unique(cells.batch, return_inverse=True)[1].astype(np.int64)
    head = fit_head(cells.x, cells.types, code, basis)
    shares = votes.shares(np.ones(voters.size, bool))
    probability, distance = np.empty((asked.size, names.size)), np.empty((asked.size, names.size))
    for start in range(0, asked.size, BLOCK):
        part = slice(start, start + BLOCK)
        own, far = head.judge(run.scores[asked[part]], basis, np.ones(basis.means.size, bool))
        probability[part] = votes.added(own, shares, asked[part])
        distance[part] = far
    told = label_cells(probability, distance, calibration, names, names, leaf_mass=LEAF_MASS)
    return told, _of_label(told, probability, names)


def _of_label(told: CellLabels, probability: Floats, names: Text) -> Floats:
    """Probability of the types at or below each cell's label; of the best where there is none."""
    out = told.probability.copy()
    for node in nodes_above(tuple(names.tolist()), tuple(names.tolist())):
        if not node.is_leaf:
            rows = (told.level == ANCESTOR) & (told.term == node.term)
            out[rows] = probability[rows][:, list(node.members)].sum(axis=1)
    return out


@dataclass(frozen=True)
class _Votes:
    """Cluster of every cell, and which cells vote with which type."""

    cluster: Ints
    voters: Ints
    kind: Ints
    n_types: int
    power: float

    def shares(self, kept: NDArray[np.bool_]) -> Floats:
        """Share of each type among the voters of each cluster, some left out (clusters, types)."""
        counts = np.zeros((int(self.cluster.max()) + 1, self.n_types))
        np.add.at(counts, (self.cluster[self.voters[kept]], self.kind[kept]), 1.0)
        everywhere = counts.sum(axis=0) + 0.5
        prior = PRIOR * everywhere / everywhere.sum()
        return np.asarray((counts + prior) / (counts.sum(axis=1, keepdims=True) + PRIOR))

    def added(self, probability: Floats, shares: Floats, cells: Ints) -> Floats:
        """Probabilities of some cells with the votes of their clusters."""
        product = probability * shares[self.cluster[cells]] ** self.power
        return np.asarray(product / np.maximum(product.sum(axis=1, keepdims=True), 1e-300))


def _voted(
    left: LeftOut, fold: Ints, of_cell: Text, of_run: Text, votes: _Votes, learned: Ints
) -> LeftOut:
    """Scores of left-out cells with the votes of their clusters, those left out not voting."""
    probability = left.probability.copy()
    number = dict(zip(of_cell.tolist(), fold.tolist(), strict=True))
    of_voter = np.array([number.get(name, -1) for name in of_run[votes.voters].tolist()], np.int64)
    for item in np.unique(fold):
        own = fold[left.rows] == item
        shares = votes.shares(of_voter != item)
        probability[own] = votes.added(probability[own], shares, learned[left.rows[own]])
    return replace(left, probability=probability)


def _plain_basis(n: int) -> Basis:
    """Coordinates that are principal components already."""
    return Basis(np.zeros(n), np.ones(n), np.eye(n), np.ones(n), float(n))
