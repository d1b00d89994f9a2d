"""Snakemake's report, line by line, and what a person is told of it."""

from __future__ import annotations

import time

import pytest

from pmcell.cli.run._display import display, now, tell
from pmcell.cli.run._progress import Progress
from pmcell.cli.run._remaining import Need, seconds_left

STARTED = """\
Job stats:
job           count
----------  -------
qc        9
strata       2
all               1
total            12

[Sat Nov 21 21:46:58 2026]
localrule qc:
    input: a.h5ad
    output: a.parquet
    log: results/logs/qc/a.log
    jobid: 7
    reason: Missing output files: a.parquet
    wildcards: cohort=a
    resources: tmpdir=/tmp, mem_mb=821, mem=821 MB
"""

FAILED = """\
[Sat Nov 21 21:46:59 2026]
Error in rule qc:
    message: None
    jobid: 7
    output: a.parquet
    log: results/logs/qc/a.log (check log file(s) for error details)
    shell:
        pmcell qc --counts a.h5ad
        (command exited with non-zero exit code)
"""

AGAIN = "Trying to restart job 7.\n" + STARTED[STARTED.index("[Sat") :].replace("821", "1642")

# As printed by Snakemake 9.27 with the Slurm plugin 2.8.
GROUP = """\
[Mon Nov 23 01:06:11 2026] Group job register (jobs in lexicogr. order):

    [Mon Nov 23 01:06:11 2026]
    rule intake:
        log: results/logs/intake/s.log
        jobid: 5
        wildcards: cohort=s
        resources: tmpdir=<TBD>, mem_mb=821
Shell command: pmcell intake

    [Mon Nov 23 01:06:11 2026]
    rule qc:
        log: results/logs/qc/s.log
        jobid: 6
        wildcards: cohort=s
        resources: tmpdir=<TBD>, mem_mb=821
Shell command: pmcell qc
Job cce2bbe9 has been submitted with SLURM jobid 2 (log: /x/2.log).

[Mon Nov 23 01:12:12 2026]
rule strata:
    jobid: 8
    resources: tmpdir=<TBD>, mem_mb=821
Job 8 has been submitted with SLURM jobid 3 (log: /x/3.log).
"""


def feed(progress: Progress, text: str) -> list[str]:
    events = [progress.feed(line) for line in text.splitlines()]
    return [f"{event.kind} {event.job.name}" for event in events if event]


def test_total_and_jobs_of_each_rule_are_known_before_the_first_job() -> None:
    progress = Progress()
    feed(progress, STARTED)
    assert (progress.done, progress.total) == (0, 12)
    assert progress.left() == {"qc": 8, "strata": 2, "all": 1}


def test_started_job_runs_until_it_is_finished() -> None:
    progress = Progress()
    assert feed(progress, STARTED) == ["started qc cohort=a"]
    assert [job.wildcards for job in progress.running.values()] == ["cohort=a"]
    said = "Finished jobid: 7 (Rule: qc)\n"
    assert feed(progress, said) == ["finished qc cohort=a"]
    assert progress.running == {}


def test_failed_job_keeps_its_wildcards_and_log() -> None:
    progress = Progress()
    assert feed(progress, STARTED + FAILED)[-1] == "failed qc cohort=a"
    (job,) = progress.failed.values()
    assert (job.rule, job.wildcards) == ("qc", "cohort=a")
    assert job.log == "results/logs/qc/a.log"
    assert progress.running == {}


def test_a_second_attempt_is_told_with_its_memory_and_is_no_failure_once_it_finished() -> None:
    progress = Progress()
    feed(progress, STARTED + FAILED)
    lines = [event for line in AGAIN.splitlines() if (event := progress.feed(line))]
    assert tell(lines[0], progress, 65.0).split() == [
        *("[", "0/12]", "1:05", "qc", "cohort=a", "attempt", "2", "with", "1.6", "GB")
    ]
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert progress.failed == {}
    assert [(job.attempt, job.memory_mb) for job in progress.retried()] == [(2, 1642)]


