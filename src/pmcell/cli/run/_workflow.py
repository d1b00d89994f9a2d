"""Start Snakemake on a study folder, show its progress, and say how it ended."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from pmcell import bundle
from pmcell.cli.run._display import clock, display
from pmcell.cli.run._progress import Job, Progress
from pmcell.cli.run._readers import JOB_OF_RUN
from pmcell.cli.run._remaining import needs_of
from pmcell.cli.run._slurm import job_prefix
from pmcell.cli.run._snakemake import LAUNCHER
from pmcell.cli.run._study import Study
from pmcell.errors import UsageError
from pmcell.io.benchmarks import read_benchmark
from pmcell.io.modes import OPERATORS_UMASK, current_umask, private_umask
from pmcell.private_folder import private_folder
from pmcell.registry.cohorts.registered import is_open, list_cohorts
from pmcell.steps import OLD_RULES

INTERRUPTED = 130
RERUN_TRIGGERS = ("mtime", "params", "input", "software-env")
"""What makes a finished job run again. Not its command line, which Snakemake calls code: whether a
step gives other results than before is what its version says, and that is one of the params."""

WARM_UP = "from pmcell.core.warm import warm_kernels; warm_kernels()"
COMPILES_AFTER = 5.0
"""Loading compiled kernels takes less than this (s); what takes longer compiles them."""

INSISTS_AFTER = 20.0
"""Seconds that Snakemake has for an answer to an interrupt."""

NAMING_RULES = ("groups", "set-threads", "set-resources")
"""Entries of a profile that name rules."""


def snakemake_command(
    study: Study, *, cores: int | None, profile: Path, extra: list[str]
) -> list[str]:
    """The command as it is run and shown; paths below the current folder are shortened.

    Without `cores` a run on this machine takes all that are allowed; one on a
    cluster leaves it to the profile.
    """
    values = _profile_values(profile)
    executor = str(values.get("executor") or "local")
    if cores is None and executor == "local":
        cores = available_cores()
    if executor == "slurm":
        extra = ["--slurm-jobname-prefix", job_prefix(study.folder), *extra]
    configfile = [] if study.is_own_config else ["--configfile", short(study.config)]
    is_told = "rerun-triggers" in values or "--rerun-triggers" in extra
    triggers = [] if is_told else ["--rerun-triggers", *RERUN_TRIGGERS]
    return [
        "snakemake",
        *("--snakefile", short(bundle.snakefile())),
        *("--directory", short(study.folder)),
        *("--workflow-profile", short(profile)),
        *configfile,
        *triggers,
        *(("--cores", str(cores)) if cores else ()),
        *extra,
    ]


def executor_of(profile: Path) -> str:
    """The executor that a profile names: `local`, `slurm` or another of Snakemake's."""
    return str(_profile_values(profile).get("executor") or "local")


def renamed_rules(profile: Path) -> str:
    """What to change in a profile that names rules as version 0.1.0 did; empty where none does.

    Snakemake ignores what a profile says of rules that are not there.
    """
    named: set[str] = set()
    for key in NAMING_RULES:
        entries = _profile_values(profile).get(key) or []
        named |= {re.split("[=:]", str(entry))[0] for entry in entries}
    changes = ", ".join(f"{old} is now {new}" for old, new in OLD_RULES.items() if old in named)
    return f"{profile}: rules have new names, write them there: {changes}" if changes else ""


def _profile_values(profile: Path) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = {}
    for path in sorted(profile.glob("config*.yaml")):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise UsageError(f"{path} must be valid YAML: {error}") from error
        found = (values if isinstance(values, dict) else {}) | found
    return found


def run_snakemake(study: Study, command: list[str], progress: Progress) -> int:
    """Run the command with progress on standard error; its exit code, 130 when interrupted.

    What Snakemake itself says goes to `results/logs/run.log`; what became of
    the jobs is in `progress`.
    """
    log = study.results / "logs" / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    mask = current_umask() if _is_open(study) else private_umask(current_umask())
    # Snakemake repeats in it what a failed job said.
    log.touch()
    log.chmod(0o666 & ~mask)
    progress.work_of = partial(_work_of, study)
    shown = display(progress, needs_of(study), _cores_of(command))
    with (
        log.open("w", encoding="utf-8") as stream,
        shown as show,
        _interrupts(progress, has_jobs=_cores_of(command) is not None) as interrupts,
    ):
        stream.write(shlex.join(command) + "\n")
        # A session of its own: an interrupt reaches Snakemake once, from here, not twice.
        # What is shown does the same as the launcher, with more memory.
        process = subprocess.Popen(
            [sys.executable, "-m", LAUNCHER, *command[1:], "--nocolor"],
            env={
                OPERATORS_UMASK: f"{current_umask():03o}",
                **environment(),
                JOB_OF_RUN: os.path.realpath(study.folder),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=mask,
        )
        interrupts.pass_to(process)
        assert process.stdout is not None
        for line in process.stdout:
            stream.write(line)
            stream.flush()
            show(line)
        code = process.wait()
    if interrupts.received:
        _say("interrupted; the finished steps are kept, the same command goes on from there")
        return INTERRUPTED
    if progress.is_up_to_date:
        _say("nothing to do: everything is up to date")
    if progress.is_report:
        _say("Snakemake's report is written")
    if code:
        _explain_failure(study, progress, log)
    return code


def _is_open(study: Study) -> bool:
    """Whether everyone may have the cells of all cohorts of the study."""
    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    return all(is_open(study.cohorts_dir / name) for name in names)


def environment() -> dict[str, str]:
    """The environment for rules: `pmcell` is found even where its environment is not activated."""
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, **_cache_home()}


