"""How well the time that is shown as left agreed with runs as they happened.

`s200` is 200,000 cells on an idle machine, without the release; `demo` the embedded cohorts and
`held` 29,000 simulated cells, both while ten other jobs wanted each core.
"""

from __future__ import annotations

import pytest

from pmcell.cli.run._remaining import time_left
from recorded_runs import read_recorded, replay

RECORDED = ("s200", "demo", "held")


@pytest.mark.parametrize("name", RECORDED)
def test_in_the_last_third_the_rest_is_never_wrong_by_more_than_half(name: str) -> None:
    run = read_recorded(name)
    needs = run.needs()
    shown = 0
    # What is said in tens of seconds cannot be nearer, nor a job that ends any moment.
    allowance = max(10.0, 0.05 * run.end)
    for now, progress in replay(run, every=run.end / 60):
        if now < run.end * 2 / 3 or (span := time_left(progress, needs, run.cores)) is None:
            continue
        actual = run.end - now
        assert abs(span.middle - actual) <= 0.5 * actual + allowance, (now, actual, span)
        assert span.high <= 6 * span.low
        shown += 1
    assert shown >= 20


def test_on_an_idle_machine_the_rest_is_right_within_half_from_the_first_job_on() -> None:
    run = read_recorded("s200")
    needs = run.needs()
    errors = []
    for now, progress in replay(run, every=10):
        span = time_left(progress, needs, run.cores)
        if progress.finished and span is not None and now < run.end * 2 / 3:
            errors.append(span.middle / (run.end - now))
    assert min(errors) > 0.5
    assert max(errors) < 1.5


def test_a_recording_is_replayed_to_its_end() -> None:
    run = read_recorded("demo")
    *_, (now, progress) = replay(run, every=60)
    assert now == run.end
    assert len(progress.finished) == len(run.jobs)
    assert not progress.running
    assert time_left(progress, run.needs(), run.cores) is None
