"""A run as a person follows it: what is done, what runs, what is left, for about how long.

On a terminal a bar moves below the finished jobs. In a file each job is a
line as it finishes, and where nothing happens for a minute, a line says what
runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pmcell.cli.run._progress import Event, Job, Progress
from pmcell.cli.run._remaining import Need, Remaining, Span, about
from pmcell.spelling import plural

NAMED = 3
"""Running jobs that are named; the others are counted."""

NAME_WIDTH = 32
"""Columns for the name of a job in its line: with the times it fits 80."""


@contextmanager
def display(
    progress: Progress,
    needs: Mapping[str, Need],
    cores: int | None,
    *,
    quiet_seconds: float = 60.0,
) -> Iterator[Callable[[str], None]]:
    """Feed lines of Snakemake to the function that is given; what they tell is on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    # Only the last column gives way where a line is too long: names never push out the bar.
    columns = (BarColumn(16), TextColumn("{task.completed:.0f} of {task.total:.0f}"))
    rest = TextColumn("{task.fields[rest]}", markup=False, table_column=Column(no_wrap=True))
    flexible = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    doing = TextColumn("{task.description}", markup=False, table_column=flexible)
    lock, ended, start = threading.Lock(), threading.Event(), progress.clock()
    spoke = [start]
    remaining = Remaining(progress, needs, cores)
    with Bar(
        *(*columns, TimeElapsedColumn(), rest, doing),
        console=console,
        transient=True,
        expand=True,
        refresh_per_second=1,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("reading the workflow", total=1, rest="")

        def say(line: str) -> None:
            spoke[0] = progress.clock()
            bar.console.print(line, markup=False)

        def show(line: str) -> None:
            with lock:
                announced = progress.total
                event = progress.feed(line)
                if progress.total and not announced:
                    work = about(remaining.now())
                    say(
                        f"pmcell run: {plural(progress.total, 'step')} to do"
                        + (work and f", {work}")
                    )
                if event is not None and (told := tell(event, progress, progress.clock() - start)):
                    left = _left(remaining.now())
                    say(f"{told}  {left}".rstrip() if event.kind == "finished" else told)
                if event is not None:
                    _move()

        def _move() -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total or 1,
                rest=_left(remaining.now()),
                description=now(progress),
            )

        def watch() -> None:
            while not ended.wait(1.0):
                with lock:
                    if progress.total and console.is_terminal:
                        _move()
                    is_quiet = progress.clock() - spoke[0] >= quiet_seconds
                    if is_quiet and not console.is_terminal and progress.running:
                        parts = [now(progress), _left(remaining.now())]
                        told = "; ".join(filter(None, parts))
                        say(f"{_head(progress, progress.clock() - start)}  {told}")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield show
        finally:
            ended.set()
            watcher.join()


def tell(event: Event, progress: Progress, elapsed: float) -> str:
    """The line for an event; empty for what need not be told: the first start of a job."""
    job, head = event.job, _head(progress, elapsed)
    # The rule 'all' only names the targets; nobody waits for it.
    if job.rule == "all":
        return ""
    place = f"{head}  {shorten(_plain_name(job)):<{NAME_WIDTH}}"
    if event.kind == "finished":
        return f"{place} {job.seconds:7.1f} s"
    if event.kind == "failed":
        return f"{place} failed at attempt {job.attempt}"
    if event.kind == "cancelled":
        return f"{place} cancelled"
    return f"{place} {attempt(job)}" if job.attempt > 1 else ""


def now(progress: Progress) -> str:
    """What runs and what waits; of a cluster also how long jobs were in its queue."""
    running = [job for job in progress.running.values() if job.rule != "all"]
    is_submitted = any(job.is_submitted for job in running)
    parts = []
    if running:
        names = ", ".join(_plain_name(job) for job in running[:NAMED])
        more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
        parts.append(f"{'in the queue or running' if is_submitted else 'running'}: {names}{more}")
    waiting = progress.left()
    waiting.pop("all", None)
    if waiting:
        parts.append(f"{waiting.total()} waiting")
    queued = progress.queued()
    if queued is not None:
        parts.append(f"queue so far {clock(queued)} a job")
    return "; ".join(parts)


def attempt(job: Job) -> str:
    """Which attempt it is and what it may use, `attempt 2 with 1.6 GB`."""
    memory = f" with {job.memory_mb / 1000:.1f} GB" if job.memory_mb else ""
    return f"attempt {job.attempt}{memory}"


def clock(seconds: float) -> str:
    """Minutes and seconds, `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def shorten(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name with its middle left out where it is too long.

    >>> shorten("differential_expression", 12), shorten("qc liu_b1", 12)
    ('differ…ssion', 'qc liu_b1')
    """
    head = width // 2
    return name if len(name) <= width else f"{name[:head]}…{name[head + 1 - width :]}"


def _plain_name(job: Job) -> str:
    """Step and cohort, `qc liu_b1`."""
    return f"{job.rule} {job.cohort}" if job.cohort else job.name


def _left(span: Span | None) -> str:
    return f"{about(span)} left" if span else ""


def _head(progress: Progress, elapsed: float) -> str:
    width = len(str(progress.total))
    return f"[{progress.done:>{width}}/{progress.total}] {clock(elapsed):>6}"
