"""Directions that tell groups of cells apart, whatever batch the cells are of.

Linear discriminants (Fisher 1936, doi:10.1111/j.1469-1809.1936.tb02137.x; Rao 1948) with every
group counting alike, batch offsets taken out, and the covariance within groups drawn towards its
diagonal (Friedman 1989, doi:10.1080/01621459.1989.10478752).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pmcell.core.weighted_products import weighted_products

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Cells: TypeAlias = NDArray[np.floating] | sparse.csr_matrix
"""Features of cells (cells, features)."""

SHRINKAGE = 0.3
"""Weight of the diagonal of the covariance within groups (tests/benchmarks/person)."""
FLOOR = 0.01
"""Added to the diagonal, as a share of the mean variance within groups."""
MIN_CELLS = 5
"""A batch with fewer cells of a group says nothing of where the group lies in it."""
N_ROUNDS = 5
"""Rounds in which means of groups and offsets of batches are found from each other."""


@dataclass(frozen=True)
class Discriminants:
    """Where groups lie and what tells them apart.

    `means` (groups, features) are free of batches, `offsets` (batches, features) what each batch
    adds, `directions` (features, groups) map a centred cell to one coordinate a group, each of
    unit spread over the training cells; `centre` (features,) is the mean of the groups' means.
    """

    means: Floats
    offsets: Floats
    directions: Floats
    centre: Floats

    def along(self, x: Cells, batch: Ints, centre: Floats, directions: Floats) -> Floats:
        """Coordinates of cells (cells, directions), free of their batches, from a centre."""
        found = np.asarray(x @ directions)
        found -= ((self.offsets + centre) @ directions)[batch]
        return found


def find_discriminants(x: Cells, group: Ints, batch: Ints) -> Discriminants:
    """Find the directions that tell groups apart.

    Parameters
    ----------
    x
        Features of cells (cells, features); of a sparse matrix nothing is made dense.
    group, batch
        Code of each cell, from 0; every group has a cell.

    Raises
    ------
    ValueError
        Where there are fewer than two groups.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> group, batch = np.arange(200) % 2, np.arange(200) // 100
    >>> x = rng.normal(size=(200, 5)) + 4.0 * group[:, None] + 9.0 * batch[:, None]
    >>> found = find_discriminants(x, group, batch)
    >>> score = (x - found.offsets[batch] - found.centre) @ found.directions
    >>> float(np.mean(score.argmax(axis=1) == group))
    1.0
    """
    x = sparse.csr_matrix(x)
    n_groups, n_batches = int(group.max()) + 1, int(batch.max()) + 1
    if n_groups < 2:
        raise ValueError(f"discriminants need at least two groups, got {n_groups}")
    cell = group * n_batches + batch
    n, total = _sums(x, cell, n_groups * n_batches)
    shape = (n_groups, n_batches)
    mean = (total / np.maximum(n, 1)[:, None]).reshape(*shape, -1)
    count = n.reshape(shape)
    offsets = _offsets(mean, count)
    seen = _seen(count)
    means = _mean_of(mean - offsets, seen)
    within = _within(x, cell, mean.reshape(n.size, -1), count)
    ridge = FLOOR * float(np.trace(within)) / within.shape[0]
    shrunk = (1.0 - SHRINKAGE) * within
    shrunk[np.diag_indices_from(shrunk)] += SHRINKAGE * within.diagonal() + max(ridge, 1e-9)
    centre = means.mean(axis=0)
    directions = np.linalg.solve(shrunk, (means - centre).T)
    spread = _spread((means - centre) @ directions, directions, within)
    return Discriminants(means, offsets, directions / spread, centre)


def _sums(x: sparse.csr_matrix, code: Ints, n_codes: int) -> tuple[Ints, Floats]:
    """Cells and sum of each code; cells are added in their order."""
    cells = np.arange(code.size)
    of_code = sparse.csr_matrix((np.ones(code.size), (code, cells)), (n_codes, code.size))
    return np.bincount(code, minlength=n_codes), (of_code @ x).toarray()


def _seen(count: Ints) -> NDArray[np.bool_]:
    """Batches that say where a group lies; for a group that none has enough cells of, all."""
    seen = np.asarray(count >= MIN_CELLS, bool)
    known = np.asarray(seen.any(axis=1), bool)
    return np.where(known[:, None], seen, count > 0)


def _offsets(mean: Floats, count: Ints) -> Floats:
    """What each batch adds, on average over the groups that it has."""
    seen = _seen(count)
    offsets = np.zeros((count.shape[1], mean.shape[2]))
    if count.shape[1] == 1:
        return offsets
    for _ in range(N_ROUNDS):
        apart = mean - _mean_of(mean - offsets, seen)[:, None]
        for batch in np.flatnonzero(seen.any(axis=0)):
            offsets[batch] = apart[seen[:, batch], batch].mean(axis=0)
        offsets -= offsets.mean(axis=0)
    return offsets


def _mean_of(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Mean over the batches that were seen (groups, features)."""
    weight = seen / seen.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("gb,gbf->gf", weight, values))


def _within(x: sparse.csr_matrix, cell: Ints, mean: Floats, count: Ints) -> Floats:
    """Covariance within group and batch, every group alike: each cell weighs 1 / its group's.

    The means are taken off the sums of products, so that zeros stay zeros: values are of the size
    of their spread, and double precision has 15 digits.
    """
    freedom = np.maximum(count - 1, 0).sum(axis=1)
    used = freedom > 0
    weight = np.where(used, 1.0 / np.maximum(freedom, 1), 0.0) / max(int(used.sum()), 1)
    of_code = np.repeat(weight, count.shape[1])
    between = np.sqrt(of_code * count.ravel())[:, None] * mean
    return weighted_products(x, of_code[cell]) - between.T @ between


def _spread(means: Floats, directions: Floats, within: Floats) -> Floats:
    """Standard deviation along each direction over groups that count alike."""
    inside = np.einsum("fd,fd->d", directions, within @ directions)
    return np.asarray(np.sqrt(np.maximum(inside + means.var(axis=0), 1e-12)))
