"""Software as entities of a crate: name, version and address, as installed here."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from typing import Any

from pmcell.errors import UsageError

Entity = dict[str, Any]

HOME_LABELS = ("homepage", "home", "source", "source code", "repository", "github", "documentation")
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def installed(name: str) -> Entity | None:
    """A Python distribution of this environment, by its address on PyPI; None if it is not here."""
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    version = found["Version"]
    address = f"https://pypi.org/project/{name}/{version}/"
    return {
        "@id": address,
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": version,
        "url": _home(found) or address,
    }


def snakemake_engine() -> Entity:
    """The workflow engine; `UsageError` where it is not installed."""
    engine = installed("snakemake")
    if engine is None:
        raise UsageError("snakemake must be installed beside pmcell; it is not. Install pmcell.")
    return engine


def environment(name: str) -> list[Entity]:
    """Python and what the distribution `name` requires at run time, as installed here."""
    try:
        required = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        required = []
    names = {
        found.group()
        for text in required
        if "extra" not in text and (found := REQUIREMENT.match(text))
    }
    return [python(), *filter(None, map(installed, sorted(names)))]


def python() -> Entity:
    """The interpreter."""
    version = platform.python_version()
    return {
        "@id": f"https://docs.python.org/release/{version}/",
        "@type": "SoftwareApplication",
        "name": platform.python_implementation(),
        "softwareVersion": version,
        "url": "https://www.python.org/",
    }


def language(version: str) -> Entity:
    """The language of the workflow, as Workflow RO-Crate names it."""
    return {
        "@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "version": version,
        "identifier": "https://doi.org/10.1093/bioinformatics/bty350",
        "url": "https://snakemake.readthedocs.io",
    }


def container_image(address: str) -> Entity:
    """The container in which a job ran, of an address like docker://ghcr.io/owner/name:tag."""
    scheme, _, rest = address.rpartition("://")
    is_sif = rest.endswith(".sif") or scheme == "library"
    kind = "SIFImage" if is_sif else "DockerImage"
    head, _, name = rest.partition("/")
    has_registry = bool(name) and ("." in head or ":" in head)
    registry, name = (head, name) if has_registry else ("docker.io", rest)
    name, _, tag = name.partition(":")
    image: Entity = {
        "@id": f"#run/container/{rest.rsplit('/', 1)[-1]}",
        "@type": "ContainerImage",
        "additionalType": {"@id": f"https://w3id.org/ro/terms/workflow-run#{kind}"},
        "registry": registry,
        "name": name,
    }
    return image | ({"tag": tag} if tag else {})


def _home(found: Any) -> str:
    urls = {}
    for text in found.get_all("Project-URL") or []:
        label, _, url = text.partition(",")
        urls[label.strip().lower()] = url.strip()
    known = (urls[label] for label in HOME_LABELS if label in urls)
    return next(known, "") or found.get("Home-page") or ""
