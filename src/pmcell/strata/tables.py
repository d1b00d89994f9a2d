"""What the stratification publishes: tables of strata and assignments, and strata.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import CLUSTER_FREE
from pmcell.core.donors.donor_map import CHANNELS
from pmcell.limitations import limitation
from pmcell.schema import UNKNOWN, Verdict
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata.association.confounding import notes
from pmcell.strata.association.movement import why_no_steps
from pmcell.strata.discovery.cluster import histogram
from pmcell.strata.discovery.sizes import DONORS_PER_K
from pmcell.strata.discovery.uncertainty import MIN_BATCHES
from pmcell.strata.explanation.contrasts import design_of_study
from pmcell.strata.explanation.drivers import drivers
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import pool_names, require, require_profile

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_BATCH = 4
"""Donors that a batch needs before its offset means much."""
SMALL_STRATUM = 10
VERDICTS = ("assigned", "ambiguous", "novel", "new_batch", "too_few_cells")
N_AXES = 3
DIGITS = 6


def assignments(donors: AnnData) -> pd.DataFrame:
    """Place of each donor and visit (columns of schema.ASSIGNMENTS).

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> assignments(donors)["status"].unique().tolist()
    ['withheld']
    """
    require(donors, "existence", "existence")
    import pandas as pd

    obs = donors.obs
    axes = np.asarray(donors.obsm[slots.AXES])
    frame = pd.DataFrame(
        {
            "donor_id": as_text(obs["donor_id"]).to_numpy(object),
            "visit": as_text(obs["visit"]).to_numpy(object),
            "stratum": _or_none(obs[slots.STRATUM]),
            "candidate_stratum": _or_none(obs[slots.CANDIDATE]),
            "status": as_text(obs[slots.STATUS], missing="").to_numpy(object),
            "probability": obs[slots.PROBABILITY].to_numpy(float),
            **_placement(donors),
            "n_cells": obs["n_cells"].to_numpy(np.int64),
            "left_out": left_out(donors),
        }
    )
    placed = obs[slots.ENOUGH].to_numpy()
    for index in range(N_AXES):
        column = axes[:, index] if index < axes.shape[1] else np.full(donors.n_obs, np.nan)
        frame[f"axis_{index + 1}"] = np.where(placed, column, np.nan)
    return frame


def left_out(donors: AnnData) -> list[str]:
    """Return why each visit had no part in finding strata; '' for those that had.

    Parameters
    ----------
    donors
        Donors after `profile`.

    Returns
    -------
    list of str
        A reason a row, with the cells of the visit and the cells that it needs.

    Examples
    --------

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=2, cells_per_donor=30, n_visits=2)
    >>> left_out(pm.strata.profile(cells))
    ['', 'another visit of the donor is used', '', 'another visit of the donor is used']
    """
    require_profile(donors)
    limit = int(donors.uns["profile"]["min_cells_donor"])
    rows = donors.obs[["n_cells", slots.ENOUGH, slots.DISCOVERY]]
    reasons = []
    for n_cells, has_enough, is_used in rows.itertuples(index=False, name=None):
        if not has_enough:
            noun = "cell" if n_cells == 1 else "cells"
            reasons.append(f"{int(n_cells):,} {noun}, {limit:,} are needed")
        else:
            reasons.append("" if is_used else "another visit of the donor is used")
    return reasons


def _placement(donors: AnnData) -> dict[str, Any]:
    """What `place` found; nulls where it was not called or strata are withheld."""
    if "placement" not in donors.uns:
        nothing = np.full(donors.n_obs, np.nan)
        return {slots.CONFORMAL: [None] * donors.n_obs, slots.OOD: nothing, slots.MARGIN: nothing}
    return {
        slots.CONFORMAL: _or_none(donors.obs[slots.CONFORMAL]),
        slots.OOD: donors.obs[slots.OOD].to_numpy(float),
        slots.MARGIN: donors.obs[slots.MARGIN].to_numpy(float),
    }


def strata_table(donors: AnnData) -> pd.DataFrame:
    """The published strata (columns of schema.STRATA); no rows unless the decision is `strata`.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(strata_table(donors))
    0
    """
    require(donors, "existence", "existence")
    import pandas as pd

    columns = ["stratum", "n_donors", "stability", "medoid_donor_id", "description"]
    if donors.uns["existence"]["decision"] != STRATA:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)[chosen]
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)[chosen]
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(chosen, chosen)]
    stable = stability(donors)
    parts = drivers(donors)
    rows = []
    for name in sorted(set(label)):
        members = np.flatnonzero(label == name)
        medoid = members[squared[np.ix_(members, members)].sum(axis=1).argmin()]
        description = _describe(donors, parts, donor[members])
        rows.append((name, members.size, stable[name], donor[medoid], description))
    return pd.DataFrame(rows, columns=columns)


def stability(donors: AnnData) -> dict[str, float]:
    """Mean consensus of each candidate stratum's pairs of donors over bootstraps."""
    require(donors, "existence", "existence")
    k = int(donors.uns["existence"]["k"])
    if not k:
        return {}
    consensus = np.asarray(donors.uns["clustering"]["consensus"][str(k)])
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)[chosen]
    out = {}
    for name in sorted(set(label)):
        members = label == name
        pairs = consensus[np.ix_(members, members)][np.triu_indices(int(members.sum()), 1)]
        out[name] = float(pairs.mean())
    return out


