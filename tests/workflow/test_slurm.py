"""The workflow on a real Slurm, on loopback: with memory too small, jobs cancelled, the run killed.

Slurm comes from the distribution: `scripts/slurm-one-node install` (root). Without it these tests
are skipped, unless PMCELL_REQUIRE_SLURM is set, as CI does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import pmcell as pm
from pmcell.cli.init import make_study
from pmcell.cli.run._slurm import cancel_left_over, job_prefix, queued_jobs
from pmcell.errors import PmcellError
from pmcell.steps import BY_NAME

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "slurm-one-node"
LIMIT_SECONDS = 1500
OF_COHORT = ("intake", "qc", "gene_stats")
BEFORE = ("hvg", "covariance", "pca", "pca_scores")
GRAPH = ("neighbors", "cluster")
ALONE = ("integrate", "umap", "release", "seal")


pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A running Slurm whose commands the tests and the workflow find."""
    if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        reason = f"Slurm is not installed; {SCRIPT.name} install (root) does it"
        if os.environ.get("PMCELL_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    was_up = subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode == 0
    # The daemons keep the pipe they inherit, so the output goes to no pipe.
    started = subprocess.run(
        [SCRIPT, "start"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    if started.returncode:
        reason = f"Slurm does not start here: {SCRIPT.name} start says why"
        if os.environ.get("PMCELL_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    said = subprocess.run([SCRIPT, "env"], capture_output=True, text=True, check=True).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", said.strip().split("=", 1)[1])
        yield
    if not was_up:
        subprocess.run([SCRIPT, "stop"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small cohorts, and a profile that asks for too little memory at first."""
    from pmcell.simulate.cohort_folders import write_cohort_folders

    folder = tmp_path_factory.mktemp("slurm") / "a study"
    make_study(folder, cohorts=())
    simulated = pm.simulate.simulate(
        n_cohorts=2, n_donors=12, cells_per_sample=90, n_genes=250, real_genes=True, seed=4
    )
    write_cohort_folders(simulated, folder / "config" / "cohorts")
    (folder / "config" / "config.yaml").write_text(
        "strata: {n_null: 19, n_bootstraps: 20, channels: all}\n"
    )
    # The shipped profile, with fewer jobs to wait for: what comes before the atlas is one more
    # group, what comes after the map another.
    path = folder / "profiles" / "slurm" / "config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["groups"] = [item for item in profile["groups"] if item.endswith("=register")]
    after = BY_NAME.keys() - {*OF_COHORT, *BEFORE, *GRAPH, *ALONE}
    for group, rules in (("before", BEFORE), ("graph", GRAPH), ("after", sorted(after))):
        profile["groups"] += [f"{rule}={group}" for rule in rules]
    # The first attempt is killed; the second gets intake done, and the steps after it refuse.
    profile["set-resources"] = [f"{rule}:mem_mb=262 * 2 ** (attempt - 1)" for rule in OF_COHORT]
    path.write_text(yaml.safe_dump(profile))
    return folder


def start(study: Path, log: Path) -> subprocess.Popen[bytes]:
    """`pmcell run` on Slurm, in a session of its own."""
    # The first look at a job after so many seconds, the next ones 10 seconds later each.
    quick = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5")
    with log.open("wb") as stream:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "pmcell", "run", "--directory", str(study)),
                *("--profile", "slurm", "--", *quick),
            ],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def jobs() -> dict[str, dict[str, str]]:
    """What Slurm knows of each job, by its id; the comment names the rule."""
    said = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in said.splitlines():
        facts = dict(re.findall(r"(\w+)=(\S+)", line))
        if "JobId" in facts:
            found[facts["JobId"]] = facts
    return found


def wait_for(
    condition: Callable[[], str | None], process: subprocess.Popen[bytes], log: Path
) -> str:
    """The first answer of `condition`, while the run goes on."""
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        if (answer := condition()) is not None:
            return answer
        if process.poll() is not None:
            break
        time.sleep(0.3)
    raise AssertionError(f"did not happen; the run said:\n{log.read_text()[-3000:]}")


def running(rule: str, prefix: str) -> Callable[[], str | None]:
    """The id of a running job of the study's rule."""
    return lambda: next(
        (
            number
            for number, facts in jobs().items()
            if facts["JobName"].startswith(prefix)
            and facts.get("Comment", "").startswith(f"rule_{rule}")
            and facts["JobState"] == "RUNNING"
        ),
        None,
    )


@pytest.mark.slow
def test_a_study_comes_through_a_cluster_where_everything_goes_wrong(slurm, study, tmp_path):
    prefix = job_prefix(study)
    log = tmp_path / "run.log"
    alone = started_alone(study, tmp_path / "alone")
    drain = ("scontrol", "update", "NodeName=n2")
    subprocess.run([*drain, "State=DRAIN", "Reason=test"], check=True)
    process = start(study, log)
    try:
        # A running job is cancelled: it is submitted again.
        cancelled = wait_for(running("integrate", prefix), process, log)
        subprocess.run(["scancel", cancelled], check=True)
        started = [
            item
            for item in jobs().values()
            if item["JobName"].startswith(prefix) and item["JobState"] != "PENDING"
        ]
        assert {item["NodeList"] for item in started} == {"n1"}
        subprocess.run([*drain, "State=RESUME"], check=True)
        # The whole run is killed while a job works: Slurm goes on with it.
        wait_for(running("umap", prefix), process, log)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kill_snakemake(study)
        assert queued_jobs(prefix)
    finally:
        subprocess.run([*drain, "State=RESUME"], check=False, capture_output=True)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    again = tmp_path / "again.log"
    assert start(study, again).wait(LIMIT_SECONDS) == 0, again.read_text()[-3000:]
    assert "cancelled jobs of a killed run" in again.read_text()
    assert queued_jobs(prefix) == []

    mine = {key: item for key, item in jobs().items() if item["JobName"].startswith(prefix)}
    # Two cohorts, three rules each: one job, with the CPUs and memory of one, the time of all.
    of_group = [item for item in mine.values() if "register" in item.get("Comment", "")]
    asked = [int(item["MinMemoryNode"].rstrip("M")) for item in of_group]
    assert [item["JobState"] for item in of_group].count("COMPLETED") == 1
    assert of_group[-1]["JobState"] == "COMPLETED"
    assert len(asked) >= 2, "the job that ran out of memory was not submitted again"
    assert 2 * asked[0] - 2 <= asked[1] <= 2 * asked[0]
    assert of_group[0]["NumCPUs"] == "1"
    assert {item["Partition"] for item in of_group} == {"main"}
    assert of_group[0]["TimeLimit"] == "00:24:00"
    integrations = [
        item["JobState"] for item in mine.values() if "integrate" in item.get("Comment", "")
    ]
    assert integrations[:2] == ["CANCELLED", "COMPLETED"]

    # What came out is what a single machine makes of it.
    said, _ = alone.communicate(timeout=LIMIT_SECONDS)
    assert alone.returncode == 0, said[-3000:]
    assert content(study) == content(tmp_path / "alone")


def started_alone(study: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The same study on this machine, in the background."""
    shutil.copytree(study / "config", folder / "config")
    shutil.copytree(study / "profiles", folder / "profiles")
    return subprocess.Popen(
        [sys.executable, "-m", "pmcell", "run", "--directory", str(folder), "--cores", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def kill_snakemake(study: Path) -> None:
    """Kill the Snakemake of a study: it has a session of its own, like that of a dropped login."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (NotADirectoryError, FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        is_main = b"--workflow-profile" in words and b"--slurm-jobname-prefix" in words
        if is_main and str(study).encode() in b" ".join(words):
            os.kill(int(folder.name), signal.SIGKILL)


def content(study: Path) -> dict[str, str]:
    """Content digest of each file of a release."""
    manifest = json.loads((study / "results" / "release" / "manifest.json").read_text())
    return {name: entry["content_sha256"] for name, entry in manifest["files"].items()}


def test_only_the_jobs_of_the_study_are_cancelled(monkeypatch, tmp_path):
    prefix = job_prefix(tmp_path)
    assert prefix == job_prefix(tmp_path / "x" / "..")
    assert prefix != job_prefix(tmp_path / "x")
    fake_commands(tmp_path, f"echo '7 {prefix}_run1'\necho '8 other'\necho '9 {prefix}_run1'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cancel_left_over(prefix) == ["7", "9"]
    assert (tmp_path / "cancelled").read_text() == "7 9\n"


def test_a_cluster_that_does_not_answer_is_said(monkeypatch, tmp_path):
    fake_commands(tmp_path, "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PmcellError, match="Unable to contact"):
        queued_jobs("pmcell-1")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(PmcellError, match="there is no squeue here"):
        queued_jobs("pmcell-1")


def fake_commands(folder: Path, squeue: str) -> None:
    """A squeue that says what is given and a scancel that notes its arguments."""
    for name, body in (("squeue", squeue), ("scancel", f'echo "$@" > {folder}/cancelled')):
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
