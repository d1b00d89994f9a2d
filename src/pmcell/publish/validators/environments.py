"""One environment a validator: their requirements exclude each other and pmcell's own.

They lie in `$PMCELL_VALIDATORS_DIR`, else in `validators/` of the virtual
environment that pmcell runs in, else in the user's cache; never in a release.
Each holds exactly what its lock names, every archive checked against its hash.
A stamp is written last: without it the folder is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_text
from pmcell.publish.validators.table import Validator
from pmcell.uv import uv_settings

STAMP = "pmcell-stamp.json"
N_AT_ONCE = 4
"""Set-ups that run side by side: they wait for the network more than they compute."""


def set_up(
    validators: Sequence[Validator], *, say: Callable[[str], None] = lambda line: None
) -> None:
    """Make the environments that are missing or old; needs a package index.

    All are tried; `DataError` then names those that failed, with what their
    installer said.
    """
    wanted = [validator for validator in validators if not is_ready(validator)]
    if not wanted:
        return
    folder().mkdir(parents=True, exist_ok=True)
    pip = _pip()
    settings = uv_settings(pip) if pip else {}
    failures = []
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        jobs = [(item, pool.submit(_make, item, settings)) for item in wanted]
        for validator, job in jobs:
            trouble = job.result()
            say(f"{validator.name} {validator.version}: {'failed' if trouble else 'ready'}")
            if trouble:
                failures.append(f"{validator.name}: {trouble}")
    if failures:
        raise DataError(
            "every validator must be set up from the package index of your pip configuration "
            "(pip config list; npm config list for rdf-validate-shacl); these were not:\n  - "
            + "\n  - ".join(failures),
            reason="validators",
        )


def folder() -> Path:
    """Where the environments of this Python version lie."""
    named = os.environ.get("PMCELL_VALIDATORS_DIR")
    if named:
        return Path(named).expanduser().absolute()
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "validators"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache / "pmcell" / f"validators-{version}"


def environment(validator: Validator) -> Path:
    """The folder of one validator's environment."""
    return folder() / validator.name


def is_ready(validator: Validator) -> bool:
    """Whether the environment is there and holds what the lock names."""
    place = environment(validator)
    try:
        stamp = json.loads((place / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == _stamp(validator)) and Path(interpreter(validator)[0]).exists()


def interpreter(validator: Validator) -> list[str]:
    """The command that runs a program inside the environment."""
    if validator.needs_node:
        return [shutil.which("node") or "node"]
    # -I keeps out the user's own packages and this folder.
    return [str(environment(validator) / "bin" / "python"), "-I"]


def how_to_set_up(validators: Sequence[Validator]) -> str:
    """The command that a person types to set them up."""
    return f"pmcell validate --set-up {' '.join(validator.name for validator in validators)}"


def _stamp(validator: Validator) -> dict[str, str]:
    return {
        "lock": hashlib.sha256(validator.lock.read_bytes()).hexdigest(),
        "python": "" if validator.needs_node else f"{sys.version} {sys.base_prefix}",
        "folder": str(environment(validator)),
    }


def _make(validator: Validator, settings: dict[str, str]) -> str:
    """Make one environment; what went wrong, or nothing."""
    place = environment(validator)
    if place.exists() and any(place.iterdir()) and not _is_ours(place):
        raise UsageError(
            f"{place} must be empty or an environment of ours, but other files lie there; "
            "name another folder in PMCELL_VALIDATORS_DIR"
        )
    shutil.rmtree(place, ignore_errors=True)
    trouble = _install_node(validator) if validator.needs_node else _install(validator, settings)
    if trouble:
        shutil.rmtree(place, ignore_errors=True)
        return trouble
    temporary = place / f"{STAMP}.part"
    temporary.write_text(json.dumps(_stamp(validator), indent=2), encoding="utf-8")
    os.replace(temporary, place / STAMP)
    return ""


def _is_ours(place: Path) -> bool:
    return any((place / name).is_file() for name in (STAMP, "pyvenv.cfg", "package-lock.json"))


def _install(validator: Validator, settings: dict[str, str]) -> str:
    place, lock = environment(validator), str(validator.lock)
    python = str(place / "bin" / "python")
    uv = _uv()
    trouble = ""
    if uv:
        make = [uv, "--no-config", "venv", "--quiet", "--python", sys.executable, str(place)]
        sync = [uv, "--no-config", "pip", "sync", "--quiet", "--python", python]
        trouble = _run(make, settings) or _run([*sync, "--require-hashes", lock], settings)
        if not trouble:
            return ""
        shutil.rmtree(place, ignore_errors=True)
    make = [sys.executable, "-I", "-m", "venv", str(place)]
    own = _pip()
    if own:
        # What is on this machine fills the new environment, which then holds the lock alone.
        make.append("--without-pip")
        pip = [*own, "--python", python]
    else:
        pip = [python, "-I", "-m", "pip"]
    # The lock is whole, so nothing beside it may be drawn in.
    pip += ["install", "--quiet", "--no-deps", "--require-hashes", "--requirement", lock]
    failed = _run(make, {}) or _run(pip, {})
    if failed and not own and not uv:
        failed += " | install uv or pip beside pmcell, or the package python3-venv of your system"
    return f"{trouble} | then pip: {failed}" if failed and trouble else failed


def _install_node(validator: Validator) -> str:
    if not (shutil.which("node") and shutil.which("npm")):
        return "it needs node and npm, which are not on PATH (it is a second opinion; optional)"
    place = environment(validator)
    place.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        write_text(place / name, (validator.lock.parent / name).read_text(encoding="utf-8"))
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    return _run([shutil.which("npm") or "npm", "ci", "--prefix", str(place), *flags], {})


def _pip() -> list[str]:
    """A command that is pip, of this environment or of the Python it was made from; else empty.

    An environment that uv or conda made may have none.
    """
    pythons = dict.fromkeys([sys.executable, getattr(sys, "_base_executable", sys.executable)])
    commands = [[python, "-I", "-m", "pip"] for python in pythons]
    commands += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    return next((command for command in commands if not _run([*command, "--version"], {})), [])


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _run(command: list[str], settings: dict[str, str]) -> str:
    """Run an installer; the end of what it said where it failed."""
    variables = {**os.environ, "PYTHONNOUSERSITE": "1", **settings}
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"):
        variables.pop(name, None)
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"cannot run {command[0]}: {error.strerror}"
    said = (done.stderr or done.stdout).strip().splitlines()[-4:]
    return "" if done.returncode == 0 else " | ".join(said) or f"exit code {done.returncode}"
