"""From counts to names of clusters: what a study finds in a tissue does not depend on others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import pmcell as pm
from pmcell.cli import main
from pmcell.io.h5ad import read_h5ad
from pmcell.steps import BY_NAME

BLOOD, ISLET, PANCREAS = "UBERON:0000178", "UBERON:0000006", "UBERON:0001264"
COHORTS = {
    "blood": (slice(0, 200), [BLOOD]),
    "both": (slice(0, 300), [ISLET, BLOOD]),
    "islets": (slice(100, 300), [ISLET]),
}
"""Genes that each cohort measured, and the tissues of its samples in turn."""
ATLAS_STEPS = (
    *("hvg", "covariance", "pca", "pca_scores", "integrate", "neighbors", "cluster", "umap"),
    *("label_transfer", "aggregate", "markers", "annotate"),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cohorts up to their gene statistics: of blood, of islets, and of both."""
    from pmcell.simulate.cohort_folders import write_cohort_folders

    folder = tmp_path_factory.mktemp("tissues")
    simulated = pm.simulate.simulate(
        n_cohorts=3, n_donors=12, cells_per_sample=40, n_genes=300, real_genes=True, seed=3
    )
    write_cohort_folders(simulated, folder / "cohorts")
    for drafted, (name, (genes, tissues)) in zip(
        sorted((folder / "cohorts").iterdir()), COHORTS.items(), strict=True
    ):
        path = drafted.rename(drafted.with_name(name))
        settings = yaml.safe_load((path / "cohort.yaml").read_text()) | {"id": name}
        (path / "cohort.yaml").write_text(yaml.safe_dump(settings))
        cells = read_h5ad(path / "counts.h5ad")
        cells[:, genes].copy().write_h5ad(path / "counts.h5ad")
        samples = pd.read_csv(path / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
        samples["tissue_ontology_term_id"] = np.resize(tissues, len(samples))
        samples.to_csv(path / "samples.tsv", sep="\t", index=False)
        own = folder / "results" / "cohorts" / name
        assert main(["intake", "--cohort-dir", str(path), "--out-dir", str(own)]) == 0
        for step in ("qc", "gene_stats"):
            run(folder / "results", step, [name])
    return folder / "results"


def run(results: Path, step: str, cohorts: list[str]) -> None:
    """The step as its rule calls it, once or for each cohort."""
    spec = BY_NAME[step]
    for name in cohorts if spec.per_cohort else [""]:
        words = ["--cohort", name] if step in ("covariance", "pca_scores") else []
        for options in (spec.reads, spec.writes):
            for option, files in options.items():
                words += named(results, option, files, [name] if name else cohorts)
        assert main([step, *words, "--threads", "1"]) == 0, step


def named(results: Path, option: str, files: tuple[str, ...], cohorts: list[str]) -> list[str]:
    flag = f"--{option.replace('_', '-')}"
    paths = [results / files[0].format(cohort=name) for name in cohorts]
    if option == "cohort":
        return [w for n, p in zip(cohorts, paths, strict=True) for w in (flag, n, str(p.parent))]
    if option == "out_dir":
        return [flag, str(paths[0].parent)]
    if "{cohort}" not in files[0]:
        return [flag, str(paths[0])]
    return [word for path in paths for word in (flag, str(path))]


def atlas_of(results: Path, cohorts: list[str]) -> dict[str, object]:
    """What the atlas of some of the cohorts holds."""
    (results / "atlas").mkdir(exist_ok=True)
    for step in ATLAS_STEPS:
        run(results, step, cohorts)
    atlas = results / "atlas"
    return {
        "cells": read_h5ad(atlas / "embedding.h5ad"),
        "graph": read_h5ad(atlas / "graph.h5ad"),
        "verdicts": json.loads((atlas / "cohorts.json").read_text()),
        **{
            name: pd.read_parquet(atlas / f"{name}.parquet")
            for name in ("features", "clusters", "umap", "markers", "annotation")
        },
    }


@pytest.fixture(scope="module")
def alone(results: Path) -> dict[str, object]:
    return atlas_of(results, ["islets"])


@pytest.fixture(scope="module")
def mixed(results: Path, alone: dict[str, object]) -> dict[str, object]:
    return atlas_of(results, ["blood", "both", "islets"])


def test_each_sample_is_of_the_organ_of_its_tissue(mixed):
    groups = mixed["cells"].obs.groupby("cohort_id", observed=True)["tissue_group"].unique()
    assert {name: set(own) for name, own in groups.items()} == {
        "blood": {BLOOD},
        "both": {BLOOD, PANCREAS},
        "islets": {PANCREAS},
    }
    assert mixed["verdicts"]["both"]["tissues"] == {BLOOD: BLOOD, ISLET: PANCREAS}


def test_no_edge_and_no_cluster_is_of_two_tissues(mixed):
    group = mixed["cells"].obs["tissue_group"].to_numpy(str)
    edges = mixed["graph"].obsp["connectivities"].tocoo()
    assert edges.nnz
    assert (group[edges.row] == group[edges.col]).all()
    clusters = mixed["clusters"].assign(group=group)
    assert (clusters.groupby("cluster")["group"].nunique() == 1).all()


def test_genes_say_in_which_tissue_they_were_selected(mixed):
    chosen = mixed["features"]
    of_gene = [set(own) for own in chosen["highly_variable_in"]]
    assert {BLOOD} in of_gene
    assert {PANCREAS} in of_gene
    assert [bool(own) for own in of_gene] == chosen["is_highly_variable"].tolist()


def test_other_tissues_change_nothing_in_a_tissue(results, mixed):
    """The blood of two cohorts, with and without a cohort of islets beside them."""
    beside = mixed
    without = atlas_of(results, ["blood", "both"])
    own = (beside["cells"].obs["tissue_group"] == BLOOD).to_numpy()
    same = (without["cells"].obs["tissue_group"] == BLOOD).to_numpy()
    assert own.sum() == same.sum() > 200
    for name in ("X_pca", "X_integrated"):
        one, other = (item["cells"].obsm[name] for item in (beside, without))
        np.testing.assert_array_equal(one[own], other[same])
    for name in ("distances", "connectivities"):
        one = beside["graph"].obsp[name][own][:, own]
        assert (one != without["graph"].obsp[name][same][:, same]).nnz == 0
    pairs = pd.crosstab(
        beside["clusters"]["cluster"].to_numpy()[own],
        without["clusters"]["cluster"].to_numpy()[same],
    )
    assert ((pairs > 0).sum(axis=0) == 1).all()
    assert ((pairs > 0).sum(axis=1) == 1).all()
    new_name = dict(zip(pairs.index, pairs.columns[pairs.to_numpy().argmax(axis=1)], strict=True))
    rank = ["cluster", "rank"]
    found = beside["markers"][beside["markers"]["cluster"].isin(new_name)]
    found = found.assign(cluster=found["cluster"].map(new_name)).sort_values(rank)
    expected = without["markers"][without["markers"]["cluster"].isin(new_name.values())]
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.sort_values(rank).reset_index(drop=True)
    )


def test_a_study_of_one_tissue_has_one_set_of_components(alone):
    assert set(alone["cells"].obs["tissue_group"]) == {PANCREAS}
    assert {tuple(own) for own in alone["features"]["highly_variable_in"]} <= {(PANCREAS,), ()}


def test_the_log_names_the_tissues_and_what_is_not_known(results, capsys):
    run(results, "hvg", ["blood", "both", "islets"])
    said = capsys.readouterr().out
    assert "blood: 2 cohorts" in said
    assert "pancreas: 2 cohorts" in said
    assert "2 tissues: each has its own genes, components, neighbours and clusters" in said
