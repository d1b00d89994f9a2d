"""Labels follow the source, else clear markers, and are withheld otherwise."""

from __future__ import annotations

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

from pmcell.errors import DataError, UsageError
from pmcell.registry.cohorts.programmes import expected_markers
from pmcell.registry.terms.cell_types import consensus, too_general
from pmcell.registry.terms.gene_table import gene_table
from pmcell.registry.terms.marker_panel import marker_panel, types_of_tissues
from pmcell.registry.terms.ontology import resolve, terms
from pmcell.schema import CLUSTERS
from pmcell.settings.programme import Programme
from pmcell.tl import aggregate, annotate
from pmcell.tl.annotate import annotate_clusters
from pmcell.tl.marker_labels import MIN_MARKERS

CD4_MEMORY, CD4_NAIVE, CD4 = "CL:0000897", "CL:0000895", "CL:0000624"
CD8_MEMORY, B_CELL = "CL:0000909", "CL:0000236"
NK, NK_NAME = "CL:0000623", "natural killer cell"
BLOOD, PANCREAS = "UBERON:0000178", "UBERON:0001264"


def make_cells(
    types: list[str],
    *,
    tissue: str = BLOOD,
    n_markers: int = 8,
    n_cells: int = 40,
    housekeeping: float = 2.0,
    seed: int = 0,
) -> anndata.AnnData:
    """One cluster a type of the panel, which expresses its own markers and little of all others."""
    rows = {row.cell_type: row for row in marker_panel()}
    genes = sorted({gene for row in rows.values() for gene in row.positive[:n_markers]})
    genes += [f"HOUSEKEEPING{at}" for at in range(50)]
    random = np.random.default_rng(seed)
    rate = np.full((len(types) * n_cells, len(genes)), 0.02)
    rate[:, -50:] = housekeeping
    cluster = np.repeat(np.arange(len(types)), n_cells)
    for at, name in enumerate(types):
        own = np.isin(genes, rows[name].positive if name in rows else ())
        rate[np.ix_(cluster == at, own)] = 3.0
    obs = pd.DataFrame(
        {
            "sample_id": np.where(np.arange(cluster.size) % 2, "c:s1", "c:s2"),
            "donor_id": np.where(np.arange(cluster.size) % 2, "c:d1", "c:d2"),
            "batch_id": np.where(np.arange(cluster.size) % 2, "b1", "b2"),
            "cluster": cluster.astype(str),
            "tissue_ontology_term_id": tissue,
            "source_cell_type_ontology_term_id": "unknown",
        },
        index=[f"cell{at}" for at in range(cluster.size)],
    )
    return anndata.AnnData(random.poisson(rate), obs, pd.DataFrame(index=genes))


def table_of(adata: anndata.AnnData) -> pd.DataFrame:
    annotate(adata)
    return adata.uns["clusters"].set_index("cluster")


def give_source(adata: anndata.AnnData, cluster: str, labels: list[str]) -> None:
    cells = adata.obs_names[adata.obs["cluster"] == cluster]
    adata.obs.loc[cells[: len(labels)], "source_cell_type_ontology_term_id"] = labels


@pytest.mark.parametrize(
    ("tissue", "types"),
    [
        (BLOOD, ["B cell", "natural killer cell", "platelet", "plasmacytoid dendritic cell"]),
        (BLOOD, ["classical monocyte", "antibody secreting cell", "conventional dendritic cell"]),
        (PANCREAS, ["type B pancreatic cell", "pancreatic A cell", "pancreatic acinar cell"]),
        ("UBERON:0002113", ["podocyte", "epithelial cell of proximal tubule", "pericyte"]),
        ("UBERON:0000948", ["regular ventricular cardiac myocyte", "fibroblast of cardiac tissue"]),
        ("UBERON:0002217", ["chondrocyte", "type B synovial cell", "macrophage"]),
    ],
)
def test_clear_markers_are_recognised(tissue: str, types: list[str]) -> None:
    found = table_of(make_cells(types, tissue=tissue))
    assert list(found["cell_type"]) == types
    assert set(found["label_method"]) == {"markers"}
    assert (found["cell_type_confidence"] >= 0.7).all()


def test_the_table_has_the_columns_of_the_schema() -> None:
    adata = make_cells(["B cell", "platelet"])
    annotate(adata)
    table = adata.uns["clusters"]
    assert list(table.columns) == CLUSTERS.columns
    assert list(table["n_cells"]) == [40, 40]
    assert list(table["n_donors"]) == [2, 2]
    np.testing.assert_allclose(table["batch_entropy"], 1.0)
    assert set(adata.obs["cell_type"]) == {"B cell", "platelet"}


