"""A matrix is read from the cohort's own folder, or from where the operator allows that cohort."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.sparse as sp
import yaml

from cohorts_on_disk import barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.cli import main
from pmcell.registry.cohorts.matrix_paths import add_matrix_paths, allowed_paths
from pmcell.registry.cohorts.registered import matrix_files
from pmcell.registry.intake.check import check_cohort
from pmcell.registry.intake.intake import intake_cohort
from pmcell.registry.intake.sizes import matrix_bytes
from submissions import write_h5ad, write_mtx, write_zarr

Change = Callable[[Path], object]
SECRET = "root:x:0:0:Ada Secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cohort c1 of a study, beside a cohort that others must not have."""
    cohorts = tmp_path / "config" / "cohorts"
    write_matrix(write_cohort(cohorts / "closed", access="controlled") / "counts.h5ad")
    made = write_cohort(cohorts / "c1")
    write_matrix(made / "counts.h5ad")
    (tmp_path / "data").mkdir()
    write_matrix(tmp_path / "data" / "counts.h5ad")
    (tmp_path / "passwd").write_text(f"{SECRET}\n")
    return made


def write_matrix(path: Path) -> None:
    counts = sp.csr_matrix(cell_counts())
    write_h5ad(path, counts, barcodes(), genes=gene_names(), obs=obs_columns(), compression="gzip")


def named(path: object, form: str = "h5ad") -> Change:
    def name(folder: Path) -> None:
        file = folder / "cohort.yaml"
        text = file.read_text()
        assert "path: counts.h5ad, format: h5ad" in text
        given = json.dumps(str(path).replace("HERE", str(folder)))
        file.write_text(
            text.replace("path: counts.h5ad, format: h5ad", f"path: {given}, format: {form}")
        )

    return name


def linked(target: str, name: str = "counts.h5ad") -> Change:
    def link(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target.replace("HERE", str(folder)))

    return link


def linked_part(folder: Path) -> None:
    write_mtx(folder / "mtx", cell_counts(), barcodes(), packed=False, genes=gene_names())
    (folder / "mtx" / "features.tsv").unlink()
    (folder / "mtx" / "features.tsv").symlink_to("../../../../passwd")
    named("mtx", "10x_mtx")(folder)


def linked_part_of_a_sample(folder: Path) -> None:
    for number in range(2):
        sample = folder / "samples" / f"s{number}" / "filtered"
        sample.parent.mkdir(parents=True)
        names = [f"{number}{name}" for name in barcodes()]
        write_mtx(sample, cell_counts(number), names, packed=False, genes=gene_names())
    part = folder / "samples" / "s1" / "filtered" / "features.tsv"
    part.unlink()
    part.symlink_to("../../../../../../passwd")
    named("samples", "10x_mtx")(folder)


def linked_folder(folder: Path) -> None:
    data = folder.parents[2] / "data" / "mtx"
    write_mtx(data, cell_counts(), barcodes(), packed=False, genes=gene_names())
    (folder / "mtx").symlink_to(data)
    named("mtx", "10x_mtx")(folder)


def linked_store(folder: Path) -> None:
    data = folder.parents[2] / "data" / "counts.zarr"
    write_zarr(data, sp.csr_matrix(cell_counts()), barcodes(), genes=gene_names())
    (folder / "counts.zarr").symlink_to(data)
    named("counts.zarr", "zarr")(folder)


def linked_twice(folder: Path) -> None:
    (folder / "sub").symlink_to("..")
    named("sub/closed/counts.h5ad")(folder)


OUTSIDE: dict[str, Change] = {
    "other_cohort": named("../closed/counts.h5ad"),
    "other_cohort_absolute": named("HERE/../closed/counts.h5ad"),
    "system_file": named("/etc/passwd"),
    "system_folder": named("/proc", "10x_mtx"),
    "device": named("/dev/zero"),
    "study_data": named("../../../data/counts.h5ad"),
    "results": named("../../../results/cohorts/closed/intake.h5ad"),
    "own_parent": named("..", "10x_mtx"),
    "link": linked("../closed/counts.h5ad"),
    "absolute_link": linked("HERE/../closed/counts.h5ad"),
    "link_to_nothing": linked("../nowhere.h5ad"),
    "link_within_a_path": linked_twice,
    "part_of_a_folder": linked_part,
    "part_of_a_sample": linked_part_of_a_sample,
    "folder": linked_folder,
    "store": linked_store,
}
INSIDE: dict[str, Change] = {
    "plain": lambda folder: None,
    "absolute": named("HERE/counts.h5ad"),
    "up_and_down": named("../c1/counts.h5ad"),
    "link": lambda folder: (
        (folder / "counts.h5ad").rename(folder / "real.h5ad"),
        linked("real.h5ad")(folder),
    ),
    "linked_cohort": lambda folder: (
        folder.rename(folder.parents[2] / "data" / "c1"),
        folder.symlink_to(folder.parents[2] / "data" / "c1"),
    ),
}


