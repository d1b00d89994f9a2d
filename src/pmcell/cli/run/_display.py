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
from pmcell.cli.run._remaining import Need, about, seconds_left

NAMED = 3
"""Running jobs that are named; the others are counted."""


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

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (BarColumn(24), TextColumn("{task.completed:.0f} of {task.total:.0f}"))
    doing = TextColumn("{task.description}", markup=False)
    lock, ended, start = threading.Lock(), threading.Event(), progress.clock()
    spoke = [start]
    with Bar(
        *(*columns, TimeElapsedColumn(), doing),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("reading the workflow", total=1)

        def say(line: str) -> None:
            spoke[0] = progress.clock()
            bar.console.print(line, markup=False)

        def state() -> str:
            return now(progress, seconds_left(progress, needs, cores))

        def show(line: str) -> None:
            with lock:
                announced = progress.total
                event = progress.feed(line)
                if progress.total and not announced:
                    rest = about(seconds_left(progress, needs, cores)).removesuffix(" left")
                    say(f"pmcell run: {progress.total} steps to do" + (rest and f", {rest}"))
                if event is not None and (told := tell(event, progress, progress.clock() - start)):
                    rest = about(seconds_left(progress, needs, cores))
                    say(f"{told}   {rest}" if event.kind == "finished" and rest else told)
                if event is not None:
                    _move(state())

        def _move(description: str) -> None:
            bar.update(
                task, completed=progress.done, total=progress.total or 1, description=description
            )

        def watch() -> None:
            while not ended.wait(1.0):
                with lock:
                    if progress.total:
                        _move(state())
                    is_quiet = progress.clock() - spoke[0] >= quiet_seconds
                    if is_quiet and not console.is_terminal and progress.running:
                        say(f"{_head(progress, progress.clock() - start)}  {state()}")

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
    place = f"{head}  {job.rule:<24} {job.wildcards:<24}"
    if event.kind == "finished":
        return f"{place} {job.seconds:7.1f} s"
    if event.kind == "failed":
        return f"{place} failed at attempt {job.attempt}"
    return f"{place} {attempt(job)}" if job.attempt > 1 else ""


def now(progress: Progress, rest: float | None) -> str:
    """What runs, what waits, and the time that is left."""
    running = [job for job in progress.running.values() if job.rule != "all"]
    queued = sum(job.is_submitted for job in running)
    parts = []
    if running:
        names = ", ".join(job.name for job in running[:NAMED])
        more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
        parts.append(f"{'in the queue or running' if queued else 'running'}: {names}{more}")
    waiting = progress.left()
    waiting.pop("all", None)
    if waiting:
        parts.append(f"{waiting.total()} waiting")
    return "; ".join([*parts, *filter(None, [about(rest)])])


def attempt(job: Job) -> str:
    """Which attempt it is and what it may use, `attempt 2 with 1.6 GB`."""
    memory = f" with {job.memory_mb / 1000:.1f} GB" if job.memory_mb else ""
    return f"attempt {job.attempt}{memory}"


def clock(seconds: float) -> str:
    """Minutes and seconds, `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _head(progress: Progress, elapsed: float) -> str:
    width = len(str(progress.total))
    return f"[{progress.done:>{width}}/{progress.total}] {clock(elapsed):>6}"