def summary(donors: AnnData) -> dict[str, Any]:
    """All that strata.json says, as plain values: `verdict` for JSON.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> summary(donors)["why"]
    '8 donors have enough cells, 20 are needed'
    """
    return verdict(donors).as_json()


def verdict(donors: AnnData) -> Verdict:
    """Return the verdict on strata: decision, test, stability, what is not published and why.

    Parameters
    ----------
    donors
        Donors after `existence`, and `place`, `generalise` and `associate` where they were called.

    Returns
    -------
    Verdict
        What `strata.json` says; each field has its sentence in `pmcell.schema.verdict`.

    Examples
    --------

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> verdict(donors).decision
    'too few donors'
    """
    require(donors, "existence", "existence")
    existence, clustering = donors.uns["existence"], donors.uns["clustering"]
    k = int(existence["k"])
    value = {
        "intended_use": "research use only",
        "decision": existence["decision"],
        "why": existence["why"],
        "limitations": _limitations(donors),
        "design": design_of_study(donors),
        **{name: existence[name] for name in ("power",) if name in existence},
        "n_donors": int(donors.obs["donor_id"].nunique()),
        "n_donors_used": int(donors.obs[slots.DISCOVERY].sum()),
        "n_visits": int(donors.n_obs),
        "existence": {
            name: item
            for name, item in existence.items()
            if name not in ("decision", "why", "power")
        },
        "channels": {name: donors.uns["channels"][name] for name in CHANNELS},
        "clustering": {
            **{
                name: item
                for name, item in clustering.items()
                if name not in ("consensus", "silhouette_of_runs")
            },
            "consensus_histogram": histogram(clustering["consensus"][str(k)]) if k else [],
        },
        "stability": stability(donors),
        "placement": _placed(donors),
        "generalisation": dict(donors.uns.get("generalisation", {})),
        "cell_types": _types(donors),
        "not_tested": dict(donors.uns.get("not_tested", {})),
        "adjusted": dict(donors.uns.get("adjusted", {})),
        "warnings": _warnings(donors),
        "withheld": _withheld(donors),
        "parameters": {
            "profile": {
                name: item
                for name, item in donors.uns["profile"].items()
                if not name.startswith("state_")
            },
            "max_batch_share": donors.uns["channels"]["max_batch_share"],
            "min_reliability": donors.uns["channels"]["min_reliability"],
        },
        "seed": int(existence["seed"]),
    }
    return Verdict.from_json(_plain(value))


def _limitations(donors: AnnData) -> list[str]:
    """What to know before the decision; in words alone, since withheld donors may be counted."""
    found = []
    used = donors.obs[slots.DISCOVERY].to_numpy(bool)
    if 2 * int(used.sum()) < donors.obs["donor_id"].nunique():
        limit = int(donors.uns["profile"]["min_cells_donor"])
        found.append(
            "Strata were sought in fewer than half of the donors: the others have fewer than "
            f"{limit:,} cells at every visit."
        )
    sampled = donors.layers.get(slots.SAMPLED)
    if sampled is not None and len(np.unique(np.asarray(sampled)[used], axis=0)) > 1:
        found.append(
            "Not all donors gave the same tissues, so groups of donors may be their tissues: to "
            "seek strata in one tissue, run its cohorts alone (`cohorts` in config/config.yaml)."
        )
    return found


def _placed(donors: AnnData) -> dict[str, Any]:
    """How `place` was made, and the rows (donor and visit) of each verdict."""
    if "placement" not in donors.uns:
        return {}
    status = as_text(donors.obs[slots.STATUS], missing="")
    counts = {name: int((status == name).sum()) for name in VERDICTS}
    return {**donors.uns["placement"], "visits": counts}


