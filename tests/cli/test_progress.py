"""Snakemake's report, line by line, and what a person is told of it."""

from __future__ import annotations

import io
import re
import sys
import time
from collections import Counter

import pytest

from pmcell.cli.run._display import NAME_WIDTH, display, now, tell
from pmcell.cli.run._progress import Progress
from pmcell.cli.run._remaining import OVERRUN, Need, Remaining, time_left

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
        *("[", "0/12]", "1:05", "qc", "a", "attempt", "2", "with", "1.6", "GB")
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
    assert now(progress) == ("in the queue or running: qc a, intake s, qc s and 1 more; 8 waiting")
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


def rest(progress: Progress, cores: int | None, needs: dict[str, Need] = NEEDS) -> float:
    span = time_left(progress, needs, cores)
    assert span is not None
    assert 0 < span.low < span.middle < span.high
    return span.middle


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        # All at a time: the longest of each rule. Shared: nine of 30 s, then two of 60 s on all.
        (None, 30 + 60),
        (1, 9 * 30 + 2 * 60),
        (4, 3 * 30 + 2 * 60),
    ],
)
def test_the_rest_is_laid_out_on_the_cores_each_job_after_what_it_reads(
    cores: int | None, expected: float
) -> None:
    progress = Progress(clock=lambda: 0.0)
    feed(progress, STARTED)
    assert rest(progress, cores) == pytest.approx(expected)


def test_the_rest_follows_how_fast_the_finished_jobs_were() -> None:
    times = iter([0.0, 150.0])
    progress = Progress(clock=lambda: next(times, 150.0))
    feed(progress, STARTED + "Finished jobid: 7 (Rule: qc)\n")
    # Five times as long as the model says: most of that, since it is one job.
    assert 2 < rest(progress, None) / (30 + 60) < 5


def test_a_rule_that_is_slower_than_the_others_is_slow_in_its_other_jobs_alone() -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    needs = {"qc": Need(10.0), "strata": Need(10.0)}
    feed(progress, STARTED)
    now[0] = 100.0
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    feed(progress, "rule strata:\n    jobid: 9\n")
    now[0] = 110.0
    feed(progress, "Finished jobid: 9 (Rule: strata)\n")
    only_strata = Progress(clock=lambda: now[0])
    only_strata.planned, only_strata.finished = Counter(strata=3), progress.finished
    only_qc = Progress(clock=lambda: now[0])
    only_qc.planned, only_qc.finished = Counter(qc=3), progress.finished
    assert rest(only_qc, 1, needs) > 2 * rest(only_strata, 1, needs)


def test_a_job_that_takes_longer_than_expected_is_not_said_to_end_at_once() -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    feed(progress, STARTED.replace("  9", "  1").replace("  2", "  0"))
    assert rest(progress, None) == pytest.approx(30.0)
    now[0] = 4000.0
    assert rest(progress, None) == pytest.approx(4000.0 * OVERRUN)


def test_the_range_narrows_as_jobs_agree_with_the_model_and_not_as_they_differ() -> None:
    def width(*seconds: float) -> float:
        now = [0.0]
        progress = Progress(clock=lambda: now[0])
        progress.planned = Counter(qc=len(seconds) + 4)
        for number, taken in enumerate(seconds):
            feed(progress, f"rule qc:\n    jobid: {number}\n")
            now[0] += taken
            feed(progress, f"Finished jobid: {number} (Rule: qc)\n")
        span = time_left(progress, NEEDS, 1)
        assert span is not None
        return span.high / span.low

    assert width(*[30.0] * 20) < width(30.0, 30.0) < width()
    assert width(*[30.0] * 20) < width(*[10.0, 90.0] * 10)


def test_at_the_end_nothing_is_left() -> None:
    progress = Progress(clock=lambda: 0.0)
    feed(progress, STARTED.replace("  9", "  1").replace("  2", "  0"))
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert time_left(progress, NEEDS, 1) is None


def test_without_a_model_jobs_are_taken_to_be_like_the_finished_ones() -> None:
    times = iter([0.0, 20.0])
    progress = Progress(clock=lambda: next(times, 20.0))
    feed(progress, STARTED)
    assert time_left(progress, {}, 1) is None
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert rest(progress, 1, {}) == pytest.approx(10 * 20.0)


def test_time_in_the_queue_is_no_work() -> None:
    seconds = [0.0]
    progress = Progress(clock=lambda: seconds[0], work_of=lambda job: 30.0)
    feed(progress, STARTED + "Job 7 has been submitted with SLURM jobid 3 (log: /x).\n")
    seconds[0] = 630.0
    feed(progress, "Finished jobid: 7 (Rule: qc)\n")
    assert progress.queued() == pytest.approx(600.0)
    assert rest(progress, None) == pytest.approx(30 + 60)
    assert now(progress) == "10 waiting; queue so far 10:00 a job"


def test_who_is_interrupted_has_not_failed() -> None:
    progress = Progress()
    feed(progress, STARTED)
    progress.is_interrupted = True
    events = [event for line in FAILED.splitlines() if (event := progress.feed(line))]
    assert [event.kind for event in events] == ["cancelled"]
    assert tell(events[0], progress, 5.0).split()[-2:] == ["a", "cancelled"]
    assert progress.failed == {}


def test_the_rest_is_not_calculated_more_often_than_it_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds, calls, spent = [0.0], [0], [0.0]
    progress = Progress(clock=lambda: seconds[0])
    feed(progress, STARTED)

    def costly(*arguments: object) -> None:
        calls[0] += 1
        spent[0] += 2.0

    monkeypatch.setattr("pmcell.cli.run._remaining.time_left", costly)
    monkeypatch.setattr(time, "thread_time", lambda: spent[0])
    remaining = Remaining(progress, NEEDS, 1)
    for seconds[0] in range(1000):
        remaining.now()
    assert spent[0] <= 0.03 * 1000


LONG = "a_cohort_with_a_very_long_name_of_sixty_four_letters_as_allowed"


def test_no_line_is_wider_than_a_terminal_of_eighty_columns() -> None:
    seconds = [0.0]
    progress = Progress(clock=lambda: seconds[0])
    text = STARTED.replace("cohort=a", f"cohort={LONG}").replace(" qc", " differential_expression")
    feed(progress, text.replace("rule qc", "rule differential_expression"))
    seconds[0] = 4000.0
    (event,) = filter(None, [progress.feed("Finished jobid: 7 (Rule: x)")])
    line = tell(event, progress, 35999.0) + "  10 to 20 min left"
    assert len(line) <= 80
    assert "differential_exp…" in line
    assert line.index(" 4000.0 s") == len("[ 1/12] 599:59  ") + NAME_WIDTH + 1


def test_names_do_not_push_out_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with display(Progress(clock=lambda: 0.0), NEEDS, 1) as show:
        for line in STARTED.replace("cohort=a", f"cohort={LONG}").splitlines():
            show(line)
    frames = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", stream.getvalue()).splitlines()
    drawn = "".join(frames)
    assert "0 of 12" in drawn
    assert "min left" in drawn
    assert LONG not in drawn


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
    assert err[0] == "pmcell run: 12 steps to do, 4 to 10 min"
    assert re.search(r"running: qc a; 10 waiting; \d+ to \d+ min left$", err[1])
    assert err[-1].split()[:4] == ["[", "1/12]", "1:02", "qc"]
    assert err[-1].endswith("min left")
