"""What a programme asks of its cohorts: declared contrasts, variables against cell types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.schema import NO_PROGRAMME
from pmcell.schema.text import as_text
from pmcell.strata.followup.differences import contrast_row
from pmcell.strata.followup.effects import effects_frame
from pmcell.strata.followup.states import state_models
from pmcell.strata.followup.sums import types_under
from pmcell.strata.followup.values import (
    CELL_TYPE,
    LOG_ODDS,
    MEASUREMENT,
    log_odds,
    place_of,
)
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.settings.programme import Contrast, Programme

HOURS = ("hours_to_processing",)
"""Covariates of the visits that models are adjusted for where every visit has them."""


def programme_effects(
    donors: AnnData,
    values: pd.DataFrame,
    *,
    programmes: Mapping[str, Programme],
    cohorts: Mapping[str, str],
    people: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Test what the programmes of the cohorts declare, each on its own cohorts' donors.

    Parameters
    ----------
    donors
        Donors after `existence`.
    values
        Cell types, measurements and signatures (`pmcell.strata.followup.values.COLUMNS`).
    programmes
        Programmes by name.
    cohorts
        The programme that each cohort names.
    people
        Further columns of donors (`donor_id`), such as a study's table of treatments.

    Returns
    -------
    DataFrame
        The columns of schema.FOLLOWUP_EFFECTS.
    """
    obs = donors.obs
    names = as_text(obs["donor_id"]).to_numpy(object)
    cohort = as_text(obs["cohort_id"]).to_numpy(object) if "cohort_id" in obs else None
    rows: list[dict[str, Any]] = []
    for name in sorted(set(cohorts.values())):
        own = {item for item, of in cohorts.items() if of == name}
        inside = np.isin(cohort, sorted(own)) if cohort is not None else np.zeros(len(obs), bool)
        mine = values[values["donor_id"].isin(set(names[inside]))]
        programme = programmes.get(name)
        if programme is not None:
            table = _people(obs[inside], people)
            for term, contrast in programme.contrasts.items():
                found = _quantity(donors, inside, mine, contrast)
                rows.append(
                    contrast_row(
                        found,
                        table,
                        contrast,
                        programme=name,
                        name=term,
                        minimal=_minimal(programme, contrast),
                    )
                )
        measured = mine[mine["kind"] == MEASUREMENT]
        if len(measured):
            shares = mine[mine["kind"] == CELL_TYPE]
            rows += state_models(
                measured,
                shares,
                programme=name or NO_PROGRAMME,
                covariates=_covariates(obs[inside]),
            )
    return effects_frame(rows)


def _people(obs: pd.DataFrame, people: pd.DataFrame | None) -> pd.DataFrame:
    own = obs.reset_index(drop=True)
    own = own.assign(donor_id=as_text(own["donor_id"]))
    own = own.iloc[np.argsort(~own[slots.DISCOVERY].to_numpy(bool), kind="stable")]
    if people is None:
        return own
    new = [name for name in people.columns if name not in own.columns]
    steady = people[["donor_id", *new]].drop_duplicates()
    return own.merge(steady, on="donor_id", how="left")


def _covariates(obs: pd.DataFrame) -> pd.DataFrame | None:
    used = [name for name in HOURS if name in obs]
    if not used:
        return None
    keys = {name: as_text(obs[name]) for name in ("donor_id", "visit")}
    return obs[used].astype(float).assign(**keys).reset_index(drop=True)


def _minimal(programme: Programme, contrast: Contrast) -> float | None:
    """The smallest difference that matters, on the scale of the comparison."""
    variable = programme.variables.get(contrast.outcome)
    if variable is None or variable.minimal_difference is None:
        return None
    if variable.scale == "ratio":
        return None
    return variable.minimal_difference


def _quantity(
    donors: AnnData, inside: np.ndarray, values: pd.DataFrame, contrast: Contrast
) -> pd.DataFrame:
    """Values of a contrast's outcome; of a cell type those of all types below it together."""
    if ":" not in contrast.outcome:
        return values[values["quantity"] == contrast.outcome]
    import pandas as pd

    rows = np.flatnonzero(inside & donors.obs[slots.ENOUGH].to_numpy(bool))
    types = as_text(donors.var_names).to_numpy(object)
    below = types_under(contrast.outcome, [str(name) for name in types])
    if not below or not rows.size:
        return values.iloc[:0]
    counts = np.asarray(donors.X, np.float64)[rows]
    own = counts[:, np.isin(types, below)].sum(axis=1)
    both = np.column_stack([own, counts.sum(axis=1) - own])
    x, _ = log_odds(both)
    obs = donors.obs.iloc[rows]
    names = as_text(obs["donor_id"]).to_numpy(object)
    day = obs["visit_day"].to_numpy(float) if "visit_day" in obs else np.full(len(obs), np.nan)
    return pd.DataFrame(
        {
            "donor_id": names,
            "place": place_of(names, day),
            "x": x[:, 0],
            "change_unit": LOG_ODDS,
            "batch_id": as_text(obs["batch_id"]).to_numpy(object),
        }
    )
