"""Make or refresh pmcell's own environment, then become the command in it.

    scripts/with-env [--test] COMMAND [ARGUMENT ...]

Uses the standard library only and runs on any Python 3.11 to 3.13. The
environment lies in `.venv-<version>` beside this folder, or in
`$PMCELL_ENV_DIR`. It holds exactly the locked versions, each archive checked
against its hash, and pmcell itself as an editable install. A stamp is written
last: without it the folder is taken for a broken set-up and made anew; with an
equal stamp nothing is done. uv does the work where it can be had, else pip.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "run": [ROOT / "envs" / "requirements.txt"],
    "test": [ROOT / "envs" / "requirements.txt", ROOT / "envs" / "requirements-test.txt"],
}
METADATA = [ROOT / "pyproject.toml", ROOT / "src" / "pmcell" / "version.py"]
"""What the metadata of the installed pmcell are made of."""


def from_package(name: str) -> ModuleType:
    """A module of pmcell that needs the standard library only, before pmcell is installed."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "src" / "pmcell" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SetUpError(Exception):
    """What the user must do before the environment can be made."""


def main(arguments: list[str]) -> int:
    """Set up what is missing and replace this process by the command."""
    level = "run"
    if arguments[:1] == ["--test"]:
        level, arguments = "test", arguments[1:]
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    folder = environment_folder()
    try:
        if not is_ready(folder, level):
            with only_one(folder):
                if not is_ready(folder, level):
                    set_up(folder, level)
    except SetUpError as error:
        print(f"pmcell set-up: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pmcell set-up: interrupted; the next call starts it again", file=sys.stderr)
        return 130
    os.environ.update(command_environment(folder))
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        # The first two would mix in foreign packages; without bytecode each command starts slowly.
        os.environ.pop(name, None)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        print(f"pmcell set-up: cannot run {arguments[0]!r}: {error.strerror}", file=sys.stderr)
        return 127


def environment_folder() -> Path:
    """Where the environment of this Python version lies."""
    named = os.environ.get("PMCELL_ENV_DIR")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(named).expanduser().absolute() if named else ROOT / f".venv-{version}"


def command_environment(folder: Path) -> dict[str, str]:
    """Variables under which a command runs inside the environment."""
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "VIRTUAL_ENV": str(folder), "PYTHONNOUSERSITE": "1"}


def wanted_stamp(folder: Path, level: str) -> dict[str, str]:
    """What a finished set-up of this level looks like; equal stamps mean equal environments."""
    sources = [*LOCKS[level], *METADATA, Path(__file__)]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    return {
        "level": level,
        "content": digest.hexdigest(),
        "python": f"{sys.version} {sys.base_prefix}",
        "folder": str(folder),
        "checkout": str(ROOT),
    }


def is_ready(folder: Path, level: str) -> bool:
    """Whether the environment was finished at this level or the wider one."""
    stamp = read_stamp(folder)
    levels = ("run", "test") if level == "run" else ("test",)
    return bool(stamp) and any(stamp == wanted_stamp(folder, item) for item in levels)


