"""The workflow that made a release, copied into it, so that its crate is complete by itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pmcell.bundle import bundle_folder
from pmcell.io.atomic import atomic_path
from pmcell.version import __version__

Entity = dict[str, Any]

WORKFLOW_ID = "workflow/Snakefile"
SOURCES = ("workflow", "envs/pmcell.yaml")
LICENCE = "https://spdx.org/licenses/Apache-2.0"
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"


def write_workflow(folder: Path) -> None:
    """Copy the Snakefile, its rules and the environment that the rules name into the release."""
    bundle = bundle_folder()
    for name in SOURCES:
        source = bundle / name
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and not any(part.startswith((".", "__")) for part in file.parts):
                with atomic_path(folder / file.relative_to(bundle)) as temporary:
                    shutil.copyfile(file, temporary)


def workflow_entities(language: Entity) -> list[Entity]:
    """What is added to the workflow's file for it to be a ComputationalWorkflow."""
    return [
        {
            "@id": WORKFLOW_ID,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "pmcell workflow",
            "description": "From registered cohorts to a release; workflow/README.md draws it.",
            "conformsTo": {"@id": BIOSCHEMAS},
            "programmingLanguage": {"@id": language["@id"]},
            "license": {"@id": LICENCE},
            "version": __version__,
            "url": "workflow/README.md",
        },
        language,
        {"@id": LICENCE, "@type": "CreativeWork", "name": "Apache-2.0"},
        {"@id": BIOSCHEMAS, "@type": "CreativeWork", "name": "ComputationalWorkflow profile"},
    ]
