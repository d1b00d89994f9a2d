"""Change of each donor between visits, against the noise of repeats and the reference group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.schema.text import as_text
from pmcell.strata.followup.direction import OTHER_BATCH, profile_changes
from pmcell.strata.followup.noise import (
    NO_REPEATS,
    SAME_DAY,
    SAME_VISIT,
    STABLE,
    Noise,
    change_limit,
    published_noise,
    repeats_noise,
)
from pmcell.strata.followup.reference import MIN_REFERENCE, Reference, reference_of
from pmcell.strata.followup.values import (
    CELL_TYPE,
    LN2,
    LOG_RATIO,
    MEASUREMENT,
    log_odds,
    measured_values,
    quantity_names,
    share_values,
    timed,
)
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.settings.programme import Variable

CHANGED, WITHIN, UNJUDGED = "changed", "within noise", "cannot be judged"
TOWARD, AWAY = "toward", "away"


@dataclass(frozen=True)
class Followed:
    """What followed donors have besides their cells.

    Attributes
    ----------
    measurements
        Rows of `schema.MEASUREMENTS`.
    sample_counts
        Cells of each type in each sample (index `sample_id`), with `donor_id` and `visit`: from
        several samples of a visit the noise of handling is told.
    variables
        The programme's variables by name.
    signatures
        Scores of signatures, as `pmcell.strata.followup.sums.signature_values` makes them.
    """

    measurements: pd.DataFrame | None = None
    sample_counts: pd.DataFrame | None = None
    variables: Mapping[str, Variable] = field(default_factory=dict)
    signatures: pd.DataFrame | None = None


def followup(
    donors: AnnData,
    *,
    followed: Followed | None = None,
    reference: tuple[str, str] = ("disease_ontology_term_id", "PATO:0000461"),
    window: float = 14.0,
    n_draws: int = 199,
    seed: int = 0,
) -> pd.DataFrame:
    """Change of every quantity between a visit of a donor and the one before.

    Quantities are the share of each cell type, each clinical variable, and the distance of the
    whole profile to the reference group. A change is `changed` where it exceeds the reference
    change value: that of repeats of steady people, in this order of preference: several visits
    of the reference donors (in one batch, for cells), the variation that the programme takes
    from a publication, several samples of one visit or values of one day, which do not tell what
    varies from day to day. Without repeats it cannot be judged, and says so. It goes `toward`
    the reference group where it ends nearer to the group's median than it began.

    Parameters
    ----------
    donors
        Donors after `existence`.
    followed
        Clinical values, samples, variables.
    reference
        Column of the donors and the value of it that the reference group has.
    window
        Days within which a value belongs to a visit.
    n_draws
        Draws of cells and reference donors for the direction of the whole profile.
    seed
        Seed of these.

    Returns
    -------
    DataFrame
        The columns of schema.FOLLOWUP. No rows for quantities without a change.

    Examples
    --------
    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, n_types=3, n_visits=2)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> set(followup(donors, n_draws=19)["verdict"])  # nobody of the reference group is known
    {'cannot be judged'}
    """
    require(donors, "existence", "existence")
    import pandas as pd

    from pmcell.schema import FOLLOWUP

    followed = followed or Followed()
    group = reference_of(donors, reference)
    values = followed_values(donors, followed, window=window)
    table = _timed(donors, followed, window)
    rows = judged_changes(values, group, followed=followed, table=table)
    rows += profile_changes(donors, group, n_draws=n_draws, seed=seed)
    columns = FOLLOWUP.columns
    return pd.DataFrame(rows, columns=columns)


def judged_changes(
    values: pd.DataFrame,
    group: Reference,
    *,
    followed: Followed,
    table: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Rows of schema.FOLLOWUP for values (`values.COLUMNS`), each quantity by its own noise.

    `table` holds the single measurements with their days, from which repeats of a day are taken.
    """
    rows: list[dict[str, Any]] = []
    for _, own in values.groupby(["kind", "quantity"], sort=True):
        rows += _changes(own, _noise(own, group, followed, table), group, followed)
    return rows


def followed_values(donors: AnnData, followed: Followed, *, window: float = 14.0) -> pd.DataFrame:
    """Every value that is followed, one a donor, quantity and time point (`values.COLUMNS`)."""
    import pandas as pd

    shares = share_values(donors)
    frames = [shares]
    table = _timed(donors, followed, window)
    if table is not None:
        places = shares.drop_duplicates(["donor_id", "visit"])
        order = {(row.donor_id, row.visit): row.place for row in places.itertuples()}
        frames.append(measured_values(table, followed.variables, order))
    if followed.signatures is not None:
        frames.append(followed.signatures)
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _timed(donors: AnnData, followed: Followed, window: float) -> pd.DataFrame | None:
    """The measurements with the visit of each; None without any."""
    import pandas as pd

    if followed.measurements is None or not len(followed.measurements):
        return None
    obs = donors.obs
    day = obs["visit_day"].to_numpy(float) if "visit_day" in obs else np.full(len(obs), np.nan)
    visits = pd.DataFrame(
        {
            "donor_id": as_text(obs["donor_id"]).to_numpy(object),
            "visit": as_text(obs["visit"]).to_numpy(object),
            "visit_day": day,
        }
    )
    return timed(followed.measurements, visits, window=window)


