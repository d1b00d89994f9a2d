"""Labels of cells whose source gave none, from those whose source gave one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pmcell.mapping.calibration import N_LEVELS, TypeCalibration
from pmcell.mapping.labels import label_cells
from pmcell.mapping.transfer import LEAF_MASS, transfer_labels
from pmcell.schema import CELL_LABELS, UNKNOWN

CD4, CD8, B, MONO = "CL:0000624", "CL:0000625", "CL:0000236", "CL:0000860"
SOURCE = "source_cell_type_ontology_term_id"


def study(*, n_donors=12, n_of_type=20, apart=6.0, seed=0, hidden=0.5, n_batches=2):
    """Cells of four types in two batches; CD4 and CD8 T cells share a cluster."""
    rng = np.random.default_rng(seed)
    centres = {CD4: [0, 0, 0], CD8: [0.35, 0, 0], B: [0, 1, 0], MONO: [0, 0, 1]}
    rows, scores = [], []
    for donor in range(n_donors):
        for term, centre in centres.items():
            for number in range(n_of_type):
                cluster = "0" if term in (CD4, CD8) else term
                rows.append((f"d{donor}_{term}_{number}", donor, term, cluster))
                batch = donor % n_batches
                scores.append(apart * np.array([*centre, 0.5 * batch, 0.0]))
    cells = pd.DataFrame(rows, columns=["cell_id", "donor", "truth", "cluster"]).set_index(
        "cell_id"
    )
    cells["donor_id"] = "d" + cells["donor"].astype(str)
    cells["batch_id"] = "b" + (cells["donor"] % n_batches).astype(str)
    is_hidden = cells["donor"] < hidden * n_donors
    cells[SOURCE] = np.where(is_hidden, UNKNOWN, cells["truth"])
    return cells, np.array(scores) + rng.normal(size=(len(cells), 5)) * 0.5


def truth_of(table, cells):
    return cells.loc[table["cell_id"], "truth"].to_numpy()


def test_types_that_share_a_cluster_are_told_apart():
    cells, scores = study()
    table = transfer_labels(cells, scores)
    assert set(table["cell_id"]) == set(cells.index[cells[SOURCE] == UNKNOWN])
    nearest = table["nearest_cell_type_ontology_term_id"]
    assert (nearest == truth_of(table, cells)).mean() > 0.95


def test_a_common_ancestor_is_said_where_types_are_hard_to_tell():
    cells, scores = study(apart=3.0)
    table = transfer_labels(cells, scores)
    unsure = table[table["label_level"] == "ancestor"]
    assert len(unsure) > 10
    t_cells = np.isin(truth_of(unsure, cells), [CD4, CD8])
    assert t_cells.mean() > 0.95
    assert not set(unsure["cell_type_ontology_term_id"]) & {CD4, CD8, B, MONO, UNKNOWN}
    assert (unsure["probability"] >= 0.8).all()


def test_sets_hold_the_type_of_cells_of_donors_never_seen():
    cells, scores = study(apart=3.0, n_donors=30)
    table = transfer_labels(cells, scores)
    inside = [
        own in told
        for own, told in zip(truth_of(table, cells), table["cell_type_set"], strict=True)
    ]
    assert np.mean(inside) > 0.87


def test_cells_unlike_every_type_get_no_label():
    cells, scores = study()
    far = np.flatnonzero((cells[SOURCE] == UNKNOWN) & (cells["truth"] == MONO))[:20]
    scores[far] = [40.0, -40.0, 40.0, 0.0, 40.0]
    table = transfer_labels(cells, scores).set_index("cell_id")
    assert (table.loc[cells.index[far], "label_level"] == UNKNOWN).all()
    assert (table.loc[cells.index[far], "cell_type_set"].map(len) == 0).all()


def test_the_answer_does_not_depend_on_the_order_of_the_cells():
    cells, scores = study(apart=3.0)
    order = np.random.default_rng(1).permutation(len(cells))
    one, other = transfer_labels(cells, scores), transfer_labels(cells.iloc[order], scores[order])
    same = ["cell_id", "cell_type_ontology_term_id", "label_level"]
    pd.testing.assert_frame_equal(one[same], other[same])
    np.testing.assert_allclose(one["probability"], other["probability"], atol=2e-5)


def test_the_labels_of_a_cluster_have_a_voice():
    cells, scores = study(apart=1.5)
    asked = cells[SOURCE] == UNKNOWN
    alone = transfer_labels(cells.assign(cluster="0"), scores)
    apart = transfer_labels(cells.assign(cluster=cells["truth"]), scores)
    right = [
        (table["nearest_cell_type_ontology_term_id"] == truth_of(table, cells)).mean()
        for table in (alone, apart)
    ]
    assert len(alone) == asked.sum()
    assert right[1] > right[0] + 0.05


@pytest.mark.parametrize(
    "label",
    [
        lambda cells: cells["truth"],
        lambda cells: UNKNOWN,
        lambda cells: np.where(cells["donor"] == 0, cells["truth"], UNKNOWN),
        lambda cells: np.where(cells["truth"] == B, B, UNKNOWN),
        lambda cells: "CL:0000738",
    ],
    ids=["all labelled", "none labelled", "one donor", "one type", "no type"],
)
def test_nothing_is_transferred_where_there_is_nothing_to_learn_or_to_tell(label):
    cells, scores = study()
    table = transfer_labels(cells.assign(**{SOURCE: label(cells)}), scores)
    assert list(table.columns) == CELL_LABELS.columns
    assert table.empty


def test_tissues_are_looked_at_one_by_one():
    cells, scores = study()
    tissue = np.where(cells["donor"] % 4 < 2, "UBERON:0000178", "UBERON:0000955")
    both = transfer_labels(cells.assign(tissue_group=tissue), scores)
    one = tissue == "UBERON:0000178"
    alone = transfer_labels(cells[one], scores[one])
    same = both[both["cell_id"].isin(alone["cell_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)


def test_a_type_needs_more_to_be_the_label_of_a_new_sample_than_inside_a_run():
    names = np.array(["CL:0000624", "CL:0000625"])
    sure = TypeCalibration(
        np.full((2, N_LEVELS), 1.0), np.array(["batch"] * 2), np.array([9, 9]), np.array(0.9)
    )
    given = np.array([[0.96, 0.04]]), np.zeros((1, 2)), sure, names, names
    assert label_cells(*given).level[0] == "ancestor"
    assert label_cells(*given, leaf_mass=LEAF_MASS).level[0] == "leaf"
