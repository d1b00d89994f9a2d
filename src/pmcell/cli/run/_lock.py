"""One run at a time in a study folder, with its owner's name on the door.

Snakemake's own lock says only that there is one. This one says whose it is,
so that the lock of a run that was killed is removed by the next run, and that
of a living one never.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pmcell.cli.run._snakemake import LAUNCHER
from pmcell.errors import PmcellError
from pmcell.io.atomic import write_json
from pmcell.io.json_text import parse_json
from pmcell.steps import BY_NAME

LOCK = Path(".snakemake") / "pmcell-run.json"
GRACE_SECONDS = 60
KILLED = "killed"
"""Stands for the start of a run whose Snakemake was killed: no process started then."""
SNAKEMAKE_LOCKS = Path(".snakemake") / "locks"
MARKS = "pmcell-reader.*.json"
"""Files beside the lock, one for each command that reads the study's results."""


class Held:
    """The lock that a run holds; `keep_for_next` where Snakemake died and left its own."""

    def __init__(self, lock: Path) -> None:
        self._lock, self.is_kept = lock, False

    def keep_for_next(self) -> None:
        """Leave the lock as that of a killed run: the next run takes it over when no step works.

        Snakemake's locks, and what it started, outlive it when the kernel kills it
        alone, as it does to the largest process when memory runs out.
        """
        write_json(self._lock, {**owner_now(self._lock), "started": KILLED})
        self.is_kept = True


@contextmanager
def only_run(folder: Path, stop_jobs: Callable[[], None] | None = None) -> Iterator[Held]:
    """Hold the lock of a study folder; `PmcellError` says who holds it where it is held.

    The lock of a run that is no more on this machine is taken over, and
    Snakemake's with it; `stop_jobs` then ends what it left on a cluster.
    """
    lock = folder / LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = owner_of(lock)
    if stop_jobs and owner and is_gone(owner):
        stop_jobs()
        _wait_for_end(folder)
    refuse_while_used(folder)
    if lock.exists():
        shutil.rmtree(folder / SNAKEMAKE_LOCKS, ignore_errors=True)
        lock.unlink(missing_ok=True)
        print(
            "pmcell run: the run before was killed, or the study copied while it worked; its lock "
            "is removed, its unfinished steps are done again",
            file=sys.stderr,
        )
    if not _take(lock):
        refuse_while_held(folder)
        raise PmcellError(f"{folder} is in use: another run has just started in it.")
    held = Held(lock)
    try:
        # Whoever began to read while the lock was taken sees it, or is seen here.
        refuse_while_read(folder)
        yield held
    finally:
        if not held.is_kept:
            lock.unlink(missing_ok=True)


def refuse_while_held(folder: Path) -> None:
    """`PmcellError` when a run works in the folder, or may do so on another machine."""
    owner = owner_of(folder / LOCK)
    if owner is None:
        return
    who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    unlock = f"pmcell run --directory {shlex.quote(str(folder))} --unlock"
    if owner["host"] != socket.gethostname():
        raise PmcellError(
            f"{folder} is in use: another run works in it ({who}). Wait until it ends, or stop it "
            f"there: kill -INT {owner['pid']}. If it is no more, remove its lock: {unlock}"
        )
    if not is_gone(owner):
        raise PmcellError(
            f"{folder} is in use: another run works in it ({who}). Wait until it ends, or stop "
            f"it: kill -INT {owner['pid']}. What it does: {folder / 'results/logs/run.log'}"
        )
    if left := _at_work(folder):
        raise PmcellError(
            f"{folder} is in use: a run was killed ({who}), but what it started still works: "
            f"process {', '.join(map(str, left))}. Wait until it ends, or stop it: "
            f"kill {' '.join(map(str, left))}"
        )


def refuse_while_read(folder: Path) -> None:
    """`PmcellError` while results of the study are read; marks of readers that are gone go."""
    for mark in sorted((folder / LOCK).parent.glob(MARKS)):
        owner = owner_of(mark)
        if owner is None or is_gone(owner):
            mark.unlink(missing_ok=True)
            continue
        is_here = owner["host"] == socket.gethostname()
        raise PmcellError(
            f"{folder} is in use: pmcell {owner.get('command', '')} reads its results (process "
            f"{owner['pid']} on {owner['host']} since {owner['since']}). Wait until it ends, or "
            f"stop it{'' if is_here else ' there'}: kill -INT {owner['pid']}."
            + ("" if is_here else f" If it is no more: rm {shlex.quote(str(mark))}")
        )


