"""What may be told of the run that made a release: jobs, files and digests, without private paths.

Sources are Snakemake's records (`provenance_records`), the stamps beside the
results, and the files as they are now. Of a cohort without open access only
that its steps were run is told, and on which day: file sizes, digests, numbers
of files, parameters and durations would each let someone confirm a guess of
its content or size. Of tables about people, which are small, no digest is
told for any cohort: values that a release shows in bands could be tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pmcell.errors import DataError
from pmcell.io.atomic import sha256_file
from pmcell.io.stamps import read_stamp
from pmcell.publish.facts import Facts
from pmcell.publish.metadata.crate.provenance_records import (
    Job,
    find_working_directory,
    read_jobs,
    running_since,
)
from pmcell.publish.provenance_paths import PathRules, as_pattern
from pmcell.step import files_of
from pmcell.steps import BY_NAME, OLD_RULES

RELEASE = BY_NAME["release"]
PEOPLE = ("donors", "visits", "samples", "measurements", "consent")
CLINICAL_RULE = "strata"
"""The rule whose only input that no rule makes is the study's table of clinical values."""
SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class RunFile:
    """A file that a job read or wrote, as it may be shown; `pattern` has wildcards for values.

    `crate_id` is set where the file is a part of the crate itself, `./` where
    it stands for the whole crate.
    """

    name: str
    pattern: str
    description: str = ""
    size: int | None = None
    sha256: str = ""
    crate_id: str = ""


@dataclass(frozen=True)
class Run:
    """Jobs by rule, in the order in which the rules first started; `files` by what jobs call them.

    `running` is the job that is writing the release: it has no end yet.
    """

    jobs: tuple[Job, ...] = ()
    files: Mapping[str, RunFile] = field(default_factory=dict)
    running: Job | None = None


def release_run(facts: Facts, target: Path) -> Run:
    """The run that made the results of `facts`, with the job that is writing `target`, if one is.

    Without records of Snakemake at or above the results folder the run is empty.
    """
    workdir = find_working_directory(facts.results)
    if workdir is None:
        return Run()
    results = Path(os.path.abspath(facts.results)).relative_to(workdir).as_posix()
    inputs = _release_inputs(facts, results)
    # Jobs that ran before their rule had its name of today keep the record they left.
    jobs = [
        replace(job, rule=OLD_RULES.get(job.rule, job.rule)) for job in read_jobs(workdir, inputs)
    ]
    if not jobs:
        return Run()
    manifest = Path(os.path.relpath(target, workdir), "manifest.json").as_posix()
    started = running_since(workdir, manifest)
    running = None
    if started is not None:
        running = Job(RELEASE.name, inputs=tuple(inputs), outputs=(manifest,), start=started)
    is_open = frozenset(cohort.cohort_id for cohort in facts.cohorts if cohort.is_open)
    return describe_run(
        jobs,
        PathRules(workdir, results, is_open),
        running=running,
        parts={manifest: "./"},
    )


def describe_run(
    jobs: Iterable[Job],
    rules: PathRules,
    *,
    running: Job | None = None,
    parts: Mapping[str, str] | None = None,
) -> Run:
    """The run as it may be told: files with size and digest, texts without private paths.

    `parts` gives the place inside the crate of those files that it contains.
    """
    jobs = [replace(job, wildcards=job.wildcards or rules.wildcards(job.outputs)) for job in jobs]
    every = [*jobs, running] if running else jobs
    makers = {path: job for job in every for path in job.outputs}
    keys: dict[str, str] = {}
    files: dict[str, RunFile] = {}
    for job in every:
        for path in (*job.inputs, *job.outputs):
            if path not in keys:
                maker = makers.get(path)
                file = _run_file(path, job, maker, rules, (parts or {}).get(path, ""))
                is_closed = rules.is_closed(_wildcards(path, job, maker, rules))
                keys[path] = _key(file, files, is_shared=is_closed)
                files[keys[path]] = file
    told = [_told(job, keys, rules) for job in jobs]
    first: dict[str, float] = {}
    for job in jobs:
        first[job.rule] = min(first.get(job.rule, float("inf")), job.start or 0)
    told.sort(
        key=lambda job: (first[job.rule], job.rule, sorted(job.wildcards.items()), job.outputs)
    )
    return Run(tuple(told), files, running and _told(running, keys, rules))


def _release_inputs(facts: Facts, results: str) -> list[str]:
    cohorts = [cohort.cohort_id for cohort in facts.cohorts]
    wanted = RELEASE.inputs
    if facts.revises is not None:
        # The jobs behind the earlier release are in its own crate.
        cohorts = list(facts.revises.added)
        wanted = (*BY_NAME["intake"].outputs, *BY_NAME["qc"].outputs)
    paths = files_of(wanted, cohorts)
    return [f"{results}/{path}" for path in paths if (facts.results / path).is_file()]


