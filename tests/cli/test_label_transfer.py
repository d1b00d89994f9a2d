"""label_transfer, and the commands that take its labels, on small files."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pmcell as pm
from pmcell.cli import main
from pmcell.errors import UsageError
from pmcell.io.counts.aggregates import read_aggregate
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.tables import read_table
from pmcell.io.transferred import transferred_sets

B, CD4, CD8 = "CL:0000236", "CL:0000624", "CL:0000625"
SOURCE = "source_cell_type_ontology_term_id"
MARKERS = ["CD79A", "MS4A1", "CD19", "CD3D", "CD3E", "TRAC", "CD4", "CD8A"]
N = 240


def study(folder: Path, labelled: tuple[str, ...]) -> Path:
    """Cohorts a and b with B cells in cluster 0, CD4 and CD8 T cells together in cluster 1."""
    rng = np.random.default_rng(0)
    parts, clusters, scores = [], [], []
    for cohort in ("a", "b"):
        kind = np.arange(N) % 3
        rate = np.full((N, len(MARKERS)), 0.05)
        rate[kind == 0, :3] = rate[kind > 0, 3:6] = 4
        rate[kind == 1, 6] = rate[kind == 2, 7] = 4
        truth = np.array([B, CD4, CD8])[kind]
        obs = pd.DataFrame(
            {
                "sample_id": [f"{cohort}:s{at // 60}" for at in range(N)],
                "donor_id": [f"{cohort}:d{at // 60}" for at in range(N)],
                "batch_id": cohort,
                "cohort_id": cohort,
                "tissue_ontology_term_id": "UBERON:0000178",
                SOURCE: truth if cohort in labelled else "unknown",
                "truth": truth,
            },
            index=[f"{cohort}:{at}" for at in range(N)],
        )
        var = pd.DataFrame(index=[f"ENSG{at}" for at in range(len(MARKERS))])
        (folder / cohort).mkdir(parents=True)
        with CanonicalWriter(folder / cohort / "intake.h5ad", obs, var) as writer:
            writer.append(sparse.csr_matrix(rng.poisson(rate)))
        qc = pd.DataFrame({"cell_id": obs.index, "passes_qc": True})
        qc.to_parquet(folder / cohort / "qc.parquet")
        parts.append(obs)
        clusters += [(name, str(min(at, 1))) for name, at in zip(obs.index, kind, strict=True)]
        centres = np.array([[0, 6], [3, 0], [-3, 0]])
        scores.append(centres[kind] + rng.normal(size=(N, 2)) * 0.7)
    pd.DataFrame(clusters, columns=["cell_id", "cluster"]).to_parquet(folder / "clusters.parquet")
    atlas = anndata.AnnData(obs=pd.concat(parts), obsm={"X_pca": np.concatenate(scores)})
    atlas.write_h5ad(folder / "embedding.h5ad")
    symbols = {"gene_id": [f"ENSG{at}" for at in range(len(MARKERS))], "symbol": MARKERS}
    pd.DataFrame(symbols).to_parquet(folder / "features.parquet")
    return folder


def run(folder: Path, command: str, **options: object) -> int:
    words = [command]
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        words += [str(folder / item) for item in str(value).split()]
    return main(words)


def run_all(folder: Path, labels: dict[str, str]) -> pd.DataFrame:
    """Aggregate both cohorts and annotate; table of cell types."""
    for cohort in ("a", "b"):
        files = {"counts": f"{cohort}/intake.h5ad", "qc": f"{cohort}/qc.parquet"}
        files |= {"clusters": "clusters.parquet", "out": f"{cohort}/aggregate.npz", **labels}
        assert run(folder, "aggregate", **files) == 0
    files = {"clusters": "clusters.parquet", "embedding": "embedding.h5ad", **labels}
    files |= {"features": "features.parquet", "aggregate": "a/aggregate.npz b/aggregate.npz"}
    files |= {"out": "annotation.parquet", "cell_types_out": "types.parquet"}
    assert run(folder, "annotate", **files) == 0
    return read_table(folder / "types.parquet")


ATLAS = {"embedding": "embedding.h5ad", "clusters": "clusters.parquet"}
LABELS = {"labels": "cell_labels.parquet"}


def test_cells_of_one_cluster_get_their_own_types(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path, labelled=("a",))
    assert run(folder, "label_transfer", **ATLAS, out="cell_labels.parquet") == 0
    assert f"{N} of {2 * N} cells are labelled by cells" in capsys.readouterr().out
    table = read_table(folder / "cell_labels.parquet").set_index("cell_id")
    truth = anndata.read_h5ad(folder / "embedding.h5ad").obs["truth"]
    assert set(table.index) == set(truth.index[truth.index.str.startswith("b")])
    nearest = table["nearest_cell_type_ontology_term_id"].to_numpy(str)
    assert (nearest == truth[table.index].to_numpy(str)).mean() > 0.97
    sets = transferred_sets(truth.index, folder / "cell_labels.parquet")
    assert [found is None for found in sets] == list(truth.index.str.startswith("a"))
    known = dict(zip(truth.index, sets, strict=True))
    assert all(table["cell_type_set"][name].tolist() == list(known[name]) for name in table.index)
    types = run_all(folder, LABELS)
    assert "have one transferred" in capsys.readouterr().out
    sizes = types.groupby("profile_cell_type")["n_cells"].sum()
    for name in ("B cell", "CD4-positive, alpha-beta T cell", "CD8-positive, alpha-beta T cell"):
        assert abs(sizes[name] - 2 * N / 3) <= 0.05 * N
    part = read_aggregate(folder / "b" / "aggregate.npz")
    assert {CD4, CD8, B} <= set(part.labels)


def test_the_library_says_of_each_cell_what_the_step_says(tmp_path: Path) -> None:
    folder = study(tmp_path, labelled=("a",))
    assert run(folder, "label_transfer", **ATLAS, out="cell_labels.parquet") == 0
    table = read_table(folder / "cell_labels.parquet").set_index("cell_id")
    adata = anndata.read_h5ad(folder / "embedding.h5ad")
    clusters = pd.read_parquet(folder / "clusters.parquet").set_index("cell_id")["cluster"]
    adata.obs["cluster"] = clusters.reindex(adata.obs_names)
    pm.label_transfer(adata)
    told = adata.obs.loc[table.index]
    has_one = (table["label_level"] != "unknown").to_numpy()
    assert has_one.mean() > 0.5
    column = "nearest_cell_type_ontology_term_id"
    assert told.loc[has_one, f"transferred_{column}"].tolist() == table[has_one][column].tolist()
    assert told.loc[~has_one, f"transferred_{column}"].isna().all()
    sets = table["cell_type_set"].map(";".join)
    assert told["transferred_cell_type_set"].tolist() == sets.tolist()
    assert adata.obs["transferred_cell_type_set"].isna().sum() == N
    del adata.obsm["X_pca"]
    with pytest.raises(UsageError, match=r"Run pm\.tl\.pca"):
        pm.label_transfer(adata)


def test_by_cluster_cells_keep_the_label_of_their_cluster(tmp_path: Path) -> None:
    folder = study(tmp_path, labelled=("a",))
    (folder / "config.yaml").write_text("label_transfer: {by: cluster}\n")
    files = {**ATLAS, "out": "cell_labels.parquet", "config": "config.yaml"}
    assert run(folder, "label_transfer", **files) == 0
    assert read_table(folder / "cell_labels.parquet").empty
    types = run_all(folder, LABELS)
    assert set(types["profile_cell_type"]) == {"B cell", "mature alpha-beta T cell"}


@pytest.mark.parametrize("labelled", [("a", "b"), ()], ids=["all", "none"])
def test_where_nothing_is_transferred_results_are_the_same_to_the_bit(
    tmp_path: Path, labelled: tuple[str, ...]
) -> None:
    folder = study(tmp_path, labelled)
    assert run(folder, "label_transfer", **ATLAS, out="cell_labels.parquet") == 0
    assert read_table(folder / "cell_labels.parquet").empty
    results = ["annotation.parquet", "types.parquet", "a/aggregate.npz", "b/aggregate.npz"]
    found = []
    for labels in (LABELS, {}):
        run_all(folder, labels)
        found.append([(folder / name).read_bytes() for name in results])
    assert found[0] == found[1]


def test_labels_of_a_cell_that_stand_twice_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study(tmp_path, labelled=("a",))
    assert run(folder, "label_transfer", **ATLAS, out="cell_labels.parquet") == 0
    table = pd.read_parquet(folder / "cell_labels.parquet")
    pd.concat([table, table.head(1)]).to_parquet(folder / "twice.parquet")
    files = {"counts": "b/intake.h5ad", "qc": "b/qc.parquet", "clusters": "clusters.parquet"}
    assert run(folder, "aggregate", **files, labels="twice.parquet", out="b/aggregate.npz") == 3
    assert "must have one row a cell; 'b:0' is there twice" in capsys.readouterr().err
    assert run(folder, "aggregate", **files, labels="none.parquet", out="b/aggregate.npz") == 2
    assert "none.parquet must be a file of an earlier step" in capsys.readouterr().err
