"""How far a donor moved between two visits, beside what drawing the cells again would do."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    GENES,
    STATE,
    DonorSums,
    Features,
)
from pmcell.core.donors.donor_map import fused_distances, place_all
from pmcell.core.donors.gene_sums import GeneSums
from pmcell.core.donors.resample import MOVES, resample_cells, stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.distances import MIN_ROWS, fitted
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import DonorMap, require

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PAIRS_AT_ONCE = 64
DRAWN_TOGETHER = ({COMPOSITION, STATE}, {GENES}, {CLUSTER_FREE})
"""Channels whose errors a draw of cells makes as one; those of the others it makes apart."""


@single_thread
def movement(donors: AnnData, *, n_draws: int = 499, seed: int = 0) -> pd.DataFrame:
    """Distance from each visit of a donor to the one before, and whether chance explains it.

    `moved` is the root of the squared distance of `distances` (0 where that,
    its noise subtracted, is negative). For `p_value` both visits are drawn
    `n_draws` times from their pooled cells, each with its own number of cells:
    the share of draws that come as far, (1 + #)/(n_draws + 1); with several channels in use it
    is an upper bound, since how their errors go together is not known. It speaks of cell
    sampling alone: a second tube of the same day also differs by how it was
    handled, which nothing here can know. Visits in different batches have no p,
    since the offset between batches is itself uncertain. q is Benjamini-Hochberg
    over all rows with p. Visits follow one another by visit_day where all of a
    donor's are known, else by label.

    Returns the columns of schema.MOVEMENT, a row for each visit with enough
    cells that has one before it at a known distance; strata only where they are published. Raises
    UsageError below 19 draws.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, n_types=3, n_visits=2)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(movement(donors, n_draws=19))  # one step a donor
    8
    """
    require(donors, "existence", "existence")
    if n_draws < 19:
        raise UsageError(f"n_draws must be at least 19, got {n_draws}")
    import pandas as pd

    from pmcell.schema import MOVEMENT

    before, after = visit_steps(donors.obs)
    far = np.asarray(donors.obsp[slots.DISTANCE])[before, after]
    # Of a few donors no channel may be reliable: then there is no distance to speak of.
    known = np.isfinite(far)
    before, after, far = before[known], after[known], far[known]
    batch = as_text(donors.obs["batch_id"]).to_numpy()
    same = batch[before] == batch[after]
    p, typical = np.full(far.size, np.nan), np.full(far.size, np.nan)
    testable = np.flatnonzero(same)
    if testable.size:
        opened = fitted(donors)
        for start in range(0, testable.size, PAIRS_AT_ONCE):
            at = testable[start : start + PAIRS_AT_ONCE]
            drawn = _null(opened, before[at], after[at], n_draws, seed, start)
            p[at] = (1 + (drawn >= far[at]).sum(axis=0)) / (n_draws + 1)
            typical[at] = np.median(np.sqrt(np.maximum(drawn, 0.0)), axis=0)
    q = np.full(far.size, np.nan)
    q[testable] = benjamini_hochberg(p[testable])
    table = pd.DataFrame(
        {
            "donor_id": as_text(donors.obs["donor_id"]).to_numpy(object)[after],
            "visit": as_text(donors.obs["visit"]).to_numpy(object)[after],
            "previous_visit": as_text(donors.obs["visit"]).to_numpy(object)[before],
            "moved": np.sqrt(np.maximum(far, 0.0)),
            "moved_by_chance": typical,
            "p_value": p,
            "q_value": q,
            "same_batch": same,
            "stratum": published_strata(donors)[after],
            "previous_stratum": published_strata(donors)[before],
        }
    )
    return table[MOVEMENT.columns]


def why_no_steps(donors: AnnData) -> str:
    """Why `movement` has no rows though donors have several visits with enough cells; else ''."""
    before, after = visit_steps(donors.obs)
    if not before.size or np.isfinite(np.asarray(donors.obsp[slots.DISTANCE])[before, after]).any():
        return ""
    return (
        f"no distance can be measured, for fewer than {MIN_ROWS} donors have enough cells; how "
        "reliable a distance is shows among as many"
    )


def visit_steps(obs: pd.DataFrame) -> tuple[Ints, Ints]:
    """Rows of each visit with enough cells and of the donor's visit before it."""
    before, after = [], []
    usable = np.flatnonzero(obs[slots.ENOUGH].to_numpy(bool))
    donor = as_text(obs["donor_id"]).to_numpy()
    day = obs["visit_day"].to_numpy(float) if "visit_day" in obs else np.full(len(obs), np.nan)
    for name in dict.fromkeys(donor[usable]):
        own = usable[donor[usable] == name]
        if np.isfinite(day[own]).all():
            own = own[np.argsort(day[own], kind="stable")]
        before += own[:-1].tolist()
        after += own[1:].tolist()
    return np.array(before, np.int64), np.array(after, np.int64)


