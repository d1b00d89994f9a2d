"""The register of releases: whose aggregates were published, so that no difference tells of one.

Two exact sums whose people differ by one person give that person's own. So a
release is refused when the people behind an aggregate differ from those of any
aggregate of an earlier release, or of sums and differences of the cohorts of
all of them, in fewer than a group must have; and when people who were published
in one cohort come back in another. People are compared, not their names: see
`people.py`. They are kept as HMAC-SHA256 under a key of the register's own,
which lies beside it and is readable by its owner alone: without the key the
register says nothing of anyone. The groups in which they were counted are kept
likewise: see `counted.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import DataError, Fault, UsageError
from pmcell.io.atomic import write_text
from pmcell.io.crypt.keys import key_file
from pmcell.io.json_text import parse_json
from pmcell.io.modes import umask_of
from pmcell.publish.disclosure.counted import TOTALS, Counted, Groups, without_telling
from pmcell.publish.disclosure.people import Prints, same_people

NAME = "disclosure_register.jsonl"
KEY_SUFFIX = ".key"
COHORT = "cohort "
"""Begins the name of an aggregate over the donors of one cohort."""
MAX_SMALL = 60
"""Small groups of people that are tried, alone and in pairs."""

People = Mapping[str, frozenset[str]]
"""Aggregate → people who enter it."""

Sets = Mapping[str, frozenset[str]]
"""Aggregate → donors of cohorts without open access who enter it."""


def register_of(results: Path) -> Path:
    """The register beside the results folder: outside of every release."""
    return results.absolute().parent / NAME


def read_register(path: Path) -> list[dict[str, Any]]:
    """Entries of earlier releases; none without a register, `DataError` if it is damaged."""
    if not path.is_file():
        return []
    try:
        return [parse_json(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise DataError(
            f"{path.name} must hold one JSON object a line; {error}. Restore it from a backup: "
            "without it nobody can tell what earlier releases give away.",
            reason="register",
        ) from error


def releases_with(path: Path, donor: str) -> list[dict[str, Any]]:
    """Version and digest of each release in the register with `donor` behind an aggregate."""
    entries = read_register(path)
    if not entries:
        return []
    mark = _mark(register_key(path), donor)
    return [
        {"version": entry["version"], "content_sha256": entry["content_sha256"]}
        for entry in entries
        if any(mark in donors for donors in entry["donors"].values())
    ]


def register_faults(
    path: Path,
    sets: Sets,
    least: Mapping[str, int],
    prints: Prints | None = None,
    counted: Mapping[str, Counted] | None = None,
) -> list[Fault]:
    """Aggregates from which, with those of earlier releases, too few people follow.

    Parameters
    ----------
    path
        The register.
    sets
        Donors without open access behind each aggregate of this release.
    least
        The fewest donors in which an aggregate may differ from an earlier one.
    prints
        Hashes of each donor's cells, as `fingerprints` makes them with
        `register_key`; without them people are told by their ids alone.
    counted
        Donors of each group in which a cohort's are counted.
    """
    if not any(sets.values()):
        return []
    known = known_people(path, sets, prints or {})
    now = _people(_marked(path, sets, prints or {}), known.person)
    earlier = [(str(entry["version"]), _people(entry, known.person)) for entry in known.entries]
    told = [
        _fault(
            path,
            f"{COHORT}{cohort_id}, {grouping}",
            f"groups that are counted again must differ in none or at least {bound} people, pairs "
            "and cell types be of the same ones",
            f"{number} people whom the numbers of releases tell apart",
            "Report this: a writer of the release let it through.",
            "differencing",
        )
        for cohort_id, groups in (counted or {}).items()
        for bound in [least.get(f"{COHORT}{cohort_id}", max(least.values()))]
        for grouping, number in known.told(cohort_id, groups, bound)
    ]
    found = [*_moved(now, earlier, path), *_pairs(now, earlier, least, path)]
    return [*(found or _combined(now, earlier, least, path)), *told]


@dataclass(frozen=True)
class KnownPeople:
    """Earlier releases of the register, and who of this one's donors are the same people."""

    entries: Sequence[Mapping[str, Any]]
    person: Mapping[str, str]
    key: bytes

    def told(self, cohort_id: str, counted: Counted, least: int) -> list[tuple[str, int]]:
        """Groupings by which earlier releases tell too few people apart, as `without_telling`."""
        now = {
            grouping: {
                _group_mark(self.key, cohort_id, grouping, name): people
                and frozenset(self.person[_mark(self.key, donor)] for donor in people)
                for name, people in groups.items()
            }
            for grouping, groups in counted.items()
        }
        earlier = [
            {
                grouping: groups
                for grouping in now
                if (groups := self._groups(entry, cohort_id, grouping))
            }
            for entry in self.entries
        ]
        return list(without_telling(now, earlier, least=least))

    def _groups(self, entry: Mapping[str, Any], cohort_id: str, grouping: str) -> Groups:
        """The people of each group of an earlier release; none where it did not count by it."""
        marks = entry["donors"].get(f"{COHORT}{cohort_id}", ())
        if "counted" not in entry:
            # How an older version counted is not known: as if it had told each by themselves.
            return {mark: frozenset([self.person[mark]]) for mark in marks}
        order = sorted({mark for found in entry["donors"].values() for mark in found})
        groups = entry["counted"].get(_group_mark(self.key, cohort_id, grouping), {})
        if grouping == TOTALS and marks and not groups:
            # What an entry does not say of them, may have been told.
            name = _group_mark(self.key, cohort_id, grouping, "")
            return {name: frozenset(self.person[mark] for mark in marks)}
        return {
            name: numbers
            if numbers is None
            else frozenset(self.person[order[number]] for number in numbers)
            for name, numbers in groups.items()
        }


