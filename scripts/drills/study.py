"""A small study, its undisturbed run, and what the drills share."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pmcell.release.digest import EVIDENCE

SIMULATE = Path(__file__).resolve().parents[1] / "simulate_study.py"
PMCELL = [sys.executable, "-m", "pmcell"]
IN_A_NAMESPACE = ["unshare", "--mount", "sh", "-c"]


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    moment: str
    happened: str
    good: bool | None


class Drill:
    """A study, what an undisturbed run of it publishes, and the order of chance."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.pristine = folder / "pristine"
        self.finished = folder / "finished"
        self.digests: dict[str, str] = {}
        self.seconds = 0.0

    def prepare(self) -> None:
        """Make the study and run a copy of it without disturbance; a kept one is used again."""
        kept = self.folder / "undisturbed.json"
        if kept.is_file():
            self.seconds, self.digests = json.loads(kept.read_text(encoding="utf-8"))
            return
        command = [sys.executable, str(SIMULATE), str(self.pristine)]
        subprocess.run([*command, "--cohorts", "2", "--donors", "12", "--cells", "60"], check=True)
        shutil.copytree(self.pristine, self.finished)
        start = time.monotonic()
        code, said = run(self.finished)
        self.seconds = time.monotonic() - start
        if code:
            sys.exit(f"the undisturbed run failed:\n{said}")
        self.digests = digests(self.finished)
        kept.write_text(json.dumps([self.seconds, self.digests]), encoding="utf-8")

    def fresh(self, name: str, source: Path | None = None) -> Path:
        """A copy of the study, with the times of its files."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(source or self.pristine, target, symlinks=True))

    def differing(self, study: Path) -> list[str]:
        """Files of the release whose content is not that of the undisturbed run."""
        found = digests(study)
        names = found.keys() | self.digests.keys()
        return sorted(name for name in names if found.get(name) != self.digests.get(name))

    def resumed(self, study: Path) -> tuple[bool, str]:
        """Run again, once no process of the run before is left: as if nothing had happened?"""
        code, said = run(study)
        while code and "what it started still works" in said:
            time.sleep(1)
            code, said = run(study)
        if code:
            return False, f"resume failed: {last_line(said)}"
        if wrong := self.differing(study):
            return False, f"other digests after resume: {', '.join(wrong[:3])}"
        if left := leftovers(study):
            return False, f"left behind: {', '.join(left[:3])}"
        return True, "digests equal after resume"


def run(study: Path, *options: str, **environment: str) -> tuple[int, str]:
    """`pmcell run` to its end: exit code and all it said."""
    done = subprocess.run(
        [*PMCELL, "run", "--directory", str(study), "--cores", "2", *options],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stderr + done.stdout


def started(study: Path, **environment: str) -> subprocess.Popen[bytes]:
    """`pmcell run` in the background, silent."""
    return subprocess.Popen(
        [*PMCELL, "run", "--directory", str(study), "--cores", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def digests(study: Path) -> dict[str, str]:
    """Content digests of the release and of each file that counts for it."""
    manifest = json.loads((study / "results/release/manifest.json").read_text(encoding="utf-8"))
    files = {
        name: entry["content_sha256"]
        for name, entry in manifest["files"].items()
        if not name.startswith(EVIDENCE)
    }
    return {"manifest.json": manifest["content_sha256"], **files}


def leftovers(study: Path) -> list[str]:
    """Temporary files and folders that nothing will ever read."""
    found = [*study.glob("results/**/.*.part*"), *study.glob("results/**/.intake-*")]
    return sorted(path.name for path in found)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:140] if lines else ""


def sentence(text: str, *words: str) -> str | None:
    """The line that holds all the words, or None."""
    lines = (line.strip() for line in text.splitlines())
    return next((line[:160] for line in lines if all(word in line for word in words)), None)


def no_mounts() -> str | None:
    """Why this user cannot mount a disk in a namespace of his own, or None."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    with tempfile.TemporaryDirectory() as folder:
        script = f"mount -t tmpfs -o size=64k tmpfs {folder}"
        done = subprocess.run([*IN_A_NAMESPACE, script], capture_output=True, check=False)
    return None if done.returncode == 0 else "this user may not mount"
