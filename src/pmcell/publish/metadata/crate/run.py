"""A run as entities of a Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5).

Rules are the tools and steps of the workflow, jobs are actions. The ids of all
that belongs to one run start with `#run`, so that two runs of equal input can
be compared without it (`digest.py`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pmcell.publish.metadata.crate.plan import (
    RUN,
    WORKFLOW,
    Plan,
    file_id,
    make_plan,
    plan_entities,
    rule_id,
    workflow_properties,
)
from pmcell.publish.metadata.crate.provenance import Run, RunFile
from pmcell.publish.metadata.crate.provenance_records import Job
from pmcell.publish.metadata.crate.software import container_image

Entity = dict[str, Any]

COMPLETED = "http://schema.org/CompletedActionStatus"
PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    PROCESS: "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    WORKFLOW_CRATE: "Workflow RO-Crate",
}
TERMS = {
    name: f"https://w3id.org/ro/terms/workflow-run#{name}"
    for name in (
        "ParameterConnection",
        "connection",
        "sourceParameter",
        "targetParameter",
        "ContainerImage",
        "containerImage",
        "registry",
        "tag",
    )
} | {
    "sha256": "https://schema.org/sha256",
    "wasRevisionOf": "http://www.w3.org/ns/prov#wasRevisionOf",
}
"""Terms that the context of RO-Crate 1.1 lacks; named here, because validators work offline."""


@dataclass(frozen=True)
class Setting:
    """What is known of a run besides its jobs.

    `agents` answer for the run, `workflow_id` is the workflow's file in the
    crate, `requirements` is the software that the rules need, and `written`
    the moment at which the crate is written (POSIX seconds).
    """

    agents: Sequence[Entity]
    workflow_id: str
    engine: Entity
    requirements: Sequence[Entity]
    written: float
    media_type: Callable[[str], str]


def run_entities(run: Run, setting: Setting) -> list[Entity]:
    """All entities of a run; those with an id of the crate's own hold what is to be added there."""
    jobs = _named([*run.jobs, *([run.running] if run.running else [])])
    plan = make_plan(run, list(jobs.values()))
    code = {job.rule: job.code for job in jobs.values()}
    values = _values(plan, jobs.values())
    actions = [_job_action(name, job, plan, setting, values) for name, job in jobs.items()]
    if run.running:
        actions[-1] |= _still_running(setting)
    whole = _whole(plan, run, setting)
    controls = [_control(rule, jobs) for rule in plan.rules]
    images = dict.fromkeys(job.container for job in jobs.values() if job.container)
    return [
        {"@id": setting.workflow_id, **workflow_properties(plan)},
        *plan_entities(plan, code, url=setting.workflow_id, requirements=setting.requirements),
        whole,
        _orchestration(whole, setting, controls),
        *controls,
        *actions,
        *_files(plan, jobs.values(), setting.media_type),
        *values.values(),
        *map(container_image, images),
        setting.engine,
        *setting.requirements,
    ]


def iso_time(moment: float, *, day_only: bool = False) -> str:
    """The moment in UTC, to the millisecond or the day.

    >>> iso_time(0.5), iso_time(0, day_only=True)
    ('1970-01-01T00:00:00.500+00:00', '1970-01-01')
    """
    time = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return time.date().isoformat() if day_only else time.isoformat(timespec="milliseconds")


def refer(entities: Iterable[Entity]) -> list[Entity]:
    """References to the entities."""
    return [{"@id": item["@id"]} for item in entities]


def _named(jobs: Sequence[Job]) -> dict[str, Job]:
    """The jobs by their ids: the rule and the values of its wildcards, numbered if they recur."""
    named: dict[str, Job] = {}
    for job in jobs:
        values = (value for _, value in sorted(job.wildcards.items()))
        name = f"{RUN}/job/{quote('/'.join([job.rule, *values]))}"
        named[f"{name}/{len(named)}" if name in named else name] = job
    return named


def _values(plan: Plan, jobs: Iterable[Job]) -> dict[tuple[str, str, str], Entity]:
    """The values of parameters, each once a rule however many jobs have it."""
    values: dict[tuple[str, str, str], Entity] = {}
    for job in jobs:
        for name, value in job.parameters.items():
            place = plan.names[job.rule, name]
            values.setdefault(
                (job.rule, name, value),
                {
                    "@id": f"{place}/value/{len(values) + 1}",
                    "@type": "PropertyValue",
                    "name": name,
                    "value": value,
                    "exampleOfWork": {"@id": place},
                },
            )
    return values


