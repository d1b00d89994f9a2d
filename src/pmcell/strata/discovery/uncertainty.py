"""How sure each donor's place is: conformal sets, fit to any stratum, verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.donor_map import CHANNELS
from pmcell.core.donors.resample import FOLDS, stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.conformal import NEW, Calibration, Placed, place_on
from pmcell.strata.discovery.probability import stratum_probability
from pmcell.strata.discovery.refit import cut, refit, to_strata
from pmcell.strata.discovery.sizes import DONORS_PER_K
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NOVEL = 0.04
"""A row fits no stratum if its p over all strata is at most this."""
BORDER = 0.1
"""A row with less margin lies between strata, even if the sets of both are too narrow for it."""
RIVAL = 0.125
"""A finer partition that weighs this much is looked at too before a new donor is assigned.

A quarter of the bootstraps, which are half of the weight.
"""
MIN_BATCHES = 3
"""Batches that must be left out in turn to say what a new one does to a donor's place."""
EMPTY_SET = "none"
NEW_BATCH = "new_batch"


@single_thread
def place(donors: AnnData, *, coverage: float = 0.9, n_folds: int = 10, seed: int = 0) -> None:
    """Say for each row which strata it may belong to, and whether it fits any of them.

    Parameters
    ----------
    donors
        Donors after `existence`. Donors who took no part in discovery are placed too.
    coverage
        Share of each stratum's donors whose set shall hold it.
    n_folds
        Runs that each leave some donors out.
    seed
        Seed of the folds.

    Notes
    -----
    Donors are dealt into folds, all visits together and each stratum evenly. For each fold
    everything is fitted again without its donors (types, noise, gate, batch offsets, strata;
    names matched to the full analysis), and they are placed on the result. Their misfits to
    their own stratum are what others are ranked against (`pmcell.strata.discovery.conformal`;
    the row's donor is not counted): a stratum is in a row's set unless fewer than
    1 - `coverage` of the stratum's donors fit it as badly. A stratum with fewer than
    1/(1 - `coverage`) donors can never be ruled out so; it takes no part in the sets and its
    donors have none. `ood_p` ranks the misfit to the stratum that fits best among those of all
    donors. It sees the fused distance and each feature set that is reliable, used or not.

    A row of a batch in which no donor of the strata was measured is compared with donors of
    batches left out in turn instead, so that its set is as wide as batches make it; what the
    batch adds to the distances to all strata alike does not count in the set. That needs three
    batches or more and 20 donors besides each; else it is refused: verdict `new_batch`.

    `probability` becomes the share of bootstraps that agree, averaged over the numbers of strata
    by how far bootstraps are for each (`pmcell.strata.discovery.probability`).

    Verdicts: `new_batch`; `novel` (`ood_p` ≤ 0.04); `ambiguous` (two strata or more in the set,
    or another than the row's own; a probability below one half; a margin below 0.1: as far from
    its own stratum as from another); else `assigned`. A donor who took no part in finding the
    strata may be of a kind that was never seen: it is `ambiguous` as well where its set is
    empty or its p over all strata is at most 1 - `coverage`, in the chosen partition or in a
    finer one that is nearly as likely. Among donors who made the strata an empty set alone
    is no reason for doubt: where strata lie far apart, 1 - `coverage` of them have one.

    What the sets hold is measured in simulated donors never seen in training
    (tests/benchmarks/strata/RESULTS.md). They cannot be right where the number of strata is
    wrong: the second of two strata found as one has no name.

    Nothing is written unless the decision is `strata`. Writes obs conformal_set (strata joined by
    ';', 'none' for an empty set, '' where there is no set), ood_p, margin (1 at the own stratum's
    mean, 0 on the border, negative nearer another), probability, status, stratum;
    uns['placement'].

    Examples
    --------
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
    study = _Study.of(donors)
    own = study.labels[0]
    need = math.ceil(1.0 / (1.0 - coverage) - 1e-9)
    calibrated = np.bincount(own[study.rows], minlength=study.ks[0]) >= need
    folds = _folds(own[study.rows], n_folds, seed)
    held_out = _held_out(donors, study, folds)
    placed = held_out.place(study, held_out)
    fresh, batches = study.in_new_batch, None
    if fresh.any():
        batches = _batch_folds(study, n_folds)
    if batches is not None:
        again = held_out.place(study, _held_out(donors, study, batches), batch_unseen=True)
        placed = [one.replaced(fresh, other) for one, other in zip(placed, again, strict=True)]
    refused = fresh & (batches is None)
    probability = stratum_probability(donors, held_out.same)
    _write(donors, study, placed, calibrated, refused, held_out.margin, probability, coverage)
    donors.uns["placement"] = {
        "coverage": float(coverage),
        "n_folds": int(folds.max()) + 1,
        "donors_needed_for_a_set": need,
        "novel_at": NOVEL,
        "strata_without_set": np.array(
            [f"S{index + 1}" for index in np.flatnonzero(~calibrated)], object
        ),
        "new_batches": np.array(sorted(set(study.batch[fresh & ~refused])), object),
        "batches_without_set": np.array(sorted(set(study.batch[refused])), object),
        "fold_agreement": float(held_out.same[study.rows].mean()),
        "seed": int(seed),
    }


def reset(donors: AnnData) -> None:
    """Forget an earlier placement."""
    donors.uns.pop("placement", None)
    for name in (slots.CONFORMAL, slots.OOD, slots.MARGIN):
        if name in donors.obs:
            del donors.obs[name]


@dataclass(frozen=True)
class _Study:
    """The full analysis: discovery rows, each row's strata, donor, batch and training donor.

    `labels` (rows,) for each number of strata in `ks`: the chosen one first, then the finer ones
    that weigh `RIVAL` or more. `sets` are the distances that donors are placed by (obsp), the
    fused one first; `trained` is the number of the row's donor among the discovery rows, or `NEW`.
    """

    rows: Ints
    ks: tuple[int, ...]
    labels: tuple[Ints, ...]
    donor: NDArray[np.object_]
    batch: NDArray[np.object_]
    trained: Ints
    in_new_batch: Bools
    sets: tuple[str, ...]

    @classmethod
    def of(cls, donors: AnnData) -> _Study:
        """Read it from the donors' AnnData."""
        rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)
        donor = as_text(donors.obs["donor_id"]).to_numpy(object)
        batch = as_text(donors.obs["batch_id"]).to_numpy(object)
        number = {name: index for index, name in enumerate(donor[rows])}
        ks = [int(k) for k in donors.uns["clustering"]["ks"]]
        chosen = ks.index(int(donors.uns["existence"]["k"]))
        weight = np.asarray(donors.uns["existence"]["k_support"], np.float64)
        used = [chosen, *(index for index in range(chosen + 1, len(ks)) if weight[index] >= RIVAL)]
        labels = np.asarray(donors.obsm[slots.LABELS], np.int64)
        return cls(
            rows,
            tuple(ks[index] for index in used),
            tuple(labels[:, index] for index in used),
            donor,
            batch,
            np.array([number.get(name, NEW) for name in donor], np.int64),
            donors.obs[slots.ENOUGH].to_numpy() & ~np.isin(batch, batch[rows]),
            _feature_sets(donors),
        )