def places(folder: Path) -> list[str]:
    return [fault.found for fault in check_cohort(folder).errors if fault.reason == "outside"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_matrix_outside_is_refused_by_check_estimate_workflow_and_intake(
    folder: Path, tmp_path: Path, name: str
) -> None:
    OUTSIDE[name](folder)
    (fault,) = [one for one in check_cohort(folder).errors if one.reason == "outside"]
    assert (fault.file, fault.column) == ("cohort.yaml", "matrix.path")
    assert "below matrix_paths: c1: [" in fault.fix
    assert matrix_files(folder) == []
    assert matrix_bytes(folder) == 0
    report = intake_cohort(folder, tmp_path / "out")
    assert (report["status"], report["reason"]) == ("quarantined", "outside")
    assert report["metrics"]["n_cells_submitted"] == 0
    text = json.dumps(report)
    assert str(tmp_path) not in text
    assert SECRET not in text


@pytest.mark.parametrize("name", INSIDE)
def test_a_matrix_in_the_cohorts_own_folder_is_read(
    folder: Path, tmp_path: Path, name: str
) -> None:
    INSIDE[name](folder)
    assert places(folder) == []
    assert [file.name for file in matrix_files(folder)] == ["counts.h5ad"]
    assert matrix_bytes(folder) > 0
    assert intake_cohort(folder, tmp_path / "out")["metrics"]["n_cells_submitted"] == 60


@pytest.mark.parametrize("allowed", ["data", "data/counts.h5ad", "link_to_data"])
def test_an_allowed_file_or_folder_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    (tmp_path / "link_to_data").symlink_to("data")
    OUTSIDE["study_data"](folder)
    monkeypatch.chdir(tmp_path)
    assert add_matrix_paths(Path("config/config.yaml"), "c1", [allowed])
    here = allowed_paths(folder)
    assert matrix_bytes(folder, here) > 0
    assert len(matrix_files(folder, here)) == 1
    assert main(["check", "c1"]) == 0
    assert main(["intake", "--cohort-dir", "config/cohorts/c1", "--out-dir", "out"]) == 0
    assert json.loads(Path("out/intake.json").read_text())["metrics"]["n_cells_submitted"] == 60


@pytest.mark.parametrize("allowed", ["data", "data/counts.h5ad"])
def test_what_one_cohort_is_allowed_no_other_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    OUTSIDE["study_data"](folder)
    monkeypatch.chdir(tmp_path)
    add_matrix_paths(Path("config/config.yaml"), "closed", [allowed])
    assert allowed_paths(folder) == []
    assert main(["check", "c1"]) == 1


def test_a_name_that_begins_like_the_allowed_folder_is_another(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "data-of-others")
    named("../../../data-of-others/counts.h5ad")(folder)
    (fault,) = check_cohort(folder, allowed=[tmp_path / "data"]).errors
    assert fault.reason == "outside"


def test_the_line_of_the_fault_mends_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OUTSIDE["link_to_nothing"](folder)
    write_matrix(folder.parent / "nowhere.h5ad")
    monkeypatch.chdir(tmp_path)
    (fault,) = [one for one in check_cohort(folder).errors if one.reason == "outside"]
    line = fault.fix.partition("below matrix_paths: ")[2]
    Path("config/config.yaml").write_text(f"matrix_paths:\n  {line}\n")
    assert main(["check", "c1"]) == 0


@pytest.mark.parametrize("name", ["donors.tsv", "samples.tsv", "cohort.yaml"])
@pytest.mark.parametrize("target", ["../closed/{name}", "../../../passwd", "/etc/passwd"])
def test_a_table_that_is_a_link_out_of_the_folder_is_not_read(
    folder: Path, tmp_path: Path, name: str, target: str
) -> None:
    linked(target.format(name=name), name)(folder)
    faults = [one for one in check_cohort(folder).errors if one.file == name]
    assert [(one.reason, one.found) for one in faults] == [
        ("outside", "a link that leads out of it")
    ]
    report = intake_cohort(folder, tmp_path / "out")
    assert report["status"] == "quarantined"
    assert SECRET not in json.dumps(report)


@pytest.mark.parametrize("name", ["donors.tsv", "samples.tsv", "cohort.yaml"])
def test_a_table_that_is_a_link_within_the_folder_is_read(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "real")
    (folder / name).symlink_to("real")
    assert not check_cohort(folder).errors


@pytest.mark.parametrize(
    "content",
    [
        f"{SECRET}\n".encode(),
        f"{SECRET}\tAda\n1\t2\n".encode(),
        f'"{SECRET}\n'.encode(),
        f"{SECRET},Ada;Secret\n".encode(),
        b"\x7fELF\x02\x01\x01 Ada Secret\n\x00\x01",
        b"\x89PNG\r\n\x1a\n\x00Ada Secret",
        b"%PDF-1.7 Ada Secret\n",
    ],
)
@pytest.mark.parametrize("name", ["donors.tsv", "samples.tsv"])
def test_a_file_that_is_no_table_of_ours_is_not_quoted(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    faults = [one for one in check_cohort(folder).errors if one.file == name]
    assert len(faults) == 1
    assert not any("Ada" in str(one) or "Secret" in str(one) for one in faults)


BEFORE = [
    "",
    "cohorts_dir: config/cohorts   # here\n",
    "qc: {n_mads: 4}\nmatrix_paths:   # mine\n    # a note\n    b: [x]\ncohorts: [c1]\n",
    "matrix_paths:\ncohorts: [c1]\n",
]


@pytest.mark.parametrize("text", BEFORE)
def test_a_path_is_added_and_the_rest_of_the_configuration_stays(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert add_matrix_paths(config, "007", ["/data/a: b.h5ad"])
    assert add_matrix_paths(config, "007", ["/data/a: b.h5ad"])
    written = config.read_text()
    assert [line for line in text.splitlines() if line not in written.splitlines()] == []
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(written)
    assert after.pop("matrix_paths") == {
        **(before.pop("matrix_paths", None) or {}),
        "007": ["/data/a: b.h5ad"],
    }
    assert after == before


@pytest.mark.parametrize(
    "text",
    ["matrix_paths: {b: [x]}\n", "matrix_paths:\n  c1: [x]\n", "- a\n", "{a: 1}\n", "a: [\n"],
)
def test_a_configuration_that_no_line_can_be_added_to_stays(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert not add_matrix_paths(config, "c1", ["/data/a.h5ad"])
    assert config.read_text() == text


@pytest.mark.parametrize("kind", ["file", "link", "folder_of_links", "own"])
def test_register_allows_the_file_that_it_is_given(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    elsewhere = tmp_path / "data"
    study = tmp_path / "study"
    (study / "config" / "cohorts" / "c2").mkdir(parents=True)
    monkeypatch.chdir(study)
    file = elsewhere / "counts.h5ad"
    if kind == "link":
        os.symlink(file, elsewhere / "current.h5ad")
        file = elsewhere / "current.h5ad"
    elif kind == "folder_of_links":
        real = write_mtx(
            tmp_path / "real", cell_counts(), barcodes(), packed=False, genes=gene_names()
        )
        file = elsewhere / "mtx"
        file.mkdir()
        for part in real.iterdir():
            (file / part.name).symlink_to(part)
    elif kind == "own":
        file = Path(shutil.copy(file, study / "config" / "cohorts" / "c2"))
    assert main(["register", str(file), "--id", "c2"]) == 0
    said = capsys.readouterr().out
    config = Path("config/config.yaml")
    assert ("matrix_paths" in said) is config.is_file() is (kind != "own")
    made = Path("config/cohorts/c2")
    assert matrix_files(made, allowed_paths(made))
    if kind == "file":
        assert yaml.safe_load(config.read_text()) == {"matrix_paths": {"c2": [str(file)]}}


def test_register_says_the_line_where_the_study_is_not_known(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    file = tmp_path / "data" / "counts.h5ad"
    assert main(["register", str(file), "--id", "c2", "--out", str(tmp_path / "cohorts")]) == 0
    assert f'c2: ["{file}"]' in capsys.readouterr().out
    assert not Path("config").exists()
