"""rocrate-validator: the crate against every profile that it says it conforms to, offline."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

CRATE = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILES = {
    "https://w3id.org/ro/crate/1.1": "ro-crate-1.1",
    "https://w3id.org/ro/wfrun/process/": "process-run-crate-0.5",
    "https://w3id.org/ro/wfrun/workflow/": "workflow-run-crate-0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/": "workflow-ro-crate-1.0",
    "https://w3id.org/ro/wfrun/provenance/": "provenance-run-crate-0.5",
}
"""What `conformsTo` of a crate begins with, the widest profile last."""

PLAIN = re.compile(r"[A-Za-z0-9._/-]+")

FALSE_POSITIVES = {
    "process-run-crate-0.5_5.1": "wants absolute URIs of software, but Workflow RO-Crate "
    "requires the workflow to be a file of the crate, and its rules have no address of their own"
}


def check(release: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Findings of each claimed profile at REQUIRED and at RECOMMENDED."""
    from rocrate_validator import services
    from rocrate_validator.models import Severity, ValidationSettings

    parse_queries_once()
    claimed = claimed_profiles(json.loads((release / CRATE).read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as cache, plainly_named(release) as place:
        seed_context(Path(cache) / "http")
        settings = ValidationSettings(
            rocrate_uri=str(place),
            profile_identifier=claimed[-1],
            requirement_severity=Severity.RECOMMENDED,
            skip_checks=list(FALSE_POSITIVES),
            enable_profile_inheritance=True,
            offline=True,
            cache_path=Path(cache) / "http",
        )
        result = services.validate(settings)
    issues = [_issue(issue) for issue in result.get_issues(Severity.RECOMMENDED)]
    checks = []
    for profile in claimed:
        for level in ("REQUIRED", "RECOMMENDED"):
            findings = [
                {"message": issue["message"], "where": issue["where"]}
                for issue in issues
                if issue["level"] == level and issue["profile"] == profile
            ]
            checks.append({"target": CRATE, "level": f"{profile} {level}", "findings": findings})
    others = [issue for issue in issues if issue["profile"] not in claimed]
    if others:
        checks.append({"target": CRATE, "level": "other profiles REQUIRED", "findings": others})
    raw = {"issues": issues, "skipped": FALSE_POSITIVES, "profile": claimed[-1]}
    return {"checks": checks, "raw": raw}


@contextlib.contextmanager
def plainly_named(release: Path) -> Iterator[Path]:
    """The release under a path of letters that need no escape in an IRI: itself, or a link to it.

    The tool compares paths with IRIs made of them, and finds nothing in `my study (it's)`.
    """
    if PLAIN.fullmatch(str(release)):
        yield release
        return
    temporary = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(
        dir=temporary if PLAIN.fullmatch(temporary) else "/tmp"
    ) as folder:
        link = Path(folder) / "release"
        link.symlink_to(release, target_is_directory=True)
        yield link


def claimed_profiles(crate: dict[str, Any]) -> list[str]:
    """Profiles that the crate's descriptor and root name, the widest last."""
    items = {item["@id"]: item for item in crate.get("@graph", [])}
    named = [
        target["@id"]
        for entity in (CRATE, "./")
        for target in _list(items.get(entity, {}).get("conformsTo"))
    ]
    profiles = [
        name
        for prefix, name in PROFILES.items()
        if any(target.startswith(prefix) for target in named)
    ]
    return profiles or ["ro-crate-1.1"]


def parse_queries_once() -> None:
    """Let SPARQL be parsed once, not anew for each entity of the crate that a shape asks for."""
    from rdflib.plugins.sparql import prepareQuery
    from rdflib.plugins.sparql.processor import SPARQLProcessor

    evaluate = SPARQLProcessor.query
    prepared = functools.cache(lambda text, names: prepareQuery(text, dict(names)))

    def query(self: Any, text: Any, bindings: Any = None, names: Any = None, **rest: Any) -> Any:
        if isinstance(text, str) and not rest:
            text = prepared(text, tuple((names or {}).items()))
        return evaluate(self, text, bindings, names, **rest)

    SPARQLProcessor.query = query  # type: ignore[method-assign, assignment]


def seed_context(cache: Path) -> None:
    """Put the context of RO-Crate 1.1 from the wheel of rocrate into a cache of requests."""
    import requests.adapters
    import urllib3
    from requests_cache import CachedSession

    file = next(
        item
        for item in metadata.files("rocrate") or []
        if item.as_posix() == "rocrate/data/ro-crate.jsonld"
    )
    context = Path(str(file.locate())).read_bytes()

    class FromWheel(requests.adapters.HTTPAdapter):
        """Answers every request with the context."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            answer = urllib3.HTTPResponse(
                body=io.BytesIO(context),
                status=200,
                headers={"Content-Type": "application/ld+json"},
                preload_content=False,
                request_method="GET",
                request_url=request.url,
            )
            return self.build_response(request, answer)

    session = CachedSession(
        cache_name=str(cache), backend="sqlite", expire_after=-1, allowable_codes=(200, 302, 404)
    )
    session.mount("https://", FromWheel())
    session.get(CONTEXT)
    session.close()


def _issue(issue: Any) -> dict[str, str]:
    return {
        "profile": issue.check.requirement.profile.identifier,
        "check": issue.check.identifier,
        "level": issue.severity.name,
        "message": str(issue.message),
        "where": str(issue.violatingEntity or ""),
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
