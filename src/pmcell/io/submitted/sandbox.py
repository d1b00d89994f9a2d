"""Run a function on foreign bytes in a disposable child process with limits.

The child is a new interpreter (never a fork: the parent may hold threads), it
sets its own limits before anything is imported, and it answers with JSON. A
child that crashes, or that meets a limit, is a fault of the data: `DataError`
with the reason `reader_crashed`, `memory_limit` or `time_limit`. Errors made
for users come back as themselves. Any other exception of the child is a fault of
the data too, `ReaderFailedError`: foreign bytes can break a reader in ways that
nobody foresaw, and one file must not end the work on others. A child that cannot
start, or whose own modules are missing, is a fault of this installation: `SandboxBug`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError, PmcellError, UsageError
from pmcell.io.collection import imports_without_collection
from pmcell.io.scratch import scratch_folder
from pmcell.io.system import catch_lost_errors, cause, import_when_used

MEMORY_MB = 8192
MIN_MEMORY_MB = 1024
"""The libraries alone take about half of it."""
MAX_MEMORY_MB = 10**9
"""No machine has more."""
TIME_SECONDS = 12 * 3600
MAX_FILES = 256
SCRATCH = f"pmcell-sandbox-{os.getuid()}-"
"""Begins the name of the folder in which parent and child exchange requests and answers."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_STOPPED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SandboxBug(RuntimeError):
    """The child could not do its work here, whatever the file: the text says what it met."""


class ReaderFailedError(DataError):
    """An exception of the reader that nobody foresaw.

    `kind` is the exception's type, `text` what it says, which may quote the file; `frames` the
    places in the code that it went through, outermost first.
    """

    def __init__(self, kind: str, text: str, frames: Sequence[str]) -> None:
        self.kind, self.text, self.frames = kind, text, tuple(frames)
        super().__init__(
            f"the file must be one that its reader knows; reading it failed in a way that nobody "
            f"foresaw ({kind}: {text[:200]}). Read it with anndata where it came from and write it "
            "again; if it is sound, report this with the lines of the log.",
            reason="reader_failed",
        )

    def log_lines(self, *, with_text: bool) -> list[str]:
        """Where the reader was, for a log; what the exception says only `with_text`."""
        said = f"{self.kind}: {self.text}" if with_text else self.kind
        return ["the reader failed at:", *(f"  {frame}" for frame in self.frames), f"  {said}"]


def run(
    target: str,
    arguments: Mapping[str, Any],
    *,
    memory_mb: int = MEMORY_MB,
    time_seconds: int = TIME_SECONDS,
) -> Any:
    """Call `target` ("module:function") with JSON `arguments` in a child; return its JSON result.

    `memory_mb` bounds the child's address space, `time_seconds` its CPU time.
    """
    if not MIN_MEMORY_MB <= memory_mb <= MAX_MEMORY_MB:
        raise UsageError(
            f"--memory must be {MIN_MEMORY_MB} to {MAX_MEMORY_MB} (MB), got {memory_mb}"
        )
    with scratch_folder(tempfile.gettempdir(), SCRATCH) as folder:
        request = folder / "request.json"
        answer = folder / "answer.json"
        log = folder / "log.txt"
        request.write_text(
            json.dumps(
                {
                    "target": target,
                    "arguments": dict(arguments),
                    "memory": memory_mb * 2**20,
                    "time": time_seconds,
                    "parent": os.getpid(),
                }
            )
        )
        command = [
            sys.executable,
            "-P",
            "-m",
            "pmcell.io.submitted.sandbox",
            str(request),
            str(answer),
        ]
        with log.open("wb") as stream:
            # No timeout here: the limit is the child's CPU time, so a slow disk is no fault.
            code = subprocess.call(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=_environment()
            )
        if answer.exists():
            return _result(json.loads(answer.read_text(encoding="utf-8")))
        raise _death(code, log.read_text(errors="replace"), memory_mb, time_seconds)


def _environment() -> dict[str, str]:
    # No filter plug-ins: they are code that a file can ask for.
    environment = {**os.environ, "HDF5_PLUGIN_PATH": "", "HDF5_PLUGIN_PRELOAD": "::"}
    environment.update(dict.fromkeys(_THREADS, "1"))
    return environment