def test_batch_entropy_is_zero_for_a_cluster_of_one_batch() -> None:
    adata = make_cells(["B cell", "platelet"])
    adata.obs.loc[adata.obs["cluster"] == "0", "batch_id"] = "b1"
    assert table_of(adata)["batch_entropy"]["0"] == 0.0
    adata.obs["batch_id"] = "b1"
    assert list(table_of(adata)["batch_entropy"]) == [1.0, 1.0]


def test_a_cluster_without_any_known_marker_is_a_type_of_its_own() -> None:
    found = table_of(make_cells(["B cell", "nothing known", "platelet"])).loc["1"]
    assert (found["cell_type"], found["cell_type_ontology_term_id"]) == ("cluster 1", "unknown")
    assert (found["label_method"], found["cell_type_confidence"]) == ("abstained", 0.0)
    assert found["label_evidence"].startswith("too weak or too close to call")


def test_a_type_with_two_measured_markers_is_not_considered() -> None:
    adata = make_cells(["B cell", "platelet"])
    few = [f"HOUSEKEEPING{at}" for at in range(50)] + ["CD79A", "MS4A1", "PPBP", "PF4"]
    found = table_of(adata[:, few].copy())
    assert set(found["label_method"]) == {"abstained"}
    assert found["label_evidence"].str.contains("3 measured markers").all()


def test_a_mixture_of_two_lineages_is_not_labelled() -> None:
    adata = make_cells(["B cell", "platelet", "natural killer cell", "B cell"])
    cells = np.flatnonzero(adata.obs["cluster"] == "3")
    other = np.flatnonzero(adata.obs["cluster"] == "2")
    adata.X[cells[::2]] = adata.X[other[::2]]
    assert table_of(adata).loc["3", "cell_type"] == "cluster 3"


def test_cells_with_the_markers_of_t_and_natural_killer_cells_are_called_by_both() -> None:
    adata = make_cells(["B cell", "T cell", "natural killer cell", "T cell"])
    own = adata.var_names.isin(["NKG7", "GNLY", "PRF1", "KLRD1", "SPON2", "FCER1G"])
    adata.X[np.ix_(adata.obs["cluster"] == "3", own)] += 2
    found = table_of(adata).loc["3"]
    assert (found["cell_type"], found["label_method"]) == ("T or NK cell", "markers")
    assert found["cell_type_ontology_term_id"] == "CL:0000542"


@pytest.mark.parametrize("seed", range(4))
def test_clusters_that_differ_at_random_get_no_label(seed: int) -> None:
    adata = make_cells(["nothing known"] * 12, n_cells=20)
    random = np.random.default_rng(seed)
    rate = np.exp(random.normal(0, 1.3, (12, adata.n_vars)))
    adata.X = random.poisson(rate[adata.obs["cluster"].astype(int)])
    assert (table_of(adata)["label_method"] == "abstained").mean() >= 0.9


@pytest.mark.parametrize("n_natural_killers", [60, 90, 110, 140])
def test_a_mixture_of_t_and_natural_killer_cells_is_never_called_by_one_of_them(
    n_natural_killers: int,
) -> None:
    types = ["B cell", "T cell", "natural killer cell", "T cell"]
    adata = make_cells(types, n_cells=200, housekeeping=60.0)
    cells = np.flatnonzero(adata.obs["cluster"] == "3")[:n_natural_killers]
    adata.X[cells] = adata.X[np.flatnonzero(adata.obs["cluster"] == "2")[:n_natural_killers]]
    found = table_of(adata)
    assert list(found["cell_type"][:3]) == types[:3]
    assert found.loc["3", "cell_type"] in {"T or NK cell", "cluster 3"}
    assert found.loc["3", "cell_type_ontology_term_id"] in {"CL:0000542", "unknown"}


def test_a_marker_that_every_cluster_carries_does_not_decide() -> None:
    adata = make_cells(["type B pancreatic cell", "pancreatic A cell"], tissue=PANCREAS)
    adata.X[:, adata.var_names.get_loc("INS")] += 30
    adata.X[adata.obs["cluster"] == "0", adata.var_names.get_loc("INS")] += 500
    assert list(table_of(adata)["cell_type"]) == ["type B pancreatic cell", "pancreatic A cell"]


def test_labels_are_the_same_each_time() -> None:
    adata = make_cells(["B cell", "T cell", "classical monocyte"])
    first, second = table_of(adata), table_of(adata)
    pd.testing.assert_frame_equal(first, second)


