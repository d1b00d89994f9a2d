"""`ro-crate-metadata.json`: the release as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1).

With records of the run it is also a Provenance Run Crate 0.5: every job of the
workflow, what it read and wrote, and when. Written directly, one entity a
line: a study of a thousand samples has ten thousand jobs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pmcell.io.atomic import write_text
from pmcell.publish.facts import Facts, publication_date
from pmcell.publish.metadata.attribution import (
    common_licence,
    doi_address,
    keywords,
    licence_notes,
    licence_url,
    revised_release,
    source_dois,
    summary,
)
from pmcell.publish.metadata.contents import FOLDERS, describe, media_type
from pmcell.publish.metadata.crate.agents import (
    agent_entities,
    author_ids,
    contributor_ids,
    publisher,
)
from pmcell.publish.metadata.crate.document import crate_text, descriptor, profiles
from pmcell.publish.metadata.crate.provenance import Run, release_run
from pmcell.publish.metadata.crate.run import Setting, iso_time, refer, run_entities
from pmcell.publish.metadata.crate.software import environment, language, snakemake_engine
from pmcell.publish.metadata.crate.workflow import WORKFLOW_ID, workflow_entities
from pmcell.release.digest import CRATE
from pmcell.release.manifest import MANIFEST, Entries
from pmcell.version import __version__

Entity = dict[str, Any]

PMCELL_ID = "#software/pmcell"


def write_crate(
    facts: Facts,
    folder: Path,
    entries: Entries,
    *,
    target: Path,
    started: float,
    later: Sequence[str] = (),
) -> None:
    """Describe the files of `entries`, the manifest, which is written last, and the run.

    `target` is where the release will lie, `started` when it was begun (POSIX
    seconds), and `later` what is written after the crate: files, and folders, whose names end
    in `/` and which are described as a whole. They are made, because a crate must have its parts.
    """
    folders_later = tuple(name for name in later if name.endswith("/"))
    files_later = [name for name in later if name not in folders_later]
    for name in folders_later:
        (folder / name).mkdir(exist_ok=True)
    for name in files_later:
        write_text(folder / name, "")
    run = release_run(facts, target)
    engine = snakemake_engine()
    software = [_pmcell(), *environment("pmcell")]
    history = _history(facts, run, engine, software, started)
    actions = [item for item in history if item.get("@type") == "CreateAction"]
    listed = {
        name: entry
        for name, entry in entries.items()
        if name != CRATE and not name.startswith(folders_later)
    }
    listed |= {name: {} for name in (MANIFEST, *files_later)}
    files = [_file(facts, name, entry) for name, entry in sorted(listed.items())]
    folders = _folders(files, folders_later)
    inside = {part["@id"] for item in folders for part in item["hasPart"]}
    top = [item for item in (*folders, *files) if item["@id"] not in inside]
    root = _root(facts) | {
        "conformsTo": refer(profiles(is_recorded=bool(run.jobs))),
        "hasPart": refer(top),
        "mentions": refer(actions),
    }
    graph = [
        *descriptor(),
        root,
        *folders,
        *files,
        *_licence(facts),
        *agent_entities(facts),
        *_sources(facts),
        *_revised(facts),
        *workflow_entities(language(engine["softwareVersion"])),
        *profiles(is_recorded=bool(run.jobs)),
        *history,
    ]
    write_text(folder / CRATE, crate_text(graph))


def _root(facts: Facts) -> Entity:
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": facts.title,
        "description": summary(facts),
        "version": facts.options.version,
        "datePublished": publication_date(facts.options)[0],
        "license": refer(_licence(facts)),
        "author": [{"@id": name} for name in author_ids(facts)],
        "contributor": [{"@id": name} for name in contributor_ids(facts)],
        "publisher": {"@id": publisher(facts)["@id"]},
        "isBasedOn": refer([*_sources(facts), *_revised(facts)]),
        "wasRevisionOf": refer(_revised(facts)),
        "keywords": keywords(facts),
        "mainEntity": {"@id": WORKFLOW_ID},
    }
    if facts.options.doi:
        root["identifier"] = doi_address(facts.options.doi)
    if facts.options.url:
        root["url"] = facts.options.url
    return root


def _history(
    facts: Facts, run: Run, engine: Entity, software: Sequence[Entity], started: float
) -> list[Entity]:
    agents = [{"@id": name} for name in author_ids(facts)]
    now = time.time()
    history: list[Entity] = []
    if run.jobs:
        setting = Setting(agents, WORKFLOW_ID, engine, software, now, media_type)
        history += run_entities(run, setting)
    else:
        history += software
    return history if run.running else [*history, _by_hand(run, agents, started, now)]


def _by_hand(run: Run, agents: list[Entity], started: float, now: float) -> Entity:
    """The writing of the release by the command itself, outside a run of the workflow."""
    before = (
        "The steps before it are the run of the workflow that is recorded here."
        if run.jobs
        else "The steps before it are not recorded: Snakemake left no records beside the results."
    )
    return {
        "@id": "#run/release",
        "@type": "CreateAction",
        "name": "pmcell release",
        "description": f"Writes this release from the results. {before} endTime is when this file "
        "was written; what was done afterwards is in the files that manifest.json lists.",
        "instrument": {"@id": PMCELL_ID},
        "result": {"@id": "./"},
        "agent": agents,
        "startTime": iso_time(started),
        "endTime": iso_time(now),
    }


def _file(facts: Facts, name: str, entry: dict[str, Any]) -> Entity:
    item: Entity = {
        "@id": quote(name),
        "@type": "File",
        "name": name.rsplit("/", 1)[-1],
        "description": describe(facts, name),
        "encodingFormat": media_type(name),
    }
    if name == "README.md":
        item["about"] = {"@id": "./"}
    if entry:
        item |= {"contentSize": str(entry["size"]), "sha256": entry["sha256"]}
    return item


def _folders(files: Sequence[Entity], later: Sequence[str]) -> list[Entity]:
    folders = [
        {
            "@id": name,
            "@type": "Dataset",
            "name": name.rstrip("/"),
            "description": prose,
            "hasPart": refer(item for item in files if item["@id"].startswith(name)),
        }
        for name, prose in FOLDERS.items()
    ]
    return [item for item in folders if item["hasPart"] or item["@id"] in later]


def _licence(facts: Facts) -> list[Entity]:
    spdx = common_licence(facts)
    if spdx:
        item = {"@id": licence_url(spdx) or f"#licence/{quote(spdx)}", "name": spdx}
        return [item | {"@type": "CreativeWork", "description": f"SPDX licence {spdx}."}]
    notes = " ".join(licence_notes(facts))
    item = {"@id": "#licence/each", "name": "Licence of each cohort", "description": notes}
    return [item | {"@type": "CreativeWork"}]


def _sources(facts: Facts) -> list[Entity]:
    return [
        {
            "@id": doi_address(doi),
            "@type": "CreativeWork",
            "name": f"Source of {', '.join(names)}",
        }
        for doi, names in source_dois(facts).items()
    ]


def _revised(facts: Facts) -> list[Entity]:
    """The release to which cohorts were added."""
    if facts.revises is None:
        return []
    return [
        {
            "@id": revised_release(facts),
            "@type": "Dataset",
            "name": f"Release {facts.revises.version}, which this one revises",
            "version": facts.revises.version,
            "identifier": facts.revises.content_sha256,
            "description": f"Added to it: {', '.join(facts.revises.added)}.",
        }
    ]


def _pmcell() -> Entity:
    return {
        "@id": PMCELL_ID,
        "@type": "SoftwareApplication",
        "name": "pmcell",
        "softwareVersion": __version__,
        "description": "From registered single-cell cohorts to a published release.",
        "url": "workflow/README.md",
    }
