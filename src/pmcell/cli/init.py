"""Make a study folder: the configuration, a place for cohorts, and profiles.

The folder holds config/config.yaml (only what differs from the defaults),
config/README.md (every key), config/programmes/ (disease programmes),
config/cohorts/ (one folder a cohort, see `pmcell register`) and profiles/
(how Snakemake runs: on this machine, or on a cluster).

Example:
    pmcell init my-study
    pmcell init my-study --with-demo
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell init`."""
    parser.add_argument("folder", type=Path, help="folder to make; may exist, but not be a study")
    parser.add_argument(
        "--with-demo", action="store_true", help="put copies of the embedded cohorts in"
    )


def run(args: argparse.Namespace) -> int:
    """Make the folder and say what to do next."""
    from pmcell.bundle import EMBEDDED_COHORTS

    make_study(args.folder, cohorts=EMBEDDED_COHORTS if args.with_demo else ())
    print(f"{args.folder} is a study folder now. Next:")
    print(f"  cd {shlex.quote(str(args.folder))}")
    print("  pmcell register FILE.h5ad --id ID    draft a cohort, then decide what says TODO")
    print("  pmcell check                         everything that is wrong, with its fix")
    print("  pmcell run                           from the cohorts to the release")
    return 0


def make_study(folder: Path, *, cohorts: Sequence[str]) -> None:
    """Write the files of a study folder, with copies of the embedded `cohorts`.

    `config/config.yaml` is written last: it makes the folder a study. Raises
    `UsageError` when it is there already.
    """
    from pmcell.bundle import bundle_folder
    from pmcell.errors import UsageError

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"a study must be a folder; {folder} is a file. Name another one.")
    config = folder / "config"
    if (config / "config.yaml").exists():
        raise UsageError(
            f"{folder} is a study folder already: it has config/config.yaml. "
            "Name another folder, or edit that file."
        )
    source = bundle_folder()
    (config / "cohorts").mkdir(parents=True, exist_ok=True)
    for name in cohorts:
        _copy(source / "config" / "cohorts" / name, config / "cohorts" / name)
    for name in ("README.md", "programmes", "schemas"):
        _copy(source / "config" / name, config / name)
    _copy(source / "workflow" / "profiles", folder / "profiles")
    _copy(source / "config" / "config.yaml", config / "config.yaml")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or the files of a folder, each atomically; nothing when there is no source."""
    import shutil

    from pmcell.io.atomic import atomic_path

    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for path in files:
        with atomic_path(target / path.relative_to(source)) as temporary:
            shutil.copyfile(path, temporary)