def _describe(donors: AnnData, parts: pd.DataFrame, members: NDArray[np.object_]) -> str:
    """The three parts that set a stratum apart most, with their share of the mean difference."""
    own = parts[parts["donor_id"].isin(list(members))]
    mean = own.groupby(["channel", "cell_type"])["contribution"].mean()
    total = float(mean.sum())
    top = mean.sort_values(ascending=False, kind="stable").head(3)
    if total <= 0:
        return "no cell type sets it apart on average"
    named = [
        f"{channel} of {cell_type} ({part / total:.0%})"
        for (channel, cell_type), part in top.items()
        if part > 0
    ]
    return "set apart by " + ", ".join(named)


def _types(donors: AnnData) -> dict[str, Any]:
    pool = as_text(donors.var[slots.POOL], missing="")
    members = {str(name): sorted(map(str, own.index)) for name, own in pool.groupby(pool)}
    return {
        "in_state_channel": pool_names(donors),
        "pools_of_rare_types": {
            name: own for name, own in members.items() if name and own != [name]
        },
        "in_composition_only": members.get("", []),
    }


def _warnings(donors: AnnData) -> list[str]:
    out = []
    chosen = donors.obs[donors.obs[slots.DISCOVERY].to_numpy()]
    size = as_text(chosen["batch_id"]).value_counts().sort_index()
    if len(size) == 1 and len(chosen):
        out.append(
            "All donors are in one batch: what it adds cannot be told from what donors share."
        )
    out += notes(chosen)
    small = [name for name, n in size.items() if n < MIN_BATCH]
    if small and len(size) > 1:
        out.append(
            f"Batches with fewer than {MIN_BATCH} donors ({', '.join(small)}): "
            "their offset is a guess."
        )
    if [str(name) for name in donors.uns["channels"]["used"]] == [CLUSTER_FREE]:
        out.append(
            "Only the cluster-free channel is used. The test says strata too often through it "
            "where donors without strata differ along several factors (6 times of 60 at p ≤ 0.05 "
            "in simulated donors) or a few lie far from all others (6 of 40). Take such strata for "
            "a hint and look for them in other donors."
        )
    if UNKNOWN in donors.var_names:
        share = float(np.asarray(donors[:, UNKNOWN].X).sum() / max(np.asarray(donors.X).sum(), 1))
        out.append(
            f"{share:.1%} of the cells have an unknown type; they count in the composition only."
        )
    if donors.uns["existence"]["decision"] == STRATA:
        label = as_text(chosen[slots.CANDIDATE], missing="").value_counts().sort_index()
        few = [name for name, n in label.items() if n < SMALL_STRATUM]
        if few:
            out.append(
                f"Strata with fewer than {SMALL_STRATUM} donors ({', '.join(few)}): "
                "confirm them elsewhere."
            )
        out += _no_sets(donors)
        out.append(limitation("descriptive_strata"))
    return out


def _no_sets(donors: AnnData) -> list[str]:
    placement = donors.uns.get("placement")
    if not placement:
        return []
    out = []
    if len(placement["strata_without_set"]):
        names = ", ".join(str(name) for name in placement["strata_without_set"])
        out.append(
            f"No {float(placement['coverage']):.0%} set can be given for {names}: fewer than "
            f"{int(placement['donors_needed_for_a_set'])} donors cannot rule a stratum out."
        )
    if len(placement["batches_without_set"]):
        names = ", ".join(str(name) for name in placement["batches_without_set"])
        out.append(
            f"New batch: no set ({names}). No donor of the strata was measured there, and what a "
            f"batch does to a donor's place takes {MIN_BATCHES} batches to see, with "
            f"{2 * DONORS_PER_K} donors besides each."
        )
    return out


def _withheld(donors: AnnData) -> list[dict[str, str]]:
    decision, why = (donors.uns["existence"][name] for name in ("decision", "why"))
    labels = "" if decision == STRATA else f"{decision}: {why}"
    reasons = {
        "Stratum labels, their drivers and probabilities": labels,
        "Steps between visits (movement)": why_no_steps(donors),
    }
    return [{"what": what, "why": why} for what, why in reasons.items() if why]


def _or_none(column: pd.Series[Any]) -> list[str | None]:
    return [str(value) or None for value in column]


def _plain(value: Any) -> Any:
    """Values that JSON can hold: rounded floats, None for what is not a number."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    return str(value)
