"""Would the strata be found again without one batch or region, and fit the donors left out?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.spelling import plural
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.refit import full_labels, refit, with_own_offsets
from pmcell.strata.discovery.sizes import DONORS_PER_K
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    from anndata import AnnData

Ints = NDArray[np.int64]

MIN_HELD_OUT = 3
"""Fewer donors left out than this say nothing of a group."""
UNKNOWNS = (UNKNOWN, "")
UNITS = ("region", "batch_id")
"""Columns whose values are left out in turn: the first in which donors differ."""


@single_thread
def generalise(donors: AnnData, *, by: str | None = None) -> dict[str, Any]:
    """Find the strata without each region (or batch), place its donors, compare with the full ones.

    Groups are the values of the column `by` of donors.obs, such as region, cohort_id or
    batch_id; by default regions where the discovery donors come from several, else
    batches. A donor whose group is unknown is neither learned from nor placed. For each
    group everything is fitted on the other donors, with the number of strata of the full
    analysis. `balanced_accuracy` is the mean over the strata present among the donors left
    out of the share that is nearest to its own; the group's batches are new to the model and
    get no offset. `balanced_accuracy_own_offset` lets each new batch with two donors or more
    estimate its offset from where its own donors lie, as a new site would be
    mapped; it presumes a case mix like that of the others. Chance is 1/strata.

    Fitted without the group: which types are usable, the variance within types,
    the gate and the channels' weights, batch offsets, feature weights, axes and
    strata. Seen by the group's cells as well: the embedding, the cell types, and
    the waves of the cluster-free channel (random, of one common width); and the
    number of strata is that of all donors. tests/benchmarks/strata/inductive.py
    leaves the group out of these too.

    Raises UsageError where `by` is no column.

    Returns and writes uns['generalisation']: unit, why (where nothing could be
    tested), and per group: group, n_donors, n_strata, both accuracies, and
    their means over groups.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=36, cells_per_donor=150, n_types=4, seed=2)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors, channels="all"), pm.strata.cluster(donors, n_bootstraps=5)
    (None, None)
    >>> pm.strata.existence(donors, n_null=19)
    >>> generalise(donors)["mean"]
    1.0
    """
    require(donors, "existence", "existence")
    obs = donors.obs
    discovery = obs[slots.DISCOVERY].to_numpy()
    unit, group = _groups(donors, discovery, by)
    aside = np.isin(group, UNKNOWNS)
    n_aside = int((discovery & aside).sum())
    out: dict[str, Any] = {"unit": unit, "why": "", "embedding_left_out": False}
    names: list[str] = []
    results: list[tuple[int, int, float, float]] = []
    skipped: dict[str, str] = {}
    if int(donors.uns["existence"]["k"]) < 2:
        out["why"] = "there are no candidate strata to find again"
    elif np.unique(group[discovery & ~aside]).size < 2:
        known = "one batch and one region" if by is None else f"one {unit}, as far as it is known"
        out["why"] = f"all donors are in {known}"
    else:
        own = full_labels(donors)
        if n_aside:
            skipped["unknown"] = f"{plural(n_aside, 'donor')}, neither learned from nor placed"
        for name in sorted(set(group[discovery & ~aside])):
            why = _too_small(discovery, group == name, aside)
            if why:
                skipped[name] = why
                continue
            names.append(name)
            results.append(_without_group(donors, own, discovery, group == name, aside))
        out["why"] = "; ".join(f"{name}: {why}" for name, why in skipped.items())
    table = np.array(results, np.float64).reshape(-1, 4)
    out |= {
        "group": np.array(names, object),
        "n_donors": table[:, 0].astype(np.int64),
        "n_strata": table[:, 1].astype(np.int64),
        "balanced_accuracy": table[:, 2],
        "balanced_accuracy_own_offset": table[:, 3],
    }
    if len(names):
        out["mean"] = float(table[:, 2].mean())
        out["mean_own_offset"] = float(table[:, 3].mean())
    donors.uns["generalisation"] = out
    return out


def _groups(
    donors: AnnData, discovery: NDArray[np.bool_], by: str | None
) -> tuple[str, NDArray[np.object_]]:
    """The unit to leave out, and each row's."""
    if by is not None and by not in donors.obs:
        raise UsageError(
            f"the donors left out in turn must share a value of a column; {by!r} is none of "
            f"{sorted(map(str, donors.obs.columns))}. Correct the name."
        )
    for unit in UNITS if by is None else (by,):
        if unit in donors.obs:
            group = as_text(donors.obs[unit]).to_numpy(object)
            if by is not None or len(set(group[discovery]) - {*UNKNOWNS}) > 1:
                return unit, group
    return "batch_id", as_text(donors.obs["batch_id"]).to_numpy(object)


def _too_small(
    discovery: NDArray[np.bool_], held: NDArray[np.bool_], aside: NDArray[np.bool_]
) -> str:
    n_held, n_left = int((discovery & held).sum()), int((discovery & ~held & ~aside).sum())
    if n_held < MIN_HELD_OUT:
        return f"{plural(n_held, 'donor')}, {MIN_HELD_OUT} are needed"
    if n_left < 2 * DONORS_PER_K:
        left = plural(n_left, "donor is", "donors are")
        return f"{left} left without it, {2 * DONORS_PER_K} are needed"
    return ""


def _without_group(
    donors: AnnData,
    own: Ints,
    discovery: NDArray[np.bool_],
    held: NDArray[np.bool_],
    aside: NDArray[np.bool_],
) -> tuple[int, int, float, float]:
    rows = np.flatnonzero(discovery & held).astype(np.int64)
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)
    # Other visits of the same people, wherever they were measured, must not teach the model.
    model = refit(donors, ~(held | aside | np.isin(donor, donor[rows])))
    plain = model.to_strata[rows].argmin(axis=1)
    shifted = with_own_offsets(model, rows)[rows].argmin(axis=1)
    return (
        rows.size,
        np.unique(own[rows]).size,
        balanced_accuracy(own[rows], np.asarray(plain, np.int64)),
        balanced_accuracy(own[rows], np.asarray(shifted, np.int64)),
    )


def balanced_accuracy(truth: Ints, found: Ints) -> float:
    """Mean over the classes of `truth` of the share found right."""
    return float(np.mean([(found[truth == label] == label).mean() for label in np.unique(truth)]))
