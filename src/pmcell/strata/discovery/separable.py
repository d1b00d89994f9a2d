"""Whether groups of donors can be told from their batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import chi_square, cramers_v, permutation_p, permutations
from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    GENES,
    STATE,
    require_genes,
)
from pmcell.core.donors.common_shift import squared_between_types, without_common_shift
from pmcell.core.donors.donor_map import map_donors, partition
from pmcell.core.donors.resample import PERMUTE, stream
from pmcell.schema.text import as_text
from pmcell.strata.discovery.null import compare_with_null
from pmcell.strata.discovery.sizes import min_stratum_size
from pmcell.strata.profiles.model import DonorMap

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]

N_PERMUTATIONS = 999

TECHNICAL_FACTORS = {"cohort": "cohort_id", "assay": "assay_ontology_term_id"}
"""What strata must not follow besides the batch: its name in a sentence, its obs column."""


def follows(confounding: dict[str, Any], max_confounding: float) -> bool:
    """Whether labels follow a technical factor so far that they may be it."""
    return bool(confounding["v"] > max_confounding and confounding["p"] <= 0.05)


def strongest_confounding(
    donors: AnnData, opened: DonorMap, labels: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Confounding by the technical factor that the labels follow most.

    Many small batches hide what they share, hence the cohort and the assay as well.
    """
    factors = {"batch": opened.batch[opened.rows]}
    for name, column in TECHNICAL_FACTORS.items():
        if column in donors.obs:
            values = as_text(donors.obs[column]).to_numpy()[opened.rows]
            factors[name] = np.unique(values, return_inverse=True)[1]
    measured = [
        _confounding(labels, codes, seed) | {"factor": name} for name, codes in factors.items()
    ]
    return max(measured, key=lambda item: item["v"])


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


def groups_of_batches(
    donors: AnnData, opened: DonorMap, ks: range, n_null: int, alpha: float, limit: float, seed: int
) -> dict[str, float] | None:
    """Confounding of groups that the removal of batches took away, None if there are none.

    Only what a batch adds to all cell types alike is removed from means in the embedding: that
    is a batch effect whatever the strata are, and makes groups of any study with several
    batches. Composition, state, and expression where batches move types apart, are looked at
    each by itself, whether or not they are reliable or show groups after removal: where strata
    are the batch, nothing is left of them. Waves, of which no common part can be told, are asked
    where they are in use and there is no state besides.
    """
    channels, in_use = donors.uns["channels"], opened.settings.weights
    asked = [name for name in (COMPOSITION, STATE) if channels[name]["measured"]]
    if channels[GENES]["measured"] and _move_types_apart(opened, alpha, seed):
        asked.append(GENES)
    asked += [CLUSTER_FREE] if CLUSTER_FREE in in_use and STATE not in asked else []
    moved = _as_measured(opened)
    found = [
        confounding
        for name in asked
        if (confounding := _groups_in(moved, name, ks, n_null, alpha, limit, seed)) is not None
    ]
    return max(found, key=lambda confounding: confounding["v"], default=None)


def is_made_by_batch(opened: DonorMap, name: str, q: float, limit: float) -> bool:
    """Whether batches make a channel, whose share between them is `q`, to `limit` or more.

    What they add to all cell types alike does not count: strata do not do that.
    """
    batch = opened.batch[opened.rows]
    if q < limit or np.unique(batch).size >= batch.size:
        return q >= limit
    if name == GENES:
        return _move_types_apart(opened)
    if name == STATE:
        raw = _as_measured(opened).with_weights({STATE: 1.0}, residual=False)
        return batch_share(map_donors(raw.discovery, batch, raw.settings), batch) >= limit
    return True


def _move_types_apart(opened: DonorMap, alpha: float = 0.05, seed: int = 0) -> bool:
    """Whether batches change expression in some types more than in others, as strata do.

    By the share of how donors differ between their types that lies between batches, against
    batches dealt anew.
    """
    squared = squared_between_types(require_genes(opened.discovery))
    batch = opened.batch[opened.rows]
    orders = permutations(batch.size, N_PERMUTATIONS, stream(seed, PERMUTE, 0))
    shares = np.array([batch_share(squared, batch[order]) for order in orders])
    return bool(np.isfinite(shares[0]) and permutation_p(shares) <= alpha)


def _as_measured(opened: DonorMap) -> DonorMap:
    """The discovery rows less what their batches add to all cell types alike."""
    settings, batch = opened.settings, opened.batch[opened.rows]
    return replace(
        opened,
        sums=without_common_shift(opened.discovery, batch, settings.n_batches, settings.min_cells),
        donor=opened.donor[opened.rows],
        batch=batch,
        rows=np.arange(opened.rows.size),
    )


def _groups_in(
    moved: DonorMap, channel: str, ks: range, n_null: int, alpha: float, limit: float, seed: int
) -> dict[str, float] | None:
    """Confounding of the groups in a channel, its offsets left in, if they follow the batch."""
    raw = moved.with_weights({channel: 1.0}, residual=False)
    squared = map_donors(raw.discovery, raw.batch, raw.settings)
    found = partition(squared, ks, min_stratum_size(raw.rows.size))
    measured = [_confounding(labels, raw.batch, seed) for labels in found.labels]
    suspects = [
        k
        for k, item, width in zip(ks, measured, found.silhouette, strict=True)
        if follows(item, limit) and np.isfinite(width)
    ]
    if not suspects:
        return None
    result = compare_with_null(raw, ks, n_null, seed, settled=alpha)
    if result.p > alpha or result.k not in suspects:
        return None
    return measured[ks.index(result.k)]


def batch_share(squared: Floats, batch: NDArray[np.int64]) -> float:
    """Share of squared distances between batches: PERMANOVA R², minus its mean under permutation.

    Permuting rows gives R² = (b - 1)/(n - 1) on average, exactly, so
    1 - (1 - R²)(n - 1)/(n - b) is 0 by chance and 1 when batch is everything.
    Anderson 2001, doi:10.1111/j.1442-9993.2001.01070.pp.x. With one batch, 0;
    with as many batches as rows, NaN: nothing can be told.
    """
    n = batch.size
    names = np.unique(batch)
    if names.size < 2:
        return 0.0
    if names.size >= n:
        return float("nan")
    total = squared.sum() / (2 * n)
    within = sum(
        squared[np.ix_(batch == name, batch == name)].sum() / (2 * (batch == name).sum())
        for name in names
    )
    if total <= 0:
        return 0.0
    return float(1.0 - (within / total) * (n - 1) / (n - names.size))
