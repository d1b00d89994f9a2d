"""Linear models on log counts per million: precision weights as voom, moderated t as limma."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pmcell.core.compiler import Array, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SPAN = 0.5
MIN_TREND = 10
"""Genes that a trend of variance on mean needs; with fewer all weights are 1."""
GENES_AT_ONCE = 256
MIN_COUNT = 2.0
"""Counts that a gene needs, in a library of median size, in each row of the smallest group."""
MIN_TOTAL = 10
"""Counts that a gene needs in all rows together."""
LARGE_GROUP, SHARE_OF_LARGE = 10, 0.7
"""Of rows beyond the tenth of the smallest group, the share that needs the counts."""


@dataclass(frozen=True)
class Tested:
    """Effect of one contrast on each gene: estimate, standard error, degrees of freedom, p."""

    effect: Floats
    error: Floats
    df: float
    p: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper end of the interval."""
        margin = special.stdtrit(self.df, 0.5 + level / 2) * self.error
        return self.effect - margin, self.effect + margin

    def about(self, value: float) -> Tested:
        """The test of a difference from `value`, not from 0."""
        effect = self.effect - value
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.error > 0, effect / self.error, 0.0)
        return replace(self, effect=effect, p=2 * special.stdtr(self.df, -np.abs(t)))


@dataclass(frozen=True)
class Blocks:
    """Rows that belong together: `code` (rows,) names the block, such as the donor, from 0.

    Without `correlation` each block has its own level, so that rows are compared within blocks
    only; with it, rows of a block are correlated by so much and are compared between as well.
    """

    code: Ints
    correlation: float | None = None

    @property
    def n_levels(self) -> int:
        """Coefficients that the blocks take."""
        return 0 if self.correlation is not None else int(self.code.max()) + 1


def has_enough_counts(
    counts: Floats, total: Floats, n_smallest: int, limit: float = MIN_COUNT
) -> Bools:
    """Genes (columns) with enough counts in as many rows as the smallest group has.

    Counts per million are compared, with a limit that is `limit` counts in the library of
    median size, and a gene needs `MIN_TOTAL` counts in all: the rule of filterByExpr (Chen et al.
    2016, doi:10.12688/f1000research.8987.2), whose 10 counts are meant for bulk libraries of
    millions. With 2 in pseudobulk of some 10,000 counts null data stay calibrated and most genes
    that count models find are tested (tests/benchmarks/strata/expression.py).
    """
    beyond = max(n_smallest - LARGE_GROUP, 0)
    least = min(n_smallest, LARGE_GROUP) + SHARE_OF_LARGE * beyond
    rate = counts / np.maximum(total, 1.0)[:, None]
    reached = rate >= limit / max(float(np.median(total)), 1.0)
    return np.asarray((reached.sum(axis=0) >= least) & (counts.sum(axis=0) >= MIN_TOTAL), np.bool_)


def log_cpm(counts: Floats, library: Floats, prior: float = 0.5) -> Floats:
    """log2 counts per million (rows × genes) with `prior` added to a count in a mean library.

    What is added grows with the library, so that genes without counts have the same value in
    every row: a constant would make them differ wherever libraries do (edgeR's `cpm`; Robinson et
    al. 2010, doi:10.1093/bioinformatics/btp616).
    """
    added = prior * library / library.mean()
    scaled = (counts + added[:, None]) / (library + 2 * added)[:, None]
    return np.asarray(np.log2(scaled * 1e6))


def library_sizes(counts: Floats, total: Floats) -> Floats:
    """Totals corrected for composition: a few strong genes must not make all others look weak.

    Median of ratios to the geometric mean over genes that every donor has
    (Anders & Huber 2010, doi:10.1186/gb-2010-11-10-r106); the totals as they
    are where fewer than 20 genes are in all donors.
    """
    everywhere = (counts > 0).all(axis=0)
    if everywhere.sum() < 20:
        return total
    logs = np.log(counts[:, everywhere])
    factor = np.median(logs - logs.mean(axis=0), axis=1)
    return np.asarray(np.exp(factor - factor.mean() + np.log(total).mean()))


