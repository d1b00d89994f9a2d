"""The table of steps is what the commands take, the rules run and the resource model knows."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pmcell.bundle import EMBEDDED_COHORTS, bundle_folder, snakefile
from pmcell.cli import main, module_of
from pmcell.cli._job.options import add_options
from pmcell.cli.init import make_study
from pmcell.cli.run._resources import Model
from pmcell.cli.run._workflow import RERUN_TRIGGERS, renamed_rules
from pmcell.settings.table import SETTINGS
from pmcell.step import FOLDER_OPTIONS, Step, as_yaml, files_of
from pmcell.steps import BY_NAME, OLD_NAMES, OLD_RULES, STEPS

COHORTS = EMBEDDED_COHORTS[:2]
ENTRY = re.compile(r"^    (\w+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class PlannedJob:
    """A job as Snakemake plans it; files are below the results folder."""

    rule: str
    cohort: str
    inputs: frozenset[str]
    outputs: frozenset[str]
    log: str
    benchmark: str
    command: str

    @property
    def options(self) -> dict[str, list[str]]:
        """What the command gives to each option, over all times that it names it."""
        found: dict[str, list[str]] = {}
        name = ""
        for word in shlex.split(self.command.split(" > ")[0])[2:]:
            if word.startswith("--"):
                name = word[2:].replace("-", "_")
                found.setdefault(name, [])
            else:
                found[name].append(word)
        return found


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> list[PlannedJob]:
    """Every job of a new study of two cohorts that names all that a study may name."""
    folder = tmp_path_factory.mktemp("planned")
    make_study(folder, cohorts=COHORTS)
    for name in ("clinical.tsv", "sets.gmt"):
        (folder / name).touch()
    # Sections under their names of version 0.1.0 are read, too.
    (folder / "config" / "config.yaml").write_text(
        "strata: {clinical: clinical.tsv}\nexplain: {gene_sets: sets.gmt}\n"
        "features: {n_top: 77}\nseal: {recipients: {one: one.pub}}\n"
    )
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())),
        *("--directory", str(folder), "--cores", "1", "--dry-run", "--printshellcmds"),
        "--nocolor",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    return list(_jobs(said))


def _jobs(said: str) -> Iterator[PlannedJob]:
    for part in re.split(r"\nrule ", said)[1:]:
        part = part.split("\n\n")[0]
        entries = dict(ENTRY.findall(part))
        if part.startswith("all:"):
            continue
        yield PlannedJob(
            part.split(":")[0],
            entries.get("wildcards", "").removeprefix("cohort="),
            _below_results(entries.get("input", "")),
            _below_results(entries["output"]),
            entries["log"],
            entries["benchmark"],
            part.split("Shell command: ")[1],
        )


def _below_results(text: str) -> frozenset[str]:
    return frozenset(
        path.removeprefix("results/")
        for path in re.split(r", ", text.replace(" (update)", ""))
        if path.startswith("results/")
    )


def test_the_file_for_the_snakefile_is_that_of_the_table() -> None:
    path = bundle_folder() / "workflow/steps.yaml"
    assert path.read_text(encoding="utf-8") == as_yaml(STEPS), (
        "write it anew: python -m pmcell.steps > workflow/steps.yaml"
    )
    told = yaml.safe_load(as_yaml(STEPS))
    assert {name: item["version"] for name, item in told.items()} == {
        step.name: step.version for step in STEPS
    }


def test_every_file_is_written_once_and_read_only_after_it_was_written() -> None:
    made: set[str] = set()
    for step in STEPS:
        assert set(step.inputs) <= made, step.name
        assert not set(step.outputs) & made, step.name
        made |= set(step.outputs)


def test_no_name_of_today_is_an_old_one_of_another_step() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(OLD_NAMES)
    assert not {old for old, new in OLD_RULES.items() if old in names and old != new}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_command_has_the_options_that_name_its_files(step: Step) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, step.name, importlib.import_module(module_of(step.name)))
    known = {action.dest for action in parser._actions}
    assert {*step.reads, *step.writes, *step.asks} <= known
    assert ("soft_memory" in known) or not step.streams


def test_the_resource_model_has_rows_of_steps_only_and_an_answer_for_every_step() -> None:
    model = Model()
    assert set(model.values["rules"]) <= set(BY_NAME)
    for step in STEPS:
        model.values["rules"].pop(step.name, None)
    for quantity in model.formula.QUANTITIES:
        size = (1.0, 2000.0, 100.0, 2.0, 0.03)
        asked = model.formula.request(model.values, "umap", quantity, size)
        assert asked >= 0.9 * Model().formula.request(Model().values, "umap", quantity, size)


def test_every_step_has_a_section_in_the_order_of_the_flow() -> None:
    assert list(SETTINGS) == [step.name for step in STEPS]


def test_every_step_is_a_rule_with_a_job_for_each_cohort_or_one(planned: list[PlannedJob]) -> None:
    found = sorted((job.rule, job.cohort) for job in planned)
    assert found == sorted(
        (step.name, cohort) for step in STEPS for cohort in (COHORTS if step.per_cohort else [""])
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_rule_reads_writes_and_logs_what_the_table_says(
    planned: list[PlannedJob], step: Step
) -> None:
    for job in planned:
        if job.rule != step.name:
            continue
        cohorts = [job.cohort] if job.cohort else COHORTS
        reads, writes = (set(files_of(paths, cohorts)) for paths in (step.inputs, step.outputs))
        assert job.inputs == reads
        assert writes <= job.outputs
        # A release shows some of its files in Snakemake's report.
        assert step.is_product or job.outputs == writes
        assert {path.split("/")[0] for path in job.outputs} == {
            path.split("/")[0] for path in writes
        }
        assert job.log == f"results/logs/{step.job(job.cohort)}.log"
        assert job.benchmark == f"results/benchmarks/{step.job(job.cohort)}.tsv"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_rule_gives_the_command_the_files_of_the_table(
    planned: list[PlannedJob], step: Step
) -> None:
    for job in planned:
        if job.rule != step.name:
            continue
        assert job.command.startswith(f"pmcell {step.name} ")
        assert ("memory" in job.options) == step.streams
        cohorts = [job.cohort] if job.cohort else COHORTS
        for option, paths in (*step.reads.items(), *step.writes.items()):
            files = [f"results/{path}" for path in files_of(paths, cohorts)]
            given = job.options[option]
            if option == "cohort":
                pairs = [[name, f"results/cohorts/{name}"] for name in COHORTS]
                assert given == [word for pair in pairs for word in pair]
            elif (option == "out" and step.is_product) or option in FOLDER_OPTIONS:
                assert all(file.startswith(f"{given[0]}/") for file in files)
            else:
                assert given == files


def test_a_setting_under_its_old_section_reaches_the_rule(planned: list[PlannedJob]) -> None:
    (job,) = (job for job in planned if job.rule == "differential_expression")
    assert job.options["gene_sets"] == ["sets.gmt"]
    (job,) = (job for job in planned if job.rule == "strata")
    assert job.options["clinical"] == ["clinical.tsv"]


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_command_runs_and_names_the_new_one(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([old, "--help"])
    assert exit_.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: pmcell {new} ")
    assert f"the command {old!r} is now {new!r}" in err


def test_a_section_under_both_its_names_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, cohorts=COHORTS[:1])
    config = tmp_path / "config" / "config.yaml"
    for text in ("gram: {}\ncovariance: {}\n", "covariance: {}\ngram: {}\n"):
        config.write_text(text)
        assert main(["run", "--directory", str(tmp_path), "-n"]) == 2
        assert "'gram' is the old name of 'covariance'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "groups: [sum_products=gram, qc=register]",
        "set-threads: [sum_products=4]",
        "set-resources: ['sum_products:mem_mb=9000']",
        "set-resources: {sum_products: {mem_mb: 9000}}",
    ],
)
def test_a_profile_with_rules_of_old_names_is_named_with_the_new_ones(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert renamed_rules(tmp_path) == (
        f"{tmp_path}: rules have new names, write them there: sum_products is now covariance"
    )


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_a_shipped_profile_names_rules_of_today_and_the_triggers_of_pmcell_run(name: str) -> None:
    folder = bundle_folder() / "workflow" / "profiles" / name
    assert renamed_rules(folder) == ""
    profile = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert tuple(profile["rerun-triggers"]) == RERUN_TRIGGERS
    assert {item.split("=")[0] for item in profile.get("groups", [])} <= set(BY_NAME)
