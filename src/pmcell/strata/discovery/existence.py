"""Do strata exist? The question comes before any label is published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.donors.donor_map import CHANNELS
from pmcell.errors import UsageError
from pmcell.schema.verdict import STRATA
from pmcell.spelling import plural
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.null import NullTest, compare_with_null
from pmcell.strata.discovery.number import fewest_strata, support_of_k
from pmcell.strata.discovery.power import donors_needed
from pmcell.strata.discovery.separable import (
    follows,
    groups_of_batches,
    is_made_by_batch,
    strongest_confounding,
)
from pmcell.strata.discovery.sizes import DONORS_PER_K
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import DonorMap, require

if TYPE_CHECKING:
    from anndata import AnnData

CONTINUUM = "continuum"
NOT_SEPARABLE = "not separable from batch"
TOO_FEW = "too few donors"


@single_thread
def existence(
    donors: AnnData,
    *,
    n_null: int = 499,
    alpha: float = 0.05,
    max_confounding: float = 0.6,
    seed: int = 0,
) -> None:
    """Test whether the donors fall into strata, and publish labels only if they do.

    The no-strata model keeps everything but the strata: means, the
    between-donor spectrum (calibrated so that draws, noise and all, have that
    of the data), each donor's cells and noise, batches and channel weights.
    Scores are Gaussian (with the data's tails, if those are heavier) or uniform
    along the bow that the data lie on, `n_null` draws of each, and the larger p
    counts. Draws go through the same distances and
    clustering as the data. With z_k the larger of two silhouettes at k, over all axes and along
    the lines between the clusters' means, each standardised over data and draws, T = max_k z_k
    and p = (1 + #{T* ≥ T})/(n_null + 1), times the number of channel combinations that
    `distances` chose from, if it chose (Bonferroni). The number of strata is the smallest that
    the data do not speak against (`pmcell.strata.discovery.number`). How sure it is: half of
    `k_support` is its own, half is dealt by bootstraps, to the k that stands out most in each,
    less where they do not hold its strata together.

    Decisions: `strata` (p ≤ alpha); `continuum` (axes, no labels);
    `not separable from batch` (bias-corrected Cramér's V of candidates and
    batch, cohort or assay above `max_confounding` with permutation p ≤ 0.05; or structure that
    is there only before batch removal, follows the batch and is more than what a batch adds to
    all cell types alike; or every channel made by batch, and by more than that);
    `too few donors` (below 20).

    Beside `continuum`, `power` says how many donors would find strata of a stated distance.

    Writes uns['existence'], and obs candidate_stratum, stratum (only for
    `strata`), status and probability. Source: after SigClust (Liu et al. 2008,
    doi:10.1198/016214508000000454) and M3C (doi:10.1038/s41598-020-58766-1),
    with the whole donor model in place of features.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), existence(donors)
    (None, None, None)
    >>> donors.uns["existence"]["decision"]
    'too few donors'
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
            TOO_FEW,
            f"{plural(opened.rows.size, 'donor has', 'donors have')} enough cells, "
            f"{need} are needed",
        )
    elif not donors.uns["channels"]["usable"]:
        report |= _no_channel(donors, opened)
    else:
        n_views = int(donors.uns["channels"]["n_views"])
        if n_views > alpha * (n_null + 1):
            need = int(np.ceil(n_views / alpha)) - 1
            raise UsageError(
                f"n_null must be at least {need} with channels='clearest', which looked at "
                f"{n_views} combinations; got {n_null}. Give more, or channels='all' to distances."
            )
        of_k = range(ks[0], ks[-1] + 1)
        result = compare_with_null(opened, of_k, n_null, seed)
        own = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(opened.rows, opened.rows)]
        number = fewest_strata(own, of_k, alpha, seed)
        clustering = donors.uns["clustering"]
        runs, pac = clustering["silhouette_of_runs"], clustering["pac"]
        result = replace(result, k=number.k, p=min(n_views * result.p, 1.0))
        report |= result.report() | {
            "k_p": number.p,
            "k_support": support_of_k(number.k, result, runs, pac),
            "n_views": n_views,
            "view_scores": dict(donors.uns["channels"]["view_scores"]),
        }
        report |= _decide(donors, opened, result, n_null, alpha, max_confounding, seed)
        if report["decision"] == CONTINUUM:
            report["power"] = donors_needed(opened, result.model, alpha / n_views, seed)
    donors.uns["existence"] = report
    for stale in ("placement", "generalisation"):
        donors.uns.pop(stale, None)
    _write_labels(donors, ks)


def _decide(
    donors: AnnData,
    opened: DonorMap,
    result: NullTest,
    n_null: int,
    alpha: float,
    max_confounding: float,
    seed: int,
) -> dict[str, Any]:
    ks = range(2, 2 + result.observed.size)
    if result.p <= alpha and result.k:
        column = ks.index(result.k)
        labels = np.asarray(donors.obsm[slots.LABELS])[opened.rows, column]
        confounding = strongest_confounding(donors, opened, labels, seed)
        if follows(confounding, max_confounding):
            why = (
                f"candidate strata follow the {confounding['factor']} "
                f"(Cramér's V {confounding['v']:.2f})"
            )
            return {"confounding": confounding} | _verdict(NOT_SEPARABLE, why)
        return {"confounding": confounding} | _verdict(STRATA, "")
    if len(opened.batches) > 1:
        before = groups_of_batches(donors, opened, ks, n_null, alpha, max_confounding, seed)
        if before is not None:
            why = (
                "groups are there before batch removal and gone after it, and they follow the "
                f"batch (Cramér's V {before['v']:.2f}): they may be batch or biology"
            )
            return {"confounding": before} | _verdict(NOT_SEPARABLE, why)
    why = f"donors without strata give as clear a clustering (p = {result.p:.3g})"
    return _verdict(CONTINUUM, why)


def _no_channel(donors: AnnData, opened: DonorMap) -> dict[str, Any]:
    channels = donors.uns["channels"]
    limit = channels["max_batch_share"]
    why = "; ".join(f"{name}: {channels[name]['why']}" for name in CHANNELS)
    by_batch = any(
        channels[name]["measured"]
        and channels[name]["r"] >= channels["min_reliability"]
        and is_made_by_batch(opened, name, channels[name]["q"], limit)
        for name in CHANNELS
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
