"""The rules of a run as tools, steps and formal parameters: what jobs of a rule take and give.

A formal parameter is a pattern of paths, or a named value: all files of one
pattern that a rule reads are examples of one input. Connections say of which
output of which rule an input is made.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pmcell.publish.metadata.crate.provenance import Run, RunFile
from pmcell.publish.metadata.crate.provenance_records import Job

Entity = dict[str, Any]
Ids = Mapping[tuple[str, str], str]

RUN = "#run"
PARAMETER_PROFILE = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
WORKFLOW = ""
"""Stands for the workflow where a rule is named: its inputs no rule made, its outputs none read."""


@dataclass(frozen=True)
class Plan:
    """Ids by rule and pattern, or by rule and name of a value; rules in the order they started."""

    rules: tuple[str, ...]
    files: Mapping[str, RunFile]
    inputs: Ids
    outputs: Ids
    names: Ids
    raw_files: tuple[str, ...]
    final_files: tuple[str, ...]


def make_plan(run: Run, jobs: Sequence[Job]) -> Plan:
    """Name every formal parameter of the rules of `jobs`, and of the workflow as a whole."""
    made = {key for job in jobs for key in job.outputs}
    used = {key for job in jobs for key in job.inputs}
    raw = tuple(key for key in run.files if key not in made)
    final = tuple(key for key in run.files if key not in used)

    def pairs(keys: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        return ((rule, run.files[key].pattern) for rule, key in keys)

    inputs = [(WORKFLOW, key) for key in raw]
    inputs += [(job.rule, key) for job in jobs for key in job.inputs]
    outputs = [(WORKFLOW, key) for key in final]
    outputs += [(job.rule, key) for job in jobs for key in job.outputs]
    values = [(job.rule, name) for job in jobs for name in job.parameters]
    return Plan(
        rules=tuple(dict.fromkeys(job.rule for job in jobs)),
        files=run.files,
        inputs=_numbered("in", pairs(inputs)),
        outputs=_numbered("out", pairs(outputs)),
        names=_numbered("parameter", values),
        raw_files=raw,
        final_files=final,
    )


def rule_id(rule: str) -> str:
    """The id of a rule as a tool; of its step and parameters the start."""
    return f"{RUN}/rule/{quote(rule)}" if rule != WORKFLOW else f"{RUN}/workflow"


def file_id(plan: Plan, key: str) -> str:
    """The id of a file's entity: its place in the crate, or a name below `#run`."""
    return plan.files[key].crate_id or f"{RUN}/file/{quote(key)}"


def plan_entities(
    plan: Plan, code: Mapping[str, str], *, url: str, requirements: Sequence[Entity]
) -> list[Entity]:
    """Tools, steps, formal parameters and connections; `code` is what each rule runs."""
    entities: list[Entity] = []
    for number, rule in enumerate(plan.rules, 1):
        tool: Entity = {
            "@id": rule_id(rule),
            "@type": "SoftwareApplication",
            "name": rule,
            "description": code[rule] or f"Rule {rule} of the workflow.",
            "softwareVersion": f"sha256:{hashlib.sha256(code[rule].encode()).hexdigest()[:16]}",
            "url": url,
            "input": _refer(_of(plan.inputs, rule) + _of(plan.names, rule)),
            "output": _refer(_of(plan.outputs, rule)),
            "softwareRequirements": _refer(item["@id"] for item in requirements),
        }
        step: Entity = {
            "@id": f"{rule_id(rule)}/step",
            "@type": "HowToStep",
            "name": rule,
            "position": str(number),
            "workExample": {"@id": tool["@id"]},
            "connection": _refer(item["@id"] for item in _links(plan, rule)),
        }
        entities += [tool, step, *_links(plan, rule)]
    for (_, pattern), name in [*plan.inputs.items(), *plan.outputs.items()]:
        kind = "Dataset" if pattern.endswith("/") else "File"
        entities.append(_formal_parameter(name, pattern, kind))
    for (_, title), name in plan.names.items():
        entities.append(_formal_parameter(name, title, "Text"))
    profile = {"@id": PARAMETER_PROFILE, "@type": "CreativeWork", "name": "FormalParameter profile"}
    return [*entities, *_links(plan, WORKFLOW), profile]


def workflow_properties(plan: Plan) -> Entity:
    """What the workflow's own entity gains from the plan."""
    return {
        "hasPart": _refer(rule_id(rule) for rule in plan.rules),
        "step": _refer(f"{rule_id(rule)}/step" for rule in plan.rules),
        "input": _refer(_of(plan.inputs, WORKFLOW)),
        "output": _refer(_of(plan.outputs, WORKFLOW)),
        "connection": _refer(item["@id"] for item in _links(plan, WORKFLOW)),
    }


def _links(plan: Plan, rule: str) -> list[Entity]:
    """Where the inputs of a rule come from; for the workflow, where its outputs do."""
    makers: dict[str, str] = {}
    for (maker, pattern), name in plan.outputs.items():
        if maker != WORKFLOW:
            makers.setdefault(pattern, name)
    targets = plan.outputs if rule == WORKFLOW else plan.inputs
    links = []
    for (receiver, pattern), target in targets.items():
        source = makers.get(pattern) or plan.inputs.get((WORKFLOW, pattern))
        if receiver == rule and source:
            links.append(
                {
                    "@id": f"{target}/connection",
                    "@type": "ParameterConnection",
                    "sourceParameter": {"@id": source},
                    "targetParameter": {"@id": target},
                }
            )
    return links


def _formal_parameter(name: str, title: str, kind: str) -> Entity:
    return {
        "@id": name,
        "@type": "FormalParameter",
        "additionalType": kind,
        "name": title,
        "conformsTo": {"@id": PARAMETER_PROFILE},
    }


def _numbered(kind: str, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    counts: Counter[str] = Counter()
    ids: dict[tuple[str, str], str] = {}
    for rule, title in pairs:
        if (rule, title) not in ids:
            counts[rule] += 1
            ids[rule, title] = f"{rule_id(rule)}/{kind}/{counts[rule]}"
    return ids


def _of(ids: Ids, rule: str) -> list[str]:
    return [name for (one, _), name in ids.items() if one == rule]


def _refer(ids: Iterable[str]) -> list[Entity]:
    return [{"@id": name} for name in ids]
