"""A cell keeps its source's label; donors are compared at a level that every cohort reaches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pmcell.core.counts.aggregate import type_of_groups
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.errors import DataError
from pmcell.schema import CELL_TYPES
from pmcell.schema.steps import NEAREST_TERM, TRANSFERRED_PROBABILITY, TRANSFERRED_TERM
from pmcell.tl.aggregate import aggregate_cells
from pmcell.tl.cell_types import label_cells, type_of_cells, types_of

T, CD4, CD8, NK = "CL:0000084", "CL:0000624", "CL:0000625", "CL:0000623"
CD8_MEMORY, CD8_NAIVE, CD8_EFFECTOR = "CL:0000909", "CL:0000900", "CL:0001050"
B, NONE, LYMPHOCYTE = "CL:0000236", "unknown", "CL:0000542"
CD4_NAME, CD8_NAME = "CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell"

Rows = list[tuple[str, str, str, int]]


def make_cells(rows: Rows) -> pd.DataFrame:
    """One row a cell of (cohort, cluster, term, number of cells)."""
    columns = ["cohort_id", "cluster", "source_cell_type_ontology_term_id"]
    cells = [row[:3] for row in rows for _ in range(row[3])]
    return pd.DataFrame(cells, columns=columns, index=[f"c{at}" for at in range(len(cells))])


def make_clusters(cells: pd.DataFrame, **named: tuple[str, str]) -> pd.DataFrame:
    """The clusters of the cells; one without a name is a type of its own."""
    rows = []
    for cluster in sorted(set(cells["cluster"])):
        label, term = named.get(f"c{cluster}", (f"cluster {cluster}", "unknown"))
        rows.append((cluster, label, term, 0.0 if term == "unknown" else 0.9))
    columns = ["cluster", "cell_type", "cell_type_ontology_term_id", "cell_type_confidence"]
    return pd.DataFrame(rows, columns=columns)


def profiled(rows: Rows, **named: tuple[str, str]) -> dict[tuple[str, str], str]:
    """Type in profiles by cluster and term."""
    cells = make_cells(rows)
    return dict(type_of_cells(label_cells(cells, make_clusters(cells, **named))))


def test_a_label_stays_with_its_cell_and_the_others_follow_their_cluster() -> None:
    cells = make_cells([("a", "0", CD8, 3), ("a", "0", NONE, 1), ("a", "1", NONE, 1)])
    table = label_cells(cells, make_clusters(cells, c0=("natural killer cell", NK)))
    assert list(table.columns) == CELL_TYPES.columns
    own = types_of(table, cells)
    assert list(own["cell_type"]) == [CD8_NAME] * 3 + ["natural killer cell", "cluster 1"]
    assert list(own["cell_type_ontology_term_id"]) == [CD8] * 3 + [NK, "unknown"]
    assert list(own["cell_type_confidence"]) == [1.0, 1.0, 1.0, 0.9, 0.0]
    assert list(own["label_method"]) == ["source"] * 3 + ["cluster"] * 2


@pytest.mark.parametrize("term", [LYMPHOCYTE, "CL:0000000", "T cell", "", "CL:9999999"])
def test_what_names_no_type_is_no_label(term: str) -> None:
    cells = make_cells([("a", "0", term, 2)])
    table = label_cells(cells, make_clusters(cells, c0=("B cell", B)))
    assert set(types_of(table, cells)["cell_type"]) == {"B cell"}


def test_without_labels_clusters_are_the_types() -> None:
    found = profiled([("a", "0", NONE, 50), ("a", "1", NONE, 40), ("b", "0", NONE, 30)])
    assert set(found.values()) == {"cluster 0", "cluster 1"}


def test_labels_that_all_cohorts_use_are_the_types_in_any_cluster() -> None:
    found = profiled([(name, "0", term, 50) for name in "ab" for term in (CD8, NK)])
    assert found == {("0", CD8): CD8_NAME, ("0", NK): "natural killer cell"}


def test_where_one_cohort_stops_higher_all_labels_below_are_lifted() -> None:
    rows = [("a", "0", T, 90), ("a", "1", B, 50), ("b", "0", CD4, 60), ("b", "0", CD8_MEMORY, 40)]
    rows.append(("b", "1", B, 50))
    found = profiled(rows)
    assert found == {
        ("0", T): "T cell",
        ("0", CD4): "T cell",
        ("0", CD8_MEMORY): "T cell",
        ("1", B): "B cell",
    }
    assert (
        types_of(label_cells(make_cells(rows), make_clusters(make_cells(rows))), make_cells(rows))[
            "cell_type"
        ].value_counts()[CD4_NAME]
        == 60
    )


def test_a_few_cells_with_a_general_label_do_not_lift_the_others() -> None:
    rows = [(name, "0", term, n) for name in "ab" for term, n in ((T, 10), (CD4, 50), (CD8, 40))]
    assert set(profiled(rows).values()) == {"T cell", CD4_NAME, CD8_NAME}


def test_a_general_label_that_every_cohort_uses_lifts_nothing() -> None:
    rows = [(name, "0", term, n) for name in "ab" for term, n in ((T, 80), (CD8, 40))]
    assert set(profiled(rows).values()) == {"T cell", CD8_NAME}


def test_one_cohort_is_compared_with_no_other() -> None:
    assert set(profiled([("a", "0", T, 80), ("a", "0", CD8, 10)]).values()) == {"T cell", CD8_NAME}


def test_two_words_for_the_cells_of_a_cluster_become_their_common_ancestor() -> None:
    rows = [("a", "0", CD8_MEMORY, 60), ("b", "0", CD8_EFFECTOR, 60)]
    rows += [(name, "1", CD8_NAIVE, 60) for name in "ab"]
    found = profiled(rows)
    assert found["0", CD8_MEMORY] == found["0", CD8_EFFECTOR] == CD8_NAME
    assert found["1", CD8_NAIVE] == "naive thymus-derived CD8-positive, alpha-beta T cell"


def test_two_words_for_cells_of_different_clusters_stay_apart() -> None:
    found = profiled([("a", "0", CD8_MEMORY, 60), ("b", "1", CD8_EFFECTOR, 60)])
    assert len(set(found.values())) == 2


def test_unlike_cells_in_one_cluster_are_never_one_type() -> None:
    rows = [("a", "0", "CL:0000169", 60), ("b", "0", CD8_MEMORY, 60), ("c", "0", CD8_EFFECTOR, 60)]
    found = profiled(rows)
    assert found["0", "CL:0000169"] == "type B pancreatic cell"
    assert found["0", CD8_MEMORY] == found["0", CD8_EFFECTOR] == CD8_NAME


def test_where_a_cohort_has_no_labels_all_cells_count_by_cluster() -> None:
    rows = [("a", "0", CD8, 40), ("a", "0", NK, 60), ("a", "1", B, 50)]
    rows += [("b", "0", NONE, 100), ("b", "1", NONE, 50)]
    found = profiled(rows, c0=("T or NK cell", LYMPHOCYTE))
    assert {found["0", term] for term in (CD8, NK, NONE)} == {"T or NK cell"}
    assert found["1", B] == found["1", NONE] == "cluster 1"


def test_the_few_unlabelled_cells_take_the_level_of_their_cluster() -> None:
    rows = [("a", "0", T, 90), ("b", "0", CD8, 90), ("b", "0", NONE, 10), ("b", "1", NONE, 5)]
    found = profiled(rows, c0=(CD8_NAME, CD8))
    assert found["0", NONE] == found["0", CD8] == "T cell"
    assert found["1", NONE] == "cluster 1"


def test_a_joint_name_takes_in_no_other_lymphocyte() -> None:
    rows = [("a", "0", T, 90), ("b", "0", NK, 90), ("b", "1", NONE, 5), ("b", "2", NONE, 5)]
    found = profiled(rows, c1=("B cell", B), c2=(CD8_NAME, CD8))
    assert found["0", T] == found["0", NK] == found["2", NONE] == "T or NK cell"
    assert found["1", NONE] == "B cell"


def test_the_order_of_the_cells_changes_nothing() -> None:
    rows = [("a", "0", CD8_MEMORY, 60), ("b", "0", CD8_EFFECTOR, 60), ("b", "1", T, 30)]
    assert profiled(rows) == profiled(rows[::-1])


def test_cells_that_the_table_does_not_know_are_refused() -> None:
    cells = make_cells([("a", "0", CD8, 1)])
    table = label_cells(cells, make_clusters(cells))
    other = make_cells([("a", "0", CD8, 1), ("a", "0", NK, 2)])
    with pytest.raises(DataError, match=f"2 cells have none, the first of cluster '0' with.*{NK}"):
        types_of(table, other)


def test_groups_of_an_aggregate_have_the_types_of_their_cells() -> None:
    cells = make_cells([("a", "0", CD8, 3), ("a", "0", NK, 2), ("a", "1", NONE, 1)])
    cells["sample_id"] = "s"
    counts = sparse.csr_matrix(np.arange(12).reshape(6, 2))
    part = aggregate_cells(MatrixCounts(counts), np.array(["g", "h"], object), cells)
    table = label_cells(cells, make_clusters(cells))
    found = pd.Series(part.group_n_cells).groupby(type_of_groups(part, type_of_cells(table))).sum()
    assert found.to_dict() == {CD8_NAME: 3, "natural killer cell": 2, "cluster 1": 1}
    assert set(type_of_groups(part, {"0": "x", "1": "y"})) == {"x", "y"}
    with pytest.raises(DataError, match="1 have none, the first is cluster '1' with label 'unkn"):
        type_of_groups(part, {"0": "x"})


def with_transferred(cells: pd.DataFrame, rows: dict[str, tuple[str, str, float]]) -> pd.DataFrame:
    """The cells with label, most probable type and probability of some of them."""
    found = pd.DataFrame.from_dict(rows, orient="index").reindex(cells.index)
    names = (TRANSFERRED_TERM, NEAREST_TERM, TRANSFERRED_PROBABILITY)
    return cells.assign(**{name: found[at] for at, name in enumerate(names)})


def test_a_transferred_label_is_the_cells_and_its_likeliest_type_counts() -> None:
    cells = make_cells([("a", "0", CD8, 2), ("a", "0", NK, 1), ("b", "0", NONE, 3)])
    cells = with_transferred(cells, {"c3": (CD8, CD8, 0.97), "c4": (T, CD4, 0.85)})
    table = label_cells(cells, make_clusters(cells, c0=("natural killer cell", NK)))
    own = types_of(table, cells)
    nk = "natural killer cell"
    assert list(own["cell_type"]) == [CD8_NAME, CD8_NAME, nk, CD8_NAME, "T cell", nk]
    assert list(own["cell_type_ontology_term_id"]) == [CD8, CD8, NK, CD8, T, NK]
    assert list(own["cell_type_confidence"]) == [1.0, 1.0, 1.0, 0.97, 0.85, 0.9]
    assert list(own["label_method"]) == ["source"] * 3 + ["transfer"] * 2 + ["cluster"]
    rows = table.set_index("source_cell_type_ontology_term_id")
    assert rows.loc[[CD8, CD4, NONE], "label_method"].tolist() == ["source", "transfer", "cluster"]
    assert rows.loc[CD4, "cell_type_confidence"] == 0.85
    assert rows.loc[CD8, "n_cells"] == 3


def test_a_cohort_whose_labels_were_transferred_is_compared_by_them() -> None:
    rows = [("a", "0", CD8, 30), ("a", "0", CD4, 30), ("b", "0", NONE, 40)]
    cells = make_cells(rows)
    told = {f"c{at}": (T, CD4 if at % 2 else CD8, 0.9) for at in range(60, 100)}
    clusters = make_clusters(cells, c0=("T cell", T))
    without = types_of(label_cells(cells, clusters), cells)["profile_cell_type"]
    assert set(without) == {"T cell"}
    cells = with_transferred(cells, told)
    found = types_of(label_cells(cells, clusters), cells)["profile_cell_type"]
    assert found[60:].value_counts().to_dict() == {CD4_NAME: 20, CD8_NAME: 20}
    assert set(found[:60]) == {CD4_NAME, CD8_NAME}


def test_sums_are_of_the_type_that_a_cell_counts_as() -> None:
    cells = make_cells([("a", "0", CD8, 1), ("a", "0", NONE, 2)]).assign(sample_id="s")
    cells = with_transferred(cells, {"c1": (T, CD8, 0.8)})
    counts = MatrixCounts(sparse.csr_matrix(np.ones((3, 2), np.int64)))
    part = aggregate_cells(counts, np.array(["g", "h"], object), cells)
    assert part.labels.tolist() == [CD8, NONE]
    n_cells = {
        label: int(part.group_n_cells[part.group_label == at].sum())
        for at, label in enumerate(part.labels)
    }
    assert n_cells == {CD8: 2, NONE: 1}
