"""What happens around every step: its inputs are checked before it, its results stamped after it.

One table says which options of a step name the files it reads and writes, so
no command does this by itself.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pmcell.cli._common import section

_OF_COHORT: tuple[str, ...] = (
    "intake.h5ad",
    "gene_ledger.parquet",
    "donors.parquet",
    "visits.parquet",
    "samples.parquet",
    "intake.json",
)
_OF_STRATA: tuple[str, ...] = (
    "donors.h5ad",
    "strata.parquet",
    "assignments.parquet",
    "associations.parquet",
    "drivers.parquet",
    "composition_shifts.parquet",
    "movement.parquet",
    "outcomes.parquet",
    "survival.parquet",
    "strata.json",
)
_OF_EXPLANATION: tuple[str, ...] = (
    "expression_contrasts.parquet",
    "differential_expression.parquet",
    "pathways.parquet",
    "gene_drivers.parquet",
)
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR", "BLIS")


@dataclass(frozen=True)
class StepFiles:
    """Options that name files (`counts`), or a folder and a file in it (`out_dir/qc.parquet`)."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


STEPS: Mapping[str, StepFiles] = {
    "intake": StepFiles((), tuple(f"out_dir/{name}" for name in _OF_COHORT)),
    "qc": StepFiles(
        ("counts", "intake"),
        ("out_dir/qc.parquet", "out_dir/qc_samples.parquet", "out_dir/status.json"),
    ),
    "moments": StepFiles(("counts", "qc"), ("out",)),
    "features": StepFiles(
        ("cohort/moments.npz", "cohort/status.json"),
        ("out", "cohorts_out"),
    ),
    "gram": StepFiles(("counts", "qc", "features", "cohorts"), ("out",)),
    "basis": StepFiles(("gram", "features"), ("out",)),
    "project": StepFiles(("counts", "qc", "features", "cohorts", "basis"), ("out",)),
    "integrate": StepFiles(
        (
            "cohort/embedding.npz",
            "cohort/intake.h5ad",
            "cohort/qc.parquet",
            "cohort/samples.parquet",
            "cohort/donors.parquet",
            "cohort/visits.parquet",
        ),
        ("out",),
    ),
    "neighbors": StepFiles(("embedding",), ("out",)),
    "cluster": StepFiles(("graph",), ("out",)),
    "umap": StepFiles(("graph", "embedding"), ("out",)),
    "aggregate": StepFiles(("counts", "qc", "clusters"), ("out",)),
    "markers": StepFiles(
        (
            "cohort/aggregate.npz",
            "cohort/intake.h5ad",
            "cohort/qc.parquet",
            "clusters",
            "features",
        ),
        ("out",),
    ),
    "annotate": StepFiles(("clusters", "embedding", "aggregate", "features"), ("out",)),
    "profile": StepFiles(("embedding", "clusters", "annotation"), ("out", "composition_out")),
    "strata": StepFiles(
        ("profiles", "clinical_table"), tuple(f"out_dir/{name}" for name in _OF_STRATA)
    ),
    "explain": StepFiles(
        (
            "donors",
            "cohort/aggregate.npz",
            "cohort/samples.parquet",
            "annotation",
            "features",
            "gene_sets_file",
        ),
        tuple(f"out_dir/{name}" for name in _OF_EXPLANATION),
    ),
}


def run_step(
    name: str,
    command: ModuleType,
    args: argparse.Namespace,
    lost: Sequence[BaseException] = (),
) -> int:
    """Run a command; where it is a step, check what it reads and stamp what it wrote.

    `lost` grows when a library could not raise that a file was not written.
    """
    files = STEPS.get(name)
    threads = getattr(args, "threads", None) or 1
    if files is None:
        if name == "release":
            _check_release(args)
        return int(command.run(args) or 0)
    from pmcell.io.atomic import remove_leftovers
    from pmcell.io.modes import as_private_as
    from pmcell.io.stamps import check_inputs, stamp_path, write_stamps

    with _libraries_use(threads):
        inputs = check_inputs(_existing(args, files.reads), threads=threads)
        outputs = list(_paths(args, files.writes))
        for path in outputs:
            remove_leftovers(path)
            remove_leftovers(stamp_path(path))
        with as_private_as(_existing(args, files.reads)):
            code = int(command.run(args) or 0)
        if lost:
            raise lost[0]
        if code == 0:
            if name == "intake":
                inputs = _submitted(args)
            parameters = _parameters(name, command, args)
            with as_private_as(outputs):
                write_stamps(name, outputs, inputs, parameters, getattr(args, "seed", None))
    return code


def _paths(args: argparse.Namespace, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        option, _, file = name.partition("/")
        value = getattr(args, option)
        if option == "cohort":
            yield from (Path(folder) / file for _, folder in value)
        elif file:
            yield Path(value) / file
        elif value is not None:
            yield from map(Path, value if isinstance(value, list) else [value])


def _existing(args: argparse.Namespace, names: tuple[str, ...]) -> list[Path]:
    """Files that are there: the step itself says which one it misses."""
    return [path for path in _paths(args, names) if path.is_file()]


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


def _parameters(name: str, command: ModuleType, args: argparse.Namespace) -> dict[str, Any]:
    """The step's section of the configuration over its defaults; options given take precedence."""
    defaults = command.defaults() if hasattr(command, "defaults") else {}
    defaults = defaults or getattr(command, "DEFAULTS", {})
    values = section(getattr(args, "config", None), name, defaults) if defaults else {}
    given = {key: getattr(args, key, None) for key in values}
    return {**values, **{key: value for key, value in given.items() if value is not None}}


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
