"""How long a run will still take: the workflow's model of time, corrected by what finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmcell.cli.run._progress import Job, Progress

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study

PRIOR_SECONDS = 10.0
"""Weight of the model against the jobs that finished, in predicted seconds."""

OVERRUN = 0.25
"""A running job is given at least this share of its time so far: who is late stays late a while."""


@dataclass(frozen=True)
class Need:
    """Expected wall time (s) and threads of one job of a rule."""

    seconds: float
    threads: int = 1


def needs_of(study: Study) -> dict[str, Need]:
    """What a job of each rule is expected to need, the mean over cohorts; empty without a model."""
    import json

    from pmcell.cli.run._resources import Model
    from pmcell.errors import PmcellError
    from pmcell.registry.cohorts.registered import list_cohorts

    try:
        model, folder = Model(study.resources), study.cohorts_dir
        known = study.results / "sizes.json"
        read = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
        names = list_cohorts(folder)
        allowed = {name: study.settings.study.allowed(name, study.folder) for name in names}
        sizes = model.sizes([folder / name for name in names], read, allowed)
        model.for_study(study.settings.given, sizes)
        jobs = [
            (step, model.formula.predict(model.values, step, "seconds", size))
            for step, _, size in model.jobs(sizes)
        ]
        return {
            step: Need(
                sum(seconds for name, seconds in jobs if name == step)
                / sum(name == step for name, _ in jobs),
                item["threads"],
            )
            for step, item in model.steps.items()
        }
    except (PmcellError, OSError, ValueError, ArithmeticError):
        return {}


def seconds_left(
    progress: Progress, needs: Mapping[str, Need], cores: int | None = None
) -> float | None:
    """Wall time until the run ends, None where nothing is known of the jobs that are left.

    The longer of the chain of rules that wait for each other and of the work
    shared by `cores` (None: as many as are wanted, as on a cluster). The
    model's seconds are multiplied by how the finished jobs compare with it;
    on a cluster that holds the time in the queue.
    """
    needs = needs or _measured(progress)
    correction = _correction(progress, needs)
    waiting = Counter({rule: n for rule, n in progress.left().items() if rule in needs})
    running = {key: job for key, job in progress.running.items() if job.rule in needs}
    if not needs or (not waiting and not running):
        return None
    rest: dict[str, float] = {}
    work = 0.0
    for job in running.values():
        need = needs[job.rule]
        elapsed = progress.clock() - job.started
        seconds = max(need.seconds * correction - elapsed, elapsed * OVERRUN)
        rest[job.rule] = max(rest.get(job.rule, 0.0), seconds)
        work += seconds * min(need.threads, cores or 1)
    for rule, n_jobs in waiting.items():
        need = needs[rule]
        rest[rule] = max(rest.get(rule, 0.0), need.seconds * correction)
        work += n_jobs * need.seconds * correction * min(need.threads, cores or 1)
    chain = sum(rest.values())
    return max(chain, work / cores) if cores else chain


def about(seconds: float | None) -> str:
    """The rest as a person says it.

    >>> about(42), about(200), about(9000), about(None)
    ('about 40 s left', 'about 3 min left', 'about 2.5 h left', '')
    """
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds / 10), 1) * 10} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def _correction(progress: Progress, needs: Mapping[str, Need]) -> float:
    known = [job for job in progress.finished if job.rule in needs]
    rules_of_group: dict[int, set[str]] = {}
    for job in (*known, *progress.running.values()):
        rules_of_group.setdefault(job.group, set()).add(job.rule)

    def own(job: Job) -> float:
        # Members of a group start and end together, one rule after the other.
        return job.seconds / len(rules_of_group[job.group]) if job.group else job.seconds

    found = PRIOR_SECONDS + sum(own(job) for job in known)
    return found / (PRIOR_SECONDS + sum(needs[job.rule].seconds for job in known))


def _measured(progress: Progress) -> dict[str, Need]:
    """Without a model: every job takes what the finished ones took."""
    if not progress.finished:
        return {}
    mean = sum(job.seconds for job in progress.finished) / len(progress.finished)
    return {rule: Need(mean) for rule in progress.planned if rule != "all"}