def precision_weights(
    y: Floats, library: Floats, design: Floats, blocks: Blocks | None = None
) -> Floats:
    """Weights (rows × genes) by the trend of variance on count: few counts weigh little.

    The trend is that of voom (Law et al. 2014, doi:10.1186/gb-2014-15-2-r29) with a local line
    of span 0.5. It is read at the fitted values of the design alone, without the levels of
    blocks: those follow each pair, so one donor with a burst of counts, such as of red cells left
    in a sample, would weigh as much as all others and be taken for the effect.
    """
    depth = np.log2(library + 1) - np.log2(1e6)
    inside, x = y, design
    if blocks is not None and blocks.correlation is None:
        inside, x = within_blocks(y, blocks.code), within_blocks(design, blocks.code)
    coefficients, *_ = np.linalg.lstsq(x, inside, rcond=None)
    n_coefficients = design.shape[1] + (blocks.n_levels if blocks else 0)
    squares = ((inside - x @ coefficients) ** 2).sum(axis=0)
    # Square roots and products are the same on every processor; powers are not.
    mean, root = y.mean(axis=0), np.sqrt(np.sqrt(squares / (len(y) - n_coefficients)))
    at, first = np.unique(mean + depth.mean(), return_index=True)
    if at.size < MIN_TREND:
        return np.ones_like(y)
    from skmisc.loess import loess

    local = loess(at, root[first], span=SPAN, degree=1, family="symmetric")
    local.fit()
    curve = np.asarray(local.outputs.fitted_values)
    # Genes in the order of the trend, so that each is looked up near the one before it.
    order = np.argsort(mean)
    fitted = mean[order] + (design - design.mean(axis=0)) @ coefficients[:, order]
    trend = np.empty_like(y)
    trend[:, order] = np.interp(fitted + depth[:, None], at, np.maximum(curve, 0.05 * curve.max()))
    trend *= trend
    trend *= trend
    return np.asarray(1.0 / trend)


def within_blocks(values: Floats, code: Ints) -> Floats:
    """Columns less their mean in each block."""
    member = (code[:, None] == np.arange(int(code.max()) + 1)).astype(np.float64)
    mean = (member.T @ values) / member.sum(axis=0)[:, None]
    return np.asarray(values - mean[code])


def moderated_tests(
    y: Floats,
    design: Floats,
    contrasts: Floats,
    weights: Floats | None = None,
    blocks: Blocks | None = None,
) -> list[Tested]:
    """Weighted least squares per column of `y` (rows × genes), one result a row of `contrasts`.

    Variances are shrunken to their common value, and t has the degrees of
    freedom that this adds (Smyth 2004, doi:10.2202/1544-6115.1027). `design`
    (rows × coefficients) must have full rank, within the blocks where these have levels of their
    own, and leave rows to spare. Correlated blocks are whitened (generalised least squares; Smyth
    et al. 2005, doi:10.1093/bioinformatics/bti270).
    """
    n, width = design.shape
    w = np.ones_like(y) if weights is None else weights
    df = n - width - (blocks.n_levels if blocks else 0)
    fits = []
    for start in range(0, y.shape[1], GENES_AT_ONCE):
        own = slice(start, start + GENES_AT_ONCE)
        fits.append(_fit(y[:, own], design, w[:, own], blocks))
    coefficients, inverse, squares = (
        np.concatenate([fit[part] for fit in fits]) for part in range(3)
    )
    variance = squares / df
    prior_df, prior = variance_prior(variance, df)
    if np.isfinite(prior_df):
        variance = (df * variance + prior_df * prior) / (df + prior_df)
    else:
        variance = np.full_like(variance, prior)
    # No more degrees of freedom than all genes together have.
    total_df = min(df + prior_df, df * y.shape[1])
    out = []
    for contrast in contrasts:
        effect = coefficients @ contrast
        error = np.sqrt(np.einsum("i,gij,j->g", contrast, inverse, contrast) * variance)
        out.append(Tested(effect, error, total_df, np.ones_like(effect)).about(0.0))
    return out