def _feature_sets(donors: AnnData) -> tuple[str, ...]:
    """The fused distance, and each reliable feature set that is not all of it."""
    report = donors.uns["channels"]
    used = [str(name) for name in report["used"]]
    least = float(report["min_reliability"])
    alone = [
        f"{slots.DISTANCE}_{name}"
        for name in CHANNELS
        if report[name]["measured"] and float(report[name]["r"]) >= least and used != [name]
    ]
    return (slots.DISTANCE, *alone)


@dataclass(frozen=True)
class Frozen:
    """What placing a new donor needs: how the donors of the strata look to models without them.

    Attributes
    ----------
    ks, labels
        Numbers of strata looked at, the chosen one first, and the stratum of each discovery
        row for each.
    sets
        Distances that donors are placed by (obsp), the fused one first.
    by_donor, by_batch
        For each number of strata, squared distance of each discovery row to each stratum's
        mean (sets, donors, k), by models without the donor and without its batch; None where
        too few batches or donors are left.
    """

    ks: tuple[int, ...]
    labels: tuple[Ints, ...]
    sets: tuple[str, ...]
    by_donor: tuple[Floats, ...]
    by_batch: tuple[Floats, ...] | None


@single_thread
def freeze(donors: AnnData, *, n_folds: int = 10, seed: int = 0) -> Frozen:
    """Leave donors, and batches, out in turn as `place` does, for donors who come later.

    Raises UsageError for donors without published strata.
    """
    require(donors, "existence", "existence")
    if donors.uns["existence"]["decision"] != STRATA:
        raise UsageError("there are no published strata on which a donor could be placed")
    study = _Study.of(donors)
    rows = study.rows

    def without(fold: Ints) -> tuple[Floats, ...]:
        return tuple(known[:, rows] for known in _held_out(donors, study, fold).towards)

    batches = _batch_folds(study, n_folds)
    return Frozen(
        study.ks,
        tuple(labels[rows] for labels in study.labels),
        study.sets,
        without(_folds(study.labels[0][rows], n_folds, seed)),
        None if batches is None else without(batches),
    )


@dataclass(frozen=True)
class _HeldOut:
    """Every row as a model sees it that did not know the row's donor.

    `towards` (feature sets, rows, k) squared distance to each stratum's mean, for each number of
    strata; `margin` (rows,); `same` (rows,) the share of these models that place the row in its
    stratum.
    """

    towards: list[Floats]
    margin: Floats
    same: Floats

    def place(
        self, study: _Study, reference: _HeldOut, *, batch_unseen: bool = False
    ) -> list[Placed]:
        """These rows among the discovery donors as `reference` sees them, for each partition."""
        return [
            place_on(
                Calibration(known[:, study.rows], labels[study.rows]),
                towards,
                study.trained,
                batch_unseen=batch_unseen,
            )
            for towards, known, labels in zip(
                self.towards, reference.towards, study.labels, strict=True
            )
        ]


