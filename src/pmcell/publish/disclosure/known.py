"""Whom earlier releases told of: the register's people, beside those of a release that is made.

People of an open cohort are shown one by one. Once the cohort is closed, or gone, its rows are out:
it is then compared as a cohort whose every group was counted. While it is open, whoever has the
rows knows of each of its people what they are, and who left it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pmcell.publish.disclosure.attack import TIMES
from pmcell.publish.disclosure.counted import (
    ALL,
    PLACED,
    SAME_PEOPLE,
    STRATUM,
    TOTALS,
    USED,
    Counted,
    Groups,
    known_value,
    without_telling,
)
from pmcell.publish.disclosure.people import Prints, same_people
from pmcell.publish.disclosure.register_file import (
    Sets,
    Shown,
    donor_mark,
    group_mark,
    marked,
    marks_of,
    read_register,
    register_key,
)
from pmcell.publish.disclosure.suppress import OTHER

COHORT = "cohort "
"""Begins the name of an aggregate over the donors of one cohort."""

People = frozenset[str]


@dataclass(frozen=True)
class KnownPeople:
    """Earlier releases of the register, and who of this one's donors are the same people.

    `shown` are the open cohorts of this release, with the people whose rows it holds, `withheld`
    the people of the others.
    """

    entries: Sequence[Mapping[str, Any]]
    person: Mapping[str, str]
    key: bytes
    shown: Mapping[str, People]
    withheld: People

    @cached_property
    def _orders(self) -> dict[int, list[str]]:
        """The marks of each entry in the order by which its groups count them."""
        return {id(entry): marks_of(entry) for entry in self.entries}

    @cached_property
    def shown_now(self) -> People:
        """The people of whom this release has rows."""
        return frozenset().union(*self.shown.values())

    @cached_property
    def shown_before(self) -> People:
        """The people of whom earlier releases have rows."""
        return frozenset().union(
            *(
                self._shown(entry, cohort_id, TOTALS)
                for entry in self.entries
                for cohort_id in entry.get("open", ())
            )
        )

    def people(self, entry: Mapping[str, Any], names: Iterable[str] = ()) -> dict[str, People]:
        """Aggregate → people behind it, of an entry.

        Those who were shown one by one, and are not any more, are among them: in a cohort, and in
        those of the aggregates `names` that are over all cohorts.
        """
        found = {
            str(name): frozenset(self.person[donor] for donor in donors)
            for name, donors in entry["donors"].items()
        }
        is_told = not any(found.values())
        for cohort_id in self._no_longer_shown(entry):
            found[f"{COHORT}{cohort_id}"] = self._shown(entry, cohort_id, TOTALS)
        for name in {*entry["donors"], *names}:
            if name.startswith(COHORT) or not (is_told or name in entry["donors"]):
                continue
            grouping, _, group = name.partition(" ")
            place = {"atlas": TOTALS, "strata": PLACED, "stratum": STRATUM}.get(grouping)
            for cohort_id in self._no_longer_shown(entry) if place else ():
                more = self._shown(entry, cohort_id, str(place), group)
                found[name] = found.get(name, frozenset()) | more
        return {name: people for name, people in found.items() if people or name in entry["donors"]}

    def told(self, cohort_id: str, counted: Counted, least: int) -> list[tuple[str, int]]:
        """Groupings by which earlier releases tell too few people apart, as `without_telling`."""
        now = {
            grouping: {
                group_mark(self.key, cohort_id, grouping, name): people
                and frozenset(self.person[donor_mark(self.key, donor)] for donor in people)
                for name, people in groups.items()
            }
            for grouping, groups in counted.items()
        }
        earlier = [
            {
                grouping: groups
                for grouping in now
                if (groups := self._groups(entry, cohort_id, grouping, now))
            }
            for entry in self.entries
        ]
        return list(without_telling(now, earlier, least=least))

    def counted_before(self) -> Iterator[tuple[str, People]]:
        """Version and people of every group that an earlier release counted."""
        for entry in self.entries:
            for groups in entry.get("counted", {}).values():
                for places in groups.values():
                    yield str(entry["version"]), self._of(entry, places or ())

    def _groups(
        self, entry: Mapping[str, Any], cohort_id: str, grouping: str, now: Counted
    ) -> Groups:
        """The people of each group of an earlier release; none where it did not count by it."""
        if cohort_id == ALL:
            return self._tested(entry, grouping)
        if cohort_id in self._no_longer_shown(entry):
            return self._as_now(entry, cohort_id, grouping, now)
        return self._counted(entry, cohort_id, grouping)

    def _counted(self, entry: Mapping[str, Any], cohort_id: str, grouping: str) -> Groups:
        marks = entry["donors"].get(f"{COHORT}{cohort_id}", ())
        if "counted" not in entry:
            # How an older version counted is not known: as if it had told each by themselves.
            return {mark: frozenset([self.person[mark]]) for mark in marks}
        groups = entry["counted"].get(group_mark(self.key, cohort_id, grouping), {})
        if grouping == TOTALS and marks and not groups:
            # What an entry does not say of them, may have been told.
            name = group_mark(self.key, cohort_id, grouping, "")
            return {name: frozenset(self.person[mark] for mark in marks)}
        return {
            name: places if places is None else self._of(entry, places)
            for name, places in groups.items()
        }

    def _as_now(
        self, entry: Mapping[str, Any], cohort_id: str, grouping: str, now: Counted
    ) -> Groups:
        """What rows that were shown say in the groups in which their cohort is counted now."""
        everyone = {
            group_mark(self.key, cohort_id, grouping, ""): self._shown(entry, cohort_id, TOTALS)
        }
        if grouping in SAME_PEOPLE:
            return everyone
        if TIMES in grouping:
            # Rows tell every pair: the same people with the same two values tell nothing new.
            is_same = all(
                _used(self._as_now(entry, cohort_id, one, now)) == _used(now.get(one, {}))
                for one in grouping.split(TIMES)
            )
            return now[grouping] if is_same else everyone
        other = group_mark(self.key, cohort_id, grouping, OTHER)
        found: dict[str, People] = {}
        groups = entry["open"][cohort_id].get(group_mark(self.key, cohort_id, grouping), {})
        for name in groups:
            people = self._of(entry, groups[name])
            place = name if name in now[grouping] else other
            found[place] = found.get(place, frozenset()) | people
        return found

    def _tested(self, entry: Mapping[str, Any], grouping: str) -> Groups:
        """Who was in a test over all cohorts, but for those of whom this release has rows."""
        found = dict(self._counted(entry, ALL, grouping))
        name = group_mark(self.key, ALL, grouping, "")
        if found or not any(entry["donors"].values()):
            for cohort_id in self._no_longer_shown(entry):
                used = self._shown(entry, cohort_id, USED)
                known = self._shown(entry, cohort_id, known_value(grouping))
                found[name] = (found.get(name) or frozenset()) | (
                    used if grouping == USED else used & known
                )
        return {
            name: people and rest
            for name, people in found.items()
            if people is None or (rest := people - self.shown_now)
        }

    def _no_longer_shown(self, entry: Mapping[str, Any]) -> list[str]:
        """Cohorts whose rows an earlier release has, and of whose people this one withholds some.

        One that left the study with all its people is in no number that is held against it.
        """
        return [
            name
            for name in entry.get("open", ())
            if name not in self.shown and self._shown(entry, name, TOTALS) & self.withheld
        ]

    def _shown(
        self, entry: Mapping[str, Any], cohort_id: str, grouping: str, name: str = ""
    ) -> People:
        groups = entry["open"][cohort_id].get(group_mark(self.key, cohort_id, grouping), {})
        return self._of(entry, groups.get(group_mark(self.key, cohort_id, grouping, name), ()))

    def _of(self, entry: Mapping[str, Any], places: Iterable[int]) -> People:
        order = self._orders[id(entry)]
        return frozenset(self.person[order[place]] for place in places)


def known_people(path: Path, sets: Sets, prints: Prints, shown: Shown | None = None) -> KnownPeople:
    """The register at `path`, with the donors of this release: closed ones, and those shown."""
    entries = read_register(path)
    now = marked(path, sets, prints, shown=shown)
    person = same_people([_by_donor(entry) for entry in [*entries, now]])
    key = register_key(path)
    donors = frozenset().union(*sets.values())
    return KnownPeople(
        entries,
        person,
        key,
        {
            name: frozenset(person[donor_mark(key, donor)] for donor in groupings[TOTALS][""] or ())
            for name, groupings in (shown or {}).items()
        },
        frozenset(person[donor_mark(key, donor)] for donor in donors),
    )


def _by_donor(entry: Mapping[str, Any]) -> dict[str, People]:
    """Every donor of an entry with the hashes of their cells; none in entries of older versions."""
    hashes = entry.get("people", {})
    return {donor: frozenset(hashes.get(donor, ())) for donor in marks_of(entry)}


def _used(groups: Groups) -> dict[str, People]:
    return {name: people for name, people in groups.items() if people}
