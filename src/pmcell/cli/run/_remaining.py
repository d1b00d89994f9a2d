"""How long a run will still take, as a range: what finished in this run says how fast it goes.

The workflow's model of time only says how jobs compare with each other; how fast they go here
and now is measured. Time in a scheduler's queue is no work: it is kept apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import TYPE_CHECKING

from pmcell.cli.run._progress import Progress
from pmcell.cli.run._schedule import Left, end_of

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study

TYPICAL_SECONDS = 5.0
"""Jobs of about this length are where level and slope of the speed are told apart."""

MIN_SECONDS = 0.5
"""No job is taken to be shorter."""

HELD_SLOPE = 30.0
"""How much the slope is held towards zero, in jobs that the model expects to be 2.7 times that."""

PRIOR_JOBS, PRIOR_SPREAD = 4, log(2)
"""Before jobs have finished, the model is taken to be wrong by a factor of two either way."""

HALF_LIFE = 300.0
"""A job that finished so many seconds ago counts half of one that finishes now."""

OVERRUN = 0.12
"""A running job is given at least this share of its time so far: who is late stays late a while."""

COST = 50
"""The rest is calculated anew after this many times what the calculation takes: 2 % of a core."""


@dataclass(frozen=True)
class Need:
    """Expected wall time (s) of a job of a rule, the mean over cohorts or of each, and threads."""

    seconds: float
    threads: int = 1
    of_cohort: Mapping[str, float] = field(default_factory=dict)

    def of(self, cohort: str) -> float:
        """Expected wall time of the job of a cohort."""
        return self.of_cohort.get(cohort, self.seconds)


@dataclass(frozen=True)
class Span:
    """A time (s) and the range it is expected to lie in."""

    low: float
    middle: float
    high: float


def needs_of(study: Study) -> dict[str, Need]:
    """What a job of each rule is expected to need; empty without a model.

    The sizes of the cohorts are read from their headers where they are not known yet, and kept for
    the workflow.
    """
    from pmcell.cli.run.estimate import study_sizes
    from pmcell.errors import PmcellError

    try:
        model, sizes, _ = study_sizes(study)
        seconds: dict[str, dict[str, float]] = defaultdict(dict)
        for step, cohort, size in model.jobs(sizes):
            seconds[step][cohort] = model.formula.predict(model.values, step, "seconds", size)
        return {
            step: Need(sum(found.values()) / len(found), model.steps[step]["threads"], found)
            for step, found in seconds.items()
        }
    except (PmcellError, OSError, ValueError, ArithmeticError):
        return {}


def time_left(
    progress: Progress, needs: Mapping[str, Need], cores: int | None = None
) -> Span | None:
    """Return the wall time until the run ends, None where nothing is known of what is left.

    Parameters
    ----------
    progress
        What finished, runs and waits.
    needs
        What jobs are expected to need, as they compare with each other.
    cores
        Cores that the jobs share; None for as many as are wanted, as on a cluster.

    Notes
    -----
    The jobs that are left are laid out on the cores, each after what it reads, and each with the
    model's seconds at the speed of this run: that of its own rule where jobs of it have finished,
    else of all. The range follows from how far the finished jobs lie apart from the model.
    """
    needs = needs or _measured(progress)
    speeds = _Speeds(progress, needs)
    jobs = list(_left(progress, needs, speeds))
    if not needs or not jobs:
        return None
    middle = end_of(jobs, cores)
    work = sum(job.seconds for job in jobs) or 1.0
    alone = sqrt(sum(job.seconds**2 for job in jobs)) / work
    factor = exp(speeds.spread * sqrt(alone**2 + 1 / (PRIOR_JOBS + speeds.n_finished)))
    return Span(middle / factor, middle, middle * factor)


class Remaining:
    """The time that is left, calculated no more often than is worth it."""

    def __init__(self, progress: Progress, needs: Mapping[str, Need], cores: int | None) -> None:
        self._progress, self._needs, self._cores = progress, needs, cores
        self._found: Span | None = None
        self._at = self._cost = 0.0
        self._state: tuple[int, int] | None = None

    def now(self) -> Span | None:
        """Return the time that is left."""
        import time

        clock = self._progress.clock()
        state = len(self._progress.finished), len(self._progress.running)
        due = max(COST * self._cost, 0.0 if state != self._state else 1.0)
        if self._state is None or clock - self._at >= due:
            start = time.thread_time()
            self._found = time_left(self._progress, self._needs, self._cores)
            self._cost, self._at, self._state = time.thread_time() - start, clock, state
        return self._found


def about(span: Span | None) -> str:
    """Return a range of time as a person says it; one number where both ends are said alike.

    >>> about(Span(170, 200, 310)), about(Span(38, 42, 44)), about(Span(5400, 9000, 12000))
    ('3 to 5 min', 'about 40 s', '1.5 to 3.3 h')
    >>> about(None)
    ''
    """
    if span is None:
        return ""
    if span.high < 95:
        unit, low, high = "s", _tens(span.low), _tens(span.high)
    elif span.high < 5400:
        unit, low, high = "min", f"{max(span.low / 60, 1):.0f}", f"{span.high / 60:.0f}"
    else:
        unit, low, high = "h", f"{span.low / 3600:.1f}", f"{span.high / 3600:.1f}"
    return f"about {high} {unit}" if low == high else f"{low} to {high} {unit}"


def _tens(seconds: float) -> str:
    return str(max(round(seconds / 10), 1) * 10)


@dataclass(frozen=True)
class _Ran:
    """A job that finished, or runs longer than expected: its time (s), and the model's."""

    rule: str
    seconds: float
    expected: float
    weight: float = 1.0