def _cache_home() -> dict[str, str]:
    """A cache folder in the temporary one where the home has none: Snakemake cannot do without."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        if os.access(folder, os.W_OK):
            return {}
    shared = private_folder(Path(tempfile.gettempdir(), f"pmcell-{os.getuid()}"))
    return {"XDG_CACHE_HOME": str(shared)}


def available_cores() -> int:
    """Cores that this process may use, which on a cluster is less than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity.
        return os.cpu_count() or 1


def warm_up() -> None:
    """Compile the kernels once, before many jobs would each do it.

    In a process of its own: what it loads is not kept for as long as the run waits.
    """
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", WARM_UP], stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        try:
            _, err = process.communicate(timeout=COMPILES_AFTER)
        except subprocess.TimeoutExpired:
            _say("compiling the kernels, once on this machine; this takes a minute or two")
            _, err = process.communicate()
            if process.returncode == 0:
                _say(f"compiled the kernels in {clock(time.monotonic() - start)}")
    if process.returncode:
        why = (err.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        _say(f"the kernels could not be compiled beforehand ({why}); each job does it by itself")


def _work_of(study: Study, job: Job) -> float | None:
    """What a job took without its time in a queue, as its benchmark record has it."""
    name = job.entries.get("benchmark")
    return read_benchmark(study.folder / name)["wall_seconds"] if name else None


def short(path: Path) -> str:
    """A path as a person would type it: relative where it lies below the current folder."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _cores_of(command: list[str]) -> int | None:
    """Cores that the jobs share; None where a scheduler has them."""
    return int(command[command.index("--cores") + 1]) if "--cores" in command else None


class _Interrupts:
    """What was interrupted, and what is to be told so."""

    def __init__(self, progress: Progress, *, has_jobs: bool) -> None:
        self.received = False
        self.progress = progress
        self.has_jobs = has_jobs
        self.process: subprocess.Popen[str] | None = None

    def pass_to(self, process: subprocess.Popen[str]) -> None:
        """Tell this process from now on, and at once where the interrupt came before it."""
        self.process = process
        if self.received:
            self.tell()

    def tell(self, number: int = signal.SIGINT) -> None:
        # Snakemake does not stop for SIGTERM; at SIGINT it ends its jobs and unlocks the folder.
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        is_first = not self.received
        self.received = self.progress.is_interrupted = True
        self.tell()
        if is_first:
            threading.Thread(target=self._insist, daemon=True).start()

    def _insist(self) -> None:
        """Tell it again until it has ended: an interrupt at a bad moment is lost.

        Once it stops, it waits for its jobs. One that began while the others were ended was told
        nothing: SIGTERM ends it, and tells Snakemake what it knows. Jobs of a scheduler are not
        this machine's.
        """
        while True:
            time.sleep(INSISTS_AFTER)
            if self.process is not None and self.process.poll() is not None:
                return
            if not self.progress.is_stopping:
                self.tell()
            elif self.has_jobs:
                self.tell(signal.SIGTERM)


@contextmanager
def _interrupts(progress: Progress, *, has_jobs: bool) -> Iterator[_Interrupts]:
    """Turn SIGINT, SIGTERM and SIGHUP into one SIGINT for Snakemake and its jobs.

    To be entered before Snakemake is started: a job in the background inherits
    that SIGINT is ignored, and would hand it on. With nohup SIGHUP stays ignored.
    """
    interrupts = _Interrupts(progress, has_jobs=has_jobs)
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, interrupts.handle) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _explain_failure(study: Study, progress: Progress, log: Path) -> None:
    if progress.is_locked:
        _say(
            f"{short(study.folder)} is locked: another run works in it, or one was killed. "
            "When none runs any more: pmcell run --unlock, then run again"
        )
        return
    for job in progress.failed.values():
        _say(f"step {job.name} failed" + (f"; its log: {job.log}" if job.log else ""))
        for line in _last_lines(study.folder / job.log if job.log else log):
            print(f"    {line}", file=sys.stderr)
    if not progress.failed:
        for line in _last_lines(log):
            print(f"    {line}", file=sys.stderr)
    _say(f"the run failed; what finished is kept. All messages: {short(log)}")


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
    except OSError:
        return []


def _say(line: str) -> None:
    print(f"pmcell run: {line}", file=sys.stderr, flush=True)
