"""What became of the clusters, labels and strata of a release in another one, by their members.

A rebuild finds clusters and strata anew and numbers them by size: 'S1' of two releases need not
be the same people. So each group is told by the members that both releases have: the same, split,
merged, new or gone. What a group of the newer release may be called follows from that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import natural_order

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release import Release

SAME, SPLIT, MERGED, CHANGED, NEW, GONE = "same", "split", "merged", "changed", "new", "gone"
SAME_FROM = 0.5
"""Jaccard index above which two groups are the same: no group can have two such."""
MIN_SHARE = 0.5
"""Share of the smaller of two groups that the other must hold, for one to come of the other."""


@dataclass(frozen=True)
class Kind:
    """A kind of group: its noun, its table, the columns that name a member and the group.

    Groups that are `named` mean something by their name; others are numbered, and take the name
    of the older group that they are the same as.
    """

    noun: str
    table: str
    members: tuple[str, ...]
    group: str
    is_named: bool = False


KINDS = (
    Kind("cluster", "cells", ("cell_id",), "cluster"),
    Kind("cell type", "cells", ("cell_id",), "cell_type", is_named=True),
    Kind("stratum", "assignments", ("donor_id", "visit"), "stratum"),
)


def lineage(a: Release, b: Release) -> list[dict[str, Any]]:
    """Return what became of the groups of an older release in a newer one.

    Parameters
    ----------
    a, b
        The older and the newer release.

    Returns
    -------
    list of dict
        A row for each pair of groups of which one comes of the other, and for each group without
        one: `kind`; `old` and `new`, None where there is none; `what` became of it; `n_old` and
        `n_new`, members that both releases have, and `n_shared` of both groups; `jaccard`, shared
        members over those of either; `name`, what the newer group may be called, in words.
    """
    return [row for kind in KINDS for row in _of_kind(kind, a, b)]


def _of_kind(kind: Kind, a: Release, b: Release) -> list[dict[str, Any]]:
    columns = [*kind.members, kind.group]
    before, after = (release.tables[kind.table].to_pandas(columns) for release in (a, b))
    both = before.merge(after, on=list(kind.members), suffixes=("_a", "_b"))
    rows = groups_lineage(
        both[f"{kind.group}_a"],
        both[f"{kind.group}_b"],
        noun=kind.noun,
        old=_groups(before[kind.group]),
        new=_groups(after[kind.group]),
    )
    if kind.is_named:
        rows = [{**row, "name": row["new"]} for row in rows]
    return [{"kind": kind.noun, **row} for row in rows]


def groups_lineage(
    before: pd.Series[str],
    after: pd.Series[str],
    *,
    noun: str = "group",
    old: Sequence[str] | None = None,
    new: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the lineage of groups of the same members.

    Parameters
    ----------
    before, after
        Group of each member then and now; null where it is in none.
    noun
        What a group is called.
    old, new
        All groups of each side, where some have no member in common.

    Notes
    -----
    A group comes of another where the larger holds `MIN_SHARE` of the smaller. Of these pairs one
    above `SAME_FROM` is the same; where an older group has several newer ones it was split, where
    a newer one has several older ones they were merged; else members were exchanged (changed).

    Examples
    --------
    >>> import pandas as pd
    >>> was, now = pd.Series(list("aaaabb")), pd.Series(list("xxyyzz"))
    >>> [(row["old"], row["new"], row["what"], row["name"]) for row in groups_lineage(was, now)]
    [('a', 'x', 'split', 'a, part 1'), ('a', 'y', 'split', 'a, part 2'), ('b', 'z', 'same', 'b')]
    """
    old = _groups(before) if old is None else old
    new = _groups(after) if new is None else new
    shared, n_old, n_new = _overlap(before, after, old, new)
    smaller = np.minimum(n_old[:, None], n_new[None, :])
    jaccard = shared / np.maximum(n_old[:, None] + n_new[None, :] - shared, 1)
    comes = (shared > 0) & (shared >= MIN_SHARE * smaller)
    rows: list[dict[str, Any]] = []
    for at, name in enumerate(old):
        for to in map(int, np.flatnonzero(comes[at])):
            what = _what(float(jaccard[at, to]), int(comes[at].sum()), int(comes[:, to].sum()))
            rows.append(
                {
                    "old": name,
                    "new": new[to],
                    "what": what,
                    "n_old": int(n_old[at]),
                    "n_new": int(n_new[to]),
                    "n_shared": int(shared[at, to]),
                    "jaccard": round(float(jaccard[at, to]), 4),
                }
            )
        if not comes[at].any():
            rows.append(_alone(name, None, GONE, int(n_old[at]), 0))
    rows += [
        _alone(None, name, NEW, 0, int(n_new[to]))
        for to, name in enumerate(new)
        if not comes[:, to].any()
    ]
    names = _names(rows, noun)
    return [{**row, "name": None if row["what"] == GONE else names[row["new"]]} for row in rows]


def _what(jaccard: float, n_newer: int, n_older: int) -> str:
    """What a pair is by its overlap, and how many groups either has on the other side."""
    if jaccard > SAME_FROM:
        return SAME
    if n_newer > 1 and n_older == 1:
        return SPLIT
    return MERGED if n_older > 1 and n_newer == 1 else CHANGED


def _alone(old: str | None, new: str | None, what: str, n_old: int, n_new: int) -> dict[str, Any]:
    counts = {"n_old": n_old, "n_new": n_new, "n_shared": 0, "jaccard": 0.0}
    return {"old": old, "new": new, "what": what, **counts}


def _names(rows: Sequence[dict[str, Any]], noun: str) -> dict[str, str]:
    """What each newer group may be called: the name of the same older one, else where it is from.

    The same for the same members, whatever the newer groups are called.
    """
    above: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["new"] is not None:
            above.setdefault(row["new"], []).append(row)
    names: dict[str, str] = {}
    parts: dict[str, int] = {}
    n_new = 0
    for name, found in above.items():
        same = [row["old"] for row in found if row["what"] == SAME]
        older = [row["old"] for row in found if row["old"] is not None]
        if same:
            names[name] = same[0]
        elif len(older) > 1:
            names[name] = " and ".join(older)
        elif older and found[0]["what"] == SPLIT:
            parts[older[0]] = parts.get(older[0], 0) + 1
            names[name] = f"{older[0]}, part {parts[older[0]]}"
        elif older:
            names[name] = f"{older[0]}, changed"
        else:
            n_new += 1
            names[name] = f"new {noun} {n_new}"
    return names


def _overlap(
    before: pd.Series[str], after: pd.Series[str], old: Sequence[str], new: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Members of each pair of groups (old, new), and of each group on either side."""
    import pandas as pd

    left, right = pd.Index(old).get_indexer(before), pd.Index(new).get_indexer(after)
    shared = np.zeros((len(old), len(new)), np.int64)
    inside = (left >= 0) & (right >= 0)
    np.add.at(shared, (left[inside], right[inside]), 1)
    n_old = np.bincount(left[left >= 0], minlength=len(old))
    n_new = np.bincount(right[right >= 0], minlength=len(new))
    return shared, n_old.astype(np.int64), n_new.astype(np.int64)


def _groups(values: pd.Series[str]) -> list[str]:
    """The groups that occur, numbers by their value."""
    return [str(name) for name in natural_order({str(name) for name in values.dropna()})]
