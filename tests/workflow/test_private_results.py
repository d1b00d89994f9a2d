"""What is made of cohorts that are not open can be read by its owner alone, down to the logs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import pytest

import pmcell as pm
from pmcell import bundle
from pmcell.cli import main
from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.scan import scan
from pmcell.io.modes import OPERATORS_UMASK, operators_umask, private_umask
from pmcell.registry.intake.pseudonyms import KEY_VARIABLE
from pmcell.simulate.cohort_folders import write_cohort_folders


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open cohort and a controlled one."""
    root = tmp_path_factory.mktemp("private")
    made = pm.simulate.simulate(
        n_cohorts=2, n_donors=4, cells_per_sample=60, n_genes=150, real_genes=True, seed=1
    )
    first, second = write_cohort_folders(made, root / "config" / "cohorts")
    text = (second / "cohort.yaml").read_text()
    assert "access: open" in text
    (second / "cohort.yaml").write_text(text.replace("access: open", "access: controlled"))
    (root / "config" / "config.yaml").write_text("{}\n")
    (root / "key").write_bytes(os.urandom(32))
    (root / "key").chmod(0o600)
    assert [first.name, second.name] == ["sim_1", "sim_2"]
    return root


@pytest.fixture(params=[0o022, 0o002, 0o027], ids=["022", "002", "027"])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Mode of each file and folder below, and of the folder itself."""
    return {
        path.relative_to(folder.parent).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


def intake(study: Path, cohort: str, out: Path) -> None:
    folder = study / "config" / "cohorts" / cohort
    assert main(["intake", "--cohort-dir", str(folder), "--out-dir", str(out)]) == 0


def qc(folder: Path, out: Path) -> None:
    words = ["qc", "--counts", f"{folder}/intake.h5ad", "--intake", f"{folder}/intake.json"]
    assert main([*words, "--out-dir", str(out)]) == 0


@pytest.mark.parametrize("is_there", [False, True])
def test_results_of_a_controlled_cohort_are_its_owners_alone(
    study, tmp_path, monkeypatch, mask, is_there
):
    monkeypatch.setenv(KEY_VARIABLE, str(study / "key"))
    out = tmp_path / "sim_2"
    if is_there:
        out.mkdir()
    intake(study, "sim_2", out)
    qc(out, out)
    elsewhere = tmp_path / "elsewhere"
    qc(out, elsewhere)
    others = stat.S_IRWXO if mask == 0o027 else stat.S_IRWXO | stat.S_IRWXG
    found = modes(out) | modes(elsewhere)
    assert {"sim_2/intake.h5ad", "sim_2/.stamps/qc.parquet.json"} <= set(found)
    assert not {name: oct(mode) for name, mode in found.items() if mode & others}


def test_results_of_an_open_cohort_are_as_open_as_the_umask(study, tmp_path, mask):
    out = tmp_path / "sim_1"
    intake(study, "sim_1", out)
    qc(out, out)
    found = modes(out)
    expected = {name: (0o777 if (tmp_path / name).is_dir() else 0o666) & ~mask for name in found}
    assert found == expected


def test_a_quarantined_cohort_of_unknown_access_is_private(study, tmp_path):
    (tmp_path / "cohort").mkdir()
    assert (
        main(["intake", "--cohort-dir", str(tmp_path / "cohort"), "--out-dir", str(tmp_path / "o")])
        == 0
    )
    assert not [mode for mode in modes(tmp_path / "o").values() if mode & 0o077]


@pytest.mark.slow
def test_the_workflow_keeps_logs_and_benchmarks_private_and_leaves_the_release_open(study):
    folder = str(Path(sys.executable).parent)
    before = os.umask(0o022)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--snakefile", bundle.snakefile()),
                *("--directory", str(study), "--cores", "2", "--until", "qc"),
            ],
            env={
                **os.environ,
                KEY_VARIABLE: str(study / "key"),
                "PATH": os.pathsep.join([folder, os.environ["PATH"]]),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr[-3000:]
    found = modes(study / "results")
    wanted = ("logs/qc/sim_2.log", "benchmarks/intake/sim_2.tsv", "cohorts/sim_2/qc.parquet")
    assert {f"results/{name}" for name in wanted} <= set(found)
    assert not {name: oct(mode) for name, mode in found.items() if "sim_2" in name and mode & 0o077}
    # Whoever submitted the cohort knows its people by these names, and no one else may.
    cohort = study / "config" / "cohorts" / "sim_2"
    cells = ad.read_h5ad(cohort / "counts.h5ad").obs_names
    tables = [(cohort / f"{name}s.tsv").read_text() for name in ("donor", "sample")]
    names = [line.split("\t")[0] for text in tables for line in text.splitlines()[1:]]
    needles = Needles(dict.fromkeys([*names, *cells], "submitted"))
    assert scan([cohort], needles).hits
    left = scan([study / "results", study / ".snakemake"], needles, base=study)
    assert left.is_clean, (left.hits[:5], left.unread[:5])
    assert left.n_files > 40


def test_a_release_is_written_with_the_umask_that_the_operator_had(monkeypatch):
    monkeypatch.setenv(OPERATORS_UMASK, "027")
    before = os.umask(0o077)
    try:
        with operators_umask():
            inside = os.umask(0o077)
    finally:
        os.umask(before)
    assert inside == 0o027


@pytest.mark.parametrize("text", ["", "9", "x", "0o22", "-1"])
def test_an_umask_that_is_none_changes_nothing(monkeypatch, text):
    monkeypatch.setenv(OPERATORS_UMASK, text)
    before = os.umask(0o037)
    try:
        with operators_umask():
            inside = os.umask(0o037)
    finally:
        os.umask(before)
    assert inside == 0o037


@pytest.mark.parametrize(
    ("mask", "private"), [(0o000, 0o077), (0o022, 0o077), (0o077, 0o077), (0o007, 0o007)]
)
def test_a_group_reads_only_where_the_operator_shut_all_others_out(mask, private):
    assert private_umask(mask) == private