def test_the_log_of_a_failed_job_is_not_taken_for_news() -> None:
    ruler = "=" * 32 + "\n"
    quoted = f"Logfile results/logs/slurm/72.log:\n{ruler}=========\n{STARTED}{FAILED}{ruler}"
    progress = Progress()
    said = feed(progress, STARTED + FAILED + quoted + quoted + AGAIN)
    assert said == [f"{kind} qc cohort=a" for kind in ("started", "failed", "started")]
    assert progress.attempts == {"7": 2}


def test_members_of_a_group_and_submitted_jobs_are_followed() -> None:
    progress = Progress(clock=iter(range(0, 1000, 10)).__next__)
    assert feed(progress, STARTED + GROUP)[1:] == [
        "started intake cohort=s",
        "started qc cohort=s",
        "started strata",
    ]
    assert [job.group for job in progress.running.values()] == [0, 1, 1, 0]
    assert [job.is_submitted for job in progress.running.values()] == [False, True, True, True]
    assert now(progress, 200.0) == (
        "in the queue or running: qc cohort=a, intake cohort=s, "
        "qc cohort=s and 1 more; 8 waiting; about 3 min left"
    )
    assert feed(progress, "Finished jobid: 6 (Rule: qc)\n") == ["finished qc cohort=s"]


def test_failed_members_of_a_group_are_named() -> None:
    progress = Progress()
    feed(progress, GROUP)
    text = "    jobs:\n        rule qc:\n            jobid: 6\n            log: q.log (check)"
    assert feed(progress, text) == ["failed qc cohort=s"]
    assert list(progress.running) == ["5", "8"]


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


NEEDS = {"qc": Need(30.0), "strata": Need(60.0, threads=4)}


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        # All at a time: the longest of each rule. Shared: nine of 30 s, and two of 60 s on all.
        (None, 30 + 60),
        (1, 9 * 30 + 2 * 60),
        (4, (9 * 30 + 2 * 60 * 4) / 4),
    ],
)
def test_the_rest_is_the_chain_or_the_work_that_cores_share(
    cores: int | None, expected: float
) -> None:
    progress = Progress(clock=lambda: 0.0)
    feed(progress, STARTED)
    assert seconds_left(progress, NEEDS, cores) == pytest.approx(expected)


def test_the_rest_follows_how_finished_jobs_compare_with_the_model() -> None:
    times = iter([0.0, 150.0])
    progress = Progress(clock=lambda: next(times, 150.0))
    feed(progress, STARTED + "Finished jobid: 7 (Rule: qc)\n")
    correction = (150 + 10) / (30 + 10)
    assert seconds_left(progress, NEEDS, None) == pytest.approx((30 + 60) * correction)


def test_a_job_that_takes_longer_than_expected_is_not_said_to_end_at_once() -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    feed(progress, STARTED.replace("  9", "  1").replace("  2", "  0"))
    assert seconds_left(progress, NEEDS, None) == pytest.approx(30.0)
    now[0] = 400.0
    assert seconds_left(progress, NEEDS, None) == pytest.approx(100.0)


def test_at_the_end_nothing_is_left() -> None:
    progress = Progress(clock=lambda: 0.0)
    feed(progress, STARTED.replace("  9", "  1").replace("  2", "  0"))
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert seconds_left(progress, NEEDS, 1) is None


def test_without_a_model_jobs_are_taken_to_be_like_the_finished_ones() -> None:
    times = iter([0.0, 20.0])
    progress = Progress(clock=lambda: next(times, 20.0))
    feed(progress, STARTED)
    assert seconds_left(progress, {}, 1) is None
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert seconds_left(progress, {}, 1) == pytest.approx(10 * 20.0)


def test_in_a_file_a_long_silence_is_broken_by_what_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds, said = [0.0], ""
    with display(Progress(clock=lambda: seconds[0]), NEEDS, 1) as show:
        for line in STARTED.splitlines():
            show(line)
        seconds[0] = 61.0
        while "running:" not in said:
            said += capsys.readouterr().err
            time.sleep(0.01)
        seconds[0] = 62.0
        show("Finished jobid: 7 (Rule: qc)")
    err = (said + capsys.readouterr().err).splitlines()
    assert err[0] == "pmcell run: 12 steps to do, about 6 min"
    assert "running: qc cohort=a; 10 waiting; about 6 min left" in err[1]
    assert err[-1].split()[:4] == ["[", "1/12]", "1:02", "qc"]
    assert err[-1].endswith("min left")
