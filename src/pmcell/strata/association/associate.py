"""Strata and axes against covariates of the donors: technical ones show confounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import (
    benjamini_hochberg,
    chi_square,
    correlation,
    cramers_v,
    eta_squared,
    permutation_p,
    permutations,
)
from pmcell.core.donors.resample import PERMUTE, stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text
from pmcell.schema.verdict import NO_COLUMN, STRATA
from pmcell.strata.association.confounding import DESIGN, is_fixed, pairs
from pmcell.strata.association.permanova import map_rows, within_donor_rows
from pmcell.strata.association.redrawn import effect_interval
from pmcell.strata.explanation.contrasts import VISIT, contrasts_of
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.covariates import (
    CLINICAL,
    MIN_DONORS,
    TECHNICAL,
    Variable,
    category,
    read,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_AXES = 3


def associate(
    donors: AnnData,
    *,
    technical: tuple[str, ...] = TECHNICAL,
    clinical: tuple[str, ...] = CLINICAL,
    measured: pd.DataFrame | None = None,
    n_permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Test candidate strata and the first three axes against covariates, over donors.

    Effect sizes: bias-corrected Cramér's V (stratum and categories), η² of
    ranks (stratum and numbers, axis and categories), Spearman's ρ² (axis and
    numbers). p is from permutation over donors; clinical covariates are
    permuted within batch where there is more than one, so that a difference
    between batches cannot pass for a clinical one. q is Benjamini-Hochberg
    within the family. 'unknown' is left out; covariates that are constant, that
    nearly every donor has differently, that fewer than 5 donors have, or that
    (clinical ones) are the same within every batch are not tested. `measured`
    has further clinical columns, a row for each row of `donors`. Rows with the
    outcome condition or disease and the family 'design' tell how far the study
    itself keeps them apart from batch, region and assay. Intervals (95 %) are
    of the bias-corrected bootstrap over donors. The outcomes `map` and
    `dispersion` are PERMANOVA and PERMDISP of the whole distance matrix, see
    `permanova`. A clinical covariate that differs between the visits of 5 donors or more is tested
    within them as well (`map_within_donors`), over all their visits; the visit itself is where no
    condition differs.

    Returns the columns of schema.ASSOCIATIONS (outcome 'stratum' when strata
    are published, 'candidate_stratum' when they are withheld) and writes
    uns['not_tested'], covariate → why.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=20, cells_per_donor=120, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors, channels="all"), pm.strata.cluster(donors, n_bootstraps=9)
    (None, None)
    >>> pm.strata.existence(donors, n_null=19)
    >>> "batch_id" in set(associate(donors, n_permutations=99)["covariate"])
    True
    """
    require(donors, "existence", "existence")
    import pandas as pd

    if n_permutations < 99:
        raise UsageError(f"n_permutations must be at least 99, got {n_permutations}")
    obs = donors.obs[donors.obs[slots.DISCOVERY].to_numpy()]
    outcomes = _outcomes(donors)
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(chosen, chosen)]
    _, batch = np.unique(as_text(obs["batch_id"]).to_numpy(), return_inverse=True)
    rows: list[dict[str, Any]] = []
    not_tested: dict[str, str] = {}
    people = obs
    if measured is not None:
        # A measured column may have the name of one that the stratification writes.
        of_study = [name for name in measured if name not in technical]
        people = obs.drop(columns=of_study, errors="ignore").join(measured[of_study])
        clinical = (*clinical, *(name for name in of_study if name not in clinical))
    for family, names, values in (("technical", technical, obs), ("clinical", clinical, people)):
        for name in names:
            within: list[dict[str, Any]] = []
            if family == "clinical":
                within = within_donor_rows(donors, name, family, n_permutations, seed)
            rows += within
            covariate = read(values[name], name) if name in values else NO_COLUMN
            block = batch if family == "clinical" else None
            if not isinstance(covariate, str) and block is not None and is_fixed(covariate, block):
                covariate = "the same within every batch: it cannot be told apart from the batch"
            if isinstance(covariate, str):
                if not within:
                    not_tested[name] = covariate
                continue
            draw = _Draw(n_permutations, seed, block)
            rows += [_row(key, outcome, covariate, family, draw) for key, outcome in outcomes]
            if np.isfinite(squared).all():
                rows += map_rows(squared, covariate, family, block, n_permutations, seed)
    if VISIT in contrasts_of(donors):
        visits = within_donor_rows(donors, VISIT, "clinical", n_permutations, seed)
        rows += visits
        if not visits:
            not_tested[VISIT] = (
                f"{MIN_DONORS} donors whose visits differ and share a batch are needed"
            )
    draw = _Draw(n_permutations, seed, None)
    rows += [_row(first.name, first, second, DESIGN, draw) for first, second in pairs(people)]
    donors.uns["not_tested"] = not_tested
    columns = ["outcome", "covariate", "family", "test", "effect", "effect_name"]
    more = ["effect_low", "effect_high", "p_value", "n_donors"]
    table = pd.DataFrame(rows, columns=[*columns, *more])
    table["q_value"] = np.nan
    for _, group in table.groupby("family"):
        table.loc[group.index, "q_value"] = benjamini_hochberg(group["p_value"].to_numpy())
    return table


