"""Gene sets, gene drivers and the command `pmcell differential_expression`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from explain_inputs import GENES, SYMBOLS, counts_of, explain, write_inputs
from pmcell import schema
from pmcell.errors import FaultsError, UsageError
from pmcell.io.atomic import sha256_file
from pmcell.io.gmt import read_gene_sets
from pmcell.io.tables import conform, read_table
from pmcell.strata.explanation.gene_drivers import donor_parts
from pmcell.strata.explanation.pathways import activity, set_matrix

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture
def folder(tmp_path: Path, analysed: AnnData) -> Path:
    """What `pmcell differential_expression` reads, with a condition that is stratum S1 or not."""
    donors = analysed.copy()
    donors.obs["condition"] = np.where(donors.obs["candidate_stratum"] == "S1", "ill", "well")
    return write_inputs(tmp_path, donors)


def test_the_command_writes_four_tables_and_the_same_bytes_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(folder, "--gene-sets", str(folder / "sets.gmt")) == 0
    said = capsys.readouterr().out
    assert "stratum: 1 of 1 cell types tested" in said
    assert "condition: 1 of 1 cell types tested" in said
    tables = (
        schema.EXPRESSION_CONTRASTS,
        schema.DIFFERENTIAL_EXPRESSION,
        schema.PATHWAYS,
        schema.GENE_DRIVERS,
    )
    for table in tables:
        assert len(conform(read_table(folder / f"{table.name}.parquet"), table)) > 0, table.name
    genes = read_table(folder / "differential_expression.parquet")
    best = genes[genes["contrast"] == "condition"].nsmallest(8, "q_value")
    assert set(best["gene_id"]) <= set(GENES[:10])
    assert (best["log2_fold_change"] < 0).all(), "well is compared with ill"
    assert best["symbol"].str.startswith("SYM").all()
    before = [sha256_file(folder / f"{table.name}.parquet") for table in tables]
    assert explain(folder, "--gene-sets", str(folder / "sets.gmt")) == 0
    assert [sha256_file(folder / f"{table.name}.parquet") for table in tables] == before


def test_the_command_adjusts_for_the_covariates_of_the_configuration(
    tmp_path: Path, analysed: AnnData
) -> None:
    """The condition is stratum S1 or not, blurred; adjusted for the stratum, nothing is left."""
    donors = analysed.copy()
    first = (donors.obs["candidate_stratum"] == "S1").to_numpy()
    number = donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
    donors.obs["condition"] = np.where(first ^ (number % 5 == 0), "ill", "well")
    donors.obs["sex_ontology_term_id"] = np.where(first, "PATO:0000383", "PATO:0000384")
    write_inputs(tmp_path, donors)
    n_found = {}
    for covariates in ("[]", "[sex]"):
        text = (
            "differential_expression: "
            f"{{contrasts: [condition], covariates: {covariates}, confirm: false}}\n"
        )
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        assert explain(tmp_path, "--config", str(tmp_path / "config.yaml")) == 0
        facts = read_table(tmp_path / "expression_contrasts.parquet")
        n_found[covariates] = int(facts["n_significant"].item())
    assert facts["design"].item() == "~ batch_id + sex_ontology_term_id + level"
    assert n_found["[]"] >= 8
    assert n_found["[sex]"] <= 1


def test_mistakes_in_the_configuration_and_the_gene_sets_are_sentences(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = folder / "config.yaml"
    config.write_text("differential_expression: {contrasts: condition}\n", encoding="utf-8")
    assert explain(folder, "--config", str(config)) == 2
    said = "differential_expression.contrasts: must be a list of texts"
    assert said in capsys.readouterr().err
    assert explain(folder, "--gene-sets", str(folder / "none.gmt")) == 2
    (folder / "sets.gmt").write_text("ONE\tabout\n", encoding="utf-8")
    assert explain(folder, "--gene-sets", str(folder / "sets.gmt")) == 3
    assert "sets.gmt, row 1: must have a name, a description" in capsys.readouterr().err
    assert not (folder / "pathways.parquet").exists()


def test_activity_is_that_of_decoupler() -> None:
    """decoupler 2.2.0, mt.ulm(tmin=5), on the same values."""
    rng = np.random.default_rng(5)
    y = np.round(rng.normal(5, 2, (4, 30)), 2)
    weights = np.zeros((30, 2))
    weights[:6, 0] = 1
    weights[4:14, 1] = np.round(rng.normal(0, 1, 10), 1)
    expected = [
        [0.301307, -0.209231],
        [-0.783065, 0.148723],
        [1.915936, 1.136294],
        [-0.987271, -1.183034],
    ]
    np.testing.assert_allclose(activity(y, weights), expected, atol=1e-6)


def test_a_set_of_planted_genes_differs_and_missing_genes_are_counted(analysed: AnnData) -> None:
    sets = {
        "planted": {**dict.fromkeys(GENES[:8], 1.0), "NOT_THERE": 1.0},
        "other": dict.fromkeys(list(SYMBOLS.values())[30:40], 1.0),
        "small": dict.fromkeys(GENES[:3], 1.0),
    }
    table = pm.strata.pathways(
        analysed, pseudobulk={"T": counts_of(analysed)}, gene_sets=sets, symbols=SYMBOLS
    )
    own = table[table["level"] == "S1"].set_index("gene_set")
    assert own.loc["planted", "q_value"] < 0.001
    assert own.loc["planted", "activity_difference_low"] > 0
    assert own.loc["planted", ["n_genes", "n_genes_found"]].tolist() == [9, 8]
    assert own.loc["other", "n_genes_found"] == 10
    assert own.loc["small", "inference"] == "not tested"
    assert own.loc["small", "why_not"] == "fewer than 5 of its genes are tested in the type"


def test_genes_are_found_by_id_before_symbol() -> None:
    genes = np.array(["A", "B"], object)
    matrix, n_found = set_matrix(genes, {"s": {"A": 2.0, "C": 1.0}}, {"A": "X", "B": "A"})
    assert matrix[:, 0].tolist() == [2.0, 0.0]
    assert n_found.tolist() == [1]


def test_gene_drivers_are_the_planted_genes_and_the_mean_of_donors_parts(
    analysed: AnnData,
) -> None:
    counts = {"T": counts_of(analysed)}
    table = pm.strata.gene_drivers(analysed, pseudobulk=counts, top=60)
    own = table[table["stratum"] == "S1"].set_index("gene_id")
    assert set(own["contribution"].nlargest(10).index) == set(GENES[:10])
    assert own["share"].sum() == pytest.approx(1)
    assert (own.loc[GENES[:10], "contribution_low"] > 0).all()
    assert set(own.loc[GENES[:10], "direction"]) == {"higher"}
    null = own.loc[own.index.isin(GENES[10:])]
    assert ((null["contribution_low"] <= 0) & (null["contribution_high"] >= 0)).mean() > 0.8
    label = analysed.obs[analysed.obs["discovery"].to_numpy()]
    names = label.loc[label["candidate_stratum"] == "S1", "donor_id"]
    parts = [
        pm.strata.donor_gene_drivers(analysed, donor_id=name, pseudobulk=counts).set_index(
            "gene_id"
        )["contribution"]
        for name in names.iloc[:1]
    ]
    assert parts[0].loc[GENES[:10]].sum() > 0
    with pytest.raises(UsageError, match="there is no 'nobody' among 40"):
        pm.strata.donor_gene_drivers(analysed, donor_id="nobody", pseudobulk=counts)


def test_a_type_in_which_strata_are_not_apart_has_no_gene_drivers(analysed: AnnData) -> None:
    rng = np.random.default_rng(3)
    planted = counts_of(analysed)
    noise = {
        f"N{number}": pd.DataFrame(rng.poisson(60, planted.shape), planted.index, planted.columns)
        for number in range(6)
    }
    table = pm.strata.gene_drivers(analysed, pseudobulk={"T": planted, **noise})
    assert "T" in set(table["cell_type"])
    assert len(set(table["cell_type"])) < 7
    assert table["share"].notna().all()
    conform(table, schema.GENE_DRIVERS)


def test_donors_parts_have_the_stratums_contribution_as_their_mean() -> None:
    y = np.random.default_rng(1).normal(size=(11, 3))
    own, far = np.arange(6), np.arange(6, 11)
    gap = y[own].mean(axis=0) - y[far].mean(axis=0)
    noise = y[own].var(axis=0, ddof=1) / 6 + y[far].var(axis=0, ddof=1) / 5
    np.testing.assert_allclose(donor_parts(y, own, far).mean(axis=0), gap**2 - noise)


def test_a_type_that_alone_holds_a_donor_in_its_stratum_flips_it(analysed: AnnData) -> None:
    table = pm.strata.drivers(analysed)
    total = table.groupby(["donor_id", "visit"])["contribution"].sum()
    of_type = table.groupby(["donor_id", "visit", "cell_type"])["contribution"].sum()
    flips = table.groupby(["donor_id", "visit", "cell_type"])["flips_without"].first()
    rest = total.reindex(of_type.index.droplevel("cell_type")).to_numpy() - of_type.to_numpy()
    held = total.reindex(of_type.index.droplevel("cell_type")).to_numpy() > 0
    # Without the type the nearest other stratum would be nearer; or a third one, which this misses.
    assert flips[held & (rest < 0)].all()
    assert not flips[~held].any()


@pytest.mark.parametrize(
    ("text", "row", "found"),
    [
        ("SET\tabout\tA\tB\nEMPTY\tabout\n", 2, "2 fields, 0 genes"),
        ("SET\tabout\tA\nSET\tabout\tB\n", 2, "'SET' again"),
        ("source\ttarget\tweight\nS\tA\t1\nS\tB\tmuch\n", 3, "'much'"),
        ("source\ttarget\tweight\nS\tA\t1\nS\tA\t2\n", 3, "S → A again"),
        ("source\ttarget\tweight\nS\tA\n", 2, "2 fields"),
        ("", 1, "an empty file"),
    ],
)
def test_a_bad_line_of_gene_sets_is_named(tmp_path: Path, text: str, row: int, found: str) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FaultsError, match=f"sets.gmt, row {row}: .*{found}"):
        read_gene_sets(path)


def test_gmt_and_network_are_read(tmp_path: Path) -> None:
    gmt, net = tmp_path / "sets.gmt", tmp_path / "net.tsv"
    gmt.write_text("SET\tabout\tA\tB\t\n\nTWO\t\tC\n", encoding="utf-8")
    net.write_text("source\tweight\ttarget\nS\t-2\tA\nS\t1\tB\n", encoding="utf-8")
    assert read_gene_sets(gmt).weights == {"SET": {"A": 1.0, "B": 1.0}, "TWO": {"C": 1.0}}
    assert read_gene_sets(net).weights == {"S": {"A": -2.0, "B": 1.0}}
    with pytest.raises(UsageError, match="there is no"):
        read_gene_sets(tmp_path / "none.gmt")
