"""Files that are damaged, swapped or dated wrongly."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from drills.kills import kill_during
from drills.study import Drill, Row, last_line, run, sentence, started


def drill_corruption(drill: Drill) -> Iterator[Row]:
    """A finished intermediate is damaged, swapped or replaced; the next step must not use it."""
    one, other = sorted((drill.finished / "results/cohorts").iterdir())
    files = {
        "one flipped bit": (f"results/cohorts/{one.name}/intake.h5ad", flip),
        "cut tail": (f"results/cohorts/{one.name}/moments.npz", cut),
        "another cohort's file": (f"results/cohorts/{one.name}/qc.parquet", swap(other)),
        "another cohort's file and stamp": (
            f"results/cohorts/{one.name}/intake.h5ad",
            swap(other, stamp=True),
        ),
        "damaged stamp": ("results/atlas/embedding.h5ad", cut_stamp),
    }
    for fault, (name, damage) in files.items():
        study = drill.fresh("corruption", drill.finished)
        damage(drill, study / name)
        code, said = run(study)
        line = sentence(said, "Run again after: rm ")
        if not code or line is None:
            yield Row(fault, name, f"exit code {code}: {last_line(said)}", False)
            continue
        told = said.split("Run again after: ", 1)[1].splitlines()[0]
        subprocess.run(["sh", "-c", told], cwd=study, check=True)
        good, end = drill.resumed(study)
        yield Row(fault, name, f"stopped before use; after `{told.split()[0]} …`: {end}", good)


def flip(drill: Drill, path: Path) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[drill.chance.randrange(len(content))] ^= 1
    path.write_bytes(content)


def cut(drill: Drill, path: Path) -> None:
    """Cut the second half off."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_stamp(drill: Drill, path: Path) -> None:
    """Cut the stamp of a file that changed, so that the next step reads it."""
    cut(drill, path.parent / ".stamps" / f"{path.name}.json")
    flip(drill, path)


def swap(other: Path, *, stamp: bool = False) -> Callable[[Drill, Path], None]:
    """Put the other cohort's file in its place."""

    def swapped(drill: Drill, path: Path) -> None:
        shutil.copyfile(other / path.name, path)
        if stamp:
            name = f".stamps/{path.name}.json"
            shutil.copyfile(other / name, path.parent / name)

    return swapped


def drill_clocks(drill: Drill) -> Iterator[Row]:
    """Times that lie: nothing reruns for a time alone, and a change is seen whatever the time."""
    study = drill.fresh("clocks", drill.finished)
    submitted = [path for path in (study / "config/cohorts").rglob("*") if path.is_file()]
    for name, moment in {"a day ahead": time.time() + 86_400, "years old": 1e9}.items():
        for path in submitted:
            os.utime(path, (moment, moment))
        code, said = run(study)
        good = code == 0 and "nothing to do" in said and not drill.differing(study)
        yield Row("clock skew", f"all inputs {name}", "nothing is run again", good)
    yield from clock_set_back(drill)
    matrix = next(path for path in submitted if path.suffix == ".h5ad")
    flip(drill, matrix)
    os.utime(matrix, (1e9, 1e9))
    _, jobs = run(study, "--dry-run")
    yield Row(
        "clock skew",
        "changed matrix, old time",
        "intake is run again",
        "intake" in jobs,
    )


def clock_set_back(drill: Drill) -> Iterator[Row]:
    """The clock jumps back an hour between two jobs: what stands is from the future."""
    study = drill.fresh("clocks-back")
    happened = kill_during(started(study), "covariance", "everything")
    for path in study.rglob("*"):
        os.utime(path, (time.time() + 3600, path.stat().st_mtime + 3600), follow_symlinks=False)
    good, end = drill.resumed(study)
    yield Row("clock set back an hour", "during covariance", f"{happened}; {end}", good)
    _, said = run(study)
    again = "nothing to do" in said
    yield Row("clock set back an hour", "the run after", last_line(said), again)
