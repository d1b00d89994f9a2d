"""Write a release that holds an earlier one, untouched, and cohorts that were placed on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.scratch import scratch_folder
from pmcell.publish.add.people import require_strangers
from pmcell.publish.add.place import place_cohort
from pmcell.publish.add.previous import Previous, require_addable, require_new
from pmcell.publish.add.stage import stage_results
from pmcell.publish.add.tables import grow_tables
from pmcell.publish.cohort_files import released_names, write_counts
from pmcell.publish.content.expression import NONE
from pmcell.publish.facts import Cohort, Facts, Revision
from pmcell.publish.folder import whole_folder
from pmcell.publish.manifest import cohort_entry, sources_of
from pmcell.publish.metadata.attribution import require_attribution
from pmcell.publish.placed import link_file
from pmcell.publish.release import Page, Site, complete_release
from pmcell.release.expression import ALL, GENES
from pmcell.release.manifest import Entries, read_manifest
from pmcell.release.verify import verify_release
from pmcell.settings.release import ReleaseSettings

KEPT = ("cells/", "expression/", "reference/", "donors.h5ad", "strata.json")
"""Files of the earlier release that the new one holds as they are, beside most tables."""
SCRATCH = ".pmcell-add-"


def add_cohorts(
    previous: Previous,
    cohort_ids: Sequence[str],
    *,
    results: Path,
    target: Path,
    options: ReleaseSettings,
    qc: Mapping[str, Any],
    report: Page | None = None,
    site: Site | None = None,
    progress: Callable[[str], None] = lambda part: None,
) -> Facts:
    """Write the release `target`: the earlier one, with cohorts of the study added.

    Parameters
    ----------
    previous
        The earlier release, as `open_previous` verified it; it is not changed.
    cohort_ids
        The cohorts; intake and QC left their results below `results`, as those of the earlier
        release's cohorts.
    results
        The study's results.
    target
        The folder to write, which must not be there.
    options
        What the new release says of itself.
    qc
        The options by which cells were marked.
    report, site, progress
        As in `write_release`.

    Raises
    ------
    UsageError, DataError, FaultsError
        Whatever forbids it; nothing is written then.

    Notes
    -----
    Cells and people are placed by `reference/` of the earlier release, as `pmcell map` does. Files
    of its cells and counts, its reference and its tables over all donors are linked; other tables
    keep their rows and get those of the added cohorts. What describes the study as a whole (see
    table `additions`) keeps holding for the earlier donors.
    """
    started = time.time()
    require_new(previous.manifest, cohort_ids)
    facts = _facts(previous, sorted(cohort_ids), results, options)
    _require_own_identity(facts, previous)
    added = [item for item in facts.cohorts if item.cohort_id in set(cohort_ids)]
    for cohort in added:
        require_addable(previous, cohort, qc)
    require_attribution(facts)
    progress("people of earlier cohorts")
    sex_conflicts = require_strangers(previous, added)
    placed = {}
    for cohort in added:
        progress(f"placing {cohort.cohort_id}")
        placed[cohort.cohort_id] = place_cohort(cohort, previous.reference)
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(target.parent, SCRATCH) as staging, whole_folder(target) as folder:
        known = _link_files(previous, folder)
        staged = stage_results(facts, previous, placed, sex_conflicts, staging)
        atlases = {name: found.atlas for name, found in placed.items()}
        twins = {}
        for cohort in staged.cohorts:
            progress(f"cells and expression of {cohort.cohort_id}")
            places = (folder / name for name in released_names(cohort.cohort_id).values())
            written = write_counts(staged, atlases[cohort.cohort_id], cohort, *places)
            twins[cohort.cohort_id] = written[1]
        progress("tables")
        linked = grow_tables(facts, staged, atlases, previous, folder / "tables")
        known |= {name: previous.manifest["files"][name] for name in linked}
        complete_release(
            facts,
            folder,
            {cohort.cohort_id: sources_of(cohort) for cohort in facts.cohorts},
            place=target,
            started=started,
            report=report,
            site=site,
            progress=progress,
            known=known,
            twins=twins,
        )
    return facts


def is_added(release: Path, cohort_ids: Sequence[str], results: Path, target: Path) -> bool:
    """Whether `target` is already what adding the cohorts to the release gives, and intact.

    `UsageError` where something else is there.
    """
    if not target.exists() or not any(target.iterdir()):
        return False
    previous = read_manifest(release)
    try:
        found = read_manifest(target)
    except (UsageError, DataError):
        found = {}
    revises = found.get("revises")
    revises = revises if isinstance(revises, Mapping) else {}
    is_same = (
        revises.get("content_sha256") == previous["content_sha256"]
        and sorted(revises.get("added", ())) == sorted(cohort_ids)
        and all(
            found["cohorts"][name] == cohort_entry(cohort, sources_of(cohort))
            for name, cohort in ((name, _cohort(results, name)) for name in cohort_ids)
        )
    )
    if is_same and not verify_release(target):
        return True
    raise UsageError(
        f"--out must be a new folder; {target} holds "
        + ("a damaged copy of the release that would be written" if is_same else "something else")
        + ". A release is never changed: name another folder, or delete this one."
    )


def next_version(version: str) -> str:
    """The version after a release's: its last number is raised.

    >>> next_version("1"), next_version("2026.1"), next_version("spring")
    ('2', '2026.2', 'spring.1')
    """
    found = re.fullmatch(r"(.*?)(\d+)", version, re.DOTALL)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{version}.1"


def _facts(
    previous: Previous, cohort_ids: Sequence[str], results: Path, options: ReleaseSettings
) -> Facts:
    same = {"expression": _expression(previous)}
    if options.version == previous.version:
        same["version"] = next_version(previous.version)
    options = options.model_copy(update=same)
    record = previous.folder.json("datacite.json")
    cohorts = [*previous.cohorts, *(_cohort(results, name) for name in cohort_ids)]
    return Facts(
        results=results,
        cohorts=tuple(sorted(cohorts, key=lambda item: item.cohort_id)),
        options=options,
        parameters=previous.manifest["parameters"],
        strata=previous.verdict,
        revises=Revision(
            previous.version,
            previous.content_sha256,
            tuple(cohort_ids),
            doi=str(record.get("doi") or ""),
            url=str(record.get("url") or ""),
        ),
    )


def _expression(previous: Previous) -> str:
    """Which genes `expression/` of the earlier release holds: so the added cohorts' does."""
    names = previous.folder.names("expression", ".parquet")
    if not names:
        return NONE
    with previous.folder.parquet(names[0]) as file:
        told = file.schema_arrow.metadata or {}
        return str(told.get(GENES.encode(), ALL.encode()).decode())


def _require_own_identity(facts: Facts, previous: Previous) -> None:
    revises = facts.revises
    assert revises is not None
    if facts.options.doi and facts.options.doi == revises.doi:
        raise UsageError(
            f"release.doi must be that of the new release; {revises.doi} is that of release "
            f"{previous.version!r}. Leave it out until one is assigned."
        )


def _cohort(results: Path, cohort_id: str) -> Cohort:
    folder = results / "cohorts" / cohort_id
    missing = [name for name in ("intake.json", "status.json") if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"cohort {cohort_id!r} must have been taken in; {folder / missing[0]} is missing. Run "
            "the command without --no-run."
        )
    return Cohort.judged(
        folder, read_json(folder / "status.json"), read_json(folder / "intake.json")
    )


def _link_files(previous: Previous, folder: Path) -> Entries:
    """Link what stays as it is; digests of these files, which were verified."""
    files = previous.manifest["files"]
    kept = {name: entry for name, entry in files.items() if name.startswith(KEPT)}
    for name in kept:
        link_file(previous.folder.place(name), folder / name)
    return kept
