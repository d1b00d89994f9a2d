"""Steps that are killed, or find a full disk or a damaged file; for runs: `scripts/fault-drill`."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import pmcell as pm
from consent.ledgers import make_cohort
from pmcell.cli import main
from pmcell.cli.run import _lock
from pmcell.errors import PmcellError
from pmcell.io.stamps import read_stamp
from pmcell.io.system import end_in_order
from stopped_calls import CALLS, EVERY

STEP = [sys.executable, "-m", "pmcell"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study with two cohorts, taken in and through QC."""
    from pmcell.simulate.cohort_folders import write_cohort_folders

    root = tmp_path_factory.mktemp("study")
    cells = pm.simulate.simulate(
        n_cohorts=2, n_donors=4, cells_per_sample=60, n_genes=150, real_genes=True, seed=1
    )
    write_cohort_folders(cells, root / "config" / "cohorts")
    for cohort in cohorts(root):
        folder = root / "results" / "cohorts" / cohort.name
        assert main(["intake", "--cohort-dir", str(cohort), "--out-dir", str(folder)]) == 0
        assert main(qc(folder)) == 0
    return root


@pytest.fixture
def study(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "study"))


def cohorts(study: Path) -> list[Path]:
    return sorted((study / "config" / "cohorts").iterdir())


def folders(study: Path) -> list[Path]:
    return sorted((study / "results" / "cohorts").iterdir())


def qc(folder: Path) -> list[str]:
    files = ["--counts", f"{folder}/intake.h5ad", "--intake", f"{folder}/intake.json"]
    return ["qc", *files, "--out-dir", str(folder)]


def gene_stats(folder: Path) -> list[str]:
    files = ["--counts", f"{folder}/intake.h5ad", "--qc", f"{folder}/qc.parquet"]
    return ["gene_stats", *files, "--out", f"{folder}/moments.npz"]


def intake(folder: Path) -> list[str]:
    cohort = f"config/cohorts/{folder.name}"
    return ["intake", "--cohort-dir", cohort, "--out-dir", str(folder)]


