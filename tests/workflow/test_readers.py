"""Commands that read results or a release beside a run: whole, or told that a run is at work."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

import pytest

from pmcell.cli import main
from pmcell.cli._reading import undisturbed
from pmcell.cli.run import _lock
from pmcell.cli.run._readers import JOB_OF_RUN, reading_results
from pmcell.errors import PmcellError
from pmcell.io.held_folder import hold_folder, when_nobody_reads
from pmcell.publish.folder import whole_folder


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study in which a run has been."""
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["seal", "--results", "results", "--out", "sealed", "--config", "config.yaml"],
        ["release", "--results", "results", "--out", "results/release"],
        ["export", "alpha:D1", "--recipient", "key.pub", "--out", "package"],
        ["receipts", "alpha:D1"],
        ["withdraw", "D1", "--cohort", "alpha", "--scan-only"],
    ],
)
def test_results_are_not_read_while_a_run_works(study, words, capsys):
    with _lock.only_run(study):
        assert main(words) == 1
    assert "another run works in it" in capsys.readouterr().err
    assert sorted(path.name for path in study.iterdir()) == [".snakemake", "results"]
    assert not list((study / ".snakemake").iterdir())


def test_no_run_begins_while_results_are_read(study):
    with reading_results(study, "seal"):
        with (
            pytest.raises(PmcellError, match=rf"pmcell seal reads .*process {os.getpid()} "),
            _lock.only_run(study),
        ):
            pass
        assert not (study / _lock.LOCK).exists()
        with pytest.raises(PmcellError, match="pmcell seal reads"):
            _lock.refuse_while_used(study)
    with _lock.only_run(study):
        pass


def test_several_may_read_at_once(study):
    code = (
        "from pathlib import Path; from pmcell.cli.run._readers import reading_results\n"
        f"with reading_results(Path({str(study)!r}), 'export'): print('reads', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "reads\n"
        with reading_results(study, "seal"):
            pass
        with pytest.raises(PmcellError, match="pmcell export"), _lock.only_run(study):
            pass
        other.communicate("\n")
    with _lock.only_run(study):
        pass


def test_the_mark_of_a_reader_that_was_killed_stops_no_run(study):
    code = (
        "import os; from pathlib import Path; from pmcell.cli.run._readers import reading_results\n"
        f"with reading_results(Path({str(study)!r}), 'seal'): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert list((study / ".snakemake").glob(_lock.MARKS))
    with _lock.only_run(study):
        assert not list((study / ".snakemake").glob(_lock.MARKS))


def test_the_mark_of_another_machine_is_kept_with_the_way_to_remove_it(study):
    mark = study / ".snakemake" / _lock.MARKS.replace("*", "node7.1")
    owner = {**_lock.owner_now(mark), "host": "node7", "command": "seal"}
    mark.write_text(json.dumps(owner))
    with (
        pytest.raises(PmcellError, match=r"on node7 .* rm .*node7\.1\.json"),
        _lock.only_run(study),
    ):
        pass
    assert mark.exists()


def test_a_job_of_the_run_reads_what_the_run_gives_it(study, monkeypatch):
    with _lock.only_run(study), pytest.raises(PmcellError), reading_results(study, "seal"):
        pass
    monkeypatch.setenv(JOB_OF_RUN, os.path.realpath(study))
    with _lock.only_run(study), reading_results(study, "seal"):
        pass
    monkeypatch.setenv(JOB_OF_RUN, "/another/study")
    with _lock.only_run(study), pytest.raises(PmcellError), reading_results(study, "seal"):
        pass


def test_a_job_that_plain_snakemake_started_reads_and_a_stranger_does_not(study):
    """Without pmcell's lock and variable: by who stands above whom."""
    call = (
        "from pathlib import Path; from pmcell.cli.run._readers import reading_results\n"
        f"with reading_results(Path({str(study)!r}), 'seal'): pass"
    )
    snakemake = study / "snakemake"
    snakemake.write_text(
        "import subprocess, sys\n"
        f"code = subprocess.run([sys.executable, '-c', {call!r}]).returncode\n"
        "print('job', code, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(snakemake)],
        cwd=study,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "job 0\n"
        with (
            pytest.raises(PmcellError, match=rf"Snakemake works in it \(process {process.pid}\)"),
            reading_results(study, "seal"),
        ):
            pass
        process.communicate("")
    with reading_results(study, "seal"):
        pass


def test_where_nobody_may_write_a_run_that_began_meanwhile_is_told(study, monkeypatch):
    monkeypatch.setattr("pmcell.cli.run._readers.write_json", _refuse)
    with (
        ExitStack() as run,
        pytest.raises(PmcellError, match="another run works in it"),
        reading_results(study, "seal"),
    ):
        run.enter_context(_lock.only_run(study))


def _refuse(*_):
    raise PermissionError(13, "Permission denied")


def test_results_without_a_study_are_read(tmp_path):
    with undisturbed("seal", Namespace(results=tmp_path / "results")):
        pass
    assert not list(tmp_path.iterdir())


def test_a_release_that_a_run_makes_anew_is_said_to_be_made(study, capsys):
    """Snakemake takes the manifest away before the job."""
    release = study / "results" / "release"
    with _lock.only_run(study):
        assert main(["verify", "results/release"]) == 1
    (release / "tables").mkdir(parents=True)
    for words in (
        ["verify", "results/release"],
        ["report", "--release", "results/release"],
        ["gaps", "results/release"],
        ["release", "diff", "results/release", "results/release"],
    ):
        with _lock.only_run(study):
            assert main(words) == 1
        assert "another run works in it" in capsys.readouterr().err
        assert main(words) in (2, 3)
        assert "another run" not in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file/x/y", "file/x", "file", "none/none/none"])
def test_what_is_no_release_anywhere_is_said_as_before(study, capsys, place):
    (study / "file").write_text("x")
    assert main(["verify", place]) == 2
    assert "a release must be a folder" in capsys.readouterr().err


def _release(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(
        json.dumps({"pmcell": text, "content_sha256": text, "cohorts": {}})
    )
    (folder / "part").write_text(text)
    return folder


def test_a_release_is_replaced_once_nobody_reads_it(tmp_path, capfd):
    release = _release(tmp_path / "release", "old")
    seen = []

    def replace():
        with whole_folder(release) as folder:
            (folder / "part").write_text("new")

    with hold_folder(release):
        writer = threading.Thread(target=replace)
        writer.start()
        time.sleep(0.5)
        seen.append((release / "part").read_text())
    writer.join(30)
    assert not writer.is_alive()
    assert (*seen, (release / "part").read_text()) == ("old", "new")
    assert "is being read" in capfd.readouterr().err


def test_a_writer_does_not_wait_for_ever_and_the_reader_is_told(tmp_path):
    release = _release(tmp_path / "release", "old")
    with pytest.raises(PmcellError, match="may be of two releases"), hold_folder(release):
        with when_nobody_reads(release, wait=0.1):
            release.rename(tmp_path / "older")
        _release(tmp_path / "release", "new")


def test_an_error_of_a_reader_stays_its_own_unless_the_release_was_replaced(tmp_path):
    release = _release(tmp_path / "release", "old")
    with pytest.raises(KeyError, match="mine"), hold_folder(release):
        raise KeyError("mine")
    with pytest.raises(PmcellError, match="taken away"), hold_folder(release):
        shutil.rmtree(release)
        raise FileNotFoundError("no part")
    with hold_folder(tmp_path / "none"), hold_folder(Path("/dev/null")):
        pass