def known_people(path: Path, sets: Sets, prints: Prints) -> KnownPeople:
    """The register at `path`, with the donors of this release."""
    entries = read_register(path)
    marked = _marked(path, sets, prints)
    person = same_people([_by_donor(entry) for entry in [*entries, marked]])
    return KnownPeople(entries, person, register_key(path))


def _people(entry: Mapping[str, Any], person: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Aggregate → people behind it."""
    return {
        str(name): frozenset(person[donor] for donor in donors)
        for name, donors in entry["donors"].items()
    }


def _by_donor(entry: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Every donor of an entry with the hashes of their cells; none in entries of older versions."""
    hashes = entry.get("people", {})
    donors = {donor for donors in entry["donors"].values() for donor in donors}
    return {donor: frozenset(hashes.get(donor, ())) for donor in donors}


def _fault(path: Path, name: str, must: str, found: str, fix: str, reason: str) -> Fault:
    never = f"If that release was never handed out, delete it and its line in {path.name}."
    return Fault(name, must, found, f"{fix} {never}", reason=reason)


def _moved(now: People, earlier: Sequence[tuple[str, People]], path: Path) -> Iterator[Fault]:
    """People of an earlier cohort who are in a cohort that is new."""
    known = {name for _, aggregates in earlier for name in aggregates}
    for name in sorted(name for name in set(now) - known if name.startswith(COHORT)):
        for version, aggregates in earlier:
            for other in sorted(item for item in aggregates if item.startswith(COHORT)):
                n_moved = len(now[name] & aggregates[other])
                if not n_moved:
                    continue
                old = other.removeprefix(COHORT)
                must = "people of an earlier release must stay in the cohort they were published in"
                found = f"{n_moved} people of {other} of release {version!r}"
                fix = (
                    f"Whoever holds both can subtract one from the other. Register them as {old!r} "
                    "again, or leave the cohort out (`cohorts` of the config)."
                )
                yield _fault(path, name, must, found, fix, "known_people")
                break


def _pairs(
    now: People, earlier: Sequence[tuple[str, People]], least: Mapping[str, int], path: Path
) -> list[Fault]:
    """Each aggregate against each of an earlier release.

    Two aggregates of different names may differ in what those of one release differ in
    anyway, such as donors who are in no stratum: that is judged where it is published.
    """
    strictest = max(least.values())
    usual = {
        first ^ second
        for aggregates in [now, *(aggregates for _, aggregates in earlier)]
        for first, second in itertools.combinations(aggregates.values(), 2)
    }
    alike, others = [], []
    must = (
        "donors without open access behind an aggregate must be those of each earlier "
        "release, or differ from them in at least {}"
    )
    fix = (
        "Whoever holds both can subtract one from the other. Publish again when more donors "
        "differ, or leave the cohort out (`cohorts` of the config)."
    )
    for version, aggregates in earlier:
        for name, other in itertools.product(sorted(now), sorted(aggregates)):
            differing = now[name] ^ aggregates[other]
            bound = least[name] if name == other else strictest
            if not 0 < len(differing) < bound:
                continue
            found = f"a difference of {len(differing)} to release {version!r}"
            if name == other:
                alike.append(_fault(path, name, must.format(bound), found, fix, "differencing"))
            elif differing not in usual:
                found += f", {other}"
                others.append(_fault(path, name, must.format(bound), found, fix, "differencing"))
    return alike or others


def _combined(
    now: People, earlier: Sequence[tuple[str, People]], least: Mapping[str, int], path: Path
) -> Iterator[Fault]:
    """Sums and differences of any number of cohorts, of this release and earlier ones.

    People who are in the same cohorts of the same releases are one column of a
    matrix of zeros and ones, cohorts are its rows. A few people are told when
    some combination of rows is zero for all others: when leaving their columns
    out lowers the rank. What earlier releases tell by themselves is out already.
    """
    rows = [people for name, people in sorted(now.items()) if name.startswith(COHORT)]
    before = [
        people
        for _, aggregates in earlier
        for name, people in sorted(aggregates.items())
        if name.startswith(COHORT)
    ]
    if not rows:
        return
    strictest = max(least.values())
    columns: defaultdict[tuple[bool, ...], set[str]] = defaultdict(set)
    distinct = list(dict.fromkeys([*before, *rows]))
    for one in frozenset().union(*distinct):
        columns[tuple(one in people for people in distinct)].add(one)
    matrix = np.array(list(columns), dtype=float).T
    sizes = np.array([len(people) for people in columns.values()])
    is_before = np.array([people in set(before) for people in distinct])
    small = [int(column) for column in np.flatnonzero(sizes < strictest)][:MAX_SMALL]
    for number in (1, 2):
        for chosen in map(list, itertools.combinations(small, number)):
            n_people = int(sizes[chosen].sum())
            if n_people >= strictest or not _tells(matrix, chosen):
                continue
            if is_before.any() and _tells(matrix[is_before], chosen):
                continue
            yield _fault(
                path,
                "cohorts",
                "sums and differences of cohorts, of this release and earlier ones, must be of at "
                f"least {strictest} donors without open access",
                f"{n_people} who follow from them",
                "Put people who are in several cohorts into one, or leave a cohort out "
                "(`cohorts` of the config).",
                "differencing",
            )
            return


def _tells(matrix: np.ndarray, columns: list[int]) -> bool:
    """Whether some combination of rows is zero everywhere but in these columns."""
    others = np.delete(matrix, columns, axis=1)
    rank = np.linalg.matrix_rank
    return bool(rank(matrix) > (rank(others) if others.size else 0))


def add_release(
    path: Path,
    sets: Sets,
    *,
    version: str,
    content_sha256: str,
    prints: Prints | None = None,
    counted: Mapping[str, Counted] | None = None,
) -> None:
    """Append this release, unless no donor is behind any aggregate or it is there already."""
    if not any(sets.values()):
        return
    entries = read_register(path)
    entry = {
        "version": version,
        "content_sha256": content_sha256,
        **_marked(path, sets, prints or {}, counted or {}),
    }
    if entry not in entries:
        lines = [json.dumps(item, sort_keys=True) for item in [*entries, entry]]
        with umask_of(0o077):
            write_text(path, "\n".join(lines) + "\n")


def _marked(
    path: Path, sets: Sets, prints: Prints, counted: Mapping[str, Counted] | None = None
) -> dict[str, Any]:
    """What an entry says of people: the donors of each aggregate, hashes of their cells, and in
    which groups they were counted, by their places among all marks in order."""
    key = register_key(path)
    donors = sorted(frozenset().union(*sets.values()))
    mark = {donor: _mark(key, donor) for donor in donors}
    place = {item: number for number, item in enumerate(sorted(mark.values()))}
    return {
        "donors": {name: sorted(mark[donor] for donor in found) for name, found in sets.items()},
        "people": {mark[donor]: sorted(prints.get(donor, ())) for donor in donors},
        "counted": {
            _group_mark(key, cohort_id, grouping): {
                _group_mark(key, cohort_id, grouping, name): people
                and sorted(place[mark[donor]] for donor in people)
                for name, people in groups.items()
            }
            for cohort_id, groupings in (counted or {}).items()
            for grouping, groups in groupings.items()
        },
    }


def _group_mark(key: bytes, *names: str) -> str:
    """What stands for a grouping of a cohort, or for a group of it, in the register."""
    return _mark(key, "\n".join(names))


def _mark(key: bytes, donor: str) -> str:
    """What stands for a donor in the register."""
    return hmac.new(key, donor.encode(), hashlib.sha256).hexdigest()


def register_key(path: Path) -> bytes:
    """The key of the register at `path`; made the first time."""
    return _key(path.with_name(path.name + KEY_SUFFIX))


def _key(path: Path) -> bytes:
    """The register's key; made the first time."""
    if not path.exists():
        if path.with_suffix("").is_file():
            raise UsageError(
                f"the key of the register, {path.name}, is missing: restore it from a backup. "
                "Without it this release cannot be compared with earlier ones."
            )
        with umask_of(0o077):
            write_text(path, os.urandom(32).hex())
    key_file(path, "the key of the register of releases", secret=True)
    return bytes.fromhex(path.read_text(encoding="ascii").strip())