def test_the_majority_of_the_source_is_the_label() -> None:
    adata = make_cells(["platelet"])
    give_source(adata, "0", [CD4_MEMORY] * 20 + [B_CELL] * 5)
    found = table_of(adata).loc["0"]
    assert found["cell_type"] == "CD4-positive, alpha-beta memory T cell"
    assert found["label_method"] == "source_majority"
    assert found["cell_type_confidence"] == pytest.approx(0.8)
    assert found["label_evidence"].startswith("20 of 25 cells with a source label are ")


def test_source_labels_that_share_no_type_leave_the_cluster_without_a_label() -> None:
    adata = make_cells(["platelet"])
    give_source(adata, "0", [CD4_MEMORY] * 15 + [B_CELL] * 10)
    found = table_of(adata).loc["0"]
    assert (found["cell_type"], found["label_method"]) == ("cluster 0", "abstained")
    text = "of 25 cells 15 CD4-positive, alpha-beta memory T cell, 10 B cell"
    assert found["label_evidence"] == f"source labels share no type: {text}"


def test_a_cluster_of_labelled_t_and_natural_killer_cells_is_called_by_both() -> None:
    adata = make_cells(["platelet"])
    give_source(adata, "0", [NK] * 15 + [CD8_MEMORY] * 15)
    assert table_of(adata).loc["0", "cell_type"] == "T or NK cell"


def test_each_cell_keeps_the_label_of_its_source() -> None:
    adata = make_cells(["natural killer cell", "platelet"])
    give_source(adata, "0", [NK] * 30 + [CD8_MEMORY] * 5 + ["CL:0000542"])
    annotate(adata)
    own = adata.obs[adata.obs["cluster"] == "0"]
    memory = terms("CL")[CD8_MEMORY]["label"]
    assert list(own["cell_type"]) == [NK_NAME] * 30 + [memory] * 5 + [NK_NAME] * 5
    assert list(own["label_method"]) == ["source"] * 35 + ["cluster"] * 5
    assert set(own["cell_type_confidence"][:35]) == {1.0}
    np.testing.assert_allclose(own["cell_type_confidence"][35:].to_numpy(float), 30 / 35)


def test_cells_without_a_cluster_get_no_type() -> None:
    adata = make_cells(["B cell", "platelet"])
    adata.obs.iloc[3, adata.obs.columns.get_loc("cluster")] = None
    annotate(adata)
    assert adata.obs["cell_type"].isna().sum() == 1
    assert adata.obs["cell_type"].isna().iloc[3]


def test_without_a_majority_the_closest_common_ancestor_is_the_label() -> None:
    adata = make_cells(["platelet"])
    give_source(adata, "0", [CD4_MEMORY] * 14 + [CD4_NAIVE] * 15 + [B_CELL] * 3)
    found = table_of(adata).loc["0"]
    assert found["cell_type_ontology_term_id"] == CD4
    assert found["cell_type_confidence"] == pytest.approx(29 / 32)


def test_an_ancestor_that_is_too_general_is_not_taken() -> None:
    votes = {CD4_MEMORY: 4, B_CELL: 4, NK: 4}
    assert consensus(votes) is None
    assert consensus({CD4_MEMORY: 4, CD4_NAIVE: 4, CD8_MEMORY: 4}).label.endswith("T cell")
    labels = {terms("CL")[term]["label"] for term in too_general()}
    assert {"lymphocyte", "leukocyte", "cell", "epithelial cell", "secretory cell"} <= labels
    assert not labels & {"T cell", "monocyte", "endothelial cell", "fibroblast"}


@pytest.mark.parametrize("n_labelled", [19, 0])
def test_few_source_labels_leave_the_word_to_the_markers(n_labelled: int) -> None:
    adata = make_cells(["B cell", "platelet"])
    give_source(adata, "0", ["CL:0000233"] * n_labelled)
    assert table_of(adata).loc["0", ["cell_type", "label_method"]].tolist() == ["B cell", "markers"]


def test_a_small_cluster_is_named_by_its_cells_where_all_have_a_label() -> None:
    adata = make_cells(["B cell", "platelet"], n_cells=12)
    give_source(adata, "0", ["CL:0000233"] * 12)
    assert table_of(adata).loc["0", ["cell_type", "label_method"]].tolist() == [
        "platelet",
        "source_majority",
    ]


def test_source_labels_below_a_fifth_of_the_cluster_do_not_decide() -> None:
    adata = make_cells(["B cell", "platelet"], n_cells=120)
    give_source(adata, "0", ["CL:0000233"] * 23)
    assert table_of(adata).loc["0", "label_method"] == "markers"
    give_source(adata, "0", ["CL:0000233"] * 24)
    assert table_of(adata).loc["0", "label_method"] == "source_majority"


