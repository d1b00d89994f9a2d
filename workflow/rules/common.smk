# INPUTS:  the configuration and the folders of the registered cohorts
# OUTPUTS: the list of cohorts, the files of each, resources from their sizes

import hashlib
import json
import shlex
from pathlib import Path

import yaml

COHORTS_DIR = Path(config.get("cohorts_dir", "config/cohorts"))

# The registration files of a cohort that exist; the matrix is found in cohort.yaml.
REGISTRATION_FILES = (
    "cohort.yaml",
    "donors.tsv",
    "samples.tsv",
    "visits.tsv",
    "measurements.tsv",
    "consent.jsonl",
)


def list_cohorts():
    """Cohorts named in the configuration, else every folder below `cohorts_dir`."""
    if config.get("cohorts"):
        return sorted(str(name) for name in config["cohorts"])
    if not COHORTS_DIR.is_dir():
        return []
    return sorted(folder.name for folder in COHORTS_DIR.iterdir() if folder.is_dir())


COHORTS = list_cohorts()
if not COHORTS:
    raise WorkflowError(
        f"at least one cohort must be registered below {COHORTS_DIR}; there is none. "
        "Register one: pmcell register FILE.h5ad --id ID"
    )


wildcard_constraints:
    cohort=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",


def registration_files(wildcards):
    """The registration files of a cohort that exist: a missing one is intake's to report."""
    folder = COHORTS_DIR / wildcards.cohort
    return [
        str(folder / name) for name in REGISTRATION_FILES if (folder / name).is_file()
    ]


def matrix_files(wildcards):
    """The submitted matrix, or the files of its folder; empty when it cannot be found."""
    folder = COHORTS_DIR / wildcards.cohort
    try:
        registration = yaml.safe_load(
            (folder / "cohort.yaml").read_text(encoding="utf-8")
        )
        matrix = folder / str(registration["matrix"]["path"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return []
    if matrix.is_dir():
        return sorted(str(path) for path in matrix.iterdir() if path.is_file())
    return [str(matrix)] if matrix.is_file() else []


def registration_digest(wildcards):
    """SHA-256 of the registration files: a change is noticed whatever the file times say."""
    digest = hashlib.sha256()
    for path in registration_files(wildcards):
        digest.update(Path(path).name.encode())
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def step_options(step):
    """The configuration section of a step: a change reruns that step and what follows it."""
    return lambda wildcards: json.dumps(config.get(step) or {}, sort_keys=True)


def config_option():
    """`--config FILE` for the steps, when the workflow was given a configuration file."""
    files = workflow.configfiles
    return f"--config {shlex.quote(str(files[-1]))}" if files else ""


def memory(base_mb, factor):
    """Megabytes: a base and a multiple of the input's size, doubled with each attempt."""
    return lambda wildcards, input, attempt: int(
        (base_mb + factor * input.size_mb) * 2 ** (attempt - 1)
    )


def per_cohort(name):
    """One file of every cohort's results folder."""
    return expand(f"results/cohorts/{{cohort}}/{name}", cohort=COHORTS)


COHORT_ARGUMENTS = " ".join(
    f"--cohort {name} results/cohorts/{name}" for name in COHORTS
)