def read_stamp(folder: Path) -> dict[str, str]:
    """The stamp of the last finished set-up; empty when there is none or a program is missing."""
    try:
        stamp = json.loads((folder / "pmcell-stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = all((folder / "bin" / name).exists() for name in ("python", "pmcell", "snakemake"))
    return stamp if whole and isinstance(stamp, dict) else {}


def set_up(folder: Path, level: str) -> None:
    """Make the folder hold exactly the locked packages and pmcell; the stamp comes last."""
    start = time.monotonic()
    say(f"setting up {folder} (once; about 1.5 GB, a minute or two)")
    old = read_stamp(folder)
    level = "test" if old.get("level") == "test" else level
    new = wanted_stamp(folder, level)
    if any(old.get(key) != new[key] for key in ("python", "folder")):
        make_environment(folder)
    (folder / "pmcell-stamp.json").unlink(missing_ok=True)
    install(folder, LOCKS[level])
    check = [str(folder / "bin" / "pmcell"), "--version"]
    if subprocess.run(check, stdout=subprocess.DEVNULL, check=False).returncode:
        raise SetUpError(f"the new environment cannot start pmcell; remove {folder} and try again")
    fetch(folder, level)
    temporary = folder / "pmcell-stamp.json.part"
    temporary.write_text(json.dumps(new, indent=2), encoding="utf-8")
    os.replace(temporary, folder / "pmcell-stamp.json")
    say(f"ready after {time.monotonic() - start:.0f} s")


def fetch(folder: Path, level: str) -> None:
    """Compile the kernels; for tests also the validators (light ones, or `$PMCELL_VALIDATORS`)."""
    wanted = ["none"]
    if level == "test":
        wanted = os.environ.get("PMCELL_VALIDATORS", "").split() or ["light"]
    # A missing one is no fault: its tests are then skipped, with the command that sets it up.
    run([str(folder / "bin" / "pmcell"), "fetch", "--validators", *wanted])


def make_environment(folder: Path) -> None:
    """An empty environment with pip in it; Debian's python3 without python3-venv needs a detour."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise SetUpError(
            f"{folder} must be empty or an environment of ours, but other files lie there; "
            "name another folder in PMCELL_ENV_DIR"
        )
    shutil.rmtree(folder, ignore_errors=True)
    make = [sys.executable, "-I", "-m", "venv", str(folder)]
    if can_run([sys.executable, "-I", "-c", "import venv, ensurepip"]) and run(make):
        return
    shutil.rmtree(folder, ignore_errors=True)
    if not can_run([sys.executable, "-m", "pip", "--version"]) or not run([*make, "--without-pip"]):
        raise SetUpError(
            f"{sys.executable} can make no environment: it has neither ensurepip nor pip. "
            "On Debian and Ubuntu: apt install python3-venv. "
            "Elsewhere install pip, or name another Python in PMCELL_PYTHON."
        )
    # The system's pip may be forbidden to touch the system, but may fill another environment.
    into = ["--python", str(folder / "bin" / "python"), "install", "pip"]
    if not run([sys.executable, "-m", "pip", *into]):
        raise SetUpError("pip could not be installed into the new environment, see above")


def install(folder: Path, locks: list[Path]) -> None:
    """Put the locked packages and pmcell into the environment, by uv or else by pip."""
    python = str(folder / "bin" / "python")
    pip = [python, "-I", "-m", "pip"]
    requirements = [flag for lock in locks for flag in ("--requirement", str(lock))]
    itself = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    if install_uv(pip, locks[0]):
        uv = [str(folder / "bin" / "uv"), "--no-config", "pip"]
        settings = from_package("uv").uv_settings(pip)
        sync = [*uv, "sync", "--python", python, "--require-hashes", "--compile-bytecode"]
        if run([*sync, *map(str, locks)], settings) and run(
            [*uv, "install", "--python", python, *itself], settings
        ):
            return
        say("uv did not succeed; trying pip, which takes some minutes")
    if not run([*pip, "install", "--quiet", "--require-hashes", *requirements]):
        raise SetUpError(
            "the packages could not be installed, see above. pmcell uses the package index of your "
            "pip configuration (pip config list); behind a mirror set its index-url there"
        )
    if not run([*pip, "install", "--quiet", *itself]):
        raise SetUpError("pmcell itself could not be installed, see above")


def install_uv(pip: list[str], lock: Path) -> bool:
    """Install the locked uv with its hashes; False where there is none for this machine."""
    found = re.search(r"^uv==(?:.*\\\n)+.*", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        return False
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "uv.txt"
        wanted.write_text(found.group(), encoding="utf-8")
        flags = ["--quiet", "--only-binary", ":all:", "--no-deps", "--disable-pip-version-check"]
        return run([*pip, "install", *flags, "--require-hashes", "--requirement", str(wanted)])


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time set up the folder; others wait and then find it ready."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is setting up; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:
            pass  # Some network file systems know no locks; set up without.
        yield


def run(command: list[str], settings: dict[str, str] | None = None) -> bool:
    """Run a program, its output on standard error; whether it succeeded."""
    environment = {**os.environ, "PYTHONNOUSERSITE": "1", **(settings or {})}
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"):
        environment.pop(name, None)
    try:
        return subprocess.run(command, env=environment, stdout=sys.stderr).returncode == 0
    except OSError as error:
        say(f"cannot run {command[0]}: {error.strerror}")
        return False


def can_run(command: list[str]) -> bool:
    """Whether a program ends well, without showing what it says."""
    return subprocess.run(command, capture_output=True).returncode == 0


def say(line: str) -> None:
    """One line of progress on standard error."""
    print(f"pmcell set-up: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
