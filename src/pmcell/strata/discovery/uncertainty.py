"""How sure each donor's place is: conformal sets, out-of-distribution p, verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.resample import FOLDS, stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.refit import full_labels, refit, to_strata
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

N_NEIGHBOURS = 10
NOVEL = 0.05
"""A row that fits no stratum is novel if its out-of-distribution p is at most this."""
BORDER = 0.1
"""A row with less margin lies between strata, even if the sets of both are too narrow for it."""
EMPTY_SET = "none"


@single_thread
def place(donors: AnnData, *, coverage: float = 0.9, n_folds: int = 10, seed: int = 0) -> None:
    """Say for each row which strata it may belong to, and whether it is like any known donor.

    Donors are dealt into folds, all visits together and each stratum evenly.
    For each fold everything is fitted again without its donors (types, noise,
    gate, batch offsets, strata; names matched to the full analysis), and they
    are placed on the result. The score of a row for a stratum is its distance to
    the stratum's mean over that to the nearest other. A stratum is in a row's
    set unless the score is among the 1 - `coverage` largest that the stratum's
    own donors have in their folds (class-wise cross-conformal; the row's donor
    is not counted): among donors like these, `coverage` of each stratum have it
    in their set. A stratum with fewer than 1/(1 - `coverage`) donors can never be
    ruled out so; it takes no part in the sets and its donors have none.

    `ood_p` is the rank of a row's mean squared distance to its nearest
    training donors among those of the discovery donors, each from its own fold.

    Verdicts: `novel` (the set is empty and `ood_p` ≤ 0.05); `ambiguous` (two
    strata or more in the set, or another than the row's own, or fewer than half
    of the bootstraps agree, or a margin below 0.1: as far from its own stratum as
    from another); else `assigned`. An empty set alone is no reason
    for doubt: where strata lie far apart, 1 - `coverage` of their donors have one.

    The sets speak of the stratum that the full analysis gives, not of a truth
    behind it, and of donors exchangeable with these, so not of a new site.
    Nothing is written unless the decision is `strata`.

    Writes obs conformal_set (strata joined by ';', 'none' for an empty set, ''
    where there is no set), ood_p, margin (1 at the own stratum's mean, 0 on the
    border, negative nearer another), status, stratum; uns['placement'].
    Source: Vovk 2015, doi:10.1007/s10472-013-9368-4.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=36, cells_per_donor=150, n_types=4, seed=2)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors, channels="all"), pm.strata.cluster(donors, n_bootstraps=5)
    (None, None)
    >>> pm.strata.existence(donors, n_null=19)
    >>> place(donors), sorted(set(donors.obs["conformal_set"]))
    (None, ['S1', 'S2', 'S3', 'none'])
    """
    require(donors, "existence", "existence")
    if not 0.5 <= coverage < 1 or n_folds < 2:
        raise UsageError(
            f"coverage must be in [0.5, 1) and n_folds at least 2, got {coverage} and {n_folds}"
        )
    reset(donors)
    if donors.uns["existence"]["decision"] != STRATA:
        return
    discovery = donors.obs[slots.DISCOVERY].to_numpy()
    own = full_labels(donors)
    k = int(donors.uns["existence"]["k"])
    size = np.bincount(own[discovery], minlength=k)
    need = math.ceil(1.0 / (1.0 - coverage) - 1e-9)
    calibrated = size >= need
    held_out = _held_out(donors, own, k, n_folds, seed)
    p = _conformal_p(donors, held_out.scores, own, k)
    inside = (p > 1.0 - coverage + 1e-9) & calibrated
    has_set = donors.obs[slots.ENOUGH].to_numpy() & calibrated[np.maximum(own, 0)]
    ood = _rank_among(donors, held_out.far)
    _write(donors, own, inside, has_set, ood, held_out.margin)
    names = [f"S{index + 1}" for index in range(k)]
    donors.uns["placement"] = {
        "coverage": float(coverage),
        "n_folds": int(held_out.n_folds),
        "n_neighbours": int(held_out.n_neighbours),
        "donors_needed_for_a_set": need,
        "strata_without_set": np.array(
            [name for name, enough in zip(names, calibrated, strict=True) if not enough], object
        ),
        "fold_agreement": held_out.agreement,
        "seed": int(seed),
    }


def reset(donors: AnnData) -> None:
    """Forget an earlier placement."""
    donors.uns.pop("placement", None)
    for name in (slots.CONFORMAL, slots.OOD, slots.MARGIN):
        if name in donors.obs:
            del donors.obs[name]


@dataclass(frozen=True)
class _HeldOut:
    """Every row as a model sees it that did not know the row's donor.

    `scores` (rows, k), `far` (rows,) distance to the nearest training donors,
    `agreement` the share of held-out donors nearest to their own stratum.
    """

    scores: Floats
    far: Floats
    margin: Floats
    agreement: float
    n_folds: int
    n_neighbours: int


def _held_out(donors: AnnData, own: Ints, k: int, n_folds: int, seed: int) -> _HeldOut:
    discovery = donors.obs[slots.DISCOVERY].to_numpy()
    rows = np.flatnonzero(discovery).astype(np.int64)
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)
    fold = _folds(own[rows], n_folds, seed)
    # A donor of the smallest stratum must be able to find neighbours in it.
    smallest = int(np.bincount(own[rows], minlength=k).min())
    n_near = min(N_NEIGHBOURS, max(smallest // 2, 1))
    squared = np.asarray(donors.obsp[slots.DISTANCE])
    # Rows of donors who took no part in discovery are held out of the full analysis already.
    towards = to_strata(squared, rows, own[rows], k)
    far = _nearest(squared, rows, n_near)
    for number in range(int(fold.max()) + 1):
        held = np.isin(donor, donor[rows[fold == number]])
        model = refit(donors, ~held)
        towards[held] = model.to_strata[held]
        far[held] = _nearest(model.squared, model.rows, n_near)[held]
    distance = np.sqrt(np.maximum(towards, 0.0))
    scores, margin = np.empty_like(distance), np.full(own.size, np.nan)
    for index in range(k):
        other = np.delete(distance, index, axis=1).min(axis=1)
        scores[:, index] = distance[:, index] / np.maximum(other, 1e-12)
        mine = own == index
        widest = np.maximum(np.maximum(other, distance[:, index]), 1e-12)
        margin[mine] = ((other - distance[:, index]) / widest)[mine]
    agreement = float((towards[rows].argmin(axis=1) == own[rows]).mean())
    return _HeldOut(scores, far, margin, agreement, int(fold.max()) + 1, n_near)


def _folds(label: Ints, n_folds: int, seed: int) -> Ints:
    """A fold for each donor: strata one after the other, each in random order, dealt in turn."""
    shuffled = stream(seed, FOLDS, 0).permutation(label.size)
    order = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(label.size, np.int64)
    fold[order] = np.arange(label.size) % min(n_folds, label.size)
    return fold


def _nearest(squared: Floats, rows: Ints, n_near: int) -> Floats:
    """Mean squared distance of each row to its `n_near` nearest among `rows`."""
    return np.asarray(np.sort(squared[:, rows], axis=1)[:, :n_near].mean(axis=1))


def _conformal_p(donors: AnnData, scores: Floats, own: Ints, k: int) -> Floats:
    """(1 + donors of the stratum with a score as large)/(1 + donors), without the row's donor."""
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)
    out = np.zeros(scores.shape)
    for index in range(k):
        members = rows[own[rows] == index]
        counted = donor[:, None] != donor[members][None, :]
        larger = scores[members, index][None, :] >= scores[:, index][:, None]
        out[:, index] = (1 + (larger & counted).sum(axis=1)) / (1 + counted.sum(axis=1))
    return out


