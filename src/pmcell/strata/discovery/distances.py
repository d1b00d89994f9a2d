"""Distances between donors: four channels, each judged before it may take part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import CLUSTER_FREE, GENES, STATE, DonorSums
from pmcell.core.donors.donor_map import (
    CHANNELS,
    fit_channels,
    fused_distances,
    map_donors,
    place_all,
)
from pmcell.core.donors.genes import GeneChannel
from pmcell.errors import UsageError
from pmcell.spelling import plural
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.separable import batch_share, is_made_by_batch
from pmcell.strata.discovery.views import Choice, choose_view
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import DonorMap, half_sums, open_map

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]

MIN_ROWS = 4
"""With fewer discovery rows neither reliability nor batch share means anything."""


@single_thread
def distances(
    donors: AnnData,
    *,
    max_batch_share: float = 0.9,
    min_reliability: float = 0.5,
    channels: Sequence[str] | Literal["all", "clearest"] = "clearest",
    even_axes: bool = False,
) -> None:
    """Measure squared distances between donors per channel and fused.

    *composition*: arcsine shares; *state*: per-type means, weighted by
    reliability; *genes*: the axes that donors share in the expression of each type, where
    the profile holds counts (`pmcell.core.donors.genes`); *cluster_free*: random waves of
    all cells, whatever their type. All subtract sampling noise and have batch offsets
    removed as a shrunken random effect. The last channel keeps strata visible where cell types are
    wrong, merged or missing (tests/benchmarks/strata/channels.py). Each channel
    is judged on the discovery rows: r, the Spearman-Brown split-half correlation
    of its distances, and q, the share of its distances *before* batch removal that
    lies between batches (PERMANOVA R² minus what chance gives). A channel with
    r < `min_reliability` is dropped, and one with q ≥ `max_batch_share` unless that is what
    batches add to all cell types alike, which is no stratum's; the others weigh r.
    Of these the `clearest` are used, the one or several in which groups stand out
    most (`pmcell.strata.discovery.views`), for which the existence test then pays by the
    number of combinations looked at; or all, or those that `channels` names: others never stand in
    for them. An axis of *genes* is as long as what donors share along it, or, with `even_axes` or
    where the clearest view has them so, all are of one length in the fused distance.

    Writes obsp distance_composition, distance_state, distance_genes, distance_cluster_free
    (NaN where a channel is not measured) and distance, and uns['channels']: r, q, weight,
    dropped, used, even_axes, why; view_scores. Where
    every one of these is dropped, the one with the least q (of all where none of these is
    measured) fills `distance`, for the axes only, and uns['channels']['usable'] is False. Raises
    UsageError for a channel that does not exist.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=9, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> distances(donors)
    >>> donors.uns["channels"]["state"]["dropped"]
    False
    """
    names: tuple[str, ...]
    if isinstance(channels, str):
        names = CHANNELS if channels in ("all", "clearest") else (channels,)
    else:
        names = tuple(channels)
    unknown = sorted({*names} - {*CHANNELS})
    if unknown:
        raise UsageError(
            "channels must be 'all', 'clearest' or some of "
            f"{', '.join(CHANNELS)}; got {', '.join(unknown)}"
        )
    opened = open_map(donors)
    halves = cache(lambda: half_sums(donors))
    report: dict[str, Any] = {}
    weights: dict[str, float] = {}
    for name in CHANNELS:
        verdict = _judge(donors, opened, halves, name, max_batch_share, min_reliability)
        report[name] = verdict
        if verdict["measured"]:
            donors.obsp[f"distance_{name}"] = opened.with_weights({name: 1.0}).distances()
        else:
            donors.obsp[f"distance_{name}"] = np.full((donors.n_obs, donors.n_obs), np.nan)
        if not verdict["dropped"]:
            weights[name] = verdict["weight"]
    weights = {name: weight for name, weight in weights.items() if name in names}
    usable = bool(weights)
    choice = (
        choose_view(opened, weights)
        if channels == "clearest"
        else Choice(weights, {}, even_axes and GENES in weights)
    )
    weights = choice.weights
    if not usable:
        every = [name for name in CHANNELS if report[name]["measured"]]
        measured = [name for name in every if name in names] or every
        weights = {min(measured, key=lambda name: report[name]["q"]): 1.0} if measured else {}
    if weights:
        fused = opened.with_weights(weights, even_axes=choice.even_axes)
        donors.obsp[slots.DISTANCE] = fused.distances()
    else:
        donors.obsp[slots.DISTANCE] = np.full((donors.n_obs, donors.n_obs), np.nan)
    reason = (
        f"groups show more clearly through {' + '.join(sorted(weights))}"
        if channels == "clearest"
        else f"settings name only {' + '.join(sorted(names))}"
    )
    for name, verdict in report.items():
        verdict["used"] = name in weights
        verdict["even_axes"] = name == GENES and choice.even_axes
        if not verdict["dropped"] and name not in choice.weights:
            verdict["why"] = f"set aside: {reason}"
    donors.uns["channels"] = {
        **report,
        "usable": usable,
        "used": sorted(weights),
        **choice.report(),
        "max_batch_share": float(max_batch_share),
        "min_reliability": float(min_reliability),
    }


def fitted(donors: AnnData) -> DonorMap:
    """The map with the weights that `distances` decided."""
    channels = donors.uns["channels"]
    weights = {
        name: float(channels[name]["weight"]) or 1.0
        for name in CHANNELS
        if name in [str(used) for used in channels["used"]]
    }
    even = bool(channels[GENES].get("even_axes", False))
    return open_map(donors).with_weights(weights, even_axes=even)


def _judge(
    donors: AnnData,
    opened: DonorMap,
    halves: Callable[[], Sequence[DonorSums]],
    name: str,
    max_share: float,
    min_reliability: float,
) -> dict[str, Any]:
    out: dict[str, Any] = {"measured": False, "dropped": True, "r": 0.0, "q": 0.0, "weight": 0.0}
    if opened.rows.size < MIN_ROWS:
        return {
            **out,
            "why": f"only {plural(opened.rows.size, 'donor has', 'donors have')} enough cells, "
            f"{MIN_ROWS} are needed",
        }
    if name == STATE and (opened.settings.pool < 0).all():
        return {**out, "why": "no cell type has enough cells in enough donors"}
    if name == CLUSTER_FREE and opened.sums.cloud is None:
        return {**out, "why": "the profile holds no sums of waves"}
    if name == GENES and opened.sums.genes is None:
        return {**out, "why": _why_no_genes(donors)}
    alone = opened.with_weights({name: 1.0})
    batch = opened.batch[opened.rows]
    raw = opened.with_weights({name: 1.0}, residual=False)
    q = batch_share(map_donors(raw.discovery, batch, raw.settings), batch)
    r = _reliability(alone, halves())
    out = {**out, "measured": True, "r": round(r, 6), "q": round(q, 6) if np.isfinite(q) else 1.0}
    if not np.isfinite(q):
        return {
            **out,
            "why": "every donor has a batch of its own: batch and donor cannot be told apart",
        }
    if is_made_by_batch(alone, name, q, max_share):
        why = f"batch explains {q:.2f} of it before correction, {max_share:g} or more is too much"
        return {**out, "why": why}
    shared = [channel.n_shared for channel in alone.channels if isinstance(channel, GeneChannel)]
    if shared == [0]:
        return {**out, "why": "donors share no axis in their genes beyond what chance gives"}
    if r < min_reliability:
        why = f"split-half reliability is {r:.2f}, below {min_reliability:g}"
        return {**out, "why": why}
    return {**out, "dropped": False, "weight": round(r, 6), "why": ""}


def _why_no_genes(donors: AnnData) -> str:
    """Why a profile holds no counts of genes."""
    told = donors.uns.get(slots.GENES)
    return str(told["why"]) if told else "the profile holds no counts of genes"


def _reliability(alone: DonorMap, halves: Sequence[DonorSums]) -> float:
    """Spearman-Brown corrected correlation of the distances in two halves of each row's cells."""
    rows, batch, settings = alone.rows, alone.batch[alone.rows], alone.settings
    upper = np.triu_indices(rows.size, 1)
    channels = fit_channels(alone.discovery, batch, settings)
    # A half has half the cells: a type present in the whole must not vanish from both halves.
    relaxed = replace(settings, min_cells=max(settings.min_cells // 2, 1))
    first, second = (
        fused_distances(channels, relaxed, place_all(channels, half.take(rows), batch, relaxed))[
            upper
        ]
        for half in halves
    )
    if min(first.std(), second.std()) == 0:
        return 0.0
    correlation = float(np.corrcoef(first, second)[0, 1])
    return max(2 * correlation / (1 + correlation), 0.0) if correlation > -1 else 0.0
