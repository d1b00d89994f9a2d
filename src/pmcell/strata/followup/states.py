"""Clinical variables against cell states over visits: does the one move with the other?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import text_array
from pmcell.spelling import plural
from pmcell.strata.association.mixed import MIN_REPEATED, random_intercept
from pmcell.strata.association.outcomes import Refused
from pmcell.strata.followup.effects import BETWEEN, WITHIN, effect_row

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

TOO_ALIKE = 1e-9


def state_models(
    measured: pd.DataFrame,
    shares: pd.DataFrame,
    *,
    programme: str,
    covariates: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Fit variable ~ own mean of the state + deviation from it + (1 | donor), for each pair.

    A donor's mean of the state over visits, and each visit's deviation from it, are two terms:
    whether donors with more of a type have higher values, and whether the value moves with the
    type within a donor (Mundlak 1978, doi:10.2307/1913646). The second is what follow-up can tell
    and a single visit cannot. REML with a random intercept; t with the visits less the donors and
    parameters as degrees of freedom within, the donors less the parameters between.

    Parameters
    ----------
    measured
        Values of clinical variables (`pmcell.strata.followup.values.COLUMNS`).
    shares
        Values of cell types.
    programme
        Whose variables they are.
    covariates
        Numbers that the model is adjusted for, such as `hours_to_processing`: `donor_id`,
        `visit` and a column each. One that is not known for every visit in use is left out, and
        the note says so.

    Returns
    -------
    Rows of schema.FOLLOWUP_EFFECTS: effects in the variable's unit for each standard deviation
    of the state; refused with the reason where fewer than 5 donors have two visits with both.
    """
    rows: list[dict[str, Any]] = []
    keys = ["donor_id", "visit"]
    for outcome, own in measured.groupby("quantity", sort=True):
        pairs = own[[*keys, "x", "change_unit"]].merge(
            shares[[*keys, "quantity", "x"]], on=keys, suffixes=("", "_state")
        )
        if pairs.empty:
            rows.append(_refused(programme, str(outcome), "no visit has both value and cells"))
            continue
        repeated = int((pairs.drop_duplicates(keys).groupby("donor_id").size() >= 2).sum())
        if repeated < MIN_REPEATED:
            found = plural(repeated, "donor has", "donors have")
            why = f"{found} two visits with value and cells, {MIN_REPEATED} needed"
            rows.append(_refused(programme, str(outcome), why))
            continue
        for state, visits in pairs.groupby("quantity", sort=True):
            try:
                rows += _fit(visits, str(outcome), str(state), programme, covariates)
            except Refused as reason:
                rows.append(_refused(programme, str(outcome), str(reason), str(state)))
    return rows


def _refused(programme: str, outcome: str, why: str, term: str = "cell types") -> dict[str, Any]:
    return effect_row(programme=programme, analysis=WITHIN, outcome=outcome, term=term, refused=why)


def _fit(
    visits: pd.DataFrame,
    outcome: str,
    state: str,
    programme: str,
    covariates: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    from scipy.stats import t

    y = visits["x"].to_numpy(float)
    x = visits["x_state"].to_numpy(float)
    names, donor = np.unique(text_array(visits["donor_id"]), return_inverse=True)
    if np.ptp(y) == 0 or np.ptp(x) < TOO_ALIKE:
        raise Refused("value or state is the same at every visit")
    extra, used, notes = _extra(visits, covariates)
    x = (x - x.mean()) / x.std()
    mean = (np.bincount(donor, x) / np.bincount(donor))[donor]
    within = x - mean
    if within.std() < TOO_ALIKE:
        raise Refused("the state does not change within any donor")
    design = np.column_stack([np.ones(y.size), mean, within, extra])
    n_donors = names.size
    freedom = (n_donors - 2, y.size - n_donors - 1 - extra.shape[1])
    if min(freedom) < MIN_REPEATED - 2:
        raise Refused(f"{plural(n_donors, 'donor')} and {plural(y.size, 'visit')} are too few")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise Refused("state and covariates tell the same: their effects cannot be parted")
    effects, covariance = random_intercept(y, design, donor)
    out = []
    for place, analysis, df in ((2, WITHIN, freedom[1]), (1, BETWEEN, freedom[0])):
        error = float(np.sqrt(covariance[place, place]))
        effect = float(effects[place])
        reach = float(t.ppf(0.975, df)) * error
        out.append(
            effect_row(
                programme=programme,
                analysis=analysis,
                outcome=outcome,
                term=state,
                unit=f"{visits['change_unit'].iloc[0]} for one standard deviation",
                interval=(effect, effect - reach, effect + reach),
                p_value=2 * float(t.sf(abs(effect) / error, df)),
                n_donors=int(n_donors),
                n_visits=int(y.size),
                adjusted_for=used,
                note="; ".join(notes),
            )
        )
    return out


def _extra(
    visits: pd.DataFrame, covariates: pd.DataFrame | None
) -> tuple[Floats, tuple[str, ...], list[str]]:
    """Columns of the covariates that are known for every visit and not the same in all."""
    if covariates is None:
        return np.zeros((len(visits), 0)), (), []
    keys = ["donor_id", "visit"]
    joined = visits[keys].merge(covariates.drop_duplicates(keys), on=keys, how="left")
    columns, used, notes = [], [], []
    for name in covariates.columns.difference(keys, sort=True):
        values = joined[name].to_numpy(float)
        if not np.isfinite(values).all():
            notes.append(f"not adjusted for {name}: not known for every visit")
        elif np.ptp(values) > 0:
            columns.append((values - values.mean()) / values.std())
            used.append(str(name))
    found = np.column_stack(columns) if columns else np.zeros((len(visits), 0))
    return found, tuple(used), notes