def _fit(
    y: Floats, design: Floats, weights: Floats, blocks: Blocks | None
) -> tuple[Floats, Floats, Floats]:
    """Coefficients (genes, q), inverse normal matrix (genes, q, q), weighted sum of squares."""
    x, values = scaled_rows(y, design, weights, blocks)
    return _least_squares(np.ascontiguousarray(x), np.ascontiguousarray(values))


def scaled_rows(
    y: Floats, design: Floats, weights: Floats, blocks: Blocks | None
) -> tuple[Floats, Floats]:
    """Design (genes, rows, q) and values (genes, rows) whose errors are equal and uncorrelated."""
    root = np.sqrt(weights.T)
    x, values = np.broadcast_to(design, (y.shape[1], *design.shape)), y.T
    if blocks is None:
        return root[:, :, None] * x, root * values
    member = (blocks.code[:, None] == np.arange(int(blocks.code.max()) + 1)).astype(np.float64)
    if blocks.correlation is None:
        share = weights.T[:, :, None] * member
        share /= share.sum(axis=1, keepdims=True)
        x = x - (share.transpose(0, 2, 1) @ x)[:, blocks.code]
        values = values - np.einsum("gnb,gn->gb", share, values)[:, blocks.code]
        return root[:, :, None] * x, root * values
    together = blocks.correlation * (member @ member.T)
    np.fill_diagonal(together, 1.0)
    whiten = np.linalg.inv(np.linalg.cholesky(together))
    return whiten @ (root[:, :, None] * x), (root * values) @ whiten.T


def variance_prior(variance: Floats, df: int) -> tuple[float, float]:
    """Degrees of freedom and value of the scaled F distribution that the variances come from."""
    positive = variance[variance > 1e-12 * max(float(np.median(variance)), 1e-300)]
    if positive.size < 2:
        return 0.0, float(variance.mean()) if variance.size else 0.0
    logs = np.log(positive) - special.digamma(df / 2) + np.log(df / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, df / 2))
    if excess <= 0:
        return np.inf, float(positive.mean())
    prior_df = 2 * _trigamma_inverse(excess)
    location = logs.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2)
    return float(prior_df), float(np.exp(location))


def _trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value, by Newton's steps on 1/trigamma, which is convex."""
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        now = special.polygamma(1, x)
        step = now * (1 - now / value) / special.polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return float(x)


@kernel
def _least_squares(x: Array, values: Array) -> tuple[Array, Array, Array]:
    """Coefficients, inverse normal matrix and sum of squares of each gene.

    Sums follow the rows, so they are the same on every processor. The normal matrix is inverted
    through its Cholesky root: inverse = L⁻ᵀ L⁻¹.
    """
    n_genes, n_rows, width = x.shape
    coefficients, squares = np.zeros((n_genes, width)), np.zeros(n_genes)
    inverse = np.zeros((n_genes, width, width))
    root, product = np.zeros((width, width)), np.zeros(width)
    for gene in range(n_genes):
        own, out = x[gene], inverse[gene]
        root[:] = 0.0
        product[:] = 0.0
        for row in range(n_rows):
            for i in range(width):
                product[i] += own[row, i] * values[gene, row]
                for j in range(i + 1):
                    root[i, j] += own[row, i] * own[row, j]
        _invert_root(root)
        for i in range(width):
            for j in range(width):
                for k in range(max(i, j), width):
                    out[i, j] += root[k, i] * root[k, j]
                coefficients[gene, i] += out[i, j] * product[j]
        for row in range(n_rows):
            left = values[gene, row]
            for i in range(width):
                left -= own[row, i] * coefficients[gene, i]
            squares[gene] += left * left
    return coefficients, inverse, squares


@kernel
def _invert_root(matrix: Array) -> None:
    """Replace a positive definite matrix (its lower half) by the inverse of its Cholesky root."""
    width = matrix.shape[0]
    for j in range(width):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, width):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for j in range(width):
        matrix[j, j] = 1.0 / matrix[j, j]
        for i in range(j + 1, width):
            total = 0.0
            for k in range(j, i):
                total -= matrix[i, k] * matrix[k, j]
            matrix[i, j] = total / matrix[i, i]
