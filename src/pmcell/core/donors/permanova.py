"""PERMANOVA and PERMDISP: a whole matrix of squared distances against one variable.

Both take the inner products of the centred configuration, so that squared
distances that are slightly negative (noise was subtracted) need no correction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RANK_TOLERANCE = 1e-8


def gower(squared: Floats) -> Floats:
    """Inner products about the centroid (n, n) of squared distances (n, n)."""
    row = squared.mean(axis=1)
    return np.asarray(-0.5 * (squared - row[:, None] - row[None, :] + row.mean()))


def dummies(codes: Ints) -> Floats:
    """Indicator columns (n, levels) of codes."""
    return np.asarray(codes[:, None] == np.unique(codes)[None, :], np.float64)


def residualise(inner: Floats, design: Floats) -> Floats:
    """The inner products after regression on the columns of `design` and a constant."""
    basis = _basis(_with_constant(design))
    out = inner - basis @ (basis.T @ inner)
    return np.asarray(out - (out @ basis) @ basis.T)


def permanova(
    inner: Floats, covariate: Floats, nuisance: Floats | None, orders: Ints
) -> tuple[float, Floats]:
    """R² of `covariate` (n, columns) and pseudo-F of each order (draws,), after `nuisance`.

    R² is the covariate's share of the total sum of squares, beyond what
    `nuisance` (n, columns) explains. The residuals after the nuisance are
    permuted (Freedman & Lane 1983), as rows and columns of the inner products:
    McArdle & Anderson 2001, doi:10.1890/0012-9658(2001)082[0290:FMMTCD]2.0.CO;2.
    NaN where the covariate adds nothing to the nuisance, or leaves no freedom.
    """
    n = inner.shape[0]
    known = _basis(_with_constant(np.zeros((n, 0)) if nuisance is None else nuisance))
    left = inner - known @ (known.T @ inner)
    left = left - (left @ known) @ known.T
    added = _basis(covariate - known @ (known.T @ covariate), np.linalg.norm(covariate))
    freedom = n - known.shape[1] - added.shape[1]
    if added.shape[1] == 0 or freedom < 1:
        return float("nan"), np.full(orders.shape[0], np.nan)
    explained = _explained(left, added, orders)
    remaining = np.trace(left) - _explained(left, known, orders) - explained
    r2 = float(explained[0] / np.trace(inner))
    return r2, (explained / added.shape[1]) / np.maximum(remaining / freedom, 1e-300)


def permdisp(inner: Floats, group: Ints, orders: Ints) -> tuple[float, Floats]:
    """η² of the distances to the own group's centroid, and their F for each order of residuals.

    Anderson 2006, doi:10.1111/j.1541-0420.2005.00440.x: the residuals of the
    distances about their group's mean are permuted. Tells whether groups
    differ in spread, which PERMANOVA would take for a difference in place.
    """
    member = dummies(group)
    size = member.sum(axis=0)
    share = member / size
    cross = inner @ share
    within = np.einsum("ng,ng->g", share, cross)
    own = np.diag(inner) - 2 * (cross * member).sum(axis=1) + member @ within
    distance = np.sqrt(np.maximum(own, 0.0))
    mean = member @ (share.T @ distance)
    f, eta = _anova((distance - mean)[orders], share, size)
    f[0], eta[0] = (part[0] for part in _anova(distance[None, :], share, size))
    return float(eta[0]), f


def _anova(values: Floats, share: Floats, size: Floats) -> tuple[Floats, Floats]:
    n, k = share.shape
    centred = values - values.mean(axis=1, keepdims=True)
    between = ((centred @ share) ** 2 * size).sum(axis=1)
    total = np.maximum((centred**2).sum(axis=1), 1e-300)
    within = np.maximum(total - between, 1e-300)
    return between / max(k - 1, 1) / (within / max(n - k, 1)), between / total


def _explained(inner: Floats, basis: Floats, orders: Ints) -> Floats:
    """Trace of the projection on `basis` of the inner products in each order."""
    n, q = basis.shape
    out = np.empty(orders.shape[0])
    for start in range(0, orders.shape[0], 64):
        part = orders[start : start + 64]
        moved = np.zeros((part.shape[0], n, q))
        np.put_along_axis(moved, part[:, :, None], basis[None, :, :], axis=1)
        flat = moved.transpose(1, 0, 2).reshape(n, -1)
        out[start : start + 64] = (
            (flat * (inner @ flat)).sum(axis=0).reshape(part.shape[0], q).sum(axis=1)
        )
    return out


def _with_constant(design: Floats) -> Floats:
    return np.column_stack([np.ones(design.shape[0]), design])


def _basis(columns: Floats, scale: float | np.floating | None = None) -> Floats:
    """Orthonormal basis of the columns' span."""
    if columns.shape[1] == 0:
        return columns
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    limit = RANK_TOLERANCE * float(values[0] if scale is None else scale)
    return np.asarray(left[:, values > limit])


def without(inner: Floats, design: Floats, nuisance: Floats) -> Floats:
    """Inner products after taking out what `design` adds to `nuisance`, which stays.

    With G = XXᵀ this is that of X - Cβ, where β are the coefficients of the
    columns C in the regression of X on C and the nuisance together.
    """
    known = _basis(_with_constant(nuisance))
    design = design - design.mean(axis=0)
    own = design - known @ (known.T @ design)
    keep = np.eye(inner.shape[0]) - design @ np.linalg.pinv(own, RANK_TOLERANCE)
    return np.asarray(keep @ inner @ keep.T)
