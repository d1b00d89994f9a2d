"""`pmcell run` on a workflow of three small jobs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pmcell import bundle
from pmcell.cli import main
from pmcell.cli.run import _workflow
from pmcell.cli.run._progress import Progress
from pmcell.cli.run._snakemake import LAUNCHER

SNAKEFILE = """
rule all:
    input:
        "results/release/manifest.json",


rule qc:
    output:
        "results/cohorts/{cohort}/status.json",
    log:
        "results/logs/qc/{cohort}.log",
    shell:
        "cp verdicts/{wildcards.cohort}.json {output} 2> {log}"


rule release:
    input:
        expand("results/cohorts/{cohort}/status.json", cohort=config["cohorts"]),
    output:
        "results/release/manifest.json",
    shell:
        "sleep {config[cluster][seed]} && which python > {output}"
"""

VERDICTS = {
    "good": {"status": "ok", "reason": "", "message": ""},
    "bad": {"status": "quarantined", "reason": "not_counts", "message": "X must be counts."},
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study in a folder with a space, and a bundle whose workflow takes no time."""
    shipped = tmp_path / "the bundle"
    (shipped / "workflow" / "profiles" / "default").mkdir(parents=True)
    (shipped / "workflow" / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n' + SNAKEFILE, encoding="utf-8"
    )
    profile = shipped / "workflow" / "profiles" / "default" / "config.yaml"
    profile.write_text("keep-going: true\n", encoding="utf-8")
    monkeypatch.setattr(bundle, "bundle_folder", lambda: shipped)
    monkeypatch.setattr(_workflow, "warm_up", lambda: None)
    folder = tmp_path / "my study"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.yaml").write_text("cohorts: [good, bad]\ncluster: {seed: 0}\n")
    (folder / "verdicts").mkdir()
    for name in VERDICTS:
        (folder / "config" / "cohorts" / name).mkdir(parents=True)
    for name, verdict in VERDICTS.items():
        (folder / "verdicts" / f"{name}.json").write_text(json.dumps(verdict), encoding="utf-8")
    return folder


def run(study: Path, *arguments: str) -> int:
    return main(["run", "--directory", str(study), "--cores", "1", *arguments])


def test_run_shows_its_command_each_step_and_the_release(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study) == 0
    out, err = capsys.readouterr()
    assert err.startswith("$ snakemake --snakefile ")
    assert "[1/4]" in err
    assert re.search(r"\] +\d+:\d\d  qc (good|bad) ", err)
    assert "Cohorts: 1 ok, 1 quarantined" in out
    assert "bad: quarantined (not_counts): X must be counts." in out
    assert f"The release: {study / 'results' / 'release'}" in out
    assert "4 of 4 steps (100%) done" in _text(study / "results" / "logs" / "run.log")
    # Rules find the programs that lie beside the running Python, activated or not.
    found = Path(_text(study / "results" / "release" / "manifest.json").strip())
    assert found.parent == Path(sys.executable).parent


def test_summary_can_be_read_by_machines(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(study, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["exit_code"] == 0
    folder = study / "config" / "cohorts" / "bad"
    command = {"good": "", "bad": f"pmcell check '{folder}'"}
    assert summary["cohorts"] == {
        name: {**item, "fix": "", "command": command[name]} for name, item in VERDICTS.items()
    }
    assert summary["n_jobs"] == 3
    assert len(summary["slowest"]) == 3
    assert summary["retried"] == summary["failed"] == []


def test_failed_step_is_named_with_the_end_of_its_log(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "verdicts" / "bad.json").unlink()
    assert run(study) == 1
    out, err = capsys.readouterr()
    assert "step qc cohort=bad failed" in err
    assert "verdicts/bad.json" in err
    assert "Traceback" not in err
    assert "The release" not in out


def test_a_job_that_is_tried_again_is_told_at_once_and_named_once_at_the_end(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "verdicts" / "bad.json").unlink()
    assert run(study, "--json", "--", "--retries", "1") == 1
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert summary["failed"] == ["qc cohort=bad"]
    assert summary["retried"] == []
    for said in ("failed at attempt 1", "attempt 2", "failed at attempt 2"):
        assert said in err
    assert err.count("step qc cohort=bad failed") == 1


def test_arguments_after_two_dashes_go_to_snakemake(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study, "--", "--config", "cohorts=[good]") == 0
    assert not (study / "results" / "cohorts" / "bad").exists()


def test_other_configuration_file_is_used(study: Path, tmp_path: Path) -> None:
    other = tmp_path / "other config.yaml"
    other.write_text("cohorts: [good]\ncluster: {seed: 0}\n", encoding="utf-8")
    assert run(study, "--config", str(other)) == 0
    assert not (study / "results" / "cohorts" / "bad").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("# said in other words\ncohorts: [good, bad]\ncluster: {seed: 0}\n", 0),
        ("cohorts: [good, bad]\ncluster: {seed: 1}\n", 1),
        ("cohorts: [good, bad\n", 1),
        (None, 1),
    ],
)
def test_a_configuration_that_changes_during_a_run_is_said(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    code: int,
) -> None:
    config = study / "config" / "config.yaml"

    def edited(*arguments: object) -> int:
        config.unlink() if text is None else config.write_text(text)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(_workflow, "run_snakemake", edited)
        assert run(study) == code
    said = capsys.readouterr().err
    assert (f"{config} must stay as it is while a run works" in said) == bool(code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda cohorts: (cohorts / "good" / "cohort.yaml").write_text("title: U\n"), 1),
        (lambda cohorts: (cohorts / "good" / "donors.tsv").unlink(), 1),
        (lambda cohorts: (cohorts / "good" / "measurements.tsv").write_text("x\n"), 1),
        (lambda cohorts: (cohorts / "good" / "consent.jsonl").write_text("a withdrawal"), 1),
        (lambda cohorts: (cohorts / "good" / "cohort.yaml").touch(), 0),
        (lambda cohorts: (cohorts / "good" / "notes.txt").write_text("x"), 0),
    ],
)
def test_a_registration_that_changes_during_a_run_is_said(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    code: int,
) -> None:
    cohorts = study / "config" / "cohorts"
    for name in ("cohort.yaml", "donors.tsv"):
        (cohorts / "good" / name).write_text("title: T\n")

    def edited(*arguments: object) -> int:
        change(cohorts)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(_workflow, "run_snakemake", edited)
        assert run(study) == code
    said = capsys.readouterr().err
    assert ("must stay as it is while a run works" in said) == bool(code)
    assert (str(cohorts / "good") in said.replace("snakemake", "")) == bool(code)


