"""Do strata exist? The question comes before any label is published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.association import chi_square, cramers_v, permutation_p, permutations
from pmcell.core.donor_map import map_donors, partition
from pmcell.core.resample import (
    CALIBRATE,
    NULL,
    PERMUTE,
    DonorModel,
    draw_donors,
    fit_donor_model,
    stream,
    stretch,
)
from pmcell.core.spectral import spectrum
from pmcell.errors import UsageError
from pmcell.strata import slots
from pmcell.strata._threads import single_thread
from pmcell.strata.cluster import DONORS_PER_K, min_stratum_size
from pmcell.strata.distances import fitted
from pmcell.strata.model import DonorMap, require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]

STRATA = "strata"
CONTINUUM = "continuum"
NOT_SEPARABLE = "not separable from batch"
TOO_FEW = "too few donors"

GAUSS, FLAT = "gauss_lowrank", "flat_lowrank"
NULLS = (GAUSS, FLAT)
"""Shapes of a continuum: thick in the middle, or even from end to end; strata must beat both."""

N_PERMUTATIONS = 999
PAC_TOLERANCE = 0.05
N_CALIBRATIONS = 4
N_CALIBRATION_DRAWS = 10


@single_thread
def existence(
    donors: AnnData,
    *,
    n_null: int = 199,
    alpha: float = 0.05,
    max_confounding: float = 0.6,
    seed: int = 0,
) -> None:
    """Test whether the donors fall into strata, and publish labels only if they do.

    The no-strata model keeps everything but the strata: means, the
    between-donor spectrum (calibrated so that draws, noise and all, have that
    of the data), each donor's cells and noise, batches and channel weights.
    Scores are Gaussian or uniform, `n_null` draws of each, and the larger p
    counts. Draws go through the same distances and clustering as the data. With z_k the
    silhouette at k standardised over data and draws, T = max_k z_k and
    p = (1 + #{T* ≥ T})/(n_null + 1). k is the largest z_k among the k that are
    above the draws' 1 - alpha quantile of T and whose PAC is within 0.05 of
    the least: a split that resampling does not confirm is not taken for finer strata.

    Decisions: `strata` (p ≤ alpha); `continuum` (axes, no labels);
    `not separable from batch` (bias-corrected Cramér's V of candidates and
    batch above `max_confounding` with permutation p ≤ 0.05; or structure that
    is there only before batch removal and follows the batch; or every channel
    dropped because of batch); `too few donors` (below 20).

    Writes uns['existence'], and obs candidate_stratum, stratum (only for
    `strata`), status and probability. Source: after SigClust (Liu et al. 2008,
    doi:10.1198/016214508000000454) and M3C (doi:10.1038/s41598-020-58766-1),
    with the whole donor model in place of features.
    """
    require(donors, "clustering", "cluster")
    if n_null < 19 or not 0 < alpha < 1:
        raise UsageError(f"n_null must be at least 19 and alpha in (0, 1), got {n_null}, {alpha}")
    opened = fitted(donors)
    report: dict[str, Any] = {
        "n_null": int(n_null),
        "alpha": float(alpha),
        "seed": int(seed),
        "n_donors": int(opened.rows.size),
        "k": 0,
    }
    ks = [int(k) for k in donors.uns["clustering"]["ks"]]
    if not ks:
        need = 2 * DONORS_PER_K
        report |= _verdict(
            TOO_FEW, f"{opened.rows.size} donors have enough cells, {need} are needed"
        )
    elif not donors.uns["channels"]["usable"]:
        report |= _no_channel(donors)
    else:
        result = _test(opened, range(ks[0], ks[-1] + 1), n_null, seed)
        result = replace(result, k=_choose(result, donors.uns["clustering"]["pac"], alpha, ks))
        report |= result.report()
        report |= _decide(donors, opened, result, n_null, alpha, max_confounding, seed)
    donors.uns["existence"] = report
    _write_labels(donors, ks)


@dataclass(frozen=True)
class _Test:
    """Silhouettes per k of data and draws, standardised; T of data and draws; p; the best k."""

    name: str
    observed: Floats
    draws: Floats
    z: Floats
    statistic: float
    null: Floats
    p: float
    k: int

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
            "null_silhouette_mean": _nan_mean(self.draws),
        }


def _test(opened: DonorMap, ks: range, n_null: int, seed: int) -> _Test:
    """Silhouettes of the data and of `n_null` draws of each null; the larger p counts."""
    rows, batch, settings = opened.rows, opened.batch[opened.rows], opened.settings
    min_size = min_stratum_size(rows.size)
    squared = map_donors(opened.discovery, batch, settings)
    observed = partition(squared, ks, min_size).silhouette
    total = sum(settings.weights.values())
    placed = [(c, f.take(rows)) for c, f in zip(opened.channels, opened.features, strict=True)]
    parts = [(c, f, settings.weights[c.name] / total / c.scale) for c, f in placed]
    model = _calibrate(fit_donor_model(parts, squared, opened.discovery), squared, opened, seed)
    results = []
    for null in NULLS:
        draws = np.empty((n_null, len(ks)))
        for number in range(n_null):
            drawn = draw_donors(model, stream(seed, NULL, number), flat=null == FLAT)
            draws[number] = partition(map_donors(drawn, batch, settings), ks, min_size).silhouette
        results.append(_compare(null, observed, draws, ks))
    return max(results, key=lambda result: result.p)


def _compare(null: str, observed: Floats, draws: Floats, ks: range) -> _Test:
    """Standardise data and draws together, so that they are exchangeable under the model."""
    both = np.vstack([observed, draws])
    centre = _nan_mean(both)
    spread = np.sqrt(_nan_mean((both - centre) ** 2))
    z = (both - centre) / np.maximum(spread, 1e-12)
    z = np.where(np.isnan(z), -np.inf, z)
    best = z.max(axis=1)
    reached = int((best[1:] >= best[0]).sum()) if np.isfinite(best[0]) else draws.shape[0]
    k = ks[int(z[0].argmax())] if np.isfinite(best[0]) else 0
    p = (1 + reached) / (draws.shape[0] + 1)
    return _Test(null, observed, draws, z[0], float(best[0]), best[1:], p, k)


def _calibrate(model: DonorModel, squared: Floats, opened: DonorMap, seed: int) -> DonorModel:
    """Stretch the model until its draws have, on average, the spectrum of the data.

    Part of the data's spectrum is sampling noise that subtraction cannot take
    out of single eigenvalues; a draw adds noise of its own. Uncorrected, draws
    are noisier than the data and reject far too often (0.25 in place of 0.05
    with a few dozen cells a type).
    """
    batch = opened.batch[opened.rows]
    target = np.maximum(spectrum(squared)[0][: model.rank], 0.0)
    for step in range(N_CALIBRATIONS):
        found = np.zeros(model.rank)
        for number in range(N_CALIBRATION_DRAWS):
            rng = stream(seed, CALIBRATE, step * N_CALIBRATION_DRAWS + number)
            drawn = map_donors(draw_donors(model, rng), batch, opened.settings)
            found += np.maximum(spectrum(drawn)[0][: model.rank], 0.0) / N_CALIBRATION_DRAWS
        factor = target / np.maximum(found, 1e-12 + 1e-6 * float(target.max(initial=0.0)))
        model = stretch(model, np.clip(factor, 0.25, 4.0))
    return model


def _choose(result: _Test, pac: Floats, alpha: float, ks: list[int]) -> int:
    """The k of largest z among those that the test supports and resampling confirms; 0 for none."""
    pac = np.asarray(pac)
    possible = np.isfinite(result.z)
    supported = possible & (result.z >= np.quantile(result.null, 1 - alpha))
    if not possible.any():
        return 0
    if not supported.any():
        return result.k
    stable = supported & (pac <= pac[supported].min() + PAC_TOLERANCE)
    return ks[int(np.where(stable, result.z, -np.inf).argmax())]


def _decide(
    donors: AnnData,
    opened: DonorMap,
    result: _Test,
    n_null: int,
    alpha: float,
    max_confounding: float,
    seed: int,
) -> dict[str, Any]:
    ks = range(2, 2 + result.observed.size)
    if result.p <= alpha and result.k:
        column = ks.index(result.k)
        labels = np.asarray(donors.obsm[slots.LABELS])[opened.rows, column]
        confounding = _confounding(labels, opened.batch[opened.rows], seed)
        if confounding["v"] > max_confounding and confounding["p"] <= 0.05:
            why = f"candidate strata follow the batch (Cramér's V {confounding['v']:.2f})"
            return {"confounding": confounding} | _verdict(NOT_SEPARABLE, why)
        return {"confounding": confounding} | _verdict(STRATA, "")
    raw = opened.with_weights(dict.fromkeys(opened.settings.weights, 1.0), residual=False)
    if len(opened.batches) > 1:
        before = _before_removal(raw, ks, n_null, alpha, max_confounding, seed)
        if before is not None:
            why = (
                "groups are there before batch removal and gone after it, and they follow the "
                f"batch (Cramér's V {before['v']:.2f}): they may be batch or biology"
            )
            return {"confounding": before} | _verdict(NOT_SEPARABLE, why)
    why = f"donors without strata give as clear a clustering (p = {result.p:.3g})"
    return _verdict(CONTINUUM, why)


def _before_removal(
    raw: DonorMap, ks: range, n_null: int, alpha: float, max_confounding: float, seed: int
) -> dict[str, float] | None:
    """Confounding of the groups seen without batch removal, if they exist and follow the batch."""
    batch = raw.batch[raw.rows]
    squared = map_donors(raw.discovery, batch, raw.settings)
    found = partition(squared, ks, min_stratum_size(raw.rows.size))
    measured = [_confounding(labels, batch, seed) for labels in found.labels]
    suspects = [
        index
        for index, item in enumerate(measured)
        if item["v"] > max_confounding
        and item["p"] <= 0.05
        and np.isfinite(found.silhouette[index])
    ]
    if not suspects:
        return None
    result = _test(raw, ks, n_null, seed)
    if result.p > alpha or not result.k or ks.index(result.k) not in suspects:
        return None
    return measured[ks.index(result.k)]


def _confounding(
    labels: NDArray[np.int64], batch: NDArray[np.int64], seed: int
) -> dict[str, float]:
    """Bias-corrected Cramér's V of labels and batch over donors, with its permutation p."""
    if np.unique(batch).size < 2 or np.unique(labels).size < 2:
        return {"v": 0.0, "p": 1.0}
    _, code = np.unique(batch, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    orders = permutations(label.size, N_PERMUTATIONS, stream(seed, PERMUTE, 0))
    p = permutation_p(chi_square(code, label[orders]))
    return {"v": round(cramers_v(code, label), 6), "p": p}


def _no_channel(donors: AnnData) -> dict[str, Any]:
    channels = donors.uns["channels"]
    limit = channels["max_batch_share"]
    why = "; ".join(f"{name}: {channels[name]['why']}" for name in ("composition", "state"))
    by_batch = any(
        channels[name]["measured"]
        and channels[name]["q"] >= limit
        and channels[name]["r"] >= channels["min_reliability"]
        for name in ("composition", "state")
    )
    return _verdict(NOT_SEPARABLE if by_batch else CONTINUUM, f"no channel can be used: {why}")


def _verdict(decision: str, why: str) -> dict[str, Any]:
    return {"decision": decision, "why": why}


def _write_labels(donors: AnnData, ks: list[int]) -> None:
    """Candidate, published stratum, status and probability of every row."""
    report = donors.uns["existence"]
    n = donors.n_obs
    code, support = np.full(n, -1), np.full(n, np.nan)
    if report["k"]:
        column = ks.index(report["k"])
        code = np.asarray(donors.obsm[slots.LABELS])[:, column]
        support = np.asarray(donors.obsm[slots.SUPPORT])[:, column]
    candidate = np.array(["" if value < 0 else f"S{value + 1}" for value in code], object)
    published = report["decision"] == STRATA
    enough = donors.obs[slots.ENOUGH].to_numpy()
    sure = support >= 0.5
    status = np.where(published, np.where(sure, "assigned", "ambiguous"), "withheld")
    donors.obs[slots.CANDIDATE] = candidate
    donors.obs[slots.STATUS] = np.where(enough, status, "too_few_cells").astype(object)
    assigned = donors.obs[slots.STATUS].to_numpy() == "assigned"
    donors.obs[slots.STRATUM] = np.where(assigned, candidate, "").astype(object)
    donors.obs[slots.PROBABILITY] = support


def _nan_mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
