"""Linear models on log counts per million: precision weights as voom, moderated t as limma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

SPAN = 0.5
MIN_TREND = 10
"""Genes that a trend of variance on mean needs; with fewer all weights are 1."""


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


def log_cpm(counts: Floats, library: Floats, prior: float = 0.5) -> Floats:
    """log2 counts per million (donors × genes) with `prior` added to each count."""
    scaled = (counts + prior) / (library + 2 * prior)[:, None]
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


def precision_weights(y: Floats, library: Floats, design: Floats) -> Floats:
    """Weights (donors × genes) by the trend of variance on count: few counts weigh little.

    voom (Law et al. 2014, doi:10.1186/gb-2014-15-2-r29) with a local line of
    span 0.5.
    """
    depth = np.log2(library + 1) - np.log2(1e6)
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    fitted = design @ coefficients
    spread = np.sqrt(((y - fitted) ** 2).sum(axis=0) / (len(y) - design.shape[1]))
    mean, root = y.mean(axis=0) + depth.mean(), np.sqrt(spread)
    at, first = np.unique(mean, return_index=True)
    if at.size < MIN_TREND:
        return np.ones_like(y)
    from skmisc.loess import loess

    local = loess(at, root[first], span=SPAN, degree=1, family="symmetric")
    local.fit()
    curve = np.asarray(local.outputs.fitted_values)
    trend = np.interp(fitted + depth[:, None], at, np.maximum(curve, 0.05 * curve.max()))
    return np.asarray(trend**-4)


def moderated_tests(
    y: Floats, design: Floats, contrasts: Floats, weights: Floats | None = None
) -> list[Tested]:
    """Weighted least squares per column of `y` (donors × genes), one result a row of `contrasts`.

    Variances are shrunken to their common value, and t has the degrees of
    freedom that this adds (Smyth 2004, doi:10.2202/1544-6115.1027). `design`
    (donors × coefficients) must have full rank and fewer columns than rows.
    """
    n, width = design.shape
    w = np.ones_like(y) if weights is None else weights
    products = (design[:, :, None] * design[:, None, :]).reshape(n, width * width)
    inverse = np.linalg.inv((w.T @ products).reshape(-1, width, width))
    coefficients = np.einsum("gij,gj->gi", inverse, (w * y).T @ design)
    df = n - width
    residual = y - design @ coefficients.T
    variance = (w * residual**2).sum(axis=0) / df
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
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(error > 0, effect / error, 0.0)
        out.append(Tested(effect, error, total_df, 2 * special.stdtr(total_df, -np.abs(t))))
    return out


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
