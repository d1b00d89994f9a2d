"""What Snakemake reports while it runs, read line by line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_STARTED = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_FAILED = re.compile(r"^Error in (?:rule|checkpoint) (\w+)(?:, jobid: (\d+))?:?")
_ENTRY = re.compile(r"^ {4}(\w+): (.*)$")
_FINISHED = re.compile(r"^Finished jobid: (\d+)")
_COUNT = re.compile(r"^(\d+) of (\d+) steps")
_TOTAL = re.compile(r"^total +(\d+)$")


@dataclass
class Job:
    """One job: its rule, what it is about, its log, and when it started (seconds)."""

    rule: str
    entries: dict[str, str] = field(default_factory=dict)
    started: float = 0.0

    @property
    def wildcards(self) -> str:
        """Wildcards as Snakemake prints them, `cohort=liu_b1`; empty for rules without."""
        return self.entries.get("wildcards", "")

    @property
    def log(self) -> str:
        """Path of the job's log file; empty when the rule declares none."""
        return self.entries.get("log", "").split(" (check log")[0].split(",")[0].strip()


@dataclass
class Progress:
    """The state of a run after the lines fed so far.

    Examples
    --------
    >>> progress = Progress()
    >>> for line in ["rule qc:", "    jobid: 3", "    wildcards: cohort=a", "Finished jobid: 3"]:
    ...     finished = progress.feed(line)
    >>> finished.rule, finished.wildcards, progress.done
    ('qc', 'cohort=a', 1)
    """

    total: int = 0
    done: int = 0
    running: dict[str, Job] = field(default_factory=dict)
    failed: list[Job] = field(default_factory=list)
    is_locked: bool = False
    is_up_to_date: bool = False
    clock: Callable[[], float] = time.monotonic
    _open: Job | None = None
    _is_failure: bool = False

    def feed(self, line: str) -> Job | None:
        """Take one line; the job that it reports as finished, if it does."""
        line = line.rstrip()
        if entry := _ENTRY.match(line):
            self._take_entry(entry[1], entry[2])
            return None
        if line.startswith(" "):
            return None
        self._open = None
        if started := _STARTED.match(line):
            self._open, self._is_failure = Job(started[1], started=self.clock()), False
        elif failed := _FAILED.match(line):
            self._open, self._is_failure = Job(failed[1]), True
            self.failed.append(self._open)
        elif finished := _FINISHED.match(line):
            self.done += 1
            return self.running.pop(finished[1], None)
        elif count := _COUNT.match(line):
            self.done, self.total = int(count[1]), int(count[2])
        elif total := _TOTAL.match(line):
            self.total = int(total[1])
        elif line.startswith("LockException"):
            self.is_locked = True
        elif line.startswith("Nothing to be done"):
            self.is_up_to_date = True
        return None

    def _take_entry(self, key: str, value: str) -> None:
        if self._open is None:
            return
        self._open.entries[key] = value
        if key != "jobid":
            return
        if self._is_failure:
            started = self.running.pop(value, None)
            if started is not None:
                self._open.entries.setdefault("wildcards", started.wildcards)
        else:
            self.running[value] = self._open
