"""The no-strata model against the data: silhouettes of both, per number of strata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import map_donors, silhouettes
from pmcell.core.donors.resample import (
    CALIBRATE,
    NULL,
    DonorModel,
    draw_donors,
    fit_donor_model,
    stream,
    stretch,
)
from pmcell.core.donors.spectral import centred_products, eigenvalues
from pmcell.strata._threads import in_order
from pmcell.strata.discovery.sizes import min_stratum_size
from pmcell.strata.profiles.model import DonorMap

Floats = NDArray[np.float64]

GAUSS, SCALED, FLAT = "gauss_lowrank", "scaled_lowrank", "flat_lowrank"
"""Shapes of a continuum: thick in the middle; the same with donors who are far out in every
direction at once; even from end to end. Strata must beat all."""

N_CALIBRATIONS = 4
N_CALIBRATION_DRAWS = 10

MAX_TAILS = 2.0
"""Beyond, one donor is all of a draw."""


@dataclass(frozen=True)
class NullTest:
    """Silhouettes per k of data and draws; T of data and draws; p; the best k.

    `observed` (ks,) and `draws` (draws, ks) are along the lines between means, `over_axes`
    (1 + draws, ks) over all axes, the data's first; `z` (ks,) is the larger of the data's,
    standardised (`best_z`). `model` is the calibrated Gaussian one, whatever null this is the
    test of.
    """

    name: str
    observed: Floats
    draws: Floats
    over_axes: Floats
    z: Floats
    statistic: float
    null: Floats
    p: float
    k: int
    model: DonorModel

    def report(self) -> dict[str, Any]:
        """What is kept for the report."""
        return {
            "null": self.name,
            "statistic": self.statistic,
            "null_statistics": self.null,
            "p": self.p,
            "k": self.k,
            "z": self.z,
            "silhouette": self.observed,
            "null_silhouette_mean": nan_mean(self.draws),
        }


def _as_it_is(squared: Floats) -> Floats:
    return squared


def compare_with_null(
    opened: DonorMap,
    ks: range,
    n_null: int,
    seed: int,
    finish: Callable[[Floats], Floats] = _as_it_is,
    purpose: int = NULL,
    settled: float = 1.0,
) -> NullTest:
    """Silhouettes of the data and of `n_null` draws of each null; the larger p counts.

    Draws come from the streams of `purpose`. `finish` changes the squared distances of data
    and draws alike before they are clustered. Who asks only whether p is above some level says
    so by `settled`: after a null whose p is, the others are left out.
    """
    rows, batch, settings = opened.rows, opened.batch[opened.rows], opened.settings
    min_size = min_stratum_size(rows.size)
    squared = finish(map_donors(opened.discovery, batch, settings))
    observed = silhouettes(squared, ks, min_size)
    fitted = fit_null_model(opened, squared)
    gauss = _calibrate(fitted, squared, opened, seed, finish)
    results: list[NullTest] = []
    for null in (GAUSS, FLAT, SCALED) if gauss.tails > 0 else (GAUSS, FLAT):
        if results and results[-1].p > settled:
            break
        shape = gauss
        if null == SCALED:
            whole = replace(fitted, whole_donor=True)
            shape = _calibrate(whole, squared, opened, seed, finish)

        def drawn_silhouette(number: int, model: DonorModel = shape, null: str = null) -> Floats:
            drawn = draw_donors(model, stream(seed, purpose, number), flat=null == FLAT)
            return silhouettes(finish(map_donors(drawn, batch, settings)), ks, min_size)

        draws = np.array(in_order(drawn_silhouette, range(n_null)))
        results.append(_compare(null, observed, draws, ks, gauss))
    return max(results, key=lambda result: result.p)


def fit_null_model(opened: DonorMap, squared: Floats) -> DonorModel:
    """The model without strata of the discovery rows, whose fused distances are `squared`."""
    rows, batch, settings = opened.rows, opened.batch[opened.rows], opened.settings
    total = sum(settings.weights.values())
    placed = [(c, f.take(rows)) for c, f in zip(opened.channels, opened.features, strict=True)]
    parts = [(c, f, settings.weights[c.name] / total / c.scale) for c, f in placed]
    return fit_donor_model(parts, squared, opened.discovery, batch)


def _compare(null: str, observed: Floats, draws: Floats, ks: range, model: DonorModel) -> NullTest:
    """Standardise data and draws together, so that they are exchangeable under the model.

    `observed` (2, ks) and `draws` (draws, 2, ks) are those of `silhouettes`.
    """
    both = np.vstack([observed[None], draws])
    z = best_z(both, both)
    best = z.max(axis=1)
    reached = int((best[1:] >= best[0]).sum()) if np.isfinite(best[0]) else draws.shape[0]
    k = ks[int(z[0].argmax())] if np.isfinite(best[0]) else 0
    p = (1 + reached) / (draws.shape[0] + 1)
    along, over_axes = both.swapaxes(0, 1)
    return NullTest(
        null, along[0], along[1:], over_axes, z[0], float(best[0]), best[1:], p, k, model
    )


def best_z(found: Floats, others: Floats) -> Floats:
    """The larger of two silhouettes of each k, in standard deviations from those of `others`.

    Both arrays are runs × 2 × ks, as `silhouettes` has them. Along the lines between means a gap
    is seen beside many other differences; over all axes among few donors, where some line parts
    any points.
    """
    z = standardised(found, others)
    return np.asarray(np.where(np.isnan(z), -np.inf, z).max(axis=1))


def standardised(values: Floats, others: Floats) -> Floats:
    """Columns of `values` in standard deviations from the means of those of `others`."""
    centre = nan_mean(others)
    spread = np.sqrt(nan_mean((others - centre) ** 2))
    return np.asarray((values - centre) / np.maximum(spread, 1e-12))


def _calibrate(
    model: DonorModel,
    squared: Floats,
    opened: DonorMap,
    seed: int,
    finish: Callable[[Floats], Floats],
) -> DonorModel:
    """Stretch the model until its draws have, on average, the spectrum and tails of the data.

    Part of the data's spectrum is sampling noise that subtraction cannot take
    out of single eigenvalues; a draw adds noise of its own. Uncorrected, draws
    are noisier than the data and reject far too often (0.25 in place of 0.05
    with a few dozen cells a type). Where more of the variance is in a few donors
    far out than in Gaussian draws, the Gaussian scores get heavier tails; strata
    have lighter ones.
    """
    batch = opened.batch[opened.rows]
    target = np.maximum(eigenvalues(squared)[: model.rank], 0.0)
    for step in range(N_CALIBRATIONS):

        def drawn_spectrum(number: int, model: DonorModel = model) -> tuple[Floats, float]:
            drawn = draw_donors(model, stream(seed, CALIBRATE, number))
            drawn_squared = finish(map_donors(drawn, batch, opened.settings))
            return eigenvalues(drawn_squared)[: model.rank], _tails(drawn_squared)

        numbers = range(step * N_CALIBRATION_DRAWS, (step + 1) * N_CALIBRATION_DRAWS)
        draws = in_order(drawn_spectrum, numbers)
        found = np.maximum(np.array([values for values, _ in draws]), 0.0).mean(axis=0)
        heavier = _tails(squared) - float(np.mean([tails for _, tails in draws]))
        tails = float(np.sqrt(np.clip(model.tails**2 + heavier, 0.0, MAX_TAILS**2)))
        factor = target / np.maximum(found, 1e-12 + 1e-6 * float(target.max(initial=0.0)))
        # Only the first may grow: what noise hides behind would be blown up in the others.
        factor[1:] = np.minimum(factor[1:], 1.0)
        model = replace(stretch(model, np.clip(factor, 0.25, 2.0)), tails=tails)
    return model


def _tails(squared: Floats) -> float:
    """Log of the mean squared over the squared mean of a row's squared distance to the centroid."""
    radius = np.maximum(np.diag(centred_products(squared)), 0.0)
    return float(np.log(np.mean(radius**2) / max(float(np.mean(radius)) ** 2, 1e-300)))


def nan_mean(values: Floats) -> Floats:
    """Mean over the rows that are known, NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
