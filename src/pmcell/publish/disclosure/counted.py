"""The people behind each group of `cohort_counts`, and what their numbers tell beside earlier ones.

Numbers of two releases are subtracted, group by group: who left or came is told by every
property that both count. So a property is counted again only where all people whom the releases
tell apart by it are none or enough; pairs of properties and cell types only for the same people,
because withheld numbers of one release may be the shown ones of another, and cells of few who
left may be those of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pmcell.publish.disclosure.attack import CELL_TYPE, TIMES
from pmcell.publish.disclosure.suppress import OTHER
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pandas as pd

TOTALS = "totals of cells and samples"
"""Stands for a cohort's numbers of cells and samples among its groupings."""
ALL = "all cohorts"
"""Stands for the id of a cohort where numbers are of all of them."""
USED, PLACED, STRATUM = "donors who were used", "donors who were placed", "stratum of any visit"
"""Stand for the donors of a cohort who enter the strata with enough cells, at all, and in one."""
SAME_PEOPLE = (CELL_TYPE, TOTALS)
"""Groupings whose numbers are of cells: one person may have most of those that few who left had."""

Groups = Mapping[str, frozenset[str] | None]
"""Group → people who are counted in it; None where their number is withheld."""

Counted = Mapping[str, Groups]
"""Grouping of one cohort → its groups."""


def counted_people(rows: pd.DataFrame, donors: pd.DataFrame) -> dict[str, Groups]:
    """The people behind each number of a cohort.

    Parameters
    ----------
    rows
        The cohort's rows of `cohort_counts`.
    donors
        Its donors (index donor_id), with the column of each property.

    Returns
    -------
    dict
        Grouping → groups. Of cell types all donors are one group: who has cells of a type is
        not a fact of donors.
    """
    found: dict[str, Groups] = {}
    for grouping, own in sorted(rows.groupby("grouping"), key=lambda item: TIMES in str(item[0])):
        names = [str(name) for name in own["group"]]
        if grouping == CELL_TYPE:
            found[CELL_TYPE] = {"": frozenset(donors.index)}
        elif TIMES not in str(grouping):
            found[str(grouping)] = _of_property(names, donors[grouping])
        else:
            first, second = (found[name] for name in str(grouping).split(TIMES))
            pairs = (name.split(TIMES) for name in names)
            found[str(grouping)] = {
                name: None
                if missing
                else (first[one] or frozenset()) & (second[two] or frozenset())
                for name, (one, two), missing in zip(
                    names, pairs, own["n_donors"].isna(), strict=True
                )
            }
    return found


def known_value(column: str) -> str:
    """What stands for the donors of a cohort who have a value in a column."""
    return f"a value of {column}"


def of_labels(values: pd.Series) -> dict[str, frozenset[str]]:
    """The donors (index) of each label of a property."""
    return _of_property([str(label) for label in set(text_array(values))], values)


def _of_property(names: list[str], values: pd.Series) -> dict[str, frozenset[str]]:
    labels = text_array(values)
    shown = set(names) - {OTHER}
    members: dict[str, set[str]] = {name: set() for name in names}
    for donor, label in zip(values.index, labels, strict=True):
        members.setdefault(label if label in shown else OTHER, set()).add(str(donor))
    return {name: frozenset(found) for name, found in members.items()}


def told_apart(now: Groups, earlier: Sequence[Groups], *, grouping: str, least: int) -> int:
    """The smallest number of people whom releases tell apart by a grouping; 0 where all are enough.

    Parameters
    ----------
    now
        The groups of this release.
    earlier
        Those of each earlier release that counted them by the same grouping.
    grouping
        What is counted.
    least
        The fewest people of whom may be told.

    Examples
    --------
    >>> women, men = ({f"{sex}{n}" for n in range(20)} for sex in "wm")
    >>> before = {"f": frozenset(women), "m": frozenset(men)}
    >>> after = {"f": frozenset(women - {"w1"}), "m": frozenset(men)}
    >>> told_apart(after, [before], grouping="sex_ontology_term_id", least=10)
    1
    >>> told_apart(before, [before], grouping="sex_ontology_term_id", least=10)
    0
    """
    if grouping in SAME_PEOPLE or TIMES in grouping:
        return next((_n_differing(now, before) for before in earlier if before != now), 0)
    groups: dict[str, list[str]] = {}
    for number, release in enumerate([now, *earlier]):
        for name, people in release.items():
            for person in people or ():
                groups.setdefault(person, [""] * (len(earlier) + 1))[number] = name
    sizes = Counter(map(tuple, groups.values())).values() if earlier else ()
    return min((size for size in sizes if size < least), default=0)


def _n_differing(now: Groups, before: Groups) -> int:
    sides = [
        frozenset().union(*(people or () for people in side.values())) for side in (now, before)
    ]
    return max(len(sides[0] ^ sides[1]), 1)


def without_telling(
    counted: Counted, earlier: Sequence[Counted], *, least: int
) -> Iterator[tuple[str, int]]:
    """Groupings that may not be counted again, with the number of people whom they would tell.

    A pair of which one property may not be counted may not be, either.
    """
    told: dict[str, int] = {}
    for grouping in sorted(counted, key=lambda name: TIMES in name):
        before = [release[grouping] for release in earlier if grouping in release]
        number = told_apart(counted[grouping], before, grouping=grouping, least=least)
        if number:
            told[grouping] = number
            yield grouping, number
        elif TIMES in grouping and (of := [told[n] for n in grouping.split(TIMES) if n in told]):
            yield grouping, min(of)
