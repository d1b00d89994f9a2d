"""Strata as published: `strata.json` and the donor profiles in `donors.h5ad`.

Donors of cohorts without open access are left out row by row. When the
existence test did not find strata, no label leaves: neither the published nor
the candidate one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.io import h5ad
from pmcell.io.verdict import write_verdict
from pmcell.publish.disclosure import slots
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.verdict import redact_facts, redact_verdict
from pmcell.publish.facts import Facts

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ("stratum", "candidate_stratum", "probability", "conformal_set", "ood_p", "margin")
"""Columns of the donors that tell where among the strata they are."""


def write_strata_json(facts: Facts, target: Path) -> None:
    """Write the strata step's verdict, as far as it may be shown."""
    write_verdict(target, redact_verdict(facts.strata, Policy(facts)))


def write_donors(facts: Facts, target: Path) -> None:
    """Profiles and distances of the published donors and visits."""
    import anndata as ad

    policy = Policy(facts)
    donors = ad.read_h5ad(facts.results / "strata" / "donors.h5ad")
    shown = policy.shown(donors.obs["donor_id"])
    obs = donors.obs.loc[shown]
    if not policy.has_strata:
        obs = obs.drop(columns=[name for name in _PLACE if name in obs])
    with h5ad.create_h5ad(target) as file:
        h5ad.write_frame(file, "obs", obs, index="donor_visit")
        h5ad.write_frame(file, "var", _var(policy, donors.var), index="cell_type")
        if donors.X is not None and donors.n_vars:
            h5ad.write_value(file, "X", donors.X[shown])
        # Sums and candidate labels of the strata step are its own; profiles are named X_….
        for name in sorted(key for key in donors.obsm if key.startswith("X_")):
            if policy.is_mixed and name not in slots.DONORS:
                continue
            h5ad.write_value(file["obsm"], name, _rows(donors.obsm[name], shown))
        for name in sorted(donors.obsp):
            h5ad.write_value(file["obsp"], name, _rows(donors.obsp[name], shown)[:, shown])
        if not policy.few_took_part:
            uns = _with_shown_consensus(policy, donors.uns, _discovered(donors.obs, shown))
            h5ad.write_value(file, "uns", _known(redact_facts(uns, policy)))


def _discovered(obs: pd.DataFrame, shown: np.ndarray) -> np.ndarray:
    """Which of the donors that made the strata are published, in the order of the consensus."""
    if "discovery" not in obs:
        return shown
    return np.asarray(shown[obs["discovery"].to_numpy(bool)], bool)


def _with_shown_consensus(
    policy: Policy, uns: Mapping[str, Any], shown: np.ndarray
) -> dict[str, Any]:
    """`uns` with the consensus of published donors, or none: its blocks are the withheld strata."""
    if "clustering" not in uns:
        return dict(uns)
    clustering = dict(uns["clustering"])
    consensus = clustering.pop("consensus", {})
    if policy.has_strata:
        clustering["consensus"] = {
            k: np.asarray(matrix)[np.ix_(shown, shown)] for k, matrix in consensus.items()
        }
    return {**uns, "clustering": clustering}


def _var(policy: Policy, var: pd.DataFrame) -> pd.DataFrame:
    """Columns of the cell types; counts over all donors only where no donor is withheld."""
    counts = [name for name in var.columns if name.startswith("n_")]
    return var.drop(columns=counts) if policy.is_mixed else var


def _rows(values: Any, shown: np.ndarray) -> Any:
    import pandas as pd
    import scipy.sparse as sp

    if isinstance(values, pd.DataFrame):
        return values.loc[shown].to_numpy()
    return values[shown].toarray() if sp.issparse(values) else values[shown]


def _known(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value without keys of which nothing is known."""
    return {
        key: _known(item) if isinstance(item, Mapping) else item
        for key, item in value.items()
        if item is not None
    }
