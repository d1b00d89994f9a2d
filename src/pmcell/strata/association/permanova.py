"""The whole distance matrix against covariates: do donors differ in place, do they in spread?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import permutation_p, permutations
from pmcell.core.donors.permanova import dummies, gower, permdisp, residualise
from pmcell.core.donors.permanova import permanova as permute_map
from pmcell.core.donors.resample import PERMUTE, stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text, text_array
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.covariates import CLINICAL, MIN_DONORS, Variable, read

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MAP, DISPERSION, MAP_WITHIN = "map", "dispersion", "map_within_donors"
MIN_GROUP = 3
"""Donors a group needs before its spread means anything."""


def permanova(
    donors: AnnData,
    *,
    covariates: tuple[str, ...] = CLINICAL,
    within_batch: bool = True,
    n_permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Test the donors' distances against each covariate: PERMANOVA, and PERMDISP beside it.

    R² is the covariate's share of all squared distances, beyond what batch
    explains where `within_batch`; then residuals after the batch are permuted
    within batch (Freedman & Lane 1983). A small PERMDISP p says that groups
    differ in spread, so that a small PERMANOVA p need not mean another place.
    Covariates that are constant or known for fewer than 5 donors are left out.

    Returns outcome (`map`, `dispersion`), covariate, test, effect, p_value,
    n_donors, one row a donor counting once.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=20, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors)
    >>> donors.obs["sex"] = ["female", "male"] * 10
    >>> permanova(donors, covariates=("sex",), n_permutations=99)["outcome"].tolist()
    ['map', 'dispersion']
    """
    require(donors, "channels", "distances")
    import pandas as pd

    if n_permutations < 99:
        raise UsageError(f"n_permutations must be at least 99, got {n_permutations}")
    missing = [name for name in covariates if name not in donors.obs]
    if missing and covariates != CLINICAL:
        raise UsageError(f"covariates must be columns of donors.obs; {missing} are not")
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(chosen, chosen)]
    if not np.isfinite(squared).all():
        raise UsageError("the distances of the donors are unknown: no channel could be measured")
    obs = donors.obs[chosen]
    batch = np.unique(as_text(obs["batch_id"]).to_numpy(), return_inverse=True)[1]
    block = batch if within_batch else None
    rows: list[dict[str, Any]] = []
    for name in covariates:
        covariate = read(obs[name], name) if name in obs else ""
        if not isinstance(covariate, str):
            rows += map_rows(squared, covariate, "", block, n_permutations, seed)
    columns = ["outcome", "covariate", "test", "effect", "effect_name", "p_value", "n_donors"]
    return pd.DataFrame(rows, columns=columns)


def map_rows(
    squared: NDArray[np.float64],
    covariate: Variable,
    family: str,
    block: NDArray[np.int64] | None,
    n_permutations: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of schema.ASSOCIATIONS for one covariate; none where nothing can be told."""
    known = np.flatnonzero(covariate.known)
    inner = gower(squared[np.ix_(known, known)])
    within = None if block is None else block[known]
    orders = permutations(known.size, n_permutations, stream(seed, PERMUTE, 2), within)
    several = within is not None and np.unique(within).size > 1
    nuisance = dummies(within) if within is not None and several else None
    values = covariate.values[known]
    group = np.unique(values, return_inverse=True)[1]
    columns = values[:, None] if covariate.numeric else dummies(group)
    if np.trace(inner) <= 0:
        return []
    where = " (Freedman-Lane, within batch)" if several else ""
    common = {"covariate": covariate.name, "family": family, "n_donors": known.size}
    out = []
    effect, f = permute_map(inner, columns, nuisance, orders)
    if not np.isfinite(effect):
        # The covariate is the batch: permuting within batch changes nothing.
        return []
    name = f"permutation of PERMANOVA{where}"
    out.append(_row(MAP, name, effect, "R squared", f) | common)
    if not covariate.numeric and int(np.bincount(group).min()) >= MIN_GROUP:
        left = inner if nuisance is None else residualise(inner, nuisance)
        effect, f = permdisp(left, group, orders)
        name = f"permutation of PERMDISP{' (within batch)' if several else ''}"
        out.append(_row(DISPERSION, name, effect, "eta squared", f) | common)
    return out


def within_donor_rows(
    donors: AnnData, name: str, family: str, n_permutations: int, seed: int
) -> list[dict[str, Any]]:
    """PERMANOVA of the visits of donors at which a column differs; none for fewer than 5 donors.

    Each donor's own place is taken out, and what is left is permuted within donors, so that
    every donor is compared with itself. Visits count that have enough cells, and donors whose
    visits share a batch: else what differs may be the batch.
    """
    obs = donors.obs
    rows = np.flatnonzero(obs[slots.ENOUGH].to_numpy(bool))
    if name not in obs or not rows.size:
        return []
    covariate = read(obs[name].iloc[rows], name)
    if isinstance(covariate, str):
        return []
    donor = as_text(obs["donor_id"]).to_numpy(object)[rows]
    batch = as_text(obs["batch_id"]).to_numpy(object)[rows]
    chosen = np.zeros(rows.size, bool)
    for who in set(donor):
        own = np.flatnonzero((donor == who) & covariate.known)
        if own.size and np.ptp(covariate.values[own]) > 0 and len(set(batch[own])) == 1:
            chosen[own] = True
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(rows[chosen], rows[chosen])]
    n_donors = len(set(donor[chosen]))
    if n_donors < MIN_DONORS or not np.isfinite(squared).all():
        return []
    used = Variable(name, covariate.values[chosen], covariate.numeric, covariate.known[chosen])
    block = np.unique(text_array(donor[chosen]), return_inverse=True)[1].astype(np.int64)
    found = map_rows(squared, used, family, block, n_permutations, seed)
    return [
        row
        | {
            "outcome": MAP_WITHIN,
            "test": "permutation of PERMANOVA (Freedman-Lane, within donor)",
            "n_donors": n_donors,
        }
        for row in found
        if row["outcome"] == MAP
    ]


def _row(
    outcome: str, test: str, effect: float, name: str, f: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "test": test,
        "effect": effect,
        "effect_name": name,
        "p_value": permutation_p(f),
    }