def _rank_among(donors: AnnData, far: Floats) -> Floats:
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)
    counted = donor[:, None] != donor[rows][None, :]
    farther = (far[rows][None, :] >= far[:, None]) & counted
    return np.asarray((1 + farther.sum(axis=1)) / (1 + counted.sum(axis=1)), np.float64)


def _write(
    donors: AnnData, own: Ints, inside: Bools, has_set: Bools, ood: Floats, margin: Floats
) -> None:
    enough = donors.obs[slots.ENOUGH].to_numpy()
    n_inside = inside.sum(axis=1)
    is_own = inside[np.arange(own.size), np.maximum(own, 0)]
    support = donors.obs[slots.PROBABILITY].to_numpy(float)
    between = np.nan_to_num(margin, nan=1.0) < BORDER
    ambiguous = between | (support < 0.5) | (has_set & (n_inside > 0) & ((n_inside > 1) | ~is_own))
    novel = has_set & (n_inside == 0) & (ood <= NOVEL)
    status = np.where(novel, "novel", np.where(ambiguous, "ambiguous", "assigned"))
    status = np.where(enough, status, "too_few_cells").astype(object)
    candidate = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)
    values: dict[str, Any] = {
        slots.STATUS: status,
        slots.STRATUM: np.where(status == "assigned", candidate, "").astype(object),
        slots.CONFORMAL: np.array(
            [_joined(row) if known else "" for row, known in zip(inside, has_set, strict=True)],
            object,
        ),
        slots.OOD: np.where(enough, ood, np.nan),
        slots.MARGIN: np.where(enough, margin, np.nan),
    }
    for name, value in values.items():
        donors.obs[name] = value


def _joined(row: Bools) -> str:
    return ";".join(f"S{index + 1}" for index in np.flatnonzero(row)) or EMPTY_SET
