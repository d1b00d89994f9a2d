"""What a failing machine says, in words that a person can act on: full disk, no permission."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import re
import resource
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, NoReturn

_IN_TEXT = re.compile(r"errno = (\d+)")
_NO_MEMORY = re.compile(
    r"cannot allocate memory|failed to map segment|unable to allocate|can't allocate|bad_alloc"
    r"|memory allocation failed|out of memory|can't start new thread|errno = 12\b",
    re.IGNORECASE,
)
MIN_ADDRESS_SPACE = 800_000_000
"""Bytes in which a step begins; with less OpenBLAS waits without end, and LLVM aborts."""
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Numbers of the options of glibc's mallopt(3)."""
MAX_KEPT = 32 << 20
"""Bytes that are kept at the end of a thread's memory, and of the largest array kept there."""
_CAUSES = {
    errno.ENOSPC: ("there must be room on the disk; it is full", "Free some space"),
    errno.EDQUOT: ("there must be room in your quota; it is used up", "Free some space"),
    errno.EFBIG: ("a file may not outgrow the limit set for it; it did", "Raise it (ulimit -f)"),
    errno.EROFS: ("the folder must be writable; its disk is read-only", "Make it writable"),
    errno.EACCES: ("the file must be open to you; permission was denied", "Correct its rights"),
    errno.EPERM: ("the file must be open to you; the system refused", "Correct its rights"),
    errno.ENOTDIR: ("what leads to it must be folders; a file stands in the way", "Name another"),
    errno.EEXIST: ("a folder must be made there; a file of that name is there", "Name another"),
    errno.EISDIR: ("it must be a file; a folder has that name", "Name another"),
    errno.ENAMETOOLONG: ("its name must be one that the disk takes; it is too long", "Shorten it"),
    errno.ELOOP: ("its path must end; links on it lead to each other", "Name another"),
    errno.EIO: ("the disk must answer; it reports an error of its own", "Ask who runs it"),
    errno.ENOLCK: ("the disk must have file locks; it has none", "Put it on one that has"),
    errno.EOPNOTSUPP: (
        "the disk must do what files of a study need (locks, links); it does not",
        "Put the study on a local disk, or one that does",
    ),
    errno.ESTALE: ("the network disk must be mounted; its handle is stale", "Mount it again"),
}


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP end this process as SIGINT does, so that it removes what is half done.

    They raise `KeyboardInterrupt` with the name of the signal; what is ignored stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)


def keep_freed_memory() -> bool:
    """Let glibc use the memory of arrays that are gone for new ones; whether it was glibc.

    Else it hands arrays of a few MB back to the system each time, which clears every page anew:
    a third of the time of draws of donors. A step that reads large blocks takes more memory so.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(
        mallopt(_MMAP_THRESHOLD, MAX_KEPT) and mallopt(_TRIM_THRESHOLD, MAX_KEPT)
    )


def no_address_space() -> str:
    """Why no step can begin where the address space is limited too far; '' elsewhere."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= MIN_ADDRESS_SPACE:
        return ""
    return (
        f"a step must have {MIN_ADDRESS_SPACE / 1e6:,.0f} MB of address space, to load what it "
        f"calculates with; found a limit of {limit / 1e6:,.0f} MB (ulimit -v). Raise it: ulimit -v "
        "unlimited, or the memory of the job (mem_mb of the rule); then run again."
    )


def explain(error: BaseException) -> str | None:
    """The sentence for an error of the machine, or None when the error is another one.

    HDF5 hides the number of an error in its text.

    >>> explain(OSError(errno.ENOSPC, "No space left on device", "results/a.npz"))
    'results/a.npz: there must be room on the disk; it is full. Free some space, ...'
    """
    if isinstance(error, FileNotFoundError) and "usable temporary directory" in str(error):
        return (
            "a temporary folder must be writable; none of TMPDIR, /tmp, /var/tmp and this folder "
            "is. Set TMPDIR to a folder on the node that you can write to, then run again."
        )
    if is_memory(error):
        return (
            "the step must fit the memory it may use (ulimit -v, the job's limit); it needs more. "
            "Give it more: --memory where a step that has it is run by hand, mem_mb of the rule in "
            "a run (--set-resources RULE:mem_mb=16000), or a larger machine. Then run again: what "
            "is finished stays."
        )
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        path = error.object[max(error.start - 40, 0) : error.end + 40]
        return (
            f"a path must be in UTF-8; {path!a} is not, and libraries that read and "
            "write data cannot use it. Rename what is in another encoding (ls -b shows it)."
        )
    number = cause(error)
    if number is None:
        return None
    must, fix = _CAUSES[number]
    # Of two names the second is where the file was to go.
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    where = f"{name}: " if name else ""
    return f"{where}{must}. {fix}, then run again: what is finished stays."


def is_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out.

    numpy and Arrow say so by class, the loader of libraries, HDF5 and threads in words.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, MemoryError) or getattr(found, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(found, (OSError, ImportError, RuntimeError, SystemError, ValueError)) and (
            _NO_MEMORY.search(str(found))
        ):
            return True
        found = found.__cause__ or found.__context__
    return False


def cause(error: BaseException) -> int | None:
    """The system's number of such an error, or None when the error is another one."""
    if not isinstance(error, (OSError, RuntimeError)):
        return None
    number = getattr(error, "errno", None)
    if number not in _CAUSES and (found := _IN_TEXT.search(str(error))):
        number = int(found[1])
    return number if number in _CAUSES else None


def catch_lost_errors() -> list[BaseException]:
    """Collect, from now on, errors of the machine that a library met where it could not raise them.

    HDF5 writes last while it closes a file: on a full disk it prints pages and
    goes on. Whoever wrote the file must look at the list before trusting it.
    """
    lost: list[BaseException] = []
    shown, ignored = sys.excepthook, sys.unraisablehook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if cause(error) is None:
            shown(kind, error, trace)
        else:
            lost.append(error)

    def ignore(found: Any) -> None:
        if found.exc_value is None or cause(found.exc_value) is None:
            ignored(found)
        else:
            lost.append(found.exc_value)

    sys.excepthook, sys.unraisablehook = show, ignore
    return lost


def leave(code: int) -> NoReturn:
    """End this process at once: HDF5 crashes at the end where it could not write."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def import_when_used(name: str) -> None:
    """Put a module in its package that is read when it is first used, not when it is imported.

    For what a library imports and a job does not use: scipy takes all of numpy's names, so
    numpy.f2py, a compiler's front end, is a tenth of the start of a job.
    """
    if name in sys.modules:
        return
    package, _, last = name.rpartition(".")
    parent = importlib.import_module(package)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    setattr(parent, last, module)