def refuse_while_used(folder: Path) -> None:
    """`PmcellError` while a run works in the study or its results are read."""
    refuse_while_held(folder)
    refuse_while_read(folder)


def release_lock(folder: Path) -> None:
    """Remove the lock of a run that is no more; refuse while one works on this machine."""
    owner = owner_of(folder / LOCK)
    if owner is not None and owner["host"] == socket.gethostname():
        refuse_while_held(folder)
    (folder / LOCK).unlink(missing_ok=True)


def is_gone(owner: dict[str, Any]) -> bool:
    """Whether the owner ended on this machine without giving the lock, or mark, back."""
    if owner["host"] != socket.gethostname():
        return False
    return bool(_started(owner["pid"]) != owner["started"])


def _wait_for_end(folder: Path) -> None:
    """Give jobs that were cancelled, on a cluster of this very machine, time to end."""
    end = time.monotonic() + GRACE_SECONDS
    while _at_work(folder) and time.monotonic() < end:
        time.sleep(0.5)


def _take(lock: Path) -> bool:
    """Put the lock in place, whole; False when another one came first. Works on NFS."""
    owner = owner_now(lock)
    temporary = lock.with_name(f"{lock.name}.{owner['host']}.{owner['pid']}")
    try:
        temporary.write_text(json.dumps(owner), encoding="utf-8")
        _link(temporary, lock)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _link(source: Path, target: Path) -> None:
    """Make a second name of a file; where the disk has none (SMB, exFAT), a copy."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(descriptor, source.read_bytes())
        finally:
            os.close(descriptor)


def _place_of(lock: Path) -> dict[str, Any]:
    """The study's folder, so that a copy of it is told from the one in which a run works."""
    folder = lock.parent.parent
    return {"path": os.path.realpath(folder), "inode": folder.stat().st_ino}


def _is_copied(owner: dict[str, Any], lock: Path) -> bool:
    """Whether the lock came with a copy of a study, made while a run worked in it."""
    known, now = owner.get("folder"), _place_of(lock)
    # Some disks number a folder anew, and a study may be renamed: only both together tell.
    return isinstance(known, dict) and all(known.get(name) != now[name] for name in now)


def owner_now(lock: Path) -> dict[str, Any]:
    """This process, as the owner of a lock or mark."""
    return {
        "folder": _place_of(lock),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": _started(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }


def owner_of(lock: Path) -> dict[str, Any] | None:
    """Whose a lock or mark is; None where there is none."""
    try:
        owner: dict[str, Any] = parse_json(lock.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        owner = {}
    is_whole = isinstance(owner, dict) and owner.keys() >= {"pid", "host", "started", "since"}
    if is_whole and (owner["host"] != socket.gethostname() or not _is_copied(owner, lock)):
        return owner
    # A lock is put in place whole: this one was cut by a crash of the machine, edited or copied.
    return {"pid": 0, "host": socket.gethostname(), "started": "", "since": "an unknown time"}


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's count: tells it from a later one of that number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return _exists(pid)
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]


def _exists(pid: int) -> str | None:
    """Where the system has no /proc."""
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "exists"


def snakemakes(folder: Path) -> list[int]:
    """Processes of Snakemake whose current folder is the study."""
    return [pid for pid, names in _processes(folder) if {"snakemake", LAUNCHER} & names]


def _at_work(folder: Path) -> list[int]:
    """Processes of Snakemake and of steps whose current folder is the study."""
    steps = [
        pid for pid, names in _processes(folder) if "pmcell" in names and BY_NAME.keys() & names
    ]
    return sorted({*snakemakes(folder), *steps})


def _processes(folder: Path) -> Iterator[tuple[int, set[str]]]:
    """Other processes whose current folder is the study, with the first words of their call."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int(place.name) == os.getpid() or not (place / "cwd").samefile(folder):
                continue
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        yield int(place.name), {Path(word).name for word in words[:4]}
