"""What happens around every step: its inputs are checked before it, its results stamped after it.

The table of steps says which options of a step name the files it reads and writes, so no
command does this by itself.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pmcell.errors import UsageError
from pmcell.io.collection import imports_without_collection
from pmcell.io.system import import_when_used
from pmcell.step import Files, Step, files_named
from pmcell.steps import BY_NAME

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR", "BLIS")


def run_step(
    name: str,
    command: ModuleType,
    args: argparse.Namespace,
    lost: Sequence[BaseException] = (),
) -> int:
    """Run a command; where it is a step, check what it reads and stamp what it wrote.

    `lost` grows when a library could not raise that a file was not written.
    """
    step = BY_NAME.get(name)
    threads: int = getattr(args, "threads", 1)
    if step is None or step.is_product:
        if name == "release":
            _check_release(args)
        return int(command.run(args) or 0)
    from pmcell.io.atomic import remove_leftovers
    from pmcell.io.modes import as_private_as
    from pmcell.io.stamps import check_inputs, stamp_path, write_stamps

    parameters = _parameters(name, args)
    seed = parameters.pop("seed", None)
    if hasattr(args, "threads"):
        _use_threads(threads)
    # Of cohorts that were set aside a step may read nothing: it looks for its results itself.
    own = {option: paths for option, paths in step.reads.items() if option != "results"}
    require_files(_paths(args, step.reads if step.per_cohort else own))
    with _libraries_use(threads):
        inputs = check_inputs(_existing(args, step), threads=threads)
        outputs = _paths(args, step.writes)
        for path in outputs:
            remove_leftovers(path)
            remove_leftovers(stamp_path(path))
        with as_private_as(_existing(args, step)):
            code = int(command.run(args) or 0)
        if lost:
            raise lost[0]
        if code == 0:
            if name == "intake":
                inputs = _submitted(args)
            with as_private_as(outputs):
                write_stamps(name, outputs, inputs, parameters, seed)
            for path in _paths(args, step.drops):
                path.unlink(missing_ok=True)
                stamp_path(path).unlink(missing_ok=True)
    return code


def _paths(args: argparse.Namespace, files: Files) -> list[Path]:
    """Where the files of a step lie, as the command's options say."""
    return [path for _, path in files_named(args, files)]


def _places(value: Any) -> Iterator[Path]:
    """The file or files that an option names; none where it was not given."""
    if value is not None:
        yield from map(Path, value if isinstance(value, list) else [value])


def _existing(args: argparse.Namespace, step: Step) -> list[Path]:
    """What the step reads; a file that the study names may be missing, which the step says."""
    asked = (path for option in step.asks for path in _places(getattr(args, option)))
    return [path for path in (*_paths(args, step.reads), *asked) if path.is_file()]


def _use_threads(n_threads: int) -> None:
    """Let numba's kernels use so many threads, or as many as the machine allows."""
    if n_threads < 1:
        raise UsageError(f"--threads must be at least 1, got {n_threads}")
    with imports_without_collection():
        import_when_used("numpy.f2py")
        # What every such step imports in the end.
        import numba
        import pandas  # noqa: F401
        import pyarrow.parquet  # noqa: F401

    allowed = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(n_threads, allowed))


def require_files(paths: Sequence[Path]) -> None:
    """`UsageError` for the first path that is not a file."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path} must be a file of an earlier step; there is no such file")


def _check_release(args: argparse.Namespace) -> None:
    """Check every stamped file of the accepted cohorts, the atlas and the strata."""
    from pmcell.io.atomic import read_json
    from pmcell.io.stamps import FOLDER, check_inputs

    results: Path = args.results
    verdicts = results / "atlas" / "cohorts.json"
    cohorts = args.cohort or (sorted(read_json(verdicts)) if verdicts.is_file() else [])
    folders = [*(results / "cohorts" / name for name in cohorts), results / "atlas"]
    folders.append(results / "strata")
    stamps = [path for folder in folders for path in sorted((folder / FOLDER).glob("*.json"))]
    files = [path.parent.parent / path.name.removesuffix(".json") for path in stamps]
    check_inputs([path for path in files if path.is_file()], threads=2)


def _submitted(args: argparse.Namespace) -> dict[str, str]:
    """Digests of what intake read, as its report has them."""
    from pmcell.io.atomic import read_json

    return dict(read_json(args.out_dir / "intake.json")["inputs"])


def _parameters(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The step's settings: its options, else its section of the configuration, else defaults."""
    from pmcell.cli._settings import step_settings
    from pmcell.settings.table import SETTINGS

    return step_settings(args, SETTINGS[name]).model_dump(mode="json")


@contextmanager
def _libraries_use(threads: int) -> Iterator[None]:
    """Let BLAS and OpenMP, loaded or not yet, use `threads` threads while the step runs.

    Figures are drawn with matplotlib's cache in the job's temporary folder.
    """
    wanted = {f"{name}_NUM_THREADS": str(threads) for name in _LIBRARIES}
    wanted["VECLIB_MAXIMUM_THREADS"] = str(threads)
    wanted["MPLCONFIGDIR"] = _figures_folder()
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _figures_folder() -> str:
    """Where matplotlib may read settings and keep fonts: a folder that nobody else can change."""
    import tempfile

    from pmcell.private_folder import private_folder, process_folder

    shared = os.path.join(tempfile.gettempdir(), f"pmcell-mpl-{os.getuid()}")
    for candidate in (os.environ.get("MPLCONFIGDIR"), shared):
        try:
            if candidate and os.access(private_folder(candidate), os.W_OK):
                return candidate
        except OSError:
            continue
    try:
        return str(process_folder("pmcell-mpl-"))
    except OSError:
        # matplotlib then makes one of its own, and says so.
        return os.devnull
