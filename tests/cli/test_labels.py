"""The commands aggregate, markers and annotate on small files, good and bad."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pmcell.cli import main
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.tables import read_table

MARKERS_OF = {"0": ["CD79A", "MS4A1", "CD19"], "1": ["CD3D", "CD3E", "TRAC"]}


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    """Two cohorts of 40 cells in two clusters; the last five cells of each fail QC."""
    genes = [gene for own in MARKERS_OF.values() for gene in own] + ["OTHER"]
    random = np.random.default_rng(0)
    everyone, clusters = [], []
    for cohort in ("a", "b"):
        cluster = np.arange(40) % 2
        rate = np.full((40, len(genes)), 0.05)
        rate[cluster == 0, :3] = rate[cluster == 1, 3:6] = 4
        obs = pd.DataFrame(
            {
                "sample_id": f"{cohort}:s",
                "donor_id": f"{cohort}:d",
                "batch_id": cohort,
                "tissue_ontology_term_id": "UBERON:0000178",
            },
            index=[f"{cohort}:{at}" for at in range(40)],
        )
        var = pd.DataFrame(index=[f"ENSG{at}" for at in range(len(genes))])
        (tmp_path / cohort).mkdir()
        with CanonicalWriter(tmp_path / cohort / "intake.h5ad", obs, var) as writer:
            writer.append(sparse.csr_matrix(random.poisson(rate)))
        passes = np.arange(40) < 35
        qc = pd.DataFrame({"cell_id": obs.index, "passes_qc": passes})
        qc.to_parquet(tmp_path / cohort / "qc.parquet")
        everyone.append(obs[passes])
        clusters += [(name, str(at)) for name, at in zip(obs.index[passes], cluster, strict=False)]
    pd.DataFrame(clusters, columns=["cell_id", "cluster"]).to_parquet(tmp_path / "clusters.parquet")
    anndata.AnnData(obs=pd.concat(everyone)).write_h5ad(tmp_path / "embedding.h5ad")
    features = pd.DataFrame({"gene_id": [f"ENSG{at}" for at in range(7)], "symbol": genes})
    features.to_parquet(tmp_path / "features.parquet")
    return tmp_path


def run_aggregate(folder: Path, cohort: str, clusters: str = "clusters.parquet") -> int:
    own = f"{folder}/{cohort}"
    given = ["--counts", f"{own}/intake.h5ad", "--qc", f"{own}/qc.parquet"]
    given += ["--clusters", f"{folder}/{clusters}", "--out", f"{own}/aggregate.npz"]
    return main(["aggregate", *given])


def run_markers(folder: Path, *options: str) -> int:
    given = ["--features", f"{folder}/features.parquet", "--out", f"{folder}/markers.parquet"]
    given += ["--clusters", f"{folder}/clusters.parquet", "--cohort", "a", f"{folder}/a"]
    return main(["markers", *given, *options])


def test_the_three_commands_name_markers_and_types(atlas: Path) -> None:
    assert run_aggregate(atlas, "a") == run_aggregate(atlas, "b") == 0
    assert run_markers(atlas, "--cohort", "b", f"{atlas}/b", "--top", "3") == 0
    table = read_table(atlas / "markers.parquet")
    assert (table["auc"] > 0.9).all()
    for cluster, own in MARKERS_OF.items():
        assert sorted(table.loc[table["cluster"] == cluster, "symbol"]) == sorted(own)
    inputs = ["--clusters", "clusters.parquet", "--embedding", "embedding.h5ad"]
    inputs += ["--features", "features.parquet", "--aggregate", "a/aggregate.npz"]
    inputs = [f"{atlas}/{word}" if "." in word else word for word in [*inputs, "b/aggregate.npz"]]
    out = ["--out", f"{atlas}/annotation.parquet", "--cell-types-out", f"{atlas}/types.parquet"]
    assert main(["annotate", *inputs, *out]) == 0
    annotation = read_table(atlas / "annotation.parquet")
    assert list(annotation["cell_type"]) == ["B cell", "T cell"]
    assert list(annotation["n_cells"]) == [36, 34]
    types = read_table(atlas / "types.parquet").set_index("cluster")
    assert list(types["profile_cell_type"]) == ["B cell", "T cell"]
    assert set(types["label_method"]) == {"cluster"}
    assert list(types["n_cells"]) == [36, 34]


def test_a_cohort_outside_the_atlas_gets_an_empty_file(
    atlas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters = read_table(atlas / "clusters.parquet")
    clusters[clusters["cell_id"].str.startswith("b")].to_parquet(atlas / "fewer.parquet")
    assert run_aggregate(atlas, "a", "fewer.parquet") == 0
    assert "0 cells in 0 groups" in capsys.readouterr().out


def test_a_cell_without_a_cluster_is_named_and_nothing_written(
    atlas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_table(atlas / "clusters.parquet").iloc[1:].to_parquet(atlas / "fewer.parquet")
    assert run_aggregate(atlas, "a", "fewer.parquet") == 3
    assert "1 cells of" in (error := capsys.readouterr().err)
    assert "'a:0'. Run cluster again." in error
    assert not (atlas / "a" / "aggregate.npz").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--top", "0"), "--top: must be a whole number from 1; found 0"),
        (("--features", "none.parquet"), "none.parquet must be a file of an earlier step"),
        (("--cohort", "c", "none"), "there is no such file"),
        (("--method", "anova"), "--method: must be t-test or wilcoxon; found the text 'anova'"),
    ],
)
def test_wrong_options_exit_with_2(
    atlas: Path, options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_aggregate(atlas, "a")
    assert run_markers(atlas, *options) == 2
    assert says in capsys.readouterr().err
    assert not (atlas / "markers.parquet").exists()
