"""How alike the rows of one donor are: one correlation for all genes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pmcell.strata.statistics.moderated import GENES_AT_ONCE, Blocks, scaled_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = np.linspace(0.0, 0.95, 20)
"""Correlations tried. Rows of one donor are never less alike than those of two."""
TRIM = 0.15
"""Share of the genes left out at each end of the mean."""


def block_correlation(y: Floats, design: Floats, weights: Floats, code: Ints) -> float:
    """Correlation of rows (of `y`, rows × genes) of one block, beyond the design.

    Each gene's correlation of greatest restricted likelihood, and of these the trimmed mean on
    Fisher's scale: the consensus of Smyth et al. 2005, doi:10.1093/bioinformatics/bti270.

    Parameters
    ----------
    y, weights
        Log counts per million and their precision weights (rows × genes).
    design
        Columns of the model (rows × coefficients) of full rank.
    code
        Block of each row, from 0.

    Returns
    -------
    float
        From 0 to 0.95.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> code = np.repeat(np.arange(30), 2)
    >>> y = rng.normal(size=(30, 50))[code] + rng.normal(size=(60, 50))
    >>> round(block_correlation(y, np.ones((60, 1)), np.ones_like(y), code), 1)
    0.5
    """
    best = []
    for start in range(0, y.shape[1], GENES_AT_ONCE):
        own = slice(start, start + GENES_AT_ONCE)
        likelihood = np.array(
            [_restricted(y[:, own], design, weights[:, own], code, rho) for rho in GRID]
        )
        best.append(GRID[likelihood.argmax(axis=0)])
    on_scale = np.sort(np.arctanh(np.concatenate(best)))
    n_out = int(TRIM * on_scale.size)
    return float(np.tanh(on_scale[n_out : on_scale.size - n_out].mean()))


def _restricted(y: Floats, design: Floats, weights: Floats, code: Ints, rho: float) -> Floats:
    """Restricted log likelihood of each gene, up to a constant."""
    x, values = scaled_rows(y, design, weights, Blocks(code, rho))
    normal = np.einsum("gni,gnj->gij", x, x)
    coefficients = np.linalg.solve(normal, np.einsum("gni,gn->gi", x, values)[:, :, None])[..., 0]
    left = ((values - np.einsum("gni,gi->gn", x, coefficients)) ** 2).sum(axis=1)
    size = np.bincount(code)
    whole = ((size - 1) * np.log1p(-rho) + np.log1p((size - 1) * rho)).sum()
    df = len(y) - design.shape[1]
    return np.asarray(
        -0.5 * (df * np.log(np.maximum(left, 1e-300)) + whole + np.linalg.slogdet(normal)[1])
    )
