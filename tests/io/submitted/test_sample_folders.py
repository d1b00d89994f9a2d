"""A folder of several 10x matrices is one submission, in which each cell knows its sample."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.submitted.readers import inspect, is_compressed, iter_counts, sample_umis
from pmcell.io.submitted.sample_folders import files_of_samples
from submissions import GENES, write_10x_h5, write_mtx

N_CELLS = {"P1": 7, "P2": 4, "P3": 5}


def dense(submission) -> np.ndarray:
    blocks = list(iter_counts(submission, max_values=20))
    starts = [start for start, _ in blocks]
    sizes = [block.shape[0] for _, block in blocks]
    assert starts == np.cumsum([0, *sizes[:-1]]).tolist()
    return sp.vstack([block for _, block in blocks]).toarray()


@pytest.fixture
def of_sample() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.poisson(2, (n, len(GENES))) for name, n in N_CELLS.items()}


def write_samples(top, of_sample, form: str, *, shared_barcodes: bool = False) -> None:
    for number, (name, counts) in enumerate(of_sample.items()):
        folder = top / form.format(name=name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lane = 0 if shared_barcodes else number
        barcodes = [f"ACGT{lane}{k}-1" for k in range(len(counts))]
        write_mtx(folder, counts, barcodes, packed=True)


def flatten(top, of_sample, form: str) -> None:
    """Put the files of all samples into one folder, each with its sample in its name."""
    for name in of_sample:
        for path in sorted((top / name).iterdir()):
            kind, _, end = path.name.partition(".")
            path.rename(top / form.format(name=name, kind=kind, end=end))
        (top / name).rmdir()


@pytest.mark.parametrize(
    "form",
    [
        "{name}",
        "{name}/outs/filtered_feature_bc_matrix",
        "per_sample_outs/{name}/count/sample_filtered_feature_bc_matrix",
        "{name}/Solo.out/Gene/filtered",
        "run/outs/per_sample_outs/{name}/count/sample_filtered_feature_bc_matrix",
        "a/b/c/d/e/f/{name}/outs/filtered_feature_bc_matrix",
    ],
)
def test_a_folder_for_each_sample_is_one_submission(tmp_path, of_sample, form) -> None:
    write_samples(tmp_path, of_sample, form)
    (tmp_path / "samples.csv").write_text("sample;donor\nP1;d1\n")
    found = inspect(tmp_path, "10x_mtx")
    np.testing.assert_array_equal(dense(found), np.vstack([*of_sample.values()]))
    assert found.obs["sample_id"].value_counts(sort=False).to_dict() == N_CELLS
    assert found.obs.index[0] == "P1_ACGT00-1"
    assert found.obs.index.is_unique
    assert found.layers["X"].shape == (16, len(GENES))
    assert found.layers["X"].n_stored == sum(np.count_nonzero(x) for x in of_sample.values())
    assert is_compressed(found, "X")
    np.testing.assert_array_equal(
        sample_umis(found, "X"), sum(x.sum(0) for x in of_sample.values())
    )
    assert len(files_of_samples(tmp_path)) == 9


@pytest.mark.parametrize(
    "form",
    [
        "GSM1_{name}_{kind}.{end}",
        "{name}.{kind}.{end}",
        "{kind}_{name}.{end}",
        "T_cells_{name}-{kind}.{end}",
    ],
)
def test_files_of_samples_side_by_side_are_told_by_their_names(tmp_path, of_sample, form) -> None:
    write_samples(tmp_path, of_sample, "{name}")
    flatten(tmp_path, of_sample, form)
    found = inspect(tmp_path, "10x_mtx")
    np.testing.assert_array_equal(dense(found), np.vstack([*of_sample.values()]))
    named = form.partition("{name}")
    start = "" if named[0].startswith("{kind}") else named[0]
    assert [*found.obs["sample_id"].unique()] == [start + name for name in N_CELLS]


def test_of_raw_and_filtered_matrices_the_filtered_are_taken(tmp_path, of_sample) -> None:
    write_samples(tmp_path, of_sample, "{name}/outs/filtered_feature_bc_matrix")
    raw = {name: np.vstack([counts, counts * 0 + 1]) for name, counts in of_sample.items()}
    write_samples(tmp_path, raw, "{name}/outs/raw_feature_bc_matrix")
    assert inspect(tmp_path, "10x_mtx").n_cells == sum(N_CELLS.values())
    for path in (tmp_path / "P2" / "outs" / "filtered_feature_bc_matrix").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"of P2/outs there is only a raw one"):
        inspect(tmp_path, "10x_mtx")


def test_samples_of_several_runs_of_multi_are_named_by_both(tmp_path, of_sample) -> None:
    form = "/outs/per_sample_outs/{name}/count/sample_filtered_feature_bc_matrix"
    for run, names in {"r1": ["P1", "P2"], "r2": ["P3"]}.items():
        write_samples(tmp_path, {name: of_sample[name] for name in names}, run + form)
        write_samples(tmp_path, {"x": of_sample["P1"]}, run + "/outs/multi/count/raw_bc_matrix")
    found = inspect(tmp_path, "10x_mtx")
    assert [*found.obs["sample_id"].unique()] == ["r1_P1", "r1_P2", "r2"]


H5_FORMS = [
    "{name}_filtered_feature_bc_matrix.h5",
    "GSM1_{name}.h5",
    "{name}/outs/filtered_feature_bc_matrix.h5",
    "deep/er/{name}/sample_filtered_feature_bc_matrix.h5",
]


def write_h5_samples(top, of_sample, form: str) -> None:
    for number, (name, counts) in enumerate(of_sample.items()):
        path = top / form.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_10x_h5(path, counts, [f"ACGT{number}{k}-1" for k in range(len(counts))])


@pytest.mark.parametrize("form", H5_FORMS)
def test_a_file_of_cell_ranger_for_each_sample_is_one_submission(tmp_path, of_sample, form) -> None:
    write_h5_samples(tmp_path, of_sample, form)
    for beside in ("raw_feature_bc_matrix", "molecule_info"):
        raw = {name: np.vstack([counts, counts * 0 + 1]) for name, counts in of_sample.items()}
        other = form.replace("sample_filtered", "filtered")
        other = other.replace("filtered_feature_bc_matrix", beside)
        if other != form:
            write_h5_samples(tmp_path, raw, other)
    found = inspect(tmp_path)
    np.testing.assert_array_equal(dense(found), np.vstack([*of_sample.values()]))
    start = "GSM1_" if form.startswith("GSM1") else ""
    sizes = {start + name: n for name, n in N_CELLS.items()}
    assert found.obs["sample_id"].value_counts(sort=False).to_dict() == sizes
    assert is_compressed(found, "X")
    np.testing.assert_array_equal(
        sample_umis(found, "X"), sum(x.sum(0) for x in of_sample.values())
    )
    assert len(files_of_samples(tmp_path)) == 3


def test_two_files_of_one_sample_are_refused(tmp_path, of_sample) -> None:
    write_h5_samples(tmp_path, of_sample, "{name}_filtered_feature_bc_matrix.h5")
    write_h5_samples(tmp_path, {"P1": of_sample["P1"]}, "{name}_cellbender.h5")
    with pytest.raises(DataError, match=r"P1_cellbender.h5.*Keep one file of each sample"):
        inspect(tmp_path)


def test_a_sample_of_which_there_is_a_raw_file_alone_is_named(tmp_path, of_sample) -> None:
    write_h5_samples(tmp_path, of_sample, "{name}_filtered_feature_bc_matrix.h5")
    write_h5_samples(tmp_path, {"P9": of_sample["P1"]}, "{name}_raw_feature_bc_matrix.h5")
    with pytest.raises(DataError, match="of P9 there is only a raw one"):
        inspect(tmp_path)


def test_files_that_are_no_matrices_are_named(tmp_path, of_sample) -> None:
    write_h5_samples(tmp_path, of_sample, "{name}.h5")
    (tmp_path / "P2.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"P2.h5"):
        inspect(tmp_path)


def test_a_single_file_of_cell_ranger_in_a_folder_is_pointed_at(tmp_path, of_sample) -> None:
    write_h5_samples(tmp_path, {"P1": of_sample["P1"]}, "{name}.h5")
    with pytest.raises(DataError, match=r"Give the file itself: .*/P1.h5"):
        inspect(tmp_path)


def test_files_of_cell_ranger_beside_a_matrix_are_not_looked_at(tmp_path, of_sample) -> None:
    write_mtx(tmp_path / "m", of_sample["P1"], [f"ACGT{k}-1" for k in range(7)], packed=True)
    write_h5_samples(tmp_path / "m", of_sample, "{name}.h5")
    assert inspect(tmp_path / "m").n_cells == 7


def test_two_matrices_of_the_same_cells_are_refused(tmp_path, of_sample) -> None:
    write_samples(tmp_path, of_sample, "{name}/Solo.out/Gene/filtered")
    write_samples(tmp_path, of_sample, "{name}/Solo.out/GeneFull/filtered")
    with pytest.raises(DataError, match=r"P1/Solo.out/Gene/filtered and .*Keep one of them"):
        inspect(tmp_path, "10x_mtx")


def test_samples_that_list_the_same_barcodes_are_refused(tmp_path, of_sample) -> None:
    same = {"a": of_sample["P1"], "b": of_sample["P1"] + 1}
    write_samples(tmp_path, same, "{name}", shared_barcodes=True)
    with pytest.raises(DataError, match="a and b list the same 7 barcodes"):
        inspect(tmp_path, "10x_mtx")


def test_samples_of_other_features_are_refused(tmp_path, of_sample) -> None:
    write_samples(tmp_path, of_sample, "{name}")
    lists = tmp_path / "P3" / "features.tsv.gz"
    lists.unlink()
    lines = [f"ENSG{k:011d}\tOTHER{k}\tGene Expression\n" for k in range(len(GENES))]
    (tmp_path / "P3" / "features.tsv").write_text("".join(lines))
    with pytest.raises(DataError, match=r"P1 has .* and P3"):
        inspect(tmp_path, "10x_mtx")


def test_samples_of_other_values_are_refused(tmp_path, of_sample) -> None:
    write_samples(tmp_path, of_sample, "{name}")
    path = tmp_path / "P2" / "matrix.mtx.gz"
    path.unlink()
    counts = of_sample["P2"]
    cells, genes = np.nonzero(counts)
    lines = ["%%MatrixMarket matrix coordinate real general"]
    lines.append(f"{len(GENES)} {len(counts)} {cells.size}")
    lines += [
        f"{g + 1} {c + 1} {np.log1p(counts[c, g]):.6f}" for c, g in zip(cells, genes, strict=True)
    ]
    (tmp_path / "P2" / "matrix.mtx").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="P1 look like counts, those of P2 like log1p"):
        inspect(tmp_path, "10x_mtx")


def test_no_sample_is_passed_over_where_there_are_too_many(
    tmp_path, of_sample, monkeypatch
) -> None:
    write_samples(tmp_path, of_sample, "{name}")
    monkeypatch.setattr("pmcell.io.submitted.sample_folders.MAX_FOLDERS", 3)
    with pytest.raises(DataError, match="at most 3 folders"):
        inspect(tmp_path, "10x_mtx")
    monkeypatch.setattr("pmcell.io.submitted.sample_folders.MAX_FOLDERS", 4)
    assert inspect(tmp_path, "10x_mtx").n_cells == sum(N_CELLS.values())


def test_a_matrix_without_its_lists_is_not_passed_over(tmp_path, of_sample) -> None:
    write_samples(tmp_path, of_sample, "{name}")
    (tmp_path / "P3" / "barcodes.tsv.gz").unlink()
    with pytest.raises(DataError, match=r"barcodes.tsv is missing"):
        inspect(tmp_path, "10x_mtx")