def _result(answer: dict[str, Any]) -> Any:
    kind = answer["kind"]
    if kind == "result":
        return answer["value"]
    if kind == "faults":
        raise FaultsError([Fault(**fault) for fault in answer["faults"]])
    if kind == "data":
        raise DataError(answer["message"], reason=answer["reason"])
    if kind == "usage":
        raise UsageError(answer["message"])
    if kind == "machine":
        raise OSError(answer["number"], answer["message"], answer["file"])
    if kind == "failed":
        raise ReaderFailedError(answer["type"], answer["message"], answer["frames"])
    raise SandboxBug(answer["message"])


def _death(code: int, log: str, memory_mb: int, time_seconds: int) -> BaseException:
    if code < 0 and -code in _STOPPED:
        # A scheduler or a person ended the run: nothing is known of the data.
        return KeyboardInterrupt(f"the reader was stopped by {signal.Signals(-code).name}")
    if code == -signal.SIGXCPU:
        return DataError(
            f"reading the file must take at most {time_seconds} s of CPU time; it took more. "
            "Check the file, or allow more time.",
            reason="time_limit",
        )
    if code == -signal.SIGKILL or "MemoryError" in log or "bad_alloc" in log:
        return _memory_error(memory_mb)
    if code < 0:
        return DataError(
            f"the file must be readable; its reader crashed ({signal.Signals(-code).name}). "
            "The file is damaged or hostile: write it again from the source.",
            reason="reader_crashed",
        )
    return SandboxBug(f"the reading process ended with code {code} and no answer:\n{log[-4000:]}")


def _memory_error(memory_mb: int) -> DataError:
    return DataError(
        f"reading the file must fit {memory_mb} MB of memory; it needs more. "
        "Allow more with --memory if the file is sound.",
        reason="memory_limit",
    )


def _main(request_path: str, answer_path: str) -> int:
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    _limit(request)
    answer = _answer(request)
    temporary = Path(answer_path + ".part")
    temporary.write_text(answer, encoding="utf-8")
    temporary.rename(answer_path)
    return 0


def _answer(request: dict[str, Any]) -> str:
    """The answer as JSON: a result that JSON cannot hold is a failure as any other."""
    try:
        return json.dumps(_call(request))
    except (TypeError, ValueError) as error:
        return json.dumps(_failed(error))


def _failed(error: Exception) -> dict[str, Any]:
    import traceback

    frames = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return {
        "kind": "failed",
        "type": type(error).__name__,
        "message": str(error).encode("utf-8", "replace").decode(),
        "frames": frames,
    }


def _call(request: dict[str, Any]) -> dict[str, Any]:
    import importlib
    import traceback
    from dataclasses import asdict

    module, _, function = request["target"].partition(":")
    lost = catch_lost_errors()
    try:
        with imports_without_collection():
            import_when_used("numpy.f2py")
            target = getattr(importlib.import_module(module), function)
        value = target(**request["arguments"])
        if lost:
            raise lost[0]
    except FaultsError as error:
        return {"kind": "faults", "faults": [asdict(fault) for fault in error.faults]}
    except DataError as error:
        return {"kind": "data", "message": str(error), "reason": error.reason}
    except PmcellError as error:
        return {"kind": "usage", "message": str(error)}
    except MemoryError:
        fault = _memory_error(request["memory"] // 2**20)
        return {"kind": "data", "message": str(fault), "reason": fault.reason}
    except Exception as error:
        number = cause(error)
        if number is not None:
            # A full disk is no fault of the cohort: nothing is known of the data.
            file = getattr(error, "filename", None)
            told = file if isinstance(file, str) else None
            return {"kind": "machine", "number": number, "message": str(error), "file": told}
        if isinstance(error, ImportError):
            return {"kind": "bug", "message": traceback.format_exc()}
        return _failed(error)
    return {"kind": "result", "value": value}


def _limit(request: dict[str, Any]) -> None:
    _die_with(request["parent"])
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_NOFILE, MAX_FILES)
    _set_limit(resource.RLIMIT_AS, request["memory"])
    soft = request["time"]
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _set_limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies, so that no reader is left behind."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
