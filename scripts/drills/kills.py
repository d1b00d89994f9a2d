"""kill -9 of a run, of its Snakemake and of its steps; two runs at once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from drills.study import Drill, Row, last_line, run, sentence, started

LATE = (
    ("strata", "everything"),
    ("differential_expression", "step"),
    ("cells", "snakemake"),
    ("reference", "everything"),
    ("release", "step"),
    ("release", "everything"),
    ("release", "runner"),
)
"""What is killed while which step works, in any order, each run going on from the last.

How far one step is when another is killed depends on the machine: what no run came to is tried in
a second study.
"""
MISSED = "the run ended before"


def drill_late_kills(drill: Drill) -> Iterator[Row]:
    """kill -9 of the runner alone, of its Snakemake, of a step, or of all, late in the study."""
    left = list(LATE)
    for name in ("late", "late-again"):
        study = drill.fresh(name)
        n_kills = 0
        while left:
            which, happened = kill_first(started(study), left)
            while working_in(study):
                time.sleep(0.2)
            if which is None:
                break
            left.remove(which)
            n_kills += 1
            step, whom = which
            yield Row(f"kill -9 of {whom}", f"while {step} works", happened, True)
        good, end = drill.resumed(study)
        yield Row("kill -9 late in the study", f"after {n_kills} kills", end, good)
        if not left:
            return
    for step, whom in left:
        yield Row(f"kill -9 of {whom}", f"while {step} works", MISSED, False)


def kill_during(process: subprocess.Popen[bytes], step: str, whom: str) -> str:
    """Kill a part of a run as soon as a step of it works."""
    return kill_first(process, [(step, whom)])[1]


def kill_first(
    process: subprocess.Popen[bytes], wanted: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str] | None, str]:
    """Kill what is `wanted` for the first of its steps that works; which it was, and the end."""
    while process.poll() is None:
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            break
        steps = {step_of(member) for member in family}
        which = next((pair for pair in wanted if pair[0] in steps), None)
        if which is None:
            time.sleep(0.05)
            continue
        step, whom = which
        at_work = [member for member in family if step_of(member) == step]
        # Into its work, not into the start of its Python.
        time.sleep(0.3)
        victims = {
            "runner": [psutil.Process(process.pid)],
            "snakemake": [member for member in family if "--snakefile" in words_of(member)],
            "step": at_work,
            "everything": [*family, psutil.Process(process.pid)],
        }[whom]
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        return which, f"killed {len(victims)}; the run ended with {process.wait()}"
    return None, MISSED


def drill_kills(drill: Drill, n_kills: int) -> Iterator[Row]:
    """kill -9 of everything, or of one job, at random moments; each run goes on from the last."""
    study = drill.fresh("kills")
    for number in range(n_kills):
        whole = drill.chance.random() < 0.5
        # Long enough to come through the study in some eight runs, so that late steps are hit too.
        moment = drill.chance.uniform(0.5, drill.seconds / 3)
        process = started(study)
        killed = kill_all(process, moment) if whole else kill_a_job(drill, process, moment)
        fault = "kill -9 of everything" if whole else "kill -9 of a job"
        done = (study / "results/release/manifest.json").is_file()
        steps = len(list(study.glob("results/**/.stamps/*.json")))
        happened = f"{killed}; {steps} results stood"
        good: bool | None = None
        if done or number == n_kills - 1:
            good, end = drill.resumed(study)
            happened += f"; {end}"
            study = drill.fresh("kills")
        yield Row(fault, f"{moment:.1f} s into run {number + 1}", happened, good)


def kill_all(process: subprocess.Popen[bytes], moment: float) -> str:
    """Kill a run with all that it started."""
    if not waited(process, moment):
        return "the run had ended"
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    names = [step_of(member) for member in family]
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=60)
    process.wait()
    return f"killed {len(family)} processes ({', '.join(filter(None, names)) or 'no step'})"


def kill_a_job(drill: Drill, process: subprocess.Popen[bytes], moment: float) -> str:
    """Kill one running step; the run itself goes on and ends by itself."""
    if not waited(process, moment):
        return "the run had ended"
    while process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        steps = [member for member in family if step_of(member)]
        if steps:
            victim = drill.chance.choice(steps)
            name = step_of(victim)
            victim.kill()
            return f"killed {name}; the run ended with {process.wait()}"
        time.sleep(0.05)
    return "the run had ended"


def waited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait; whether the process still runs then."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def step_of(process: psutil.Process) -> str:
    """The step that a process is, or nothing for snakemake and shells."""
    names = [Path(word).name for word in words_of(process)[:4]]
    if "pmcell" not in names or names.index("pmcell") + 1 >= len(names):
        return ""
    return names[names.index("pmcell") + 1]


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; none where it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def working_in(study: Path) -> list[psutil.Process]:
    """Processes of a run that was killed: their current folder is the study."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(study) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def drill_two_runs(drill: Drill) -> Iterator[Row]:
    """A second run while one works, in a home that is not there and without a temporary folder."""
    study = drill.fresh("two")
    first = started(study, HOME="/proc/none", TMPDIR="/nonexistent")
    waited(first, drill.seconds / 4)
    code, said = run(study)
    line = sentence(said, "is in use", str(first.pid)) or last_line(said)
    ended = first.wait()
    good = code == 1 and str(first.pid) in line and ended == 0 and not drill.differing(study)
    yield Row("two runs at once", "during the first", line, good)
    yield Row("no home, no TMPDIR", "whole run", f"ended with {ended}", ended == 0)
