"""The audit of sums: the intervals that published sums leave for suppressed numbers.

Each published sum over suppressed numbers is an equation; the least and the
greatest value that a suppressed number can have under all of them are two linear
programs. An exact answer, or one that is too narrow, is a disclosure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Sums = Sequence[tuple[Sequence[int], float]]
"""Published sums: positions of the withheld numbers that enter one, and its value."""

TOLERANCE = 1e-6


def bounds(
    n_withheld: int, sums: Sums, targets: Sequence[Sequence[int]] | None = None
) -> np.ndarray:
    """Least and greatest value of each of `n_withheld` numbers, none negative; n × 2.

    With `targets`, sets of positions, those of the sum over each instead. Whole
    numbers are assumed: ends are rounded inwards. What no sum holds has no
    upper end (inf). `ValueError` when the sums contradict each other.

    >>> bounds(2, [([0, 1], 7)]).tolist()
    [[0.0, 7.0], [0.0, 7.0]]
    >>> bounds(2, [([0, 1], 7), ([0], 3)]).tolist()
    [[3.0, 3.0], [4.0, 4.0]]
    >>> bounds(3, [([0, 1], 7), ([1, 2], 3)], [[0, 1, 2]]).tolist()
    [[7.0, 10.0]]
    """
    from scipy.optimize import linprog
    from scipy.sparse import lil_matrix

    asked = [[position] for position in range(n_withheld)] if targets is None else targets
    found = np.column_stack([np.zeros(len(asked)), np.full(len(asked), np.inf)])
    used = [(members, total) for members, total in sums if len(members)]
    if not used:
        return found
    matrix = lil_matrix((len(used), n_withheld))
    for row, (members, _) in enumerate(used):
        matrix[row, list(members)] = 1.0
    equations = matrix.tocsr()
    totals = np.array([total for _, total in used], float)
    held = np.asarray(equations.sum(axis=0)).ravel() > 0
    for position, members in enumerate(asked):
        if not held[list(members)].all():
            continue
        objective = np.zeros(n_withheld)
        for end, sign in ((0, 1.0), (1, -1.0)):
            objective[list(members)] = sign
            answer = linprog(objective, A_eq=equations, b_eq=totals, bounds=(0, None))
            if answer.status == 2:
                raise ValueError("the published sums contradict each other")
            if answer.status == 0:
                found[position, end] = sign * answer.fun
    found[:, 0] = np.ceil(found[:, 0] - TOLERANCE)
    found[:, 1] = np.floor(found[:, 1] + TOLERANCE)
    shown: np.ndarray = np.abs(found)
    return shown


def table_sums(withheld: np.ndarray, counts: np.ndarray) -> list[tuple[list[int], float]]:
    """The sums that row and column totals of a table give over its withheld cells.

    `withheld` marks cells of `counts`; positions are those of `withheld` in
    row-major order.
    """
    position = np.full(withheld.shape, -1)
    position[withheld] = np.arange(withheld.sum())
    lines = [*zip(position, counts, strict=True), *zip(position.T, counts.T, strict=True)]
    return [(line[line >= 0].tolist(), float(values[line >= 0].sum())) for line, values in lines]
