"""What Snakemake hands to a report plugin, as a crate."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pmcell.io.atomic import atomic_path, sha256_file, write_text
from pmcell.publish.metadata.contents import media_type
from pmcell.publish.metadata.crate.document import crate_text, descriptor, profiles
from pmcell.publish.metadata.crate.provenance import describe_run
from pmcell.publish.metadata.crate.provenance_records import NO_DEPLOYMENT, Job
from pmcell.publish.metadata.crate.run import Setting, iso_time, refer, run_entities
from pmcell.publish.metadata.crate.software import language, python, snakemake_engine
from pmcell.publish.provenance_paths import PathRules
from pmcell.release.digest import CRATE

Entity = dict[str, Any]

SOURCES = "workflow"
README = "README.md"
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"


def write_run_crate(records: Iterable[Any], dag: Any, settings: Any) -> None:
    """Write the crate of a finished workflow into the folder that `settings` name."""
    workdir = Path.cwd()
    folder = Path(os.path.abspath(settings.path))
    folder.mkdir(parents=True, exist_ok=True)
    jobs = sorted(_jobs(records, dag), key=lambda job: (job.start or 0, job.rule, job.outputs))
    parts = {
        path: quote(os.path.relpath(workdir / path, folder))
        for job in jobs
        for path in (*job.inputs, *job.outputs)
        if (workdir / path).is_file() and folder in (workdir / path).parents
    }
    run = describe_run(jobs, PathRules(workdir), parts=parts)
    sources = _copy_sources(dag.workflow, folder)
    engine = snakemake_engine()
    agents = _agents(settings)
    author = refer(agents[-1:])
    written = time.time()
    setting = Setting(author, quote(sources[0]), engine, [python()], written, media_type)
    history = run_entities(run, setting)
    title = settings.name or f"Run of {Path(sources[0]).name}"
    _write_readme(folder, title)
    inside = {README, *sources, *map(unquote, parts.values())}
    files = [_file(folder, name) for name in sorted(inside)]
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": title,
        "description": settings.description
        or f"{len(run.jobs)} jobs of a Snakemake workflow: what each read and wrote, and when.",
        "datePublished": iso_time(written),
        "license": refer([_licence(settings.license)]),
        "author": author,
        "publisher": refer(agents[:1]),
        "mainEntity": {"@id": quote(sources[0])},
        "conformsTo": refer(profiles(is_recorded=True)),
        "hasPart": refer(files),
        "mentions": refer(item for item in history if item.get("@type") == "CreateAction"),
    }
    workflow = _workflow(sources[0], folder, language(engine["softwareVersion"]))
    graph = [*descriptor(), root, *files, *agents, _licence(settings.license), *workflow]
    write_text(folder / CRATE, crate_text([*graph, *profiles(is_recorded=True), *history]))


def _write_readme(folder: Path, title: str) -> None:
    """A page for people, unless the folder has one."""
    if not (folder / README).exists():
        text = (
            f"# {title}\n\nA Provenance Run RO-Crate 0.5 of a Snakemake workflow: "
            f"`{CRATE}` tells every job, what it read and wrote, and when.\n"
        )
        write_text(folder / README, text)


def _jobs(records: Iterable[Any], dag: Any) -> Iterator[Job]:
    for record in records:
        job = record.job
        known = dag.workflow.persistence.metadata(job.output[0])
        deployed = known["software_stack_hash"] not in (None, NO_DEPLOYMENT)
        yield Job(
            rule=job.rule.name,
            inputs=tuple(sorted({str(path) for path in job.input})),
            outputs=tuple(sorted(str(path) for path in record.output)),
            wildcards={name: str(value) for name, value in job.wildcards_dict.items()},
            parameters=_parameters(job),
            command=known["shellcmd"] or "",
            code=known["code"] or "",
            logs=tuple(map(str, job.log)),
            start=record.starttime,
            end=max(record.endtime, record.starttime),
            container=(record.container_img_url or "") if deployed else "",
            checksums={
                path: str(value).removeprefix("sha256:")
                for path, value in (known["input_checksums"] or {}).items()
            },
        )


def _parameters(job: Any) -> dict[str, str]:
    named = dict(job.params.items())
    places = [value for value in job.params if not any(value is one for one in named.values())]
    named |= {f"parameter {number}": value for number, value in enumerate(places, 1)}
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
        for name, value in named.items()
    }


def _copy_sources(workflow: Any, folder: Path) -> list[str]:
    """Copies of the Snakefile and what it includes, the Snakefile first; paths in the crate.

    Sources inside the crate's folder are named where they are.
    """
    paths = [Path(source.get_path_or_uri(secret_free=True)) for source in workflow.included]
    paths = [path.absolute() for path in paths if path.is_file()]
    base = Path(os.path.commonpath([path.parent for path in paths]))
    names = []
    for path in paths:
        if folder in path.parents:
            names.append(path.relative_to(folder).as_posix())
            continue
        names.append(f"{SOURCES}/{path.relative_to(base).as_posix()}")
        with atomic_path(folder / names[-1]) as temporary:
            shutil.copyfile(path, temporary)
    return names


def _workflow(name: str, folder: Path, spoken: Entity) -> list[Entity]:
    return [
        {
            "@id": quote(name),
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "conformsTo": {"@id": BIOSCHEMAS},
            "programmingLanguage": {"@id": spoken["@id"]},
            "version": f"sha256:{sha256_file(folder / name)[:16]}",
            "url": quote(name),
        },
        spoken,
        {"@id": BIOSCHEMAS, "@type": "CreativeWork", "name": "ComputationalWorkflow profile"},
    ]


def _file(folder: Path, name: str) -> Entity:
    path = folder / name
    item: Entity = {
        "@id": quote(name),
        "@type": "File",
        "name": path.name,
        "encodingFormat": media_type(name),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256_file(path),
    }
    return item | ({"about": {"@id": "./"}} if name == README else {})


def _agents(settings: Any) -> list[Entity]:
    """The publisher, then the author; nobody is named whom the options do not name."""
    organisation: Entity = {
        "@id": settings.affiliation_id or "#agent/organisation",
        "@type": "Organization",
        "name": settings.affiliation or settings.author or "Not stated",
    }
    if settings.affiliation_id:
        organisation["url"] = settings.affiliation_id
    if not settings.affiliation:
        return [organisation]
    author: Entity = {
        "@id": settings.author_id or "#agent/author",
        "@type": "Person",
        "name": settings.author or "Not stated",
        "affiliation": {"@id": organisation["@id"]},
    }
    return [organisation, author] if settings.author else [organisation]


def _licence(spdx: str | None) -> Entity:
    if not spdx:
        return {
            "@id": "#licence/not-stated",
            "@type": "CreativeWork",
            "name": "Not stated",
            "description": "No licence was stated: ask the authors before reuse.",
        }
    return {
        "@id": f"https://spdx.org/licenses/{quote(spdx)}",
        "@type": "CreativeWork",
        "name": spdx,
        "description": f"SPDX licence {spdx}.",
    }
