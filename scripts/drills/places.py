"""Disks, environments and paths that make a run hard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from drills.study import (
    IN_A_NAMESPACE,
    PMCELL,
    Drill,
    Row,
    last_line,
    leftovers,
    no_mounts,
    sentence,
)


class Place(NamedTuple):
    """Where a run is started: shell words before its command, name of the study's folder."""

    fault: str
    before: str = ""
    name: str = "place"
    cwd: str = "/"


KEEP_CACHE = 'export PMCELL_CACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}"; unset XDG_CACHE_HOME; '
"""Without a home, kernels that are compiled stay where they are: nothing is compiled anew."""
PLACES = (
    Place(
        "POSIX, umask 000, HOME read-only, TMPDIR with a space",
        KEEP_CACHE
        + "export LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 HOME=/proc; umask 000; "
        "mkdir -m 700 'my temp (é)'; export TMPDIR=\"$PWD/my temp (é)\"",
        name="it's Müller's 研究 🧬",
        cwd=".",
    ),
    Place("LANG=C, umask 077, no HOME", KEEP_CACHE + "umask 077; unset HOME LC_ALL; export LANG=C"),
)
"""Each holds several kinds: where one fails, take them apart."""


def drill_disk(drill: Drill) -> Iterator[Row]:
    """Results on a disk without room for all, or for all but the release; read-only input."""
    fault = "full disk, read-only input"
    if reason := no_mounts():
        yield Row(fault, "-", f"skipped: {reason}", None)
        return
    study = drill.fresh("disk")
    (study / "results").mkdir()
    size = drill.chance.choice((300, 700, 1500)) * 1024
    yield Row(fault, "as soon as it is full", *on_a_full_disk(drill, study, size))
    for share in (0.1, 0.5):
        study = drill.fresh("disk", drill.finished)
        release = drill.finished / "results/release"
        # The rest of a release are links to files that are there.
        own = [path for path in files_of(release) if path.stat().st_nlink == 1]
        shutil.rmtree(study / "results/release")
        size = space_of(files_of(study / "results")) + int(space_of(own) * share)
        moment = f"{share:.0%} of the release fits"
        yield Row(fault, moment, *on_a_full_disk(drill, study, size))


def on_a_full_disk(drill: Drill, study: Path, size: int) -> tuple[str, bool]:
    """Run with results on a disk of so many bytes, then on one with room: what is said and held."""
    kept = study / "kept"
    (study / "results").rename(kept)
    (study / "results").mkdir()
    command = f'"$0" -m pmcell run --directory {study} --cores 2'
    script = f"""
        mount -t tmpfs -o size={size} tmpfs {study}/results
        cp -a {kept}/. {study}/results
        mount --bind {study}/config {study}/config
        mount -o remount,ro,bind {study}/config
        {command} > {study}/first.txt 2>&1; echo $? > {study}/first.code
        mount -o remount,size=1g {study}/results
        {command} > {study}/second.txt 2>&1
        rm -r {kept}; cp -r {study}/results {kept}
    """
    subprocess.run([*IN_A_NAMESPACE, script, sys.executable], check=False)
    first = (study / "first.txt").read_text(encoding="utf-8")
    said = sentence(first, "there must be room on the disk") or last_line(first)
    failed = (study / "first.code").read_text().strip() != "0"
    (study / "results").rmdir()
    kept.rename(study / "results")
    wrong = [*drill.differing(study), *leftovers(study)]
    good = failed and "room on the disk" in said and "Traceback" not in first and not wrong
    end = "digests equal after resume" if not wrong else f"other digests: {wrong[:3]}"
    return f"{said}; {end}", good


def files_of(folder: Path) -> list[Path]:
    """The files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def space_of(files: list[Path]) -> int:
    """Bytes that they take on a disk of pages, with some for their folders."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files) + 2**16


def drill_read_only(drill: Drill) -> Iterator[Row]:
    """A results folder that cannot be written."""
    if reason := no_mounts():
        yield Row("read-only results", "-", f"skipped: {reason}", None)
        return
    study = drill.fresh("read-only")
    (study / "results").mkdir()
    script = f"""
        mount --bind {study}/results {study}/results
        mount -o remount,ro,bind {study}/results
        "$0" -m pmcell run --directory {study} --cores 2 > {study}/first.txt 2>&1
        echo $? > {study}/first.code
    """
    subprocess.run([*IN_A_NAMESPACE, script, sys.executable], check=False)
    said = (study / "first.txt").read_text(encoding="utf-8")
    line = sentence(said, "must be writable") or last_line(said)
    good = "must be writable" in line and "Traceback" not in said
    resumed, end = drill.resumed(study)
    yield Row("read-only results", "at the start", f"{line}; {end}", good and resumed)


def drill_places(drill: Drill) -> Iterator[Row]:
    """Whole runs where locale, umask, home, temporary folder or path are unusual."""
    for place in PLACES:
        study = drill.fresh(place.name)
        cwd = drill.folder if place.cwd == "." else Path(place.cwd)
        command = [*PMCELL, "run", "--directory", os.path.relpath(study, cwd), "--cores", "2"]
        script = f'{place.before or ":"}; exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command], capture_output=True, check=False, cwd=cwd
        )
        said = (done.stderr + done.stdout).decode(errors="replace")
        if done.returncode:
            yield Row(place.fault, "whole run", last_line(said), False)
            continue
        wrong = [*drill.differing(study), *leftovers(study)]
        yield Row(
            place.fault,
            "whole run",
            f"differing: {wrong[:3]}" if wrong else "digests equal",
            not wrong,
        )
