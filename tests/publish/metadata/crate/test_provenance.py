"""What is read from Snakemake's records, and what of it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pmcell.io.atomic import sha256_file
from pmcell.io.stamps import write_stamps
from pmcell.publish.facts import load_facts
from pmcell.publish.metadata.crate.provenance import RELEASE, Run, describe_run, release_run
from pmcell.publish.metadata.crate.provenance_records import (
    find_working_directory,
    read_jobs,
    running_since,
)
from pmcell.publish.provenance_paths import PathRules, as_pattern
from results_folder import COHORTS
from snakemake_records import START, mark_running, record_job, record_study


@pytest.fixture
def run(results: Path) -> Run:
    """The told run of a study with open cohorts and a closed one."""
    record_study(results, list(COHORTS))
    return release_run(load_facts(results), results / "release")


def test_jobs_are_those_that_the_targets_depend_on(tmp_path: Path) -> None:
    record_job(tmp_path, "late", ["a", "b"], ["c"], start=START + 5)
    record_job(tmp_path, "early", ["raw"], ["a", "b"], start=START)
    record_job(tmp_path, "other", ["raw"], ["d"])
    jobs = read_jobs(tmp_path, ["c"])
    assert [job.rule for job in jobs] == ["early", "late"]
    assert jobs[0].outputs == ("a", "b")
    assert (jobs[0].start, jobs[0].end) == (START, START + 2)


def test_outputs_with_long_names_are_found(tmp_path: Path) -> None:
    name = f"results/{'x' * 400}"
    record_job(tmp_path, "long", [], [name])
    mark_running(tmp_path, name, start=START)
    assert [job.outputs for job in read_jobs(tmp_path, [name])] == [(name,)]
    assert running_since(tmp_path, name) == START
    assert running_since(tmp_path, "other") is None


def test_a_half_written_record_is_passed_over(tmp_path: Path) -> None:
    record_job(tmp_path, "whole", [], ["a"])
    record_job(tmp_path, "unfinished", [], ["b"], incomplete=True)
    (tmp_path / ".snakemake" / "metadata" / "Yw==").write_text('{"rule": "cut')
    assert [job.rule for job in read_jobs(tmp_path, ["a", "b", "c"])] == ["whole"]


def test_an_environment_that_was_not_deployed_is_not_told(tmp_path: Path) -> None:
    known = {"conda_env": "eA==", "container_img_url": "docker://quay.io/a/b:1"}
    record_job(tmp_path, "plain", [], ["a"], **known)
    record_job(tmp_path, "deployed", [], ["b"], software_stack_hash="1234", **known)
    jobs = {job.rule: job for job in read_jobs(tmp_path, ["a", "b"])}
    assert (jobs["plain"].environment, jobs["plain"].container) == ("", "")
    assert jobs["deployed"].environment == "x"
    assert jobs["deployed"].container == "docker://quay.io/a/b:1"


def test_the_working_directory_is_the_nearest_one_with_records(tmp_path: Path) -> None:
    assert find_working_directory(tmp_path / "study" / "results") is None
    record_job(tmp_path / "study", "any", [], ["a"])
    assert find_working_directory(tmp_path / "study" / "results") == tmp_path / "study"


def test_every_file_of_an_open_cohort_has_its_digest(run: Run, results: Path) -> None:
    workdir = results.parent
    people = ("donors", "visits", "samples", "measurements")
    told = {name: file for name, file in run.files.items() if file.sha256}
    for name, file in told.items():
        assert file.sha256 == sha256_file(workdir / name)
        assert file.size == (workdir / name).stat().st_size
    open_files = {
        name
        for name in run.files
        if "closed" not in name
        and "release" not in name
        and not ("/cohorts/" in name and Path(name).stem in people)
    }
    assert open_files == set(told)
    assert "results/cohorts/alpha/intake.h5ad" in told
    assert "results/old.txt" not in run.files


def test_a_stamp_gives_digest_parameters_and_seed(results: Path) -> None:
    record_study(results, list(COHORTS))
    path = results / "cohorts" / "alpha" / "qc.parquet"
    write_stamps("qc", [path], {}, {"n_mads": 5, "doublets": True}, seed=3)
    stamp = path.parent / ".stamps" / "qc.parquet.json"
    stamp.write_text(stamp.read_text().replace(sha256_file(path), "0" * 64))
    run = release_run(load_facts(results), results / "release")
    assert run.files["results/cohorts/alpha/qc.parquet"].sha256 == "0" * 64
    job = next(job for job in run.jobs if job.rule == "qc")
    assert job.parameters == {"n_mads": "5", "doublets": "true", "seed": "3"}
    path.write_bytes(b"longer or shorter than it was")
    run = release_run(load_facts(results), results / "release")
    assert run.files["results/cohorts/alpha/qc.parquet"].sha256 == sha256_file(path)


def test_a_submitted_file_has_the_digest_that_intake_took_of_it(results: Path) -> None:
    record_study(results, list(COHORTS))
    intake = results / "cohorts" / "alpha" / "intake.h5ad"
    jobs = read_jobs(results.parent, [intake.relative_to(results.parent).as_posix()])
    (job,) = (job for job in jobs if job.rule == "intake")
    path = next(path for path in job.inputs if path.endswith(".h5ad"))
    for output in job.outputs:
        write_stamps("intake", [results.parent / output], {Path(path).name: "0" * 64}, {})
    submitted = results.parent / path
    os.utime(submitted, (START - 60, START - 60))
    assert release_run(load_facts(results), results / "release").files[path].sha256 == "0" * 64
    # A file that was written since is another one.
    os.utime(submitted, (START + 60, START + 60))
    found = release_run(load_facts(results), results / "release").files[path].sha256
    assert found == sha256_file(submitted)


def test_of_a_closed_cohort_only_steps_and_days_are_told(run: Run) -> None:
    jobs = [job for job in run.jobs if job.wildcards.get("cohort") == "closed"]
    assert {job.rule for job in jobs} == {"intake", "qc", "aggregate"}
    for job in jobs:
        assert job.start is not None
        assert job.start % 86_400 == 0
        assert (job.by_day, job.parameters, job.logs) == (True, {}, ())
        assert "ward" not in job.command
    intake = next(job for job in jobs if job.rule == "intake")
    assert intake.inputs == ("registration and matrix of closed",)
    for name, file in run.files.items():
        if "closed" in name:
            assert (file.size, file.sha256) == (None, "")
            assert "not open" in file.description


def test_the_job_that_writes_the_release_is_running(run: Run) -> None:
    assert run.running is not None
    assert run.running.rule == RELEASE.name
    assert run.running.end is None
    assert run.files["results/release/"].crate_id == "./"


def test_without_records_the_run_is_empty(results: Path) -> None:
    assert release_run(load_facts(results), results / "release") == Run()


def test_paths_outside_are_cut_to_their_last_part(tmp_path: Path) -> None:
    home = tmp_path / "home" / "ada"
    record_job(
        home,
        "count",
        ["/mnt/hospital/ward 7/x.h5ad", "../../other/x.h5ad", "data/x.h5ad"],
        ["out.txt"],
        shellcmd=f"count '/mnt/hospital/ward 7/x.h5ad' ../../other/x.h5ad {home}/data/x.h5ad "
        "--db=https://a.org/b ~ada/c/d.txt > out.txt 2> /dev/null",
    )
    run = describe_run(read_jobs(home, ["out.txt"]), PathRules(home))
    assert set(run.files) == {"x.h5ad", "x.h5ad (2)", "data/x.h5ad", "out.txt"}
    assert run.jobs[0].command == (
        "count 'x.h5ad' x.h5ad data/x.h5ad --db=https://a.org/b d.txt > out.txt 2> /dev/null"
    )


@pytest.mark.parametrize(
    ("name", "wildcards", "pattern"),
    [
        ("cohorts/b1/qc.parquet", {"cohort": "b1"}, "cohorts/{cohort}/qc.parquet"),
        ("b10/b1_x.txt", {"name": "b1"}, "b10/{name}_x.txt"),
        ("a/name.txt", {"n": "a", "m": "name"}, "{n}/{m}.txt"),
        ("plain.txt", {}, "plain.txt"),
    ],
)
def test_patterns_have_wildcards_for_values(name: str, wildcards: dict, pattern: str) -> None:
    assert as_pattern(name, wildcards) == pattern