def published_strata(donors: AnnData) -> NDArray[np.object_]:
    """The published stratum of each visit, None where there is none."""
    if donors.uns["existence"]["decision"] != STRATA:
        return np.full(donors.n_obs, None, object)
    label = as_text(donors.obs[slots.STRATUM], missing="").to_numpy(object)
    stratum = np.array(label, object)
    stratum[label == ""] = None
    return stratum


def _null(
    opened: DonorMap, before: Ints, after: Ints, n_draws: int, seed: int, first: int
) -> Floats:
    """Squared distances of pairs that differ by cell sampling alone (draws × pairs).

    Means in the embedding, genes and waves are of the same cells and err together, but are drawn
    apart. So the largest distances of each are added to the largest of the others: no way in which
    they may depend on each other gives large sums more often.
    """
    pooled = _pooled(opened.sums_in_use, before, after)
    # Both halves of a pair in one batch: its offset is the same in both and drops out.
    batch = np.tile(opened.batch[before], 2)
    parts = [opened.settings.weights.keys() & names for names in DRAWN_TOGETHER]
    out = np.zeros((len(parts), n_draws, before.size))
    for number in range(n_draws):
        drawn = resample_cells(pooled, stream(seed, MOVES, first * n_draws + number))
        placed = place_all(opened.channels, drawn, batch, opened.settings)
        for part, names in zip(out, parts, strict=True):
            part[number] = _of_pairs(opened, placed, names)
    out.sort(axis=1)
    return np.asarray(out.sum(axis=0))


def _of_pairs(opened: DonorMap, placed: Sequence[Features], names: Set[str]) -> Floats:
    """What channels add to the fused squared distance of each row of the first half and its own."""
    used = [(c, rows) for c, rows in zip(opened.channels, placed, strict=True) if c.name in names]
    if not used:
        return np.zeros(())
    weights = opened.settings.weights
    share = sum(weights[name] for name in names) / sum(weights.values())
    n_pairs = used[0][1].x.shape[0] // 2
    left = [rows.take(np.arange(n_pairs)) for _, rows in used]
    right = [rows.take(np.arange(n_pairs, 2 * n_pairs)) for _, rows in used]
    fused = fused_distances([channel for channel, _ in used], opened.settings, left, right)
    return np.asarray(share * np.diag(fused))


def _pooled(sums: DonorSums, before: Ints, after: Ints) -> DonorSums:
    """Shares, means and waves of both visits together, with the cells of the one and the other."""
    n = sums.n[before] + sums.n[after]
    share = n / np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    known = np.nan_to_num(sums.mean) * sums.n[:, :, None]
    weighted = known[before] + known[after]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where((n > 0)[:, :, None], weighted / n[:, :, None], np.nan)
    both = np.concatenate([before, after])
    total = sums.n[both].sum(axis=1, keepdims=True)
    cloud = None
    if sums.cloud is not None:
        cells = sums.cloud.n[before] + sums.cloud.n[after]
        parts = sums.cloud.mean * sums.cloud.n[:, None]
        waves = (parts[before] + parts[after]) / np.maximum(cells, 1.0)[:, None]
        cloud = replace(sums.cloud.take(both), mean=np.tile(waves, (2, 1)))
    n = np.tile(share, (2, 1)) * total
    genes = None if sums.genes is None else _pooled_genes(sums.genes, before, after)
    return DonorSums(n, np.tile(mean, (2, 1, 1)), sums.within, 0.0, cloud, genes)


def _pooled_genes(sums: GeneSums, before: Ints, after: Ints) -> GeneSums:
    """Expression of both visits together, known as exactly as in the one and in the other."""
    size = (sums.size[before] + sums.size[after])[:, :, None]
    parts = np.nan_to_num(sums.mean) * sums.size[:, :, None]
    mean = np.tile((parts[before] + parts[after]) / np.maximum(size, 1e-300), (2, 1, 1))
    own = sums.take(np.concatenate([before, after]))
    return replace(own, mean=np.where((own.size > 0)[:, :, None], mean, np.nan), noise=0.0)