def _held_out(donors: AnnData, study: _Study, fold: Ints) -> _HeldOut:
    """Leave out each fold (of the discovery donors) in turn.

    Donors who took no part in discovery are placed by the full analysis, which does not know them;
    `same` counts where each run places them.
    """
    own = study.labels[0]
    towards = [
        _towards(donors, study.sets, study.rows, labels[study.rows], k)
        for k, labels in zip(study.ks, study.labels, strict=True)
    ]
    seen, same = np.zeros(own.size), np.zeros(own.size)
    for number in range(int(fold.max()) + 1):
        held = np.isin(study.donor, study.donor[study.rows[fold == number]])
        model = refit(donors, ~held)
        judged = held | (study.trained == NEW)
        seen[judged] += 1
        same[judged] += (model.to_strata.argmin(axis=1) == own)[judged]
        for k, labels, of_all in zip(study.ks, study.labels, towards, strict=True):
            found = cut(model.squared, model.rows, k, labels)
            of_all[:, held] = _towards(model.donors, study.sets, model.rows, found, k)[:, held]
    return _HeldOut(towards, _margin(towards[0][0], own), same / np.maximum(seen, 1))


def _towards(donors: AnnData, sets: tuple[str, ...], rows: Ints, labels: Ints, k: int) -> Floats:
    return np.stack([to_strata(np.asarray(donors.obsp[name]), rows, labels, k) for name in sets])


def _margin(squared: Floats, own: Ints) -> Floats:
    """Distance to the nearest other stratum minus that to the own, over the larger; NaN without."""
    distance = np.sqrt(np.maximum(squared, 0.0))
    row = np.arange(own.size)
    to_own = distance[row, own]
    distance[row, own] = np.inf
    other = distance.min(axis=1)
    margin = (other - to_own) / np.maximum(np.maximum(other, to_own), 1e-12)
    return np.where(own >= 0, margin, np.nan)


def _folds(label: Ints, n_folds: int, seed: int) -> Ints:
    """A fold for each donor: strata one after the other, each in random order, dealt in turn."""
    shuffled = stream(seed, FOLDS, 0).permutation(label.size)
    order = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(label.size, np.int64)
    fold[order] = np.arange(label.size) % min(n_folds, label.size)
    return fold


def _batch_folds(study: _Study, n_folds: int) -> Ints | None:
    """A fold for each discovery donor, batches together; None where that leaves too few donors."""
    names, code = np.unique(study.batch[study.rows], return_inverse=True)
    if names.size < MIN_BATCHES:
        return None
    fold = np.asarray(code % n_folds, np.int64)
    left = study.rows.size - np.bincount(fold)
    return fold if int(left.min()) >= 2 * DONORS_PER_K else None


def _write(
    donors: AnnData,
    study: _Study,
    placed: list[Placed],
    calibrated: Bools,
    refused: Bools,
    margin: Floats,
    probability: Floats,
    coverage: float,
) -> None:
    enough = donors.obs[slots.ENOUGH].to_numpy()
    rare = 1.0 - coverage + 1e-9
    chosen = placed[0]
    inside = (chosen.stratum_p > rare) & calibrated
    own = np.maximum(study.labels[0], 0)
    has_set = enough & calibrated[own] & ~refused
    n_inside = inside.sum(axis=1)
    settled = (n_inside == 1) & inside[np.arange(own.size), own]
    worst_fit = np.min([one.fit_p for one in placed], axis=0)
    unlike = (study.trained == NEW) & ((has_set & (n_inside == 0)) | (worst_fit <= rare))
    doubtful = (
        (np.nan_to_num(margin, nan=1.0) < BORDER)
        | (np.nan_to_num(probability, nan=1.0) < 0.5)
        | (has_set & (n_inside > 0) & ~settled)
        | unlike
    )
    status = np.where(doubtful, "ambiguous", "assigned")
    status = np.where(chosen.fit_p <= NOVEL, "novel", status)
    status = np.where(refused, NEW_BATCH, status)
    status = np.where(enough, status, "too_few_cells").astype(object)
    candidate = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)
    values: dict[str, Any] = {
        slots.STATUS: status,
        slots.STRATUM: np.where(status == "assigned", candidate, "").astype(object),
        slots.PROBABILITY: probability,
        slots.CONFORMAL: np.array(
            [_joined(row) if known else "" for row, known in zip(inside, has_set, strict=True)],
            object,
        ),
        slots.OOD: np.where(enough & ~refused, chosen.fit_p, np.nan),
        slots.MARGIN: np.where(enough, margin, np.nan),
    }
    for name, value in values.items():
        donors.obs[name] = value


def _joined(row: Bools) -> str:
    return ";".join(f"S{index + 1}" for index in np.flatnonzero(row)) or EMPTY_SET
