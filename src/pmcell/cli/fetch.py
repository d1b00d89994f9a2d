"""Take what a run needs from the network, once; afterwards no step needs one.

Run it on a machine that has a package index (a cluster's login node), in the
environment that the jobs will use. It compiles the kernels into the cache and
makes the environments of the validators; the cohorts of the demo come with
pmcell. What is there is left alone. --list only looks.

Examples:
  pmcell fetch --list
  pmcell fetch
  pmcell fetch --validators all
  pmcell fetch --validators none     # no package index needed: compiles the kernels
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pmcell.errors import DataError, PmcellError, UsageError

if TYPE_CHECKING:
    from pmcell.publish.validators.table import Validator

COMPILED = "*.nbc"
"""Files in which numba keeps compiled code."""


@dataclass(frozen=True)
class Item:
    """One thing that a run needs: whether it is there, where, and what is to be done."""

    name: str
    is_ready: bool
    place: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `pmcell fetch`."""
    parser.add_argument(
        "--validators",
        nargs="+",
        metavar="NAME",
        default=["light"],
        help="validators of releases: names, light (default), all or none",
    )
    parser.add_argument("--list", action="store_true", help="say what is there, take nothing")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Take what is missing, then say what is there; exit code 1 where something is missing."""
    validators = _chosen(args.validators)
    trouble: PmcellError | None = None
    if not args.list:
        _compile()
        trouble = _set_up(validators)
    items = list(inventory(validators))
    print(json.dumps([asdict(item) for item in items], indent=2) if args.json else _text(items))
    if trouble:
        raise trouble
    return 0 if all(item.is_ready for item in items) else 1


def inventory(validators: list[Validator]) -> Iterator[Item]:
    """What a run needs and whether it is there; nothing is changed."""
    from pmcell.publish.validators.environments import environment, how_to_set_up, is_ready

    yield _packages()
    yield _embedded_cohorts()
    yield _kernels()
    for item in validators:
        ready = is_ready(item)
        detail = item.version if ready else how_to_set_up([item])
        yield Item(f"validator {item.name}", ready, str(environment(item)), detail)


def missing_packages() -> list[str]:
    """Requirements of pmcell itself that this environment does not hold."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    missing = []
    for line in requires("pmcell") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            missing.append(f"{requirement.name} {found} (needed: {requirement.specifier})")
    return missing


def _packages() -> Item:
    from importlib.util import find_spec

    missing = missing_packages()
    slurm = find_spec("snakemake_executor_plugin_slurm") is not None
    detail = f"with{'' if slurm else 'out'} Snakemake's executor for Slurm"
    if missing:
        detail = f"missing: {', '.join(missing)}; scripts/with-env (checkout) or pip installs them"
    return Item("packages", not missing, sys.prefix, detail)


def _embedded_cohorts() -> Item:
    from pmcell.bundle import EMBEDDED_COHORTS, bundle_folder

    folder = bundle_folder() / "config" / "cohorts"
    lost = [name for name in EMBEDDED_COHORTS if not (folder / name / "cohort.yaml").is_file()]
    detail = f"missing: {', '.join(lost)}; install pmcell again" if lost else "come with pmcell"
    return Item("cohorts of the demo", not lost, str(folder), detail)


def _kernels() -> Item:
    from pmcell.core.compiler import CACHE_FOLDER

    if CACHE_FOLDER is None:
        detail = "set PMCELL_CACHE_DIR to a folder in which you alone can write"
        return Item("kernels", False, "nowhere", detail)
    folder = CACHE_FOLDER
    n_compiled = sum(1 for _ in folder.rglob(COMPILED))
    detail = f"{n_compiled} compiled functions" if n_compiled else "nothing is compiled yet"
    return Item("kernels", n_compiled > 0, str(folder), detail)


def _compile() -> None:
    from rich.console import Console

    from pmcell.warm import warm_up

    with Console(stderr=True).status("compiling the kernels"):
        warm_up()


def _set_up(validators: list[Validator]) -> PmcellError | None:
    """Make the environments that are missing; what went wrong, told once all is listed."""
    from rich.console import Console

    from pmcell.publish.validators import set_up
    from pmcell.publish.validators.environments import folder, is_ready

    missing = [item for item in validators if not is_ready(item)]
    if not missing:
        return None
    console = Console(stderr=True)
    try:
        with console.status(f"setting up {len(missing)} validators in {folder()}"):
            set_up(missing, say=lambda line: console.print(f"  {line}", highlight=False))
    except DataError as error:
        return PmcellError(
            f"{error}\nRun it again where the package index is reached, or do without: "
            "pmcell fetch --validators none"
        )
    return None


def _chosen(names: list[str]) -> list[Validator]:
    from pmcell.publish.validators.table import VALIDATORS, find, light

    if len(names) > 1 and {"all", "none"} & set(names):
        raise UsageError(f"--validators takes names, or 'all' or 'none' alone, got {names}")
    if names == ["all"]:
        return list(VALIDATORS)
    if names == ["none"]:
        return []
    wanted = [name for word in names for name in (light() if word == "light" else [word])]
    return [find(name) for name in dict.fromkeys(wanted)]


def _text(items: list[Item]) -> str:
    width = max(len(item.name) for item in items)
    lines = [
        f"{'ready  ' if item.is_ready else 'missing'}  {item.name:<{width}}  {item.detail}\n"
        f"{'':<{width + 11}}{item.place}"
        for item in items
    ]
    return "\n".join(lines)
