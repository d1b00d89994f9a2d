"""Snakemake's own records of what it ran: `.snakemake/metadata` of a working directory.

Snakemake (record format 3 to 6) keeps one JSON file an output, named by the
output's path in URL-safe base64, cut into folders where it is too long. An
output that is being written has a marker of the same name below `incomplete`,
whose time is the start of its job.
"""

from __future__ import annotations

import ast
import binascii
import contextlib
import hashlib
import json
import os
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATE_FOLDER = ".snakemake"
NO_DEPLOYMENT = hashlib.md5(b"", usedforsecurity=False).hexdigest()
"""What Snakemake records as the software stack where it deployed none."""

MAX_NAME = 254
NOT_TOLD = re.compile(r"--|[0-9a-f]{64}$")


@dataclass(frozen=True)
class Job:
    """One job as it was run; paths are as Snakemake spells them, times are POSIX seconds."""

    rule: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    wildcards: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    code: str = ""
    logs: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    environment: str = ""
    container: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    by_day: bool = False


def find_working_directory(path: Path) -> Path | None:
    """The nearest folder at or above `path` in which Snakemake kept records."""
    start = Path(os.path.abspath(path))
    for folder in (start, *start.parents):
        if (folder / STATE_FOLDER / "metadata").is_dir():
            return folder
    return None


def read_jobs(working_directory: Path, targets: Collection[str]) -> list[Job]:
    """The finished jobs that `targets` were made by, directly or not, in the order they started.

    Records of outputs that no target depends on are left out: they belong to
    other runs in the same directory.
    """
    jobs = list(_all_jobs(working_directory / STATE_FOLDER / "metadata"))
    maker = {output: job for job in jobs for output in job.outputs}
    wanted: dict[int, Job] = {}
    open_paths = list(targets)
    while open_paths:
        job = maker.get(open_paths.pop())
        if job is not None and id(job) not in wanted:
            wanted[id(job)] = job
            open_paths += job.inputs
    return sorted(wanted.values(), key=lambda job: (job.start or 0, job.rule, job.outputs))


def running_since(working_directory: Path, output: str) -> float | None:
    """When the job that is writing `output` started; None when no job is."""
    folder = working_directory / STATE_FOLDER / "incomplete"
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + MAX_NAME] for start in range(0, len(name), MAX_NAME)]
    marker = folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    try:
        return marker.stat().st_mtime
    except OSError:
        return None


def parameter_values(texts: Collection[str]) -> dict[str, str]:
    """Named values of recorded parameters, which Snakemake keeps without their names.

    A parameter that is a JSON object gives its keys, any other a number;
    pieces of the command line are left to the command. Digests, with which a
    rule notices changes, are left out: one of a small table would confirm a
    guess of what it says.

    >>> parameter_values(['{"n_mads": 5}', "'--config config.yaml'", "0.5"])
    {'parameter 0': '0.5', 'n_mads': '5'}
    """
    values: dict[str, str] = {}
    for text in sorted(texts):
        try:
            value: Any = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        if isinstance(value, str) and value.startswith("{"):
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        if isinstance(value, Mapping):
            values |= {str(key): _text(item) for key, item in value.items()}
        elif value not in ("", None) and not NOT_TOLD.match(str(value)):
            values[f"parameter {len(values)}"] = _text(value)
    return values


def _all_jobs(folder: Path) -> Iterator[Job]:
    groups: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for output, record in _records(folder):
        key = (
            record["rule"],
            record.get("job_hash"),
            record.get("shellcmd"),
            tuple(record.get("input") or ()),
            tuple(record.get("log") or ()),
        )
        groups.setdefault(key, []).append((output, record))
    for members in groups.values():
        yield _job([output for output, _ in members], [record for _, record in members])


def _records(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, _, names in os.walk(folder):
        above = "".join(part.removeprefix("@") for part in Path(place).relative_to(folder).parts)
        for name in names:
            try:
                output = urlsafe_b64decode(above + name).decode()
                record = json.loads(Path(place, name).read_bytes())
            except (ValueError, binascii.Error, OSError):
                # A record that is being written; Snakemake, too, passes over such.
                continue
            if isinstance(record, dict) and record.get("rule") and not record.get("incomplete"):
                yield output, record


def _job(outputs: list[str], records: list[dict[str, Any]]) -> Job:
    first = records[0]
    deployed = first.get("software_stack_hash") not in (None, NO_DEPLOYMENT)
    starts = [record["starttime"] for record in records if record.get("starttime")]
    ends = [record["endtime"] for record in records if record.get("endtime")]
    start = min(starts, default=None)
    return Job(
        rule=str(first["rule"]),
        inputs=tuple(first.get("input") or ()),
        outputs=tuple(sorted(outputs)),
        parameters=parameter_values(first.get("params") or ()),
        command=first.get("shellcmd") or "",
        code=first.get("code") or "",
        logs=tuple(first.get("log") or ()),
        start=start,
        # An output that was only touched, or copied in, can be older than its job.
        end=max([*ends, start]) if ends and start else max(ends, default=None),
        environment=_decoded(first.get("conda_env")) if deployed else "",
        container=(first.get("container_img_url") or "") if deployed else "",
        checksums={
            path: str(value).removeprefix("sha256:")
            for path, value in (first.get("input_checksums") or {}).items()
            if str(value).startswith("sha256:") or ":" not in str(value)
        },
    )


def _decoded(text: str | None) -> str:
    return b64decode(text).decode() if text else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