def _job_action(
    name: str,
    job: Job,
    plan: Plan,
    setting: Setting,
    values: Mapping[tuple[str, str, str], Entity],
) -> Entity:
    action: Entity = {
        "@id": name,
        "@type": "CreateAction",
        "name": " ".join([job.rule, *(value for _, value in sorted(job.wildcards.items()))]),
        "description": job.command or job.code or f"A job of rule {job.rule}.",
        "instrument": {"@id": rule_id(job.rule)},
        "object": [
            *({"@id": file_id(plan, key)} for key in job.inputs),
            *({"@id": values[job.rule, *item]["@id"]} for item in job.parameters.items()),
        ],
        "result": [{"@id": file_id(plan, key)} for key in job.outputs],
        "agent": refer(setting.agents),
        "actionStatus": COMPLETED,
    }
    if job.start is not None:
        action["startTime"] = iso_time(job.start, day_only=job.by_day)
    if job.end is not None:
        action["endTime"] = iso_time(job.end, day_only=job.by_day)
    if job.container:
        action["containerImage"] = {"@id": container_image(job.container)["@id"]}
    return action


def _still_running(setting: Setting) -> Entity:
    """A job that is writing the crate has no end yet: nothing is said of how it ended."""
    return {
        "description": "Writes this release. The job had not ended when this was written: endTime "
        "is that moment, and no status is given. What it did afterwards is in the files that "
        "manifest.json lists.",
        "endTime": iso_time(setting.written),
        "actionStatus": [],
    }


def _whole(plan: Plan, run: Run, setting: Setting) -> Entity:
    starts = [job.start for job in _timed(run) if job.start is not None]
    ends = [job.end for job in _timed(run) if job.end is not None]
    action: Entity = {
        "@id": RUN,
        "@type": "CreateAction",
        "name": "Run of the workflow",
        "description": f"{len(run.jobs)} finished jobs of {len(plan.rules)} rules. Steps that were "
        "up to date were not run again: each job has the times at which it ran.",
        "instrument": {"@id": setting.workflow_id},
        "object": [{"@id": file_id(plan, key)} for key in plan.raw_files],
        "result": [{"@id": file_id(plan, key)} for key in plan.final_files],
        "agent": refer(setting.agents),
        "startTime": iso_time(min(starts, default=setting.written)),
        "endTime": iso_time(max(ends, default=setting.written)),
        "actionStatus": COMPLETED,
    }
    if run.running:
        action |= {"endTime": iso_time(setting.written), "actionStatus": []}
        action["description"] += " The job that wrote this release had not ended."
    return action


def _timed(run: Run) -> Sequence[Job]:
    """Jobs whose times are told to the second; where there are none, all."""
    exact = [job for job in run.jobs if not job.by_day]
    return [*exact, *([run.running] if run.running else [])] or list(run.jobs)


def _control(rule: str, jobs: Mapping[str, Job]) -> Entity:
    return {
        "@id": f"{rule_id(rule)}/control",
        "@type": "ControlAction",
        "name": f"Orchestrate the jobs of {rule}",
        "instrument": {"@id": f"{rule_id(rule)}/step"},
        "object": [{"@id": name} for name, job in jobs.items() if job.rule == rule],
    }


def _orchestration(whole: Entity, setting: Setting, controls: Sequence[Entity]) -> Entity:
    return {
        "@id": f"{RUN}/orchestration",
        "@type": "OrganizeAction",
        "name": f"Run of {setting.engine['name']} {setting.engine['softwareVersion']}",
        "instrument": {"@id": setting.engine["@id"]},
        "object": refer(controls),
        "result": {"@id": whole["@id"]},
        "agent": refer(setting.agents),
        "startTime": whole["startTime"],
        "endTime": whole["endTime"],
    }


def _files(plan: Plan, jobs: Iterable[Job], media_type: Callable[[str], str]) -> list[Entity]:
    roles: dict[str, dict[str, None]] = {key: {} for key in plan.files}
    for key in plan.raw_files:
        roles[key][plan.inputs[WORKFLOW, plan.files[key].pattern]] = None
    for key in plan.final_files:
        roles[key][plan.outputs[WORKFLOW, plan.files[key].pattern]] = None
    for job in jobs:
        for key in job.inputs:
            roles[key][plan.inputs[job.rule, plan.files[key].pattern]] = None
        for key in job.outputs:
            roles[key][plan.outputs[job.rule, plan.files[key].pattern]] = None
    return [
        _file(file_id(plan, key), file, list(roles[key]), media_type)
        for key, file in plan.files.items()
    ]


def _file(
    name: str, file: RunFile, roles: Sequence[str], media_type: Callable[[str], str]
) -> Entity:
    item: Entity = {"@id": name, "exampleOfWork": [{"@id": role} for role in roles]}
    if file.crate_id:
        return item
    item |= {"@type": "File", "name": file.name, "encodingFormat": media_type(file.name)}
    item |= {"description": file.description} if file.description else {}
    item |= {"contentSize": str(file.size)} if file.size is not None else {}
    return item | ({"sha256": file.sha256} if file.sha256 else {})