def _wildcards(path: str, job: Job, maker: Job | None, rules: PathRules) -> Mapping[str, str]:
    """The cohort of a file: its job's, else that of its path, as of a file without a record."""
    return (maker or job).wildcards or rules.wildcards((path,))


def _run_file(path: str, job: Job, maker: Job | None, rules: PathRules, crate_id: str) -> RunFile:
    wildcards = _wildcards(path, job, maker, rules)
    name = rules.name(path)
    if rules.is_closed(wildcards):
        cohort = wildcards["cohort"]
        if maker is None and job.wildcards:
            name = f"registration and matrix of {cohort}"
        why = f"Access to cohort {cohort} is not open: neither size nor digest is told."
        return RunFile(name, as_pattern(name, wildcards), why)
    place = rules.workdir / path
    pattern = as_pattern(name, wildcards)
    if crate_id.endswith("/"):
        # The job's output stands for the folder that it lies in.
        folder = f"{Path(name).parent.as_posix()}/"
        return RunFile(folder, folder, crate_id=crate_id)
    if crate_id:
        return RunFile(name, pattern, crate_id=crate_id)
    of_donors = rules.open_cohorts is not None and wildcards.get("cohort")
    if (of_donors and place.stem in PEOPLE) or (maker is None and job.rule == CLINICAL_RULE):
        return RunFile(name, pattern, "A table about people: its digest is not told.")
    if not place.is_file():
        why = "No longer there when the run was described."
        return RunFile(name, pattern, why, sha256=job.checksums.get(path, ""))
    if maker is not None:
        known = _stamped(place)
    else:
        known = job.checksums.get(path, "") or _read_as(place, job, rules.workdir)
    return RunFile(name, pattern, "", place.stat().st_size, known or sha256_file(place))


def _stamped(place: Path) -> str:
    """The digest that the step recorded, unless the file has another size by now."""
    stamp = _stamp(place)
    return str(stamp["sha256"]) if stamp.get("size") == place.stat().st_size else ""


def _read_as(place: Path, job: Job, workdir: Path) -> str:
    """The digest that the step took when it read the file, unless it was changed since."""
    if job.start is None or not job.outputs or place.stat().st_mtime >= job.start:
        return ""
    taken = _stamp(workdir / job.outputs[0]).get("inputs", {})
    # One of several files of a matrix has the name of their folder too.
    return str(taken.get(place.name) or taken.get("/".join(place.parts[-2:]), ""))


def _stamp(place: Path) -> Mapping[str, Any]:
    try:
        return read_stamp(place) or {}
    except DataError:
        # What is told of a run does not rest on a damaged stamp; the steps that read it stop.
        return {}


def _key(file: RunFile, files: Mapping[str, RunFile], *, is_shared: bool) -> str:
    """The file's name, or with a number where another file outside has the same name."""
    key, number = file.name, 2
    while key in files and not is_shared:
        key, number = f"{file.name} ({number})", number + 1
    return key


def _told(job: Job, keys: Mapping[str, str], rules: PathRules) -> Job:
    inputs = tuple(dict.fromkeys(keys[path] for path in job.inputs))
    outputs = tuple(dict.fromkeys(keys[path] for path in job.outputs))
    if rules.is_closed(job.wildcards):
        return replace(
            job,
            inputs=inputs,
            outputs=outputs,
            parameters={},
            command=rules.clear(job.code),
            logs=(),
            start=_day(job.start),
            end=_day(job.end),
            checksums={},
            by_day=True,
        )
    parameters = _stamped_parameters(rules.workdir / job.outputs[0]) or job.parameters
    return replace(
        job,
        inputs=inputs,
        outputs=outputs,
        parameters={name: rules.clear(value) for name, value in parameters.items()},
        command=rules.clear(job.command),
        code=rules.clear(job.code),
        logs=tuple(map(rules.name, job.logs)),
        checksums={},
    )


def _stamped_parameters(place: Path) -> dict[str, str]:
    import json

    stamp = _stamp(place)
    values = stamp.get("parameters")
    found = dict(values) if isinstance(values, Mapping) else {}
    if stamp.get("seed") is not None:
        found["seed"] = stamp["seed"]
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in found.items()
    }


def _day(moment: float | None) -> float | None:
    return None if moment is None else moment // SECONDS_OF_A_DAY * SECONDS_OF_A_DAY
