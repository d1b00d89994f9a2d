"""What a job asks for is what its step insists on, whatever genes its cohort has measured."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from anndata import read_h5ad

import pmcell as pm
from pmcell.bundle import snakefile
from pmcell.cli import main
from pmcell.cli._job import memory
from pmcell.cli.init import make_study
from pmcell.cli.run._resources import Model
from pmcell.cli.run._study import open_study
from pmcell.cli.run.estimate import study_sizes
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.settings.table import SETTINGS
from pmcell.steps import BY_NAME, STEPS

PANELS = {"small": 120, "large": 1500}
"""Genes of each cohort; the small panel is a part of the large one."""

COMPONENTS = 60
STREAMING = [step.name for step in STEPS if step.streams]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a cohort with a small panel beside one with many genes, up to its components."""
    from pmcell.simulate.cohort_folders import write_cohort_folders

    folder = tmp_path_factory.mktemp("panels")
    make_study(folder, cohorts=())
    config = folder / "config" / "config.yaml"
    # All genes are features, as the model of the resources takes it.
    config.write_text(f"hvg: {{min_cohort_share: 0}}\npca: {{n_components: {COMPONENTS}}}\n")
    simulated = pm.simulate.simulate(
        n_cohorts=2, n_donors=8, cells_per_sample=60, n_genes=1500, real_genes=True, seed=2
    )
    pool = folder / "config" / "cohorts"
    write_cohort_folders(simulated, pool)
    for path, (name, n_genes) in zip(sorted(pool.iterdir()), PANELS.items(), strict=True):
        registration = (path / "cohort.yaml").read_text()
        renamed = re.sub(r"^id: .*$", f"id: {name}", registration, flags=re.MULTILINE)
        (path / "cohort.yaml").write_text(renamed)
        matrix = path / yaml.safe_load(registration)["matrix"]["path"]
        cells = read_h5ad(matrix)
        cells[:, :n_genes].copy().write_h5ad(matrix)
        path.rename(pool / name)
    return folder


def files_of(study: Path, step: str, cohort: str) -> list[str]:
    """The options that name the files of a step of one cohort."""
    words = ["--cohort", cohort] if step in ("covariance", "pca_scores") else []
    for options in (BY_NAME[step].reads, BY_NAME[step].writes):
        for option, (first, *_) in options.items():
            path = study / "results" / first.format(cohort=cohort)
            path.parent.mkdir(parents=True, exist_ok=True)
            named = path.parent if option == "out_dir" else path
            words += [f"--{option.replace('_', '-')}", str(named)]
    return words


