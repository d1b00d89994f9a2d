"""Who used a person's data, for what, in which releases, since when, under which permit.

All of it is read from what the study keeps: the audit trail, the release and its manifest, the
sealed packages, the consent ledger. What none of them tells is unknown, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pmcell.audit.trail import END, Record, read_trail, trail_path
from pmcell.citizen.history import older_releases, packages_of
from pmcell.citizen.person import Person
from pmcell.io.atomic import read_json
from pmcell.io.tables import read_table
from pmcell.publish.content.gaps import permit_of
from pmcell.schema import UNKNOWN

NO_TRAIL = "No audit trail is kept here: who ran which command is unknown."
AS_COHORT = (
    "The trail tells of cohorts, not of single people: each use is one of data in which yours are."
)
GONE = (
    "Copies that others downloaded, and what was made elsewhere with a sealed package, are not "
    "known here."
)


@dataclass(frozen=True)
class UseOfData:
    """Commands of one account for one purpose under one permit."""

    user: str
    role: str
    purpose: str
    permit: str
    commands: tuple[str, ...]
    n_times: int
    since: str
    until: str


@dataclass(frozen=True)
class Receipts:
    """What is known of the use of one person's data.

    Attributes
    ----------
    cohort_id, donor_id, access
        Who, as the results call them, and the access of their cohort.
    uses
        From the audit trail, by account, purpose and permit.
    releases
        Title, version and digest, and how the person is in it.
    older_releases
        Those before it, by the register and the tombstones of the study.
    packages
        Sealed packages of the cohort, with the names of the recipients.
    unknown
        What cannot be told, and why.
    """

    cohort_id: str
    donor_id: str
    access: str
    uses: tuple[UseOfData, ...]
    releases: tuple[Mapping[str, Any], ...]
    older_releases: tuple[Mapping[str, Any], ...]
    packages: tuple[Mapping[str, Any], ...]
    unknown: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The receipts as JSON values."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value


def receipts_of(results: Path | str, person: Person) -> Receipts:
    """Gather the receipts of one person.

    Raises
    ------
    FaultsError
        The audit trail does not verify: nothing it says can be relied on.
    """
    results = Path(results)
    unknown = [GONE]
    path = trail_path()
    uses: tuple[UseOfData, ...] = ()
    if path is None or not path.is_file():
        unknown.insert(0, NO_TRAIL)
    else:
        uses = tuple(_uses(read_trail(path)[0], person.cohort_id))
        unknown.insert(0, AS_COHORT)
    registration = read_json(person.folder / "intake.json").get("registration") or {}
    return Receipts(
        person.cohort_id,
        person.donor_id,
        str(registration.get("access") or "controlled"),
        uses,
        tuple(_releases(results, person)),
        tuple(older_releases(results, person.cohort_id, person.donor_id)),
        tuple(packages_of(results, person.cohort_id)),
        tuple(unknown),
    )


def _uses(records: list[Record], cohort_id: str) -> list[UseOfData]:
    by_use: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        if cohort_id in record.cohorts and record.event != END:
            key = (record.user, record.role, record.purpose, record.permit)
            by_use.setdefault(key, []).append(record)
    return [
        UseOfData(
            *key,
            commands=tuple(sorted({record.command for record in own})),
            n_times=len(own),
            since=min(record.at for record in own),
            until=max(record.at for record in own),
        )
        for key, own in sorted(by_use.items())
    ]


def _releases(results: Path, person: Person) -> list[dict[str, Any]]:
    folder = results / "release"
    if not (folder / "manifest.json").is_file():
        return []
    manifest = read_json(folder / "manifest.json")
    cohort = (manifest.get("cohorts") or {}).get(person.cohort_id)
    if cohort is None:
        how = "not in it: the cohort was not registered when it was made"
    elif _is_shown(folder, person):
        how = "your cells and rows are in it, for everyone to read"
    else:
        how = "no row of it is about you; your cells may be in sums over many people"
    return [
        {
            "title": manifest.get("title", UNKNOWN),
            "version": manifest.get("version", UNKNOWN),
            "permit": permit_of(read_json(person.folder / "intake.json")),
            "content_sha256": manifest.get("content_sha256", UNKNOWN),
            "how": how,
        }
    ]


def _is_shown(folder: Path, person: Person) -> bool:
    path = folder / "tables" / "donors.parquet"
    return path.is_file() and person.donor_id in set(read_table(path, ["donor_id"])["donor_id"])