def test_the_evidence_says_where_source_and_markers_differ() -> None:
    adata = make_cells(["B cell", "platelet", "T cell"])
    give_source(adata, "0", ["CL:0000233"] * 30)
    give_source(adata, "1", ["CL:0000233"] * 5 + [B_CELL] * 7)
    give_source(adata, "2", [CD4_MEMORY] * 30)
    evidence = table_of(adata)["label_evidence"]
    assert evidence["0"].endswith("are platelet; markers point to B cell")
    assert evidence["1"].endswith("5 of 12 cells with a source label agree")
    assert "markers" not in evidence["2"]


def test_clusters_are_listed_in_natural_order() -> None:
    adata = make_cells(["B cell", "platelet"] * 6)
    annotate(adata)
    assert list(adata.uns["clusters"]["cluster"]) == [str(at) for at in range(12)]


def test_a_cluster_that_no_aggregate_holds_is_refused() -> None:
    adata = make_cells(["B cell", "platelet"])
    sums = aggregate(adata[adata.obs["cluster"] == "0"].copy())
    with pytest.raises(DataError, match="cluster '1' and 0 more are missing"):
        annotate_clusters(adata.obs, sums)


def test_a_missing_column_is_named() -> None:
    adata = make_cells(["B cell"])
    sums = aggregate(adata)
    with pytest.raises(UsageError, match="needs a column 'batch_id'"):
        annotate_clusters(adata.obs.drop(columns="batch_id"), sums)


def test_panel_uses_current_symbols_and_terms_and_names_its_sources() -> None:
    symbols = set(gene_table().symbols.values())
    for row in marker_panel():
        assert resolve(row.term_id, "CL") == row.cell_type
        assert set(row.positive) | set(row.negative) <= symbols, row.cell_type
        assert not set(row.positive) & set(row.negative), row.cell_type
        assert len(row.positive) == len(set(row.positive)) >= MIN_MARKERS
        assert row.source.startswith("10.")
        for tissue in row.tissues:
            assert tissue == "any" or isinstance(resolve(tissue, "UBERON"), str)


def test_panel_of_a_tissue_holds_its_parts_and_what_occurs_anywhere() -> None:
    panel = marker_panel()
    islets = {row.cell_type for row in types_of_tissues(panel, ["UBERON:0000006"])}
    assert {"type B pancreatic cell", "T cell"} <= islets
    assert "podocyte" not in islets
    assert types_of_tissues(panel, ["unknown"]) == panel
    assert types_of_tissues(panel, []) == panel


def programme(tissue: str, markers: tuple[str, ...]) -> Programme:
    own = {"markers": markers, "source": "10.1/x"} if markers else {}
    expected = {"CL:0000540": {"tissue": tissue, **own}}
    return Programme(
        id="made",
        title="Made",
        description="Made up.",
        disease_ontology_term_ids=("PATO:0000461",),
        cell_types=expected,
    )


@pytest.mark.parametrize(
    ("tissue", "label"),
    [(BLOOD, "neuron"), (PANCREAS, "cluster 2")],
    ids=["its tissue", "another tissue"],
)
def test_a_type_that_a_programme_expects_is_told_by_its_own_markers(tissue, label):
    adata = make_cells(["B cell", "T cell", "nothing"])
    own = [f"HOUSEKEEPING{at}" for at in range(5)]
    apart = (adata.obs["cluster"] == "2").to_numpy()
    raised = np.isin(adata.var_names, own)
    adata.X[np.ix_(~apart, raised)] = 0
    adata.X[np.ix_(apart, raised)] += 3
    rows = expected_markers([programme(tissue, tuple(own))])
    assert [(row.cell_type, row.tissues) for row in rows] == [("neuron", (tissue,))]
    table = annotate_clusters(adata.obs, aggregate(adata), expected=rows).set_index("cluster")
    assert list(table["cell_type"]) == ["B cell", "T cell", label]


def test_markers_of_a_programme_take_the_place_of_the_panels_and_may_be_gene_ids():
    adata = make_cells(["B cell", "T cell"])
    symbols = {f"ENSG{at}": name for at, name in enumerate(adata.var_names)}
    own = next(row for row in marker_panel() if row.cell_type == "B cell")
    ids = {name: gene for gene, name in symbols.items()}
    named = tuple(ids.get(gene, gene) for gene in own.positive[:5])
    given = replace(own, positive=named, tissues=(BLOOD,))
    adata.var_names = list(symbols)
    label = {"symbols": symbols, "expected": [given]}
    table = annotate_clusters(adata.obs, aggregate(adata), **label).set_index("cluster")
    assert table.loc["0", "cell_type"] == "B cell"
    assert "ENSG" not in table.loc["0", "label_evidence"]


def test_a_programme_without_markers_of_its_own_changes_nothing():
    assert not expected_markers([programme(BLOOD, ())])
