"""Runs of the workflow as they happened: when each job began and ended, replayed line by line.

    python tests/recorded_runs.py STUDY > tests/cli/run/recorded/NAME.tsv

writes the recording of a study's last whole run from its `results/logs/run.log`: sizes of its
cohorts, and of each job its rule, cohort, start and end (s).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pmcell.cli.run._progress import Progress
from pmcell.cli.run._remaining import Need
from pmcell.cli.run._resources import Model

RECORDED = Path(__file__).parent / "cli" / "run" / "recorded"


@dataclass(frozen=True)
class Recorded:
    """Sizes of the cohorts, cores, and (rule, cohort, start, end) of each job."""

    sizes: dict[str, tuple[float, ...]]
    cores: int
    jobs: tuple[tuple[str, str, float, float], ...]

    @property
    def end(self) -> float:
        """When the last job ended (s)."""
        return max(job[3] for job in self.jobs)

    def needs(self) -> dict[str, Need]:
        """What the shipped model expects of the jobs."""
        model = Model()
        model.for_study({}, self.sizes)
        found: dict[str, dict[str, float]] = {}
        for step, cohort, size in model.jobs(self.sizes):
            seconds = model.formula.predict(model.values, step, "seconds", size)
            found.setdefault(step, {})[cohort] = seconds
        return {
            step: Need(sum(each.values()) / len(each), model.steps[step]["threads"], each)
            for step, each in found.items()
        }


def read_recorded(name: str) -> Recorded:
    """Read a recording."""
    sizes, jobs, cores = {}, [], 0
    for line in (RECORDED / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        kind, *words = line.split("\t")
        if kind == "cores":
            cores = int(words[0])
        elif kind == "cohort":
            sizes[words[0]] = tuple(map(float, words[1:]))
        else:
            jobs.append((kind, words[0], float(words[1]), float(words[2])))
    return Recorded(sizes, cores, tuple(jobs))


def replay(run: Recorded, every: float) -> Iterator[tuple[float, Progress]]:
    """The time and the state of the run at each job's start and end, and `every` few seconds."""
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    planned = Counter(job[0] for job in run.jobs)
    table = [f"{rule}  {number}" for rule, number in planned.items()]
    for line in ("Job stats:", *table, f"total  {len(run.jobs)}"):
        progress.feed(line)
    told = [(begin, 1, n) for n, (_, _, begin, _) in enumerate(run.jobs)]
    told += [(end, 0, n) for n, (_, _, _, end) in enumerate(run.jobs)]
    ticks = [(every * n, 2, 0) for n in range(int(run.end / every) + 1)]
    for now[0], kind, n in sorted(told + ticks):
        rule, cohort, *_ = run.jobs[n]
        lines = {
            0: [f"Finished jobid: {n} (Rule: {rule})"],
            1: [f"rule {rule}:", f"    jobid: {n}", f"    wildcards: cohort={cohort}"],
            2: [],
        }[kind]
        for line in lines:
            progress.feed(line if cohort or "wildcards" not in line else "")
        yield now[0], progress


def _main(study: Path) -> None:
    from pmcell.cli.run._study import open_study
    from pmcell.cli.run.estimate import study_sizes

    _, sizes, _ = study_sizes(open_study(study, None))
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    first = 0.0
    log = (study / "results" / "logs" / "run.log").read_text(encoding="utf-8")
    for line in log.splitlines():
        if line.startswith("[") and line.endswith("]"):
            now[0] = datetime.strptime(line, "[%a %b %d %H:%M:%S %Y]").timestamp()
            first = first or now[0]
        progress.feed(line)
    cores = log.split("--cores ")[1].split()[0]
    print(f"cores\t{cores}")
    for name, size in sizes.items():
        print("\t".join(["cohort", name, *(f"{value:.6g}" for value in size)]))
    for job in progress.finished:
        if job.rule != "all":
            start = job.started - first
            print(f"{job.rule}\t{job.cohort}\t{start:.0f}\t{start + job.seconds:.0f}")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
