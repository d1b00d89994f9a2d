"""The register of releases: whose aggregates were published, so that no difference tells of one.

Two exact sums whose people differ by one person give that person's own. So a
release is refused when the people behind an aggregate differ from those of any
aggregate of an earlier release, or of sums and differences of the cohorts of
all of them, in fewer than a group must have; and when people who were published
in one cohort come back in another. People are compared, not their names: see
`people.py`; what the register keeps of them: see `register_file.py`.

People of an open cohort are public one by one. Whoever has their rows can take each of them out of
any number, of this release or an earlier one: what is left must be nobody, or enough.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pmcell.errors import Fault
from pmcell.publish.disclosure.counted import Counted
from pmcell.publish.disclosure.known import COHORT, KnownPeople, known_people
from pmcell.publish.disclosure.people import Prints
from pmcell.publish.disclosure.register_file import Sets, Shown, donor_mark, read_register

MAX_SMALL = 60
"""Small groups of people that are tried, alone and in pairs."""

People = Mapping[str, frozenset[str]]
"""Aggregate → people who enter it."""


def register_faults(
    path: Path,
    sets: Sets,
    least: Mapping[str, int],
    prints: Prints | None = None,
    counted: Mapping[str, Counted] | None = None,
    shown: Shown | None = None,
    strictest: int = 0,
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
    shown
        The open cohorts, whose people are shown one by one, as `shown_people` gives them.
    strictest
        The fewest people of whom anything may be told, where `least` does not ask for more.
    """
    before = [donors for entry in read_register(path) for donors in entry["donors"].values()]
    if not any(sets.values()) and not any(before):
        return []
    bounds = {"": strictest, **least}
    known = known_people(path, sets, prints or {}, shown)
    now = {
        name: frozenset(known.person[donor_mark(known.key, donor)] for donor in donors)
        for name, donors in sets.items()
    }
    earlier = [(str(entry["version"]), known.people(entry, now)) for entry in known.entries]
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
        for bound in [bounds.get(f"{COHORT}{cohort_id}", max(bounds.values()))]
        for grouping, number in known.told(cohort_id, groups, bound)
    ]
    found = [*_moved(now, earlier, path), *_pairs(now, earlier, bounds, known, path)]
    found = found or [*_beside_rows(now, earlier, max(bounds.values()), known, path)]
    return [*(found or _combined(now, earlier, max(bounds.values()), known, path)), *told]


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
    now: People,
    earlier: Sequence[tuple[str, People]],
    least: Mapping[str, int],
    known: KnownPeople,
    path: Path,
) -> list[Fault]:
    """Each aggregate against each of an earlier release, with the people of rows and without.

    Two aggregates of different names may differ in what those of one release differ in
    anyway, such as donors who are in no stratum: that is judged where it is published.
    """
    strictest, shown = max(least.values()), known.shown_before | known.shown_now
    usual = {
        people
        for aggregates in [now, *(aggregates for _, aggregates in earlier)]
        for first, second in itertools.combinations(aggregates.values(), 2)
        for people in (first ^ second, (first ^ second) - shown)
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
            whole = now[name] ^ aggregates[other]
            bound = least[name] if name == other else strictest
            few = [people for people in (whole, whole - shown) if 0 < len(people) < bound]
            if not few:
                continue
            found = f"a difference of {len(few[0])} to release {version!r}"
            if name == other:
                alike.append(_fault(path, name, must.format(bound), found, fix, "differencing"))
            elif few[0] not in usual:
                found += f", {other}"
                others.append(_fault(path, name, must.format(bound), found, fix, "differencing"))
    return alike or others


def _beside_rows(
    now: People,
    earlier: Sequence[tuple[str, People]],
    strictest: int,
    known: KnownPeople,
    path: Path,
) -> Iterator[Fault]:
    """What is left of an aggregate once all those are taken out whose rows are public."""
    shown = known.shown_before | known.shown_now
    groups = [
        (version, name, people)
        for version, aggregates in [("", now), *earlier]
        # A cohort tells the steward more than the atlas of which it is all that is left.
        for name, people in sorted(aggregates.items(), key=lambda item: _cohorts_first(item[0]))
    ]
    groups += [(version, "a group that was counted", g) for version, g in known.counted_before()]
    out = {people - known.shown_before for version, _, people in groups if version}
    must = (
        f"without people of whom a release has rows, an aggregate must be of nobody or at least "
        f"{strictest} donors"
    )
    done: set[frozenset[str]] = set()
    for version, name, people in groups:
        rest = people - shown
        if rest == people or not 0 < len(rest) < strictest or rest in out | done:
            continue
        done.add(rest)
        where = f"{name} of release {version!r}" if version else name
        fix = (
            "Whoever holds the rows of the open cohort, of this release or an earlier one, can "
            "subtract them. Publish when it is of others or more, or leave the cohort out "
            "(`cohorts` of the config)."
        )
        yield _fault(path, where, must, f"{len(rest)}", fix, "differencing")


def _cohorts_first(name: str) -> tuple[bool, str]:
    return not name.startswith(COHORT), name


def _combined(
    now: People,
    earlier: Sequence[tuple[str, People]],
    strictest: int,
    known: KnownPeople,
    path: Path,
) -> Iterator[Fault]:
    """Sums and differences of any number of cohorts, of this release and earlier ones.

    People who are in the same cohorts of the same releases are one column of a
    matrix of zeros and ones, cohorts are its rows. A few people are told when
    some combination of rows is zero for all others: when leaving their columns
    out lowers the rank. What earlier releases tell by themselves is out already; people of whom a
    release has rows can be taken out of each, and are in none.
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
    columns: defaultdict[tuple[bool, ...], set[str]] = defaultdict(set)
    distinct = list(dict.fromkeys([*before, *rows]))
    shown = known.shown_before | known.shown_now
    for one in frozenset().union(*distinct):
        places = [one in people for people in (*distinct, known.shown_before, shown)]
        columns[tuple(places)].add(one)
    matrix = np.array(list(columns), dtype=float).T
    was_shown, is_shown = matrix[-2] > 0, matrix[-1] > 0
    sizes = np.array([len(people) for people in columns.values()])
    whole = matrix[:-2] * ~is_shown
    first = (matrix[:-2] * ~was_shown)[[people in set(before) for people in distinct]]
    is_small = (sizes < strictest) & ~is_shown
    small = [int(column) for column in np.flatnonzero(is_small)][:MAX_SMALL]
    for number in (1, 2):
        for chosen in map(list, itertools.combinations(small, number)):
            n_people = int(sizes[chosen].sum())
            if n_people >= strictest or not _tells(whole, chosen):
                continue
            if len(first) and _tells(first, chosen):
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