class _Speeds:
    """What jobs take in this run, by what the model expects of them; how far they lie apart.

    `log(seconds / expected) = level + slope * log(expected / TYPICAL_SECONDS)`, fitted to the jobs
    that finished. The slope is held towards zero; it falls where others use the machine as well
    and the start of a job waits longer than its work: short jobs then say less of long ones.
    """

    def __init__(self, progress: Progress, needs: Mapping[str, Need]) -> None:
        self._needs = needs
        self._of_rule: dict[str, float] = {}
        ran = list(_finished(progress, needs))
        self.n_finished = len(ran)
        self._level, self._slope = _fit(ran)
        # Who runs longer than expected says already that it goes slower.
        self._level, self._slope = _fit([*ran, *_late(progress, needs, self)])
        for rule in {job.rule for job in ran}:
            own = [job for job in ran if job.rule == rule]
            off = sum(job.weight * self._off(job) for job in own)
            self._of_rule[rule] = exp(off / (0.5 + sum(job.weight for job in own)))
        squares = sum(self._off(job) ** 2 for job in ran)
        self.spread = sqrt((PRIOR_JOBS * PRIOR_SPREAD**2 + squares) / (PRIOR_JOBS + len(ran)))

    def seconds(self, rule: str, cohort: str) -> float:
        """Return what a job is expected to take in this run."""
        return self._of_all(self._needs[rule].of(cohort)) * self._of_rule.get(rule, 1.0)

    def _of_all(self, expected: float) -> float:
        expected = max(expected, MIN_SECONDS)
        return expected * exp(self._level + self._slope * log(expected / TYPICAL_SECONDS))

    def _off(self, job: _Ran) -> float:
        return log(job.seconds / self._of_all(job.expected))


def _fit(jobs: Iterable[_Ran]) -> tuple[float, float]:
    """Return level and slope, by least squares; both are held towards zero."""
    a, b, c = 1.0, 0.0, HELD_SLOPE
    d = e = 0.0
    for job in jobs:
        x, y = log(job.expected / TYPICAL_SECONDS), log(job.seconds / job.expected)
        a, b, c = a + job.weight, b + job.weight * x, c + job.weight * x * x
        d, e = d + job.weight * y, e + job.weight * x * y
    determinant = a * c - b * b
    return (d * c - b * e) / determinant, (a * e - b * d) / determinant


def _finished(progress: Progress, needs: Mapping[str, Need]) -> Iterator[_Ran]:
    known = [job for job in progress.finished if job.rule in needs]
    rules_of_group: dict[int, set[str]] = defaultdict(set)
    for job in (*known, *progress.running.values()):
        rules_of_group[job.group].add(job.rule)
    now = progress.clock()
    for job in known:
        # Members of a group start and end together, one rule after the other.
        shared = job.seconds / len(rules_of_group[job.group]) if job.group else job.seconds
        age = now - job.started - job.seconds
        weight = 0.5 ** (age / HALF_LIFE)
        seconds = shared if job.work is None else job.work
        yield _Ran(
            job.rule,
            max(seconds, MIN_SECONDS),
            max(needs[job.rule].of(job.cohort), MIN_SECONDS),
            weight,
        )


def _late(progress: Progress, needs: Mapping[str, Need], speeds: _Speeds) -> Iterator[_Ran]:
    for job in progress.running.values():
        if job.rule not in needs or job.is_submitted or job.group:
            continue
        seconds, expected = progress.clock() - job.started, needs[job.rule].of(job.cohort)
        if seconds > speeds.seconds(job.rule, job.cohort):
            yield _Ran(job.rule, seconds, expected)


def _left(progress: Progress, needs: Mapping[str, Need], speeds: _Speeds) -> Iterator[Left]:
    """Jobs that run or wait, with what each will still take."""
    seen: dict[str, set[str]] = defaultdict(set)
    for job in (*progress.finished, *progress.running.values()):
        seen[job.rule].add(job.cohort)
    for job in progress.running.values():
        if job.rule not in needs:
            continue
        # When a submitted job starts is not told: it is taken to be in the queue still.
        elapsed = 0.0 if job.is_submitted else progress.clock() - job.started
        rest = max(speeds.seconds(job.rule, job.cohort) - elapsed, elapsed * OVERRUN)
        yield Left(job.rule, job.cohort, rest, needs[job.rule].threads, runs=True)
    for rule, n_jobs in progress.left().items():
        if rule not in needs:
            continue
        need = needs[rule]
        names = [name for name in need.of_cohort if name not in seen[rule]]
        names += [f"{number}" for number in range(n_jobs - len(names))]
        for name in names[:n_jobs]:
            yield Left(rule, name, speeds.seconds(rule, name), need.threads)


def _measured(progress: Progress) -> dict[str, Need]:
    """Without a model: every job takes what the finished ones took."""
    if not progress.finished:
        return {}
    mean = sum(job.seconds for job in progress.finished) / len(progress.finished)
    return {rule: Need(mean) for rule in progress.planned if rule != "all"}