def _noise(
    own: pd.DataFrame, group: Reference, followed: Followed, table: pd.DataFrame | None
) -> Noise | None:
    """The best noise that there is for a quantity; None where nothing repeats."""
    kind, quantity = own["kind"].iloc[0], own["quantity"].iloc[0]
    steady = own[own["donor_id"].isin(group.donors)]
    repeats = (steady["donor_id"] + "|" + steady["batch_id"]).to_numpy(object)
    found = repeats_noise(
        steady["x"].to_numpy(float), steady["sampling"].to_numpy(float), repeats, STABLE
    )
    if found is not None:
        return found
    if kind == MEASUREMENT:
        variable = followed.variables.get(quantity)
        told = published_noise(variable, 1.0) if variable is not None else None
        return told or _same_day(table, quantity, own["change_unit"].iloc[0])
    if kind != CELL_TYPE:
        return None
    return _same_visit(followed.sample_counts, quantity)


def _same_day(table: pd.DataFrame | None, quantity: str, change_unit: str) -> Noise | None:
    if table is None:
        return None
    own = table[np.array([name == quantity for name in quantity_names(table)], bool)]
    own = own[own["day"].notna()]
    value = own["value"].to_numpy(float)
    if change_unit == LOG_RATIO:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.log2(value)
    kept = np.isfinite(value)
    key = [f"{row.donor_id}|{row.source}|{np.floor(row.day):g}" for row in own.itertuples()]
    group = np.array(key, object)[kept]
    return repeats_noise(value[kept], np.zeros(int(kept.sum())), group, SAME_DAY)


def _same_visit(samples: pd.DataFrame | None, quantity: str) -> Noise | None:
    if samples is None or quantity not in samples:
        return None
    types = samples.drop(columns=["donor_id", "visit"])
    x, sampling = log_odds(types.to_numpy(np.float64))
    at = list(types.columns).index(quantity)
    group = (as_text(samples["donor_id"]) + "|" + as_text(samples["visit"])).to_numpy(object)
    return repeats_noise(x[:, at], sampling[:, at], group, SAME_VISIT)


def _changes(
    own: pd.DataFrame, noise: Noise | None, group: Reference, followed: Followed
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    kind = str(own["kind"].iloc[0])
    typical, n_reference = _typical(own, group)
    for _, visits in own.sort_values("place", kind="stable").groupby("donor_id", sort=True):
        visits = visits[visits["place"].notna()]
        steps = zip(visits.iloc[:-1].itertuples(), visits.iloc[1:].itertuples(), strict=True)
        for before, after in steps:
            same_batch = kind == MEASUREMENT or before.batch_id == after.batch_id
            used = _at_level(noise, before, after, followed) if same_batch else None
            limit = np.nan if used is None else change_limit(used, before.sampling, after.sampling)
            change = after.x - before.x
            verdict = UNJUDGED if used is None else CHANGED if abs(change) > limit else WITHIN
            rows.append(
                {
                    "donor_id": after.donor_id,
                    "visit": after.visit,
                    "kind": kind,
                    "quantity": after.quantity,
                    "previous_visit": before.visit,
                    "days": after.day - before.day,
                    "unit": after.unit,
                    "previous_value": before.value,
                    "value": after.value,
                    "change": change,
                    "change_unit": after.change_unit,
                    "change_limit": limit,
                    "noise_df": None if used is None else used.df,
                    "noise_donors": None if used is None else used.n_donors,
                    "noise_source": _source(used, same_batch),
                    "verdict": verdict,
                    "direction": _direction(before.x, after.x, typical, verdict),
                    "n_reference": n_reference,
                    "same_batch": same_batch,
                }
            )
    return rows


def _source(noise: Noise | None, same_batch: bool) -> str:
    if noise is not None:
        return noise.source
    return NO_REPEATS if same_batch else OTHER_BATCH


def _at_level(noise: Noise | None, before: Any, after: Any, followed: Followed) -> Noise | None:
    """The noise at the level of two results: a published one is a share of it."""
    variable = followed.variables.get(after.quantity) if after.kind == MEASUREMENT else None
    if noise is None or variable is None or not noise.source.startswith("published"):
        return noise
    found = published_noise(variable, (before.value + after.value) / 2)
    if found is not None and variable.scale == "ratio":
        # Published in nats, changes are in log2.
        return Noise(found.extra / LN2**2, found.df, found.n_donors, found.source)
    return found


def _typical(own: pd.DataFrame, group: Reference) -> tuple[float, int]:
    """Median over the reference donors of each one's mean, and how many have a value."""
    means = own[own["donor_id"].isin(group.donors)].groupby("donor_id")["x"].mean()
    return (float(means.median()) if len(means) >= MIN_REFERENCE else np.nan), len(means)


def _direction(before: float, after: float, typical: float, verdict: str) -> str:
    if verdict != CHANGED or not np.isfinite(typical):
        return ""
    return TOWARD if abs(after - typical) < abs(before - typical) else AWAY
