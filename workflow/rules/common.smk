# INPUTS:  the configuration and the folders of the registered cohorts
# OUTPUTS: the checked configuration, the list of cohorts, the files of each

import datetime
import functools
import hashlib
import json
import os
import shlex
import types
from pathlib import Path

import yaml

CHECK_CONFIG = types.ModuleType("check_config")
exec(
    Path(workflow.source_path("../scripts/check_config.py")).read_text(
        encoding="utf-8"
    ),
    CHECK_CONFIG.__dict__,
)
SCHEMA = json.loads(
    Path(workflow.source_path("../../config/schemas/config.schema.json")).read_text(
        encoding="utf-8"
    )
)


def checked_config():
    """The configuration, once nothing is wrong with it; `WorkflowError` names all that is.

    Steps read the configuration file: what is set elsewhere would not reach them.
    """
    values = CHECK_CONFIG.plain(config, SCHEMA)
    faults = CHECK_CONFIG.faults(
        values, SCHEMA, is_part=len(workflow.modifier_stack) > 1
    )
    file = workflow.configfiles[-1] if workflow.configfiles else None
    written = (
        CHECK_CONFIG.plain(
            yaml.load(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            or {},
            SCHEMA,
        )
        if file
        else {}
    )
    faults += [
        f"section {name} must stand, as it is, in {file or 'a configuration file'}, which the "
        "steps read; here it differs"
        for name, section in CHECK_CONFIG.sections(values, SCHEMA).items()
        if section != written.get(name)
    ]
    if faults:
        raise WorkflowError(
            "The configuration must be right before anything runs (see config/README.md):\n"
            + "\n".join(f"  - {fault}" for fault in faults)
        )
    return values


SETTINGS = checked_config()
COHORTS_DIR = Path(
    SETTINGS.get("cohorts_dir", SCHEMA["properties"]["cohorts_dir"]["default"])
)

# How cohorts are found and read is shared with pmcell.
REGISTERED = types.ModuleType("registered")
exec(
    Path(workflow.source_path("../scripts/registered.py")).read_text(encoding="utf-8"),
    REGISTERED.__dict__,
)

WHOLE_BYTES, SAMPLES, SAMPLE_BYTES = 2**22, 64, 2**14

# Written from pmcell's table of steps, which parsing does not import.
STEPS = yaml.safe_load(
    Path(workflow.source_path("../steps.yaml")).read_text(encoding="utf-8")
)


def rename_keys(values, kind):
    """Put what stands under the old name of a step under its name, in place."""
    for name, step in STEPS.items():
        old = step.get(kind)
        if old and old in values:
            if name in values:
                raise WorkflowError(
                    f"{old!r} is the old name of {name!r}: only one of them may be given"
                )
            values[name] = values.pop(old)


def list_cohorts():
    """Cohorts named in the configuration, else all below `cohorts_dir`."""
    if SETTINGS.get("cohorts"):
        missing = [
            name for name in SETTINGS["cohorts"] if not (COHORTS_DIR / name).is_dir()
        ]
        if missing:
            raise WorkflowError(
                f"cohorts must name folders in {COHORTS_DIR}; there is no {', '.join(missing)}"
            )
        return sorted(SETTINGS["cohorts"])
    return REGISTERED.list_cohorts(COHORTS_DIR)


COHORTS = list_cohorts()
if not COHORTS:
    raise WorkflowError(
        f"at least one cohort must be registered below {COHORTS_DIR}; there is none. "
        "Register one: pmcell register FILE.h5ad --id ID"
    )


# Logs, benchmarks and results of a study with a cohort that is not open are their owner's alone, as
# pmcell.io.modes says; a release is written with the umask that is remembered here.
if not all(REGISTERED.is_open(COHORTS_DIR / cohort) for cohort in COHORTS):
    UMASK = os.umask(0o077)
    os.environ.setdefault("PMCELL_UMASK", f"{UMASK:03o}")
    os.umask(UMASK if UMASK & 0o007 == 0o007 else UMASK | 0o077)


wildcard_constraints:
    cohort=SCHEMA["properties"]["cohorts"]["items"]["pattern"].strip("^$"),


def registration_files(wildcards):
    """The registration files of a cohort that exist: a missing one is intake's to report.

    Their times do not matter: a parameter holds the digest of all they say.
    """
    return [ancient(str(path)) for path in registration_paths(wildcards.cohort)]


def registration_paths(cohort):
    """The cohort's own files, and that of its programme."""
    folder = COHORTS_DIR / cohort
    return REGISTERED.registration_files(folder) + REGISTERED.programme_files(folder)


# Decided before the graph of jobs is made: one withdrawal changes the digest of one cohort.
try:
    PERMITTED = {
        cohort: REGISTERED.permitted_digest(
            COHORTS_DIR / cohort,
            Path("results"),
            datetime.datetime.now(datetime.UTC).date().isoformat(),
        )
        for cohort in COHORTS
    }
except ValueError as error:
    raise WorkflowError(str(error))


def registration_digest(wildcards):
    """SHA-256 of the registration files, and of whom consents permit: a change is noticed
    whatever the file times say."""
    digest = hashlib.sha256(PERMITTED[wildcards.cohort].encode())
    for path in registration_paths(wildcards.cohort):
        digest.update(path.name.encode())
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            digest.update(repr(error.errno).encode())
    return digest.hexdigest()


def matrix_files(wildcards):
    """The submitted matrix, or the files of its folder; empty when it cannot be found.

    A file that is newer than what intake made of it, but has the very bytes
    that intake read, is no reason to take it in again.
    """
    return [
        ancient(str(path)) if was_taken_in(path, wildcards.cohort) else str(path)
        for path in matrix_paths(wildcards.cohort)
        if REGISTERED.can_be_input(path)
    ]


@functools.cache
def matrix_paths(cohort):
    allowed = SETTINGS.get("matrix_paths", {}).get(cohort, [])
    return REGISTERED.matrix_files(COHORTS_DIR / cohort, allowed)


def files_below(path):
    return REGISTERED.files_below(path)


def matrix_digest(wildcards):
    """Digest of the matrix's size and samples of its bytes: notices what file times hide."""
    parts = []
    for path in matrix_paths(wildcards.cohort):
        try:
            parts.append([path.name, sampled_digest(path)])
        except OSError as error:
            # Intake says what is wrong with it.
            parts.append([path.name, repr(error.errno)])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@functools.cache
def sampled_digest(path):
    """SHA-256 of a file's size and bytes; of a large one 64 blocks spread over it, ends included.

    Of a zarr store: of its files' names and sizes, its metadata, and 64 files spread over it.
    """
    if path.is_dir():
        return store_digest(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    last = max(size - SAMPLE_BYTES, 0)
    with open_waiting_for_nobody(path) as stream:
        if size <= WHOLE_BYTES:
            digest.update(stream.read())
            return digest.hexdigest()
        for block in range(SAMPLES):
            stream.seek(last * block // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def store_digest(store):
    files = files_below(store)
    sampled = set(files[:: -(-len(files) // SAMPLES)])
    parts = [
        [
            str(path.relative_to(store)),
            path.stat().st_size,
            (
                sampled_digest(path)
                if path in sampled or path.name[0] == "." or path.suffix == ".json"
                else ""
            ),
        ]
        for path in files
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def whole_digest(path):
    """SHA-256 as intake notes it: of a file, or of the list of a zarr store's files."""
    if path.is_dir():
        lines = [
            f"{whole_digest(item)}  {item.relative_to(path).as_posix()}\n"
            for item in sorted(
                files_below(path), key=lambda item: item.relative_to(path).as_posix()
            )
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open_waiting_for_nobody(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_waiting_for_nobody(path):
    """Open a file for reading; one that has nothing to read yet ends, or is an OSError."""
    return open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
    )


@functools.cache
def was_taken_in(path, cohort):
    """Whether a file is newer than the cohort's counts and yet has the bytes they were made of.

    Only then is it read whole: it costs a second a gigabyte, a needless run costs hours.
    """
    counts = Path("results/cohorts") / cohort / "intake.h5ad"
    stamp = counts.parent / ".stamps" / "intake.h5ad.json"
    try:
        newest = max(item.stat().st_mtime for item in [path, *files_below(path)])
        if newest <= counts.stat().st_mtime:
            return False
        inputs = json.loads(stamp.read_text(encoding="utf-8"))["inputs"]
        found = whole_digest(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    # By digest: the names of a cohort that is not open are not noted.
    return found in inputs.values()


def step_options(step):
    """Version and settings of a step: a change reruns it and what follows it.

    Only what differs from the defaults: a new setting reruns nothing.
    """
    said = {"version": STEPS[step]["version"], "options": changed_settings(step)}
    others = {}
    for path in STEPS[step].get("settings", []):
        section, name = path.split(".")
        changed = changed_settings(section)
        if name in changed:
            others[path] = changed[name]
    if others:
        said["others"] = others
    return lambda wildcards: json.dumps(said, sort_keys=True)


def changed_settings(section):
    """What a section sets to something else than its default."""
    return CHECK_CONFIG.changed(
        SETTINGS.get(section, {}), SCHEMA["properties"][section]
    )


def config_option(wildcards, input):
    """`--config FILE` for the steps, when the workflow was given a configuration file.

    As a function of the input it is no reason to rerun: a study may be moved.
    """
    files = workflow.configfiles
    return f"--config {shlex.quote(str(files[-1]))}" if files else ""


def cohort_arguments(wildcards, input):
    """`--cohort ID FOLDER` for each cohort, for steps across cohorts."""
    return " ".join(f"--cohort {name} results/cohorts/{name}" for name in COHORTS)


def per_cohort(name):
    """One file of every cohort's results folder."""
    return expand(f"results/cohorts/{{cohort}}/{name}", cohort=COHORTS)


def unread_files():
    """Files of steps that no other step reads: nothing else would ask for them."""
    return [
        f"results/{path}".replace("{cohort}", cohort)
        for step in STEPS.values()
        for path in step.get("unread", [])
        for cohort in (COHORTS if "{cohort}" in path else [""])
    ]


def clinical_table(wildcards):
    """The study's table of clinical values, where it names one."""
    return SETTINGS.get("strata", {}).get("clinical") or []


def clinical_option(wildcards, input):
    """`--clinical FILE`, where the study names one."""
    return (
        f"--clinical {shlex.quote(str(input.clinical))}"
        if input.get("clinical")
        else ""
    )


def programme_files(wildcards):
    """The programmes that the cohorts name, by which follow-up is analysed."""
    found = {
        path
        for cohort in COHORTS
        for path in REGISTERED.programme_files(COHORTS_DIR / cohort)
    }
    return sorted(str(path) for path in found)


def programmes_option(wildcards, input):
    """`--programmes FILE …`, where cohorts name any."""
    files = input.get("programmes") or []
    files = [files] if isinstance(files, str) else list(files)
    return " ".join(
        ["--programmes", *(shlex.quote(str(item)) for item in files)] if files else []
    )


def gene_sets(wildcards):
    """The study's file of gene sets, where it names one."""
    return SETTINGS.get("differential_expression", {}).get("gene_sets") or []


def gene_sets_option(wildcards, input):
    """`--gene-sets FILE`, where the study names one."""
    return (
        f"--gene-sets {shlex.quote(str(input.gene_sets))}"
        if input.get("gene_sets")
        else ""
    )


def sealed_packages(wildcards):
    """Encrypted packages of cohorts without open access, where the study names recipients."""
    named = SETTINGS.get("seal", {}).get("recipients")
    return ["results/controlled/index.json"] if named else []