@dataclass(frozen=True)
class _Draw:
    n: int
    seed: int
    block: Ints | None


def _outcomes(donors: AnnData) -> list[tuple[str, Variable]]:
    chosen = donors.obs[slots.DISCOVERY].to_numpy()
    out = []
    candidate = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy()[chosen]
    if np.unique(candidate[candidate != ""]).size >= 2:
        published = donors.uns["existence"]["decision"] == STRATA
        name = slots.STRATUM if published else slots.CANDIDATE
        out.append((name, category(name, candidate, candidate != "")))
    axes = np.asarray(donors.obsm[slots.AXES])[chosen]
    for index in range(min(N_AXES, axes.shape[1])):
        values = axes[:, index]
        if np.isfinite(values).all() and values.size >= MIN_DONORS and np.ptp(values) > 0:
            name = f"axis_{index + 1}"
            out.append((name, Variable(name, values, True, np.ones(values.size, bool))))
    return out


def _row(
    key: str, outcome: Variable, covariate: Variable, family: str, draw: _Draw
) -> dict[str, Any]:
    both = outcome.known & covariate.known
    block = None if draw.block is None else draw.block[both]
    orders = permutations(int(both.sum()), draw.n, stream(draw.seed, PERMUTE, 1), block)
    test, name, effect, statistic = _statistic(outcome, covariate, both, orders)
    low, high = effect_interval(outcome, covariate, both, draw.seed)
    within = " within batch" if block is not None and np.unique(block).size > 1 else ""
    return {
        "outcome": key,
        "covariate": covariate.name,
        "family": family,
        "test": f"permutation of {test}{within}",
        "effect": effect,
        "effect_name": name,
        "effect_low": low,
        "effect_high": high,
        "p_value": permutation_p(statistic),
        "n_donors": int(both.sum()),
    }


def _statistic(
    outcome: Variable, covariate: Variable, both: NDArray[np.bool_], orders: Ints
) -> tuple[str, str, float, Floats]:
    """Names of test and effect, the effect, and the statistic of data and permutations."""
    if not outcome.numeric and not covariate.numeric:
        first, second = _codes(covariate, both), _codes(outcome, both)
        return (
            "chi-square",
            "Cramér's V, bias-corrected",
            cramers_v(first, second),
            chi_square(first, second[orders]),
        )
    if outcome.numeric and covariate.numeric:
        squared = correlation(_ranks(outcome, both)[orders], _ranks(covariate, both)) ** 2
        return "Spearman's rho", "rho squared", float(squared[0]), squared
    number, group = (outcome, covariate) if outcome.numeric else (covariate, outcome)
    share = eta_squared(_ranks(number, both)[orders], _codes(group, both))
    if outcome.numeric:
        return "Kruskal-Wallis", "eta squared of ranks", float(share[0]), share
    # Permuting the outcome against fixed ranks is giving the ranks the inverse order.
    share = eta_squared(_ranks(number, both)[np.argsort(orders, axis=1)], _codes(group, both))
    return "Kruskal-Wallis", "eta squared of ranks", float(share[0]), share


def _codes(variable: Variable, both: NDArray[np.bool_]) -> Ints:
    return np.asarray(np.unique(variable.values[both], return_inverse=True)[1], np.int64)


def _ranks(variable: Variable, both: NDArray[np.bool_]) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(variable.values[both]), np.float64)
