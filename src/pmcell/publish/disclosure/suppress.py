"""Suppression of small groups, and of others so that totals do not give them away.

Primary: groups with fewer donors than the threshold, zeros too (that nobody in
a group has a property is a statement on all of it). Complementary: further
groups until the audit of `bounds` cannot place a suppressed number within an
interval narrower than the threshold. Sources: Hundepool et al., Handbook on
Statistical Disclosure Control, 2010, section 4; thresholds: publish/README.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pmcell.publish.disclosure.bounds import bounds, table_sums
from pmcell.schema.text import text_array

OTHER = "other"


def merge_small(labels: np.ndarray, min_donors: int) -> np.ndarray:
    """Labels of donors with small groups merged into `other`; one group if need be.

    Groups below `min_donors` become `other`; while `other` itself is too small
    the next smallest group joins it.

    >>> merge_small(np.array(list("aaaabbc")), 3).tolist()
    ['a', 'a', 'a', 'a', 'other', 'other', 'other']
    >>> merge_small(np.array(list("aaaabbbc")), 4).tolist()
    ['a', 'a', 'a', 'a', 'other', 'other', 'other', 'other']
    """
    names, counts = np.unique(text_array(labels), return_counts=True)
    order = np.lexsort((names, counts))
    n_merged, merged = 0, 0
    while n_merged < names.size and (
        counts[order[n_merged]] < min_donors or 0 < merged < min_donors
    ):
        merged += int(counts[order[n_merged]])
        n_merged += 1
    small = set(names[order[:n_merged]].tolist())
    kept = [OTHER if label in small else label for label in text_array(labels).tolist()]
    return np.array(kept, object)


def suppress_table(counts: np.ndarray, min_donors: int) -> np.ndarray | None:
    """Which cells of a table of donors must be withheld when its totals are published.

    None when nothing but withholding the whole table protects it.
    """
    withheld = counts < min_donors
    while withheld.any():
        exposed = _exposed(counts, withheld, min_donors)
        if not exposed:
            return withheld
        added = _companions(counts, withheld, exposed[0])
        if not added:
            return None
        for cell in added:
            withheld[cell] = True
    return withheld


def suppress_list(
    counts: np.ndarray,
    unsafe: np.ndarray,
    is_safe_union: Callable[[np.ndarray], bool],
    *,
    min_width: int,
) -> np.ndarray:
    """Which numbers of a list must be withheld when their total is published.

    `unsafe` marks those that must; the smallest others join them until their
    union, which the total gives away, is safe (`is_safe_union(withheld)`) and
    at least `min_width`, the interval in which the audit finds each.
    """
    withheld = unsafe.copy()
    while withheld.any() and not withheld.all():
        wide = counts[withheld].sum() >= min_width
        if withheld.sum() > 1 and wide and is_safe_union(withheld):
            break
        rest = np.flatnonzero(~withheld)
        withheld[rest[np.argmin(counts[rest])]] = True
    return withheld


def _exposed(counts: np.ndarray, withheld: np.ndarray, min_donors: int) -> list[tuple[int, int]]:
    """Withheld cells that the attacker places too narrowly, in row-major order."""
    found = bounds(int(withheld.sum()), table_sums(withheld, counts))
    narrow = found[:, 1] - found[:, 0] < min_donors
    cells = np.argwhere(withheld)[narrow]
    return [(int(row), int(column)) for row, column in cells]


def _companions(
    counts: np.ndarray, withheld: np.ndarray, cell: tuple[int, int]
) -> list[tuple[int, int]]:
    """The cheapest cells that close a rectangle with `cell`; else the smallest of its lines."""
    row, column = cell
    best: tuple[float, list[tuple[int, int]]] | None = None
    for other_row in range(counts.shape[0]):
        for other_column in range(counts.shape[1]):
            if other_row == row or other_column == column:
                continue
            corners = [(row, other_column), (other_row, column), (other_row, other_column)]
            added = [corner for corner in corners if not withheld[corner]]
            cost = float(sum(counts[corner] for corner in added))
            if added and (best is None or cost < best[0]):
                best = (cost, added)
    if best is not None:
        return best[1]
    line = [(row, j) for j in range(counts.shape[1])] + [
        (i, column) for i in range(counts.shape[0])
    ]
    shown = sorted((counts[place], place) for place in line if not withheld[place])
    return [shown[0][1]] if shown else []
