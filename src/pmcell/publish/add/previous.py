"""The release to which cohorts are added: intact, of this schema, of this study, not yet theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.tables import read_table
from pmcell.mapping.reference import Reference
from pmcell.publish.facts import Cohort
from pmcell.publish.manifest import cohort_entry, sources_of
from pmcell.release.folder import ReleaseFolder
from pmcell.release.manifest import read_manifest
from pmcell.release.reference import open_reference
from pmcell.release.verify import verify_release
from pmcell.schema import SCHEMA_VERSION, Verdict

WHOLE = "Make a whole release of all cohorts instead: pmcell run"


@dataclass(frozen=True)
class Previous:
    """A release that was verified, its frozen reference, its cohorts as the study has them."""

    folder: ReleaseFolder
    manifest: Mapping[str, Any]
    reference: Reference
    cohorts: tuple[Cohort, ...]
    verdict: Verdict

    @property
    def version(self) -> str:
        """What its version is called."""
        return str(self.manifest["version"])

    @property
    def content_sha256(self) -> str:
        """Digest of its content."""
        return str(self.manifest["content_sha256"])

    def table(self, name: str) -> Path:
        """The file of a table."""
        return self.folder.place(f"tables/{name}.parquet")


def open_previous(release: Path, results: Path) -> Previous:
    """Verify a release, and find its cohorts among the results of the study.

    Raises
    ------
    UsageError
        The folder is no release, or nothing can be placed on it; it says why.
    DataError
        It has another schema, or the study's results are not those that it was made from.
    FaultsError
        It is damaged.
    """
    manifest = read_manifest(release)
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise DataError(
            f"cohorts can be added to a release of schema {SCHEMA_VERSION}; {release} has schema "
            f"{manifest['schema_version']}. {WHOLE}",
            reason="schema_version",
        )
    if faults := verify_release(release):
        raise FaultsError(faults)
    reference = open_reference(release)
    folder = ReleaseFolder(release)
    verdict = folder.verdict()
    assert verdict is not None  # It was verified.
    cohorts = tuple(_cohorts(folder, manifest, results))
    return Previous(folder, manifest, reference, cohorts, verdict)


def _cohorts(folder: ReleaseFolder, manifest: Mapping[str, Any], results: Path) -> Iterable[Cohort]:
    table = read_table(folder.place("tables/cohorts.parquet")).set_index("cohort_id")
    for name, entry in sorted(manifest["cohorts"].items()):
        place = results / "cohorts" / name
        if not (place / "intake.json").is_file():
            raise _other_study(folder.path, name, f"there is no {place / 'intake.json'}")
        cohort = Cohort(
            cohort_id=name,
            folder=place,
            status=str(entry["status"]),
            reason=str(table.at[name, "reason"]),
            message=str(table.at[name, "message"]),
            intake=read_json(place / "intake.json"),
        )
        found = cohort_entry(cohort, sources_of(cohort))
        for key in sorted({*entry, *found}):
            if entry.get(key) != found.get(key):
                what = key.removesuffix("_sha256")
                raise _other_study(folder.path, name, f"{what} of it is another in {place}")
        yield cohort


def _other_study(release: Path, cohort_id: str, found: str) -> DataError:
    return DataError(
        f"the study must hold the results that {release} was made from; of its cohort "
        f"{cohort_id!r} {found}. Name the study of the release with --directory, or, if the cohort "
        f"has changed since, {WHOLE[0].lower()}{WHOLE[1:]}",
        reason="other_study",
    )


def require_new(previous: Mapping[str, Any], cohort_ids: Sequence[str]) -> None:
    """`UsageError` for a cohort that is named twice or that the release's manifest has already."""
    for name in cohort_ids:
        if cohort_ids.count(name) > 1:
            raise UsageError(f"each cohort must be named once, got {name!r} twice")
        entry = previous["cohorts"].get(name)
        if entry is not None:
            raise UsageError(
                f"cohort {name!r} must not be in release {previous['version']!r} already; it is "
                f"({entry['status']}, {entry['access']}), and what was published of it is not "
                f"changed. {WHOLE}"
            )


def require_open(cohort_id: str, access: str) -> None:
    """`UsageError` for a cohort whose people may not be shown in the release."""
    if access != "open":
        raise UsageError(
            f"cohort {cohort_id!r} must have open access to be added, it is {access}: all that an "
            "addition holds are rows about its single people. Map its people where they may be "
            f"seen (pmcell map), or make a whole release, which counts them: pmcell run"
        )


def require_addable(previous: Previous, cohort: Cohort, qc: Mapping[str, Any]) -> None:
    """Raise an error for a cohort that cannot be placed: access, verdict, species, other QC.

    `qc` are the options by which its cells were marked.
    """
    require_open(cohort.cohort_id, cohort.access)
    if not cohort.accepted:
        raise DataError(
            f"cohort {cohort.cohort_id!r} must pass its checks to be added; it is {cohort.status} "
            f"({cohort.reason}): {cohort.message}",
            reason=cohort.reason or "quarantined",
        )
    key = "organism_ontology_term_id"
    species = {item.text(key) for item in previous.cohorts if item.published}
    if cohort.text(key) not in species:
        raise DataError(
            f"cohort {cohort.cohort_id!r} must be of the species of release "
            f"{previous.version!r}, {', '.join(sorted(species))}; it is {cohort.text(key)}. "
            "Add it to a release of that species.",
            reason="wrong_species",
        )
    told = dict(previous.reference.facts["qc"])
    if other := sorted(name for name in {*told, *qc} if told.get(name) != qc.get(name)):
        raise UsageError(
            f"cells must be marked as those of release {previous.version!r} were; section qc has "
            f"{', '.join(f'{name}: {qc.get(name)}' for name in other)}, the release has "
            f"{', '.join(f'{name}: {told.get(name)}' for name in other)}. Set them so in the "
            "configuration of the study."
        )
