"""Snakemake's report, line by line."""

from __future__ import annotations

from pmcell.cli._progress import Progress

STARTED = """\
Job stats:
job      count
-----  -------
total       12

[Sat Nov 21 21:46:58 2026]
localrule mark_cells:
    input: a.h5ad
    output: a.parquet
    log: results/logs/qc/a.log
    jobid: 7
    reason: Missing output files: a.parquet
    wildcards: cohort=a
    resources: tmpdir=/tmp
"""

FAILED = """\
[Sat Nov 21 21:46:59 2026]
Error in rule mark_cells:
    message: None
    jobid: 7
    output: a.parquet
    log: results/logs/qc/a.log (check log file(s) for error details)
    shell:
        pmcell qc --counts a.h5ad
        (command exited with non-zero exit code)
"""


def feed(progress: Progress, text: str) -> list[str]:
    finished = [progress.feed(line) for line in text.splitlines()]
    return [f"{job.rule} {job.wildcards}" for job in finished if job]


def test_total_is_known_before_the_first_job() -> None:
    progress = Progress()
    feed(progress, STARTED)
    assert (progress.done, progress.total) == (0, 12)


def test_started_job_runs_until_it_is_finished() -> None:
    progress = Progress()
    assert feed(progress, STARTED) == []
    assert [job.wildcards for job in progress.running.values()] == ["cohort=a"]
    assert feed(progress, "Finished jobid: 7 (Rule: mark_cells)\n") == ["mark_cells cohort=a"]
    assert progress.running == {}


def test_failed_job_keeps_its_wildcards_and_log() -> None:
    progress = Progress()
    feed(progress, STARTED + FAILED)
    (job,) = progress.failed
    assert (job.rule, job.wildcards) == ("mark_cells", "cohort=a")
    assert job.log == "results/logs/qc/a.log"
    assert progress.running == {}


def test_total_follows_what_snakemake_says_last() -> None:
    progress = Progress()
    feed(progress, STARTED + "3 of 14 steps (21%) done\n")
    assert (progress.done, progress.total) == (3, 14)


def test_lock_is_noticed() -> None:
    progress = Progress()
    feed(progress, "LockException:\nError: Directory cannot be locked. Please make sure\n")
    assert progress.is_locked


def test_finish_of_an_unknown_job_counts_but_names_nothing() -> None:
    progress = Progress()
    assert feed(progress, "Finished jobid: 99 (Rule: x)\n") == []
    assert progress.done == 1
