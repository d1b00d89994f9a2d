"""The whole workflow: a release, a second run, an added and a broken cohort."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pmcell as pm
import recomputed
import step_summary
from pmcell.bundle import snakefile
from pmcell.schema.verdict import NO_COLUMN
from pmcell.steps import BY_NAME, STEPS
from repository import ROOT

GOOD = ("sim1", "sim2")


@functools.cache
def cut_off() -> tuple[str, ...]:
    """What starts a command without network interfaces; empty where this user may not do so."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which(words[0]):
            done = subprocess.run([*words, "true"], capture_output=True, check=False)
            if done.returncode == 0:
                return words
    return ()


def snakemake(study: Path, *arguments: str) -> str:
    """Run the workflow as a person would, but offline where possible; all that Snakemake said."""
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        [
            *cut_off(),
            *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())),
            *("--directory", str(study), "--cores", "2", "--keep-going", "--nocolor"),
            *("--show-failed-logs", *arguments),
        ],
        env={**os.environ, "PATH": os.pathsep.join([folder, os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return said


def jobs_to_run(study: Path, *arguments: str) -> dict[str, list[str]]:
    """Cohorts of each rule that a run would execute now (empty name: across cohorts)."""
    return jobs_of(snakemake(study, "--dry-run", *arguments))


def jobs_of(said: str) -> dict[str, list[str]]:
    """Cohorts of each rule that Snakemake said it runs."""
    jobs: dict[str, list[str]] = {}
    for part in re.split(r"\n(?:local)?rule ", said)[1:]:
        cohort = re.search(r"wildcards: cohort=(\S+)", part)
        jobs.setdefault(part.split(":")[0], []).append(cohort[1] if cohort else "")
    return jobs


@pytest.fixture(scope="module")
def simulated():
    """Three cohorts of six donors; the third joins later."""
    return pm.simulate.simulate(
        n_cohorts=3,
        n_donors=18,
        cells_per_sample=110,
        n_genes=250,
        n_cell_types=4,
        real_genes=True,
        seed=3,
    )


@pytest.fixture(scope="module")
def study(simulated, tmp_path_factory) -> Path:
    """A study with two good cohorts and a truncated one, run once."""
    from pmcell.simulate.cohort_folders import write_cohort_folders

    root = tmp_path_factory.mktemp("a study")
    pool = root / "pool"
    write_cohort_folders(simulated, pool)
    names = sorted(folder.name for folder in pool.iterdir())
    cohorts = root / "config" / "cohorts"
    for name, new in zip(names[:2], GOOD, strict=True):
        register_as(pool / name, cohorts / new)
    register_as(pool / names[0], cohorts / "broken")
    matrix = cohorts / "broken" / "counts.h5ad"
    matrix.write_bytes(matrix.read_bytes()[: matrix.stat().st_size // 2])
    programmes = Path(snakefile()).parent.parent / "config" / "programmes"
    shutil.copytree(programmes, root / "config" / "programmes")
    quick = "strata: {n_null: 19, n_bootstraps: 20, channels: all}\n"
    (root / "config" / "config.yaml").write_text(quick)
    snakemake(root)
    return root


def register_as(source: Path, target: Path) -> None:
    """Copy a cohort folder under a new identifier."""
    shutil.copytree(source, target)
    registration = (target / "cohort.yaml").read_text()
    (target / "cohort.yaml").write_text(
        re.sub(r"^id: .*$", f"id: {target.name}", registration, flags=re.MULTILINE)
    )


def test_the_run_ends_with_a_release_that_verifies(study):
    from pmcell.cli import main

    assert main(["verify", str(study / "results" / "release")]) == 0


def test_no_rule_reaches_the_network(study):
    if not cut_off():
        pytest.skip("this user may not start a program in a network namespace of its own")
    said = subprocess.run([*cut_off(), "cat", "/proc/net/dev"], capture_output=True, text=True)
    assert re.findall(r"^ *(\w+):", said.stdout, re.MULTILINE) == ["lo"]
    refused = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    tried = subprocess.run([*cut_off(), sys.executable, "-c", refused], capture_output=True)
    assert b"Network is unreachable" in tried.stderr
    # The study of these tests ran under the same prefix, from intake to its release.
    assert (study / "results" / "release" / "manifest.json").is_file()


def test_the_broken_cohort_is_quarantined_with_its_reason_and_the_others_finish(study):
    status = json.loads((study / "results/cohorts/broken/status.json").read_text())
    assert status["status"] == "quarantined"
    assert status["reason"]
    report = (study / "results/release/report.html").read_text()
    assert "quarantined" in report
    assert "broken" in report
    accepted = json.loads((study / "results/atlas/cohorts.json").read_text())
    assert [name for name, item in accepted.items() if item["status"] != "quarantined"] == list(
        GOOD
    )


def test_snakemakes_report_shows_the_release_with_captions_and_needs_no_network(study, tmp_path):
    import zipfile

    snakemake(study, "--report", str(tmp_path / "all.zip"))
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        said = archive.read("all/report.html").decode()
    assert {"report.html", "qc.parquet", "strata.json", "runtime.parquet"} <= names
    for text in ("Where to look", "existence test rejects", "quality control of samples"):
        assert text in said
    assert not re.findall(r'(?:src|href)="https?://[^"]+\.(?:js|css)"', said)


def test_what_jobs_took_is_in_the_release(study):
    from pmcell.io.tables import read_table

    rows = read_table(study / "results/release/tables/runtime.parquet").set_index("job")
    assert set(rows["cohort_id"].dropna()) == {*GOOD, "broken"}
    assert rows.loc["intake/sim1", "rule"] == "intake"
    assert rows["wall_seconds"].notna().all()
    log = (study / "results/logs/umap.log").read_text().splitlines()
    assert log[0].startswith("$ pmcell umap --graph results/atlas/graph.h5ad ")
    assert log[-1].startswith("# done in ")


def test_released_counts_equal_the_submitted_ones_cell_by_cell(study):
    import anndata

    for name in GOOD:
        submitted = anndata.read_h5ad(study / "config/cohorts" / name / "counts.h5ad")
        released = anndata.read_h5ad(study / "results/release/cells" / f"{name}.h5ad")
        raw = released.raw.to_adata()
        symbols = raw.var_names
        names = [cell.split(":", 1)[1] for cell in raw.obs_names]
        wanted = submitted[names]
        by_id = wanted.var_names if set(symbols) <= set(wanted.var_names) else None
        assert by_id is not None
        np.testing.assert_array_equal(raw.X.toarray(), wanted[:, symbols].X.toarray())


@pytest.mark.parametrize("check", recomputed.CHECKS, ids=lambda check: check.__name__)
def test_published_numbers_are_those_that_others_compute_from_the_submitted_files(study, check):
    check(recomputed.Study(study, GOOD))


def test_no_technical_factor_is_missing_for_want_of_a_column(study):
    verdict = json.loads((study / "results/release/strata.json").read_text())
    told = verdict["not_tested"]
    # The one that a cohort gives or not; the others every cohort has.
    assert {name for name, why in told.items() if why == NO_COLUMN} == {"hours_to_processing"}


def test_a_second_run_does_nothing(study):
    said = snakemake(study)
    assert jobs_of(said) == {}
    assert "Nothing to be done" in said


def test_an_added_cohort_reruns_only_what_it_must(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    pool = sorted((other / "pool").iterdir())
    register_as(pool[2], other / "config" / "cohorts" / "sim3")
    jobs = jobs_to_run(other)
    assert jobs["intake"] == jobs["qc"] == jobs["gene_stats"] == ["sim3"]
    assert {"hvg", "pca", "integrate", "release"} <= set(jobs)
    # Where the new cells lie beside the old ones is told of each: all are written again.
    assert sorted(jobs["cells"]) == ["broken", *GOOD, "sim3"]


def test_a_changed_setting_reruns_its_step_and_what_follows(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    config = other / "config" / "config.yaml"
    config.write_text(config.read_text() + "cluster: {resolution: 0.7}\n")
    jobs = jobs_to_run(other)
    assert "cluster" in jobs
    assert not {"intake", "qc", "neighbors", "integrate"} & set(jobs)


def test_a_setting_of_differential_expression_reruns_it_and_the_release_only(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    config = other / "config" / "config.yaml"
    config.write_text(config.read_text() + "differential_expression: {alpha: 0.1}\n")
    assert set(jobs_to_run(other)) == {"differential_expression", "release", "all"}


def test_what_no_cohorts_file_says_rewrites_no_cohorts_file(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    config = other / "config" / "config.yaml"
    more = "release: {description: Another, validators: none, min_donors: 11}\n"
    config.write_text(config.read_text() + more)
    assert set(jobs_to_run(other)) == {"release", "all"}


@pytest.mark.slow
def test_a_changed_title_rewrites_what_says_it_and_is_in_the_release(study, tmp_path):
    import pyarrow.parquet as pq

    from pmcell.release.digest import content_sha256

    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    config = other / "config" / "config.yaml"
    config.write_text(config.read_text() + "release: {title: Another, validators: none}\n")
    jobs = jobs_of(snakemake(other))
    assert set(jobs) == {"release_plan", "cells", "release", "all"}
    assert sorted(jobs["cells"]) == ["broken", *GOOD]
    results = other / "results"
    for name in GOOD:
        linked = results / "release" / "expression" / f"{name}.parquet"
        assert pq.read_schema(linked).metadata[b"dct:title"].startswith(b"Another: ")
        assert os.path.samefile(linked, results / "cohorts" / name / "expression.parquet")
        cells = f"release/cells/{name}.h5ad"
        assert content_sha256(results / cells) == content_sha256(study / "results" / cells)
    assert jobs_to_run(other) == {}


def test_lying_file_times_neither_hide_a_change_nor_make_one(study, tmp_path):
    other = tmp_path / "moved"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    submitted = [path for path in (other / "config").rglob("*") if path.is_file()]
    for path in submitted:
        os.utime(path)
    assert jobs_to_run(other) == {}
    matrix = other / "config/cohorts/sim1/counts.h5ad"
    content = bytearray(matrix.read_bytes())
    content[len(content) // 2] ^= 1
    matrix.write_bytes(content)
    os.utime(matrix, (1e9, 1e9))
    assert jobs_to_run(other)["intake"] == ["sim1"]


def test_a_new_version_of_a_step_reruns_it_and_what_follows(study, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shutil.copytree(snakefile().parent.parent / "workflow", shipped / "workflow")
    shutil.copytree(snakefile().parent.parent / "envs", shipped / "envs")
    shutil.copytree(snakefile().parent.parent / "config/schemas", shipped / "config/schemas")
    monkeypatch.setitem(globals(), "snakefile", lambda: shipped / "workflow/Snakefile")
    assert jobs_to_run(study) == {}
    versions = shipped / "workflow" / "steps.yaml"
    versions.write_text(
        re.sub(r"^cluster: .*", "cluster: {version: 99}", versions.read_text(), flags=re.M)
    )
    jobs = jobs_to_run(study)
    assert {"cluster", "markers", "release"} <= jobs.keys()
    assert not {"intake", "neighbors", "integrate"} & set(jobs)


def test_a_study_that_ran_under_the_old_names_runs_nothing_again(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, copy_function=shutil.copy2)
    for path in (other / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_bytes())
            step = BY_NAME[record["rule"]]
            record["rule"] = step.old_rule
            record["code"] = record["code"].replace(step.name, step.old_name or step.name)
            path.write_text(json.dumps(record))
    config = other / "config" / "config.yaml"
    config.write_text(config.read_text() + "gram: {}\nexplain: {}\n")
    assert jobs_to_run(other) == {}
    # Snakemake's own notion of changed code would run every renamed step again.
    by_code = jobs_to_run(other, "--rerun-triggers", "code")
    assert {step.name for step in STEPS if step.old_name} <= set(by_code)


def test_every_job_that_ran_is_an_action_of_the_crate(study):
    graph = json.loads((study / "results/release/ro-crate-metadata.json").read_text())["@graph"]
    actions = {item["name"] for item in graph if item["@type"] == "CreateAction"}
    cohorts = (*GOOD, "broken")
    expected = {"Run of the workflow"}
    for step in STEPS:
        if step.name != "seal":
            expected |= {f"{step.name} {name}" for name in (cohorts if step.per_cohort else [""])}
    assert actions == {name.strip() for name in expected}


def test_changed_results_come_with_a_new_version_of_the_step(study):
    golden = ROOT / "tests" / "golden" / "step_results.json"
    versions = {step.name: step.version for step in STEPS if not step.is_product}
    found = step_summary.summaries(study / "results")
    if os.environ.get("PMCELL_RECORD_GOLDEN"):
        record = {name: {"version": versions[name], "values": found[name]} for name in found}
        golden.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    expected = json.loads(golden.read_text())
    assert expected.keys() == found.keys() == versions.keys()
    for name, record in expected.items():
        changed = step_summary.differences(name, found[name], record["values"])
        assert not changed, (
            f"the results of {name} changed: raise its version in src/pmcell/steps.py, so that "
            f"studies run it again, then record them: PMCELL_RECORD_GOLDEN=1 scripts/test "
            f"tests/workflow/test_workflow.py\n" + "\n".join(changed[:20])
        )
        assert record["version"] == versions[name], (
            f"{name} has version {versions[name]} in src/pmcell/steps.py, "
            f"{record['version']} in {golden.name}: record its results"
        )
