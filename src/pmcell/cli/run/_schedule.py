"""When the jobs that are left would end, each starting once its input is there and a core free.

Which job waits for which is taken from the table of steps.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from pmcell.steps import BY_NAME, STEPS


@dataclass(frozen=True)
class Left:
    """A job that is not finished: what it will still take (s), and whether it has started."""

    rule: str
    cohort: str
    seconds: float
    threads: int = 1
    runs: bool = False


def end_of(jobs: Sequence[Left], cores: int | None) -> float:
    """Return the wall time (s) until the last job ends.

    Parameters
    ----------
    jobs
        Jobs that run or wait; those that wait start in the order of the flow.
    cores
        Cores that they share; None for as many as are wanted, as on a cluster.

    Examples
    --------
    >>> qc = [Left("qc", name, 10.0) for name in "abc"]
    >>> end_of([*qc, Left("hvg", "", 5.0)], cores=2), end_of([*qc, Left("hvg", "", 5.0)], None)
    (25.0, 15.0)
    """
    unfinished = Counter((job.rule, job.cohort) for job in jobs)
    of_rule = Counter(job.rule for job in jobs)
    waiting: dict[str, list[Left]] = {}
    for job in sorted(jobs, key=lambda job: _place(job.rule)):
        if not job.runs:
            waiting.setdefault(job.rule, []).append(job)
    ends: list[tuple[float, int, int, Left]] = []
    numbers = itertools.count()
    free, now = inf if cores is None else float(cores), 0.0

    def start(job: Left) -> float:
        width = job.threads if cores is None else min(job.threads, cores)
        heapq.heappush(ends, (now + job.seconds, next(numbers), width, job))
        return width

    def is_ready(job: Left) -> bool:
        return not any(unfinished[rule, job.cohort] for rule in waits_for(job.rule)[1])

    for job in jobs:
        if job.runs:
            free -= start(job)
    while ends or waiting:
        for rule, queue in list(waiting.items()):
            if free < 1:
                break
            if any(of_rule[other] for other in waits_for(rule)[0]):
                continue
            for job in [job for job in queue if is_ready(job)]:
                if free < (1 if cores is None else min(job.threads, cores)):
                    break
                queue.remove(job)
                free -= start(job)
            if not queue:
                del waiting[rule]
        if not ends:
            # A plan that the table of steps does not explain: its jobs one after the other.
            return now + sum(job.seconds for queue in waiting.values() for job in queue)
        now, _, width, job = heapq.heappop(ends)
        free += width
        unfinished[job.rule, job.cohort] -= 1
        of_rule[job.rule] -= 1
    return now


@functools.cache
def waits_for(rule: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the steps that a step waits for, directly or not: of all cohorts, and of its own.

    >>> across, own = waits_for("covariance")
    >>> "hvg" in across, "qc" in across, sorted(own)
    (True, True, ['intake', 'qc'])
    >>> sorted(waits_for("gene_stats")[1])
    ['intake', 'qc']
    """
    if rule not in BY_NAME:
        return frozenset(), frozenset()
    step = BY_NAME[rule]
    across: set[str] = set()
    own: set[str] = set()
    for made in STEPS:
        if made is step or not set(made.outputs) & set(step.inputs):
            continue
        own_before = waits_for(made.name)
        across |= own_before[0]
        (own if step.per_cohort and made.per_cohort else across).add(made.name)
        (own if step.per_cohort and made.per_cohort else across).update(own_before[1])
    return frozenset(across), frozenset(own)


def _place(rule: str) -> int:
    """Place of a rule in the flow; after it what is no step."""
    return next((n for n, step in enumerate(STEPS) if step.name == rule), len(STEPS))
