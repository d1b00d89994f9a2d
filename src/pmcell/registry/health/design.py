"""Whether what is compared in a file can be told from the batches it was processed in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pmcell.errors import Fault
from pmcell.registry.draft.columns import Columns, is_empty, text

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("disease", "condition")
MIN_SHARE = 0.5
"""Share of people in batches of one group only from which a reader is told."""


def confounding(obs: pd.DataFrame, columns: Columns, file: str) -> Iterator[Fault]:
    """A warning where batches hold people of one group only, so that groups and batches coincide.

    Counted are people (samples where people are not named), never cells.
    """
    batch = columns.roles.get("batch_id")
    unit = columns.roles.get("donor_id") or columns.roles.get("sample_id")
    if not batch or not unit:
        return
    seen: list[set[frozenset[str]]] = []
    for role in COMPARED:
        column = columns.roles.get(role)
        if column is None:
            continue
        rows = zip(*(text(obs, name).tolist() for name in (batch, column, unit)), strict=True)
        known = {row for row in set(rows) if not any(map(is_empty, row))}
        people: dict[str, set[str]] = {}
        for _, group, name in known:
            people.setdefault(group, set()).add(name)
        split = {frozenset(names) for names in people.values()}
        if split in seen:
            # The same groups under another name.
            continue
        seen.append(split)
        groups: dict[str, set[str]] = {}
        for label, group, _ in known:
            groups.setdefault(label, set()).add(group)
        n_groups = len({group for _, group, _ in known})
        pure = [label for label, found in groups.items() if len(found) == 1]
        if n_groups < 2 or len(groups) < 2 or not pure:
            continue
        n_pure = sum(label in pure for label, _, _ in known)
        if n_pure < MIN_SHARE * len(known):
            continue
        must = f"each batch should hold people of every {role}, so that the two can be told apart"
        found = (
            f"{len(pure)} of {len(groups)} batches hold one only ({n_pure} of {len(known)} people)"
        )
        if len(pure) == len(groups):
            found += f": no difference by {column!r} can be told from batch {batch!r}"
        fix = "Nothing mends it afterwards: say it beside every result, or add mixed batches."
        yield Fault(
            file, must, found, fix, column=f"obs {batch}", severity="warning", reason="confounded"
        )
