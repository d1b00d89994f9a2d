"""Does another processor give the same bits? A small study under several targets, file by file.

    python tests/benchmarks/workflow/other_processors.py [STUDY] [--targets blas simd numba]

Libraries choose their instructions by the processor: OpenBLAS its kernels, numpy its loops,
numba what it compiles. Each can be told to act as on an older one, which stands for another
machine. The study is run once as it is, and once a target; each result is compared by its content
digest. STUDY is a folder with the config/ of a registered study, which is copied; without one, a
small study is simulated. Files that differ are named on standard error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import hdf5plugin  # noqa: F401  # counts between steps are packed with it
import pandas as pd

from pmcell.release.digest import content_sha256
from pmcell.step import Step
from pmcell.steps import STEPS

ROOT = Path(__file__).resolve().parents[3]
TARGETS = {
    "blas": {"OPENBLAS_CORETYPE": "Nehalem"},
    "simd": {"NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4 X86_V3"},
    "numba": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
"""What makes each library act as on a processor of 2008: no AVX, no fused multiply and add."""
RESULTS = ("*.parquet", "*.npz", "*.h5ad", "*.h5", "*.json", "*.npy")
RECORDS = ("logs/", "benchmarks/", "release/manifest.json", "release/validation/")
"""What tells of one run, its times and files' sizes."""


def main() -> int:
    """Run the study under each target and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument(
        "--keep", type=Path, help="folder for the studies; a temporary one by default"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        first = _run(_study(folder / "here", args.study), {})
        print("| target | results | equal | files that differ, by step | largest difference |")
        print("|---|---|---|---|---|")
        for target in args.targets:
            other = _run(_study(folder / target, args.study), TARGETS[target])
            differ = [name for name in first if first[name] != other.get(name)]
            differ += sorted(set(other) - set(first))
            told = len(first), len(first) - len(differ), _by_step(differ)
            largest = _largest(differ, folder / "here" / "results", folder / target / "results")
            print("|", " | ".join(map(str, (target, *told, largest))), "|", flush=True)
            for name in differ:
                print(f"    {name}", file=sys.stderr)
    return 0


def _study(folder: Path, given: Path | None) -> Path:
    if folder.exists():
        return folder
    if given is not None:
        shutil.copytree(given / "config", folder / "config")
    else:
        sizes = ("--cohorts", "3", "--donors", "24", "--cells", "120", "--genes", "1000")
        command = [sys.executable, str(ROOT / "scripts" / "simulate_study.py"), str(folder), *sizes]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def _run(study: Path, target: dict[str, str]) -> dict[str, str]:
    """Run a study to its release; the content digest of each result by its path."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    command = [sys.executable, "-m", "pmcell", "run", "--directory", str(study), "--cores", "2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=inherited | target)
    results = study / "results"
    paths = sorted(
        {path for pattern in RESULTS for path in results.rglob(pattern) if path.is_file()}
    )
    names = {path.relative_to(results).as_posix(): path for path in paths}
    return {
        name: content_sha256(path) for name, path in names.items() if not name.startswith(RECORDS)
    }


def _by_step(names: list[str]) -> str:
    """The files that differ, counted by the step that writes them, in the order of the flow."""
    counts = {step.name: sum(map(_of(step), names)) for step in STEPS}
    return ", ".join(f"{step} {n}" for step, n in counts.items() if n) or "none"


def _largest(names: list[str], here: Path, there: Path) -> str:
    """How far numbers of tables lie apart, beside the largest of a column; else what differs."""
    largest = 0.0
    for name in (name for name in names if name.endswith(".parquet")):
        one, other = (pd.read_parquet(folder / name) for folder in (here, there))
        if len(one) != len(other):
            return f"rows of {name}"
        for column in one:
            if one[column].dtype.kind == "f":
                apart = (one[column] - other[column]).abs().max()
                largest = max(largest, apart / max(one[column].abs().max(), 1e-300))
            elif not one[column].astype(str).equals(other[column].astype(str)):
                return f"{column} of {name}"
    return f"{largest:.0e}"


def _of(step: Step) -> Callable[[str], bool]:
    """Whether a path below the results folder is one of those that the step writes."""
    patterns = [path.format(cohort="*") for path in step.outputs]
    return lambda name: any(
        fnmatch(name, pattern) or name.startswith(pattern + "/") for pattern in patterns
    )


if __name__ == "__main__":
    raise SystemExit(main())
