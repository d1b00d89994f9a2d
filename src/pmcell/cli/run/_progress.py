"""What Snakemake reports while it runs, line by line: on this machine or through a scheduler."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

_STARTED = re.compile(r"^(?: {4})?(?:local)?(?:rule|checkpoint) (\w+):$")
_FAILED = re.compile(r"^(?:Error in (?:rule|checkpoint)| {8}rule) (\w+)(?:, jobid: \d+)?:?$")
_GROUP = re.compile(r"^(?:\[.*\] )?Group job (\S+)")
_ENTRY = re.compile(r"^(?: {4}){1,3}(\w+): (.*)$")
_SUBMITTED = re.compile(r"^(?:Job|Submitted job) (\S+) (?:has been submitted|with external)")
_FINISHED = re.compile(r"^Finished jobid: (\d+)")
_COUNT = re.compile(r"^(\d+) of (\d+) steps")
_PLANNED = re.compile(r"^(\w+) +(\d+)$")
_QUOTED = re.compile(r"^Logfile .*:$")
_MEMORY = re.compile(r"\bmem_mb=(\d+)")


@dataclass
class Job:
    """One job: its rule, what Snakemake says of it, when it started and how long it took (s).

    `work` is the time without that in a scheduler's queue, where it is known.
    """

    rule: str
    entries: dict[str, str] = field(default_factory=dict)
    started: float = 0.0
    seconds: float = 0.0
    work: float | None = None
    attempt: int = 1
    group: int = 0
    is_submitted: bool = False

    @property
    def name(self) -> str:
        """Rule and wildcards, `mark_cells cohort=liu_b1`."""
        return f"{self.rule} {self.wildcards}".strip()

    @property
    def wildcards(self) -> str:
        """Wildcards as Snakemake prints them, `cohort=liu_b1`; empty for rules without."""
        return self.entries.get("wildcards", "")

    @property
    def cohort(self) -> str:
        """Cohort of the job, `liu_b1`; empty for a job across cohorts."""
        return self.wildcards.partition("cohort=")[2].partition(",")[0]

    @property
    def log(self) -> str:
        """Path of the job's log file; empty when the rule declares none."""
        return self.entries.get("log", "").split(" (check log")[0].split(",")[0].strip()

    @property
    def memory_mb(self) -> int | None:
        """Memory that it asked for; None where Snakemake does not say."""
        found = _MEMORY.search(self.entries.get("resources", ""))
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Event:
    """What became of a job."""

    kind: Literal["started", "failed", "cancelled", "finished"]
    job: Job


@dataclass
class Progress:
    """The state of a run after the lines fed so far.

    Examples
    --------
    >>> progress = Progress()
    >>> for line in ["rule qc:", "    jobid: 3", "    wildcards: cohort=a", "Finished jobid: 3"]:
    ...     event = progress.feed(line)
    >>> event.kind, event.job.name, progress.done
    ('finished', 'qc cohort=a', 1)
    """

    total: int = 0
    done: int = 0
    planned: Counter[str] = field(default_factory=Counter)
    running: dict[str, Job] = field(default_factory=dict)
    finished: list[Job] = field(default_factory=list)
    failed: dict[str, Job] = field(default_factory=dict)
    cancelled: dict[str, Job] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    is_locked: bool = False
    is_up_to_date: bool = False
    is_report: bool = False
    is_interrupted: bool = False
    is_stopping: bool = False
    work_of: Callable[[Job], float | None] = lambda job: None
    clock: Callable[[], float] = time.monotonic
    _open: Job | None = None
    _is_failure: bool = False
    _in_table: bool = False
    _n_groups: int = 0
    _in_group: bool = False
    _is_headed: bool = False
    _ruler: str = ""

    def feed(self, line: str) -> Event | None:
        """Take one line; what it reports of a job, if it does."""
        line = line.rstrip()
        if self._is_quoted(line):
            return None
        if started := _STARTED.match(line):
            self._open, self._is_failure = Job(started[1], started=self.clock()), False
            self._in_group = self._in_group and line.startswith(" ")
            self._open.group = self._n_groups if self._in_group else 0
        elif failed := _FAILED.match(line):
            self._open, self._is_failure = Job(failed[1]), True
        elif entry := _ENTRY.match(line):
            return self._take_entry(entry[1], entry[2])
        elif not line.startswith(" "):
            self._open = None
            return self._take_plain(line)
        return None

    def _is_quoted(self, line: str) -> bool:
        """Whether a line is of a failed job's log, which on a cluster is that of a Snakemake."""
        if self._ruler:
            self._ruler = "" if line == self._ruler else self._ruler
            return True
        if self._is_headed and line and not line.strip("="):
            self._ruler = line
        self._is_headed = _QUOTED.match(line) is not None
        if self._is_headed:
            self._open = None
        return bool(self._ruler) or self._is_headed

    def left(self) -> Counter[str]:
        """Jobs of each rule that are neither finished nor running."""
        busy = Counter(job.rule for job in (*self.finished, *self.running.values()))
        return self.planned - busy

    def retried(self) -> list[Job]:
        """Jobs that finished, but not at their first attempt."""
        return [job for job in self.finished if job.attempt > 1]

    def queued(self) -> float | None:
        """Mean time (s) that finished jobs were in a scheduler's queue; None where none was."""
        found = [max(job.seconds - job.work, 0.0) for job in self.finished if job.work is not None]
        return sum(found) / len(found) if found else None

    def _take_plain(self, line: str) -> Event | None:
        if finished := _FINISHED.match(line):
            return self._take_finish(finished[1])
        if count := _COUNT.match(line):
            self.done, self.total = int(count[1]), int(count[2])
        elif line == "Job stats:":
            self._in_table = True
        elif self._in_table and (planned := _PLANNED.match(line)):
            if planned[1] == "total":
                self.total, self._in_table = int(planned[2]), False
            else:
                self.planned[planned[1]] = int(planned[2])
        elif submitted := _SUBMITTED.match(line):
            # A group of jobs is submitted under a name of its own.
            job = self.running.get(submitted[1])
            for found in [job] if job else self.running.values():
                found.is_submitted = found.is_submitted or found is job or found.group > 0
        elif _GROUP.match(line):
            self._n_groups, self._in_group = self._n_groups + 1, True
        elif line.startswith("LockException"):
            self.is_locked = True
        elif line.startswith("Nothing to be done"):
            self.is_up_to_date = True
        elif line.startswith("Terminating processes on user request"):
            self.is_stopping = True
        elif line == "Report created.":
            self.is_report = True
        return None

    def _take_finish(self, number: str) -> Event | None:
        self.done += 1
        self.failed.pop(number, None)
        job = self.running.pop(number, None)
        if job is None:
            return None
        job.seconds = self.clock() - job.started
        job.work = self.work_of(job) if job.is_submitted else None
        self.finished.append(job)
        return Event("finished", job)

    def _take_entry(self, key: str, value: str) -> Event | None:
        job = self._open
        if job is None:
            return None
        job.entries[key] = value
        if key == "jobid" and self._is_failure:
            started = self.running.pop(value, None)
            if started is not None:
                job.entries.setdefault("wildcards", started.wildcards)
                job.attempt = started.attempt
            # Who is interrupted has not failed.
            ended = self.cancelled if self.is_interrupted else self.failed
            ended[value] = job
            return Event("cancelled" if self.is_interrupted else "failed", job)
        if key == "jobid":
            self.attempts[value] += 1
            job.attempt = self.attempts[value]
            self.running[value] = job
        # The last that is said of a job that starts.
        return Event("started", job) if key == "resources" and not self._is_failure else None