def test_a_cohort_that_is_registered_during_a_run_is_the_next_one_s(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "config" / "config.yaml").write_text("cluster: {seed: 0}\n")
    cohorts = study / "config" / "cohorts"
    (cohorts / "good" / "cohort.yaml").write_text("title: T\n")

    def added(*arguments: object) -> int:
        (cohorts / "new").mkdir()
        (cohorts / "new" / "cohort.yaml").write_text("title: T\n")
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(_workflow, "run_snakemake", added)
        assert run(study) == 0


def test_dry_run_makes_nothing(study: Path) -> None:
    assert run(study, "--dry-run") == 0
    assert not (study / "results").exists()


def test_profile_of_the_study_comes_before_the_one_that_ships(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = study / "profiles" / "default"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("keep-going: true\n", encoding="utf-8")
    assert run(study, "--dry-run") == 0
    shown = capsys.readouterr().err
    assert f"--workflow-profile '{own}'" in shown or "--workflow-profile profiles/default" in shown


def test_unknown_profile_is_answered_with_the_known_ones(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study, "--profile", "slrum") == 2
    assert "found no 'slrum'. Profiles here: default" in capsys.readouterr().err


def test_folder_that_is_no_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--directory", str(tmp_path / "none")]) == 2
    assert "pmcell init" in capsys.readouterr().err


@pytest.mark.parametrize("cores", ["0", "-3"])
def test_fewer_than_one_core_is_refused(
    study: Path, cores: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study, f"--cores={cores}") == 2
    assert f"--cores must be at least 1, got {cores}" in capsys.readouterr().err


def test_lock_of_a_killed_run_is_explained_and_can_be_removed(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study) == 0
    (study / "results" / "release" / "manifest.json").unlink()
    locks = study / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text("results/release/manifest.json\n", encoding="utf-8")
    assert run(study) == 1
    assert "pmcell run --unlock" in capsys.readouterr().err
    assert run(study, "--unlock") == 0
    assert run(study) == 0


def test_second_run_says_that_nothing_is_left_to_do(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study) == 0
    assert "4 steps to do" in capsys.readouterr().err
    assert run(study) == 0
    out, err = capsys.readouterr()
    assert "nothing to do: everything is up to date" in err
    assert "The release" in out


@pytest.mark.parametrize(("access", "code"), [("controlled", 2), ("registered", 2), ("open", 0)])
def test_a_key_that_a_cohort_needs_is_asked_for_before_any_job(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, access, code
) -> None:
    monkeypatch.delenv("PMCELL_PSEUDONYM_KEY_FILE", raising=False)
    (study / "config" / "cohorts" / "good" / "cohort.yaml").write_text(f"access: {access}\n")
    assert run(study) == code
    if code:
        assert "need a pseudonym key" in capsys.readouterr().err
        assert not (study / "results").exists()


def dates(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and ".snakemake" not in path.parts
    }


def test_a_run_goes_on_after_the_clock_was_set_back(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study) == 0
    (study / "results" / "release" / "manifest.json").unlink()
    for path in [*study.rglob("*.json"), study / "config" / "config.yaml"]:
        ahead = path.stat().st_mtime_ns + 3600 * 10**9
        os.utime(path, ns=(ahead, ahead))
    before = dates(study / "results")
    assert run(study) == 0
    assert "dated ahead of this machine's clock" in capsys.readouterr().err
    after = dates(study / "results")
    assert max(dates(study / "results").values()) < time.time_ns() + 10**9
    verdicts = [name for name in before if name.endswith("status.json")]
    assert sorted(verdicts, key=before.__getitem__) == sorted(verdicts, key=after.__getitem__)
    assert run(study) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_a_file_of_another_that_is_dated_ahead_is_named(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study / "config" / "config.yaml"
    os.utime(config, (time.time() + 3600, time.time() + 3600))

    def refuse(path: Path, ns: tuple[int, int]) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr("pmcell.cli.run._clock.os.utime", refuse)
    assert run(study) == 2
    assert f"touch {config}" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_stops_its_jobs_and_goes_on_later(study: Path, number: int) -> None:
    config = study / "config" / "config.yaml"
    config.write_text("cohorts: [good, bad]\ncluster: {seed: 900}\n", encoding="utf-8")
    shipped = bundle.bundle_folder()
    code = (
        "import sys; from pathlib import Path; from pmcell import bundle; "
        "from pmcell.cli import main; from pmcell.cli.run import _workflow; "
        f"bundle.bundle_folder = lambda: Path({str(shipped)!r}); "
        "_workflow.warm_up = lambda: None; "
        f"sys.exit(main(['run', '--directory', {str(study)!r}, '--cores', '1']))"
    )
    # As a job in the background of a script: SIGINT is ignored until pmcell handles it.
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    log = study / "results" / "logs" / "run.log"
    deadline = time.monotonic() + 300
    while "rule release" not in _text(log):
        assert process.poll() is None, _text(log)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted; the finished steps are kept" in err
    assert "failed" not in err
    config.write_text("cohorts: [good, bad]\ncluster: {seed: 0}\n", encoding="utf-8")
    assert run(study) == 0
    assert "rule qc" not in _text(log)


def test_a_job_that_began_while_the_others_were_ended_is_ended_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snakemake waits for it, and would for as long as it takes."""
    monkeypatch.setattr(_workflow, "INSISTS_AFTER", 0.2)
    code = (
        "import signal, subprocess; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "signal.signal(signal.SIGTERM, lambda *_: None); print('stops', flush=True); "
        "subprocess.call(['sleep', '900'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    progress = Progress()
    progress.is_stopping = process.stdout.readline() == "stops\n"
    interrupts = _workflow._Interrupts(progress, has_jobs=True)
    interrupts.pass_to(process)
    interrupts.handle(signal.SIGINT, None)
    assert process.wait(timeout=120) == 0


def test_snakemake_is_started_without_what_no_rule_needs(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        "import sys\n"
        "print(type(sys.modules['pandas']).__name__, 'pyarrow' in sys.modules)\n"
        "import pandas\n"
        "import pandas.api.types\n"
        "print(pandas.DataFrame({'a': [1]}).shape)\n"
        "rule all:\n    input: []\n"
    )
    command = [sys.executable, "-m", LAUNCHER, "--cores", "1", "--directory", str(tmp_path)]
    done = subprocess.run(
        [*command, "--snakefile", str(tmp_path / "Snakefile")],
        **{"capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    # Nothing of pandas until a rule asks for it; then all of it.
    assert done.stdout.splitlines()[:2] == ["LazyModule False", "(1, 1)"]


def test_a_home_that_cannot_be_written_gives_snakemake_another_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", Path("/proc")):
        monkeypatch.setenv("HOME", str(home))
        folder = Path(_workflow.environment()["XDG_CACHE_HOME"])
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "XDG_CACHE_HOME" not in _workflow.environment()


def test_a_run_waits_without_the_libraries_of_its_steps() -> None:
    code = (
        "import sys; from pmcell.cli.run import _lock, _slurm, _workflow, estimate, run; "
        "print({'numpy', 'pandas', 'pyarrow', 'numba', 'scipy', 'h5py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_kernels_are_compiled_outside_the_run_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_workflow, "COMPILES_AFTER", 0.0)
    monkeypatch.setattr(_workflow, "WARM_UP", "import time; time.sleep(0.5)")
    _workflow.warm_up()
    first, last = capsys.readouterr().err.splitlines()
    assert first == (
        "pmcell run: compiling the kernels, once on this machine; this takes a minute or two"
    )
    assert last.startswith("pmcell run: compiled the kernels in 0:0")
    monkeypatch.setattr(_workflow, "WARM_UP", "raise OSError('no room for the cache')")
    _workflow.warm_up()
    assert "beforehand (OSError: no room for the cache); each job does it by itself" in (
        capsys.readouterr().err
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