def test_no_step_refuses_the_memory_that_its_job_asks_for(study: Path, capsys) -> None:
    model, sizes, _ = study_sizes(open_study(study, None))
    results = study / "results"
    folders = {name: results / "cohorts" / name for name in PANELS}
    config = ["--config", str(study / "config" / "config.yaml")]

    def run(step: str) -> None:
        for name in PANELS:
            share = int(model.formula.peak_mb(model.values, step, sizes[name]))
            words = files_of(study, step, name)
            assert main([step, *words, "--memory", str(share)]) == 0, capsys.readouterr().err
            # The model is no guess from far above: what the step insists on is most of it.
            assert main([step, *words, "--memory", str(share // 3)]) == 2
            needed = int(re.search(r"at least (\d+) \(MB\)", capsys.readouterr().err)[1])
            assert needed <= model.formula.least_mb(model.values, step, sizes[name]) <= needed + 40

    for name, folder in folders.items():
        source = str(study / "config" / "cohorts" / name)
        assert main(["intake", "--cohort-dir", source, "--out-dir", str(folder)]) == 0
    run("qc")
    run("gene_stats")
    atlas = results / "atlas"
    atlas.mkdir()
    cohorts = [word for name in PANELS for word in ("--cohort", name, str(folders[name]))]
    outputs = ["--out", str(atlas / "features.parquet"), "--cohorts-out"]
    assert main(["hvg", *cohorts, *outputs, str(atlas / "cohorts.json"), *config]) == 0
    run("covariance")
    grams = [word for path in folders.values() for word in ("--gram", str(path / "gram.npz"))]
    files = ["--features", str(atlas / "features.parquet"), "--out", str(atlas / "basis.npz")]
    assert main(["pca", *grams, *files, *config]) == 0
    run("pca_scores")


def test_the_study_of_the_test_above_asks_for_all_features_of_a_cohort_with_few(study) -> None:
    model, sizes, _ = study_sizes(open_study(study, None))
    assert {name: round(size[4] * 1e6) for name, size in sizes.items()} == PANELS
    small, large = (model.formula.least_mb(model.values, "covariance", sizes[n]) for n in PANELS)
    assert abs(small - large) < 2
    assert model.values["n_features"] == sum(PANELS.values()) > PANELS["large"]


@pytest.mark.parametrize("step", STREAMING)
def test_a_step_and_the_model_reckon_by_one_formula(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that needs more than before asks for more, without a second place to change."""
    formula = Model().formula
    size = (0.01, 5.0, 1.0, 0.2, 0.02)
    before = formula.least_mb(Model().values, step, size)
    monkeypatch.setattr(formula, "PROCESS_BYTES", formula.PROCESS_BYTES + 1000 * 2**20)
    assert formula.least_mb(Model().values, step, size) == pytest.approx(before + 1000)
    counts = CountsFile(tmp_path / "x", 10_000, 20_000, None, None)
    monkeypatch.setattr(CountsFile, "longest_cell", lambda self: 900)
    with pytest.raises(pm.errors.UsageError, match=r"must be at least 1[4-9]\d\d "):
        memory.within_memory(counts, step, 900)


def test_numbers_that_a_configuration_leaves_out_are_those_of_the_steps() -> None:
    model = Model()
    assert model.values["n_top"] == SETTINGS["hvg"]().n_top
    assert SETTINGS["pca"]().n_components == model.formula.N_COMPONENTS


def test_components_and_genes_of_the_configuration_are_asked_for() -> None:
    model, size = Model(), (1.0, 100.0, 10.0, 0.2, 0.03)
    for section, key, step in (
        ("hvg", "n_top", "covariance"),
        ("pca", "n_components", "pca_scores"),
    ):
        few, many = (
            model.formula.least_mb(
                model.formula.for_study(model.values, {section: {key: number}}, [size]), step, size
            )
            for number in (50, 5000)
        )
        assert many > few + 500


def test_soft_memory_takes_what_is_needed_and_says_so(study: Path, capsys) -> None:
    folder = study / "results" / "cohorts" / "small"
    words = files_of(study, "gene_stats", "small")
    assert main(["gene_stats", *words]) == 0
    usual = (folder / "moments.npz").read_bytes()
    capsys.readouterr()
    assert main(["gene_stats", *words, "--memory", "5", "--soft-memory"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"must be at least (\d+) \(MB\).*got 5. \1 are taken: --soft-memory", said)
    assert (folder / "moments.npz").read_bytes() == usual
    smallest = memory.within_memory(
        open_counts(folder / "intake.h5ad"), "gene_stats", 5, is_soft=True, n_batches=1
    )
    assert 131_072 <= smallest.block_values < 131_072 + 2**20


@pytest.fixture
def registered(study: Path, tmp_path: Path) -> Path:
    """The study before anything ran."""
    shutil.copytree(study / "config", tmp_path / "study" / "config")
    return tmp_path / "study"


def dry_run(folder: Path, *words: str, cores: int) -> dict[str, list[str]]:
    """What Snakemake says of each job that it would run, by the step."""
    command = ["--snakefile", str(snakefile()), "--directory", str(folder), "--cores", str(cores)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", *command, *words),
            *("--dry-run", "--printshellcmds", "--nocolor"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = {}
    for part in re.split(r"\nrule ", done.stdout + done.stderr)[1:]:
        found.setdefault(part.split(":")[0], []).append(part)
    return found


def test_strata_ask_for_one_core_and_take_those_that_stand_idle(registered: Path) -> None:
    for words, n_threads in (((), 3), (("--max-threads", "2"), 2)):
        (said,) = dry_run(registered, *words, cores=3)["strata"]
        assert re.search(rf"pmcell strata .*--threads {n_threads} ", said)
        assert "threads: " not in said


def test_jobs_ask_for_what_estimate_says_and_on_this_machine_may_take_more(
    registered: Path, capsys
) -> None:
    assert main(["estimate", "--directory", str(registered), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["rules"]
    said = dry_run(registered, cores=1)
    asked: dict[str, int] = {}
    for name in said.keys() & BY_NAME.keys():
        for part in said[name]:
            found = int(re.search(r"\bmem_mb=(\d+)", part)[1])
            asked[name] = max(asked.get(name, 0), found)
            share = re.search(r"--memory (\d+) --soft-memory", part)
            assert (share is not None) == (name in STREAMING)
            assert share is None or int(share[1]) == found - Model().values["scheduler_mb"]
    assert asked.keys() == {step.name for step in STEPS} - {"seal"}
    for name, found in asked.items():
        assert abs(found - Model().values["scheduler_mb"] - told[name]["memory_mb"]) <= 2, name