def say(arguments: list[str], **options: object) -> tuple[int, str]:
    """Run a step in a process of its own: exit code and what it said on standard error."""
    done = subprocess.run([*STEP, *arguments], capture_output=True, text=True, **options)
    return done.returncode, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def no_larger_than(size: int):
    """Let a child process write no file larger than `size` bytes, as a full disk would."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_every_result_of_a_step_has_a_stamp_with_its_section(study):
    folder = folders(study)[0]
    for path in folder.glob("[!.]*"):
        stamp = read_stamp(path)
        assert stamp is not None, path
        assert stamp["step"] in ("intake", "qc")
        assert stamp["parameters"]
        text = json.dumps(stamp)
        assert str(study) not in text
        assert socket.gethostname() not in text
    assert read_stamp(folder / "intake.h5ad")["inputs"].keys() >= {"cohort.yaml", "counts.h5ad"}
    assert sorted(read_stamp(folder / "qc.parquet")["inputs"]) == [
        f"cohorts/{folder.name}/intake.h5ad",
        f"cohorts/{folder.name}/intake.json",
    ]


def test_a_flipped_bit_stops_the_next_step_before_it_writes(study, capsys):
    folder = folders(study)[0]
    content = bytearray((folder / "qc.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "qc.parquet").write_bytes(content)
    assert main(gene_stats(folder)) == 3
    said = capsys.readouterr().err
    assert f"{folder}/qc.parquet must be as its step wrote it: expected SHA-256" in said
    assert f"Run again after: rm {folder}/qc.parquet" in said
    assert not (folder / "moments.npz").exists()


def test_counts_of_another_cohort_are_found_even_with_their_stamp(study, capsys):
    one, other = folders(study)
    shutil.copyfile(other / "intake.h5ad", one / "intake.h5ad")
    shutil.copyfile(other / ".stamps/intake.h5ad.json", one / ".stamps/intake.h5ad.json")
    # Newer than what was made of it, it is QC that would read it first.
    assert main(qc(one)) == 3
    said = capsys.readouterr().err
    assert f"it was made as cohorts/{other.name}/intake.h5ad: it is of another cohort" in said
    assert "Run again after: rm " in said


def test_counts_that_the_cells_were_not_judged_by_are_found(study, capsys):
    one = folders(study)[0]
    stamp = one / ".stamps" / "qc.parquet.json"
    value = json.loads(stamp.read_text())
    value["inputs"] = dict.fromkeys(value["inputs"], "0" * 64)
    stamp.write_text(json.dumps(value))
    assert main(gene_stats(one)) == 3
    assert "old or of another cohort" in capsys.readouterr().err


def test_the_release_checks_what_it_is_made_of(study, capsys):
    folder = folders(study)[0]
    (folder / "qc.parquet").write_bytes(b"")
    verdicts = study / "results" / "atlas" / "cohorts.json"
    verdicts.parent.mkdir()
    verdicts.write_text(json.dumps({folder.name: {"status": "ok"}}))
    arguments = ["--results", f"{study}/results", "--out", f"{study}/results/release"]
    assert main(["release", *arguments]) == 3
    assert "qc.parquet must be as its step wrote it" in capsys.readouterr().err


def test_a_full_disk_is_named_and_the_next_try_succeeds(study):
    folder = folders(study)[0]
    before = contents(folder)
    code, said = say(gene_stats(folder), preexec_fn=no_larger_than(2000))
    assert code == 1
    assert "a file may not outgrow the limit set for it" in said
    assert "then run again" in said
    assert "Traceback" not in said
    assert contents(folder) == before
    assert main(gene_stats(folder)) == 0


def test_a_full_disk_does_not_quarantine_a_cohort(study):
    cohort, folder = cohorts(study)[0], folders(study)[0]
    before = contents(folder)
    arguments = ["intake", "--cohort-dir", str(cohort), "--out-dir", str(folder)]
    code, said = say(arguments, preexec_fn=no_larger_than(10_000))
    assert code == 1
    assert "a file may not outgrow the limit set for it" in said
    assert contents(folder) == before


def test_a_killed_step_leaves_nothing_that_its_next_try_does_not_mend(study):
    folder = folders(study)[0]
    assert main(gene_stats(folder)) == 0
    undisturbed = contents(folder)
    (folder / "moments.npz").unlink()
    shutil.copyfile(folder / "qc.parquet", folder / ".moments.x1y2.part.npz")
    process = subprocess.Popen([*STEP, *gene_stats(folder)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
        if set(folder.glob(".moments.*.part.npz")) - {folder / ".moments.x1y2.part.npz"}:
            process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(gene_stats(folder)) == 0
    assert contents(folder) == undisturbed


@pytest.mark.parametrize("step", [intake, qc, gene_stats])
def test_what_kill_9_leaves_at_any_write_is_mended_by_the_next_try(
    study, tmp_path, monkeypatch, step
):
    """The folder is copied before a write: what is there if the process is gone at that moment."""
    kept: list[Path] = []
    n_seen, wanted, is_copying = 0, set[int](), False

    def copying_first(call):
        def copied_first(*arguments, **options):
            nonlocal n_seen, is_copying
            if not is_copying:
                n_seen, is_copying = n_seen + 1, True
                if n_seen in wanted:
                    kept.append(Path(shutil.copytree(study, tmp_path / f"at {n_seen}")))
                is_copying = False
            return call(*arguments, **options)

        return copied_first

    monkeypatch.chdir(study)
    words = step(Path("results/cohorts") / folders(study)[0].name)
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, copying_first(getattr(os, name)))
        assert main(words) == 0
        n_calls, n_seen = n_seen, 0
        wanted = set(range(1, n_calls + 1, 1 if EVERY else n_calls // 3))
        assert main(words) == 0
    assert len(kept) >= 3
    undisturbed = contents(study / "results")
    for left in kept:
        monkeypatch.chdir(left)
        assert main(words) == 0, left.name
        assert contents(left / "results") == undisturbed, left.name
        shutil.rmtree(left)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order_with_one_sentence(number, monkeypatch, capsys, tmp_path):
    from pmcell.cli import check
    from pmcell.io.atomic import atomic_path

    def stopped(args):
        with atomic_path(tmp_path / "half") as part:
            part.write_text("half")
            os.kill(os.getpid(), number)

    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(check, "run", stopped)
    try:
        end_in_order()
        assert main(["check"]) == 128 + number
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert capsys.readouterr().err == f"pmcell check: ended by {number.name}\n"
    assert list(tmp_path.iterdir()) == []


def test_steps_work_without_a_home_a_cache_or_a_temporary_folder(study):
    folder = folders(study)[0]
    nowhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "PMCELL_CACHE_DIR"), "/nowhere")
    assert main(gene_stats(folder)) == 0
    usual = (folder / "moments.npz").read_bytes()
    code, said = say(gene_stats(folder), env={"PATH": os.environ["PATH"], **nowhere})
    assert code == 0, said
    assert (folder / "moments.npz").read_bytes() == usual


def test_threads_reach_blas_and_openmp(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from pmcell.cli._job.run import run_step

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = {}

    def run(args: object) -> int:
        seen.update(os.environ)
        return 3

    graph = tmp_path / "graph.h5ad"
    graph.touch()
    args = SimpleNamespace(threads=5, graph=graph, out=tmp_path / "none", config=None)
    assert run_step("cluster", SimpleNamespace(run=run), args) == 3
    assert seen["OMP_NUM_THREADS"] == seen["OPENBLAS_NUM_THREADS"] == "5"
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_second_run_is_told_whose_the_first_is(tmp_path):
    with (
        _lock.only_run(tmp_path),
        pytest.raises(PmcellError, match=rf"process {os.getpid()} on \S+ since 2.* UTC"),
        _lock.only_run(tmp_path),
    ):
        pass
    with _lock.only_run(tmp_path):
        pass


def test_the_lock_of_a_killed_run_is_taken_over_with_that_of_snakemake(tmp_path, capsys):
    code = (
        f"import os; from pathlib import Path; from pmcell.cli.run._lock import only_run\n"
        f"with only_run(Path({str(tmp_path)!r})): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    locks = tmp_path / _lock.SNAKEMAKE_LOCKS
    locks.mkdir()
    (locks / "0.output.lock").write_text("results/release/manifest.json\n")
    with _lock.only_run(tmp_path):
        assert not locks.exists()
    assert "its lock is removed" in capsys.readouterr().err


def test_the_locks_of_a_snakemake_that_was_killed_are_removed_by_the_next_run(tmp_path, capsys):
    with _lock.only_run(tmp_path) as held:
        (tmp_path / _lock.SNAKEMAKE_LOCKS).mkdir()
        held.keep_for_next()
    assert (tmp_path / _lock.SNAKEMAKE_LOCKS).exists()
    with _lock.only_run(tmp_path):
        assert not (tmp_path / _lock.SNAKEMAKE_LOCKS).exists()
    assert "the run before was killed" in capsys.readouterr().err
    assert not (tmp_path / _lock.LOCK).exists()


def test_a_step_that_a_killed_snakemake_started_is_waited_for(tmp_path):
    with _lock.only_run(tmp_path) as held:
        held.keep_for_next()
    script = tmp_path / "pmcell"
    script.write_text("import time; time.sleep(60)")
    step = subprocess.Popen([sys.executable, str(script), "qc"], cwd=tmp_path)
    try:
        with (
            pytest.raises(PmcellError, match=f"still works: process {step.pid}"),
            _lock.only_run(tmp_path),
        ):
            pass
    finally:
        step.kill()
        step.wait()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10, 10), np.dtype("f8")),
        OSError(12, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("Unable to allocate space for the chunk (errno = 12)"),
        ValueError("std::bad_alloc"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_cause", [False, True])
def test_a_step_without_memory_says_so_in_one_sentence(error, is_cause):
    from pmcell.io.system import explain

    if is_cause:
        shown = RuntimeError("could not import")
        shown.__cause__ = error
        error = shown
    said = explain(error) or ""
    assert "--memory" in said
    assert "mem_mb" in said


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("x"), KeyError("memory")])
def test_a_bug_is_no_want_of_memory(error):
    from pmcell.io.system import explain

    assert explain(error) is None


def test_the_lock_of_another_machine_is_kept_with_the_way_to_remove_it(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    owner = {"pid": 12, "host": "node7", "started": "1", "since": "2026-01-01 00:00:00 UTC"}
    (tmp_path / _lock.LOCK).write_text(json.dumps(owner))
    with pytest.raises(PmcellError, match=r"node7.*--unlock"), _lock.only_run(tmp_path):
        pass
    _lock.release_lock(tmp_path)
    with _lock.only_run(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"pid": 1}', "[" * 100_000])
def test_a_lock_that_is_damaged_is_that_of_a_run_that_is_gone(tmp_path, text):
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / _lock.LOCK).write_text(text)
    with _lock.only_run(tmp_path):
        pass
    assert not (tmp_path / _lock.LOCK).exists()


def test_a_copy_of_a_study_in_which_a_run_works_is_free_and_a_renamed_one_is_not(tmp_path):
    study, moved = tmp_path / "study", tmp_path / "moved"
    study.mkdir()
    with _lock.only_run(study):
        shutil.copytree(study, tmp_path / "copy")
        with _lock.only_run(tmp_path / "copy"):
            pass
        study.rename(moved)
        with pytest.raises(PmcellError, match="is in use"), _lock.only_run(moved):
            pass
        moved.rename(study)


def test_a_disk_without_hard_links_locks_too(tmp_path, monkeypatch):
    def refused(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with (
        _lock.only_run(tmp_path),
        pytest.raises(PmcellError, match="is in use"),
        _lock.only_run(tmp_path),
    ):
        pass
    with _lock.only_run(tmp_path):
        pass


def test_a_withdrawal_beside_a_run_is_refused_before_anything_is_recorded(
    tmp_path, monkeypatch, capsys
):
    """The run would bring back what is taken down."""
    cohort = tmp_path / "config" / "cohorts" / "c1"
    make_cohort(cohort, ("anna1", "bert2"), data_use="[DUO:0000042]")
    (tmp_path / "config" / "config.yaml").write_text("use: {purpose: health_research}\n")
    monkeypatch.chdir(tmp_path)
    (cohort / "consent.jsonl").write_text("x")
    monkeypatch.delenv("PMCELL_SIGNING_KEY_FILE", raising=False)
    with _lock.only_run(tmp_path):
        assert main(["withdraw", "bert2", "--cohort", "c1"]) == 1
    assert "is in use: another run works in it" in capsys.readouterr().err
    assert (cohort / "consent.jsonl").read_text() == "x"


def test_what_a_killed_run_started_holds_its_lock(tmp_path):
    shutil.copyfile(shutil.which("sleep"), tmp_path / "snakemake")
    (tmp_path / "snakemake").chmod(0o755)
    (tmp_path / ".snakemake").mkdir()
    owner = {"pid": 2**30, "host": socket.gethostname(), "started": "1", "since": "then"}
    (tmp_path / _lock.LOCK).write_text(json.dumps(owner))
    orphan = subprocess.Popen([str(tmp_path / "snakemake"), "60"], cwd=tmp_path)
    try:
        with pytest.raises(PmcellError, match=f"still works: process {orphan.pid}"):
            _lock.refuse_while_held(tmp_path)
    finally:
        orphan.kill()
        orphan.wait()
    _lock.refuse_while_held(tmp_path)
