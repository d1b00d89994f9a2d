"""Whether a donor's whole profile moved toward the reference group or away from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import fused_distances, place_all
from pmcell.core.donors.resample import resample_cells, stream
from pmcell.schema.text import as_text
from pmcell.strata._threads import single_thread
from pmcell.strata.association.movement import visit_steps
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.followup.reference import MIN_REFERENCE, Reference
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NORMAL = 1.96
TOWARDS = 21
"""Purpose of the random stream."""
OTHER_BATCH = "visits in different batches"
DRAWN = "cells and reference donors drawn again"
TO_REFERENCE = "squared distance to the reference group"


@single_thread
def profile_changes(
    donors: AnnData, group: Reference, *, n_draws: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of schema.FOLLOWUP for the mean squared distance to the reference donors.

    The change is `changed` where it exceeds 1.96 standard deviations of the draws, of the cells
    of both visits and of the reference donors. How tubes were handled is not in it, and
    visits in different batches are not judged: the offset between batches is uncertain.
    """
    before, after = visit_steps(donors.obs)
    n_reference = int(group.rows.size)
    if not before.size or n_reference < MIN_REFERENCE:
        return []
    squared = np.asarray(donors.obsp[slots.DISTANCE])
    names = as_text(donors.obs["donor_id"]).to_numpy(object)
    # Nobody is compared with themselves.
    other = names[before][:, None] != names[group.rows][None, :]
    now = _means(squared[np.ix_(after, group.rows)], other, np.ones((1, n_reference)))[0]
    then = _means(squared[np.ix_(before, group.rows)], other, np.ones((1, n_reference)))[0]
    drawn = _drawn(donors, before, after, group.rows, other, n_draws, seed)
    batch = as_text(donors.obs["batch_id"]).to_numpy()
    visit = as_text(donors.obs["visit"]).to_numpy(object)
    day = (
        donors.obs["visit_day"].to_numpy(float)
        if "visit_day" in donors.obs
        else np.full(donors.n_obs, np.nan)
    )
    rows = []
    for index, (first, second) in enumerate(zip(before, after, strict=True)):
        change = float(now[index] - then[index])
        if not np.isfinite(change):
            continue
        same = bool(batch[first] == batch[second])
        limit = NORMAL * float(np.nanstd(drawn[:, index], ddof=1))
        moved = same and abs(change) > limit
        rows.append(
            {
                "donor_id": names[second],
                "visit": visit[second],
                "kind": "profile",
                "quantity": TO_REFERENCE,
                "previous_visit": visit[first],
                "days": day[second] - day[first],
                "unit": "1",
                "previous_value": float(then[index]),
                "value": float(now[index]),
                "change": change,
                "change_unit": "difference",
                "change_limit": limit if same else np.nan,
                "noise_df": None,
                "noise_donors": n_reference if same else None,
                "noise_source": DRAWN if same else OTHER_BATCH,
                "verdict": "changed" if moved else "within noise" if same else "cannot be judged",
                "direction": ("toward" if change < 0 else "away") if moved else "",
                "n_reference": n_reference,
                "same_batch": same,
            }
        )
    return rows


def _drawn(
    donors: AnnData,
    before: Ints,
    after: Ints,
    reference: Ints,
    other: NDArray[np.bool_],
    n_draws: int,
    seed: int,
) -> Floats:
    """Changes of the distance to the reference group (draws × steps)."""
    opened = fitted(donors)
    rows = np.concatenate([before, after])
    sums, batch = opened.sums_in_use.take(rows), opened.batch[rows]
    home = place_all(
        opened.channels, opened.sums.take(reference), opened.batch[reference], opened.settings
    )
    out = np.empty((n_draws, before.size))
    for number in range(n_draws):
        rng = stream(seed, TOWARDS, number)
        placed = place_all(opened.channels, resample_cells(sums, rng), batch, opened.settings)
        squared = fused_distances(opened.channels, opened.settings, placed, home)
        weight = np.bincount(rng.integers(0, reference.size, reference.size), None, reference.size)
        both = _means(squared, np.vstack([other, other]), weight[None, :].astype(float))[0]
        out[number] = both[before.size :] - both[: before.size]
    return out


def _means(squared: Floats, used: NDArray[np.bool_], weight: Floats) -> Floats:
    """Weighted mean of each row over the columns in use (1 × rows); NaN where there are none."""
    share = used * weight
    total = share.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(share > 0, squared * share, 0.0).sum(axis=1) / total
    return np.asarray(found)[None, :]
