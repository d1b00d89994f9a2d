"""Clinical values that a study keeps beside its cohorts, put next to donors and visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.schema.text import as_text
from pmcell.strata.association.mixed import check_people
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

KEYS = ("donor_id", "visit")


def clinical_visits(donors: AnnData, clinical: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a visit: the clinical table with the harmonised facts of each donor and visit.

    Visits without cells stay. Without a clinical table, the donors' own rows.

    Raises DataError for donors that are not in the study and for a visit that has two rows.
    """
    facts = _facts(donors)
    if clinical is None:
        return facts
    check_people(donors, clinical)
    keys = [name for name in KEYS if name in clinical]
    table = clinical.astype(dict.fromkeys(keys, str)).reset_index(drop=True)
    twice = table.duplicated(keys)
    if twice.any():
        first = table.loc[twice.to_numpy(), keys].iloc[0].tolist()
        raise DataError(
            f"the clinical table must have one row for each {' and '.join(keys)}; "
            f"{' '.join(first)} has several. Keep one.",
            reason="duplicate_visit",
        )
    if "visit" in table:
        new = ["condition", "visit_day"]
        own = [name for name in new if name in facts and name not in table]
        table = table.merge(facts[[*KEYS, *own]], on=list(KEYS), how="left")
        facts = facts.drop(columns=[name for name in new if name in facts])
    own = [name for name in facts if name not in table and name != "visit"]
    person = facts.drop_duplicates("donor_id")[["donor_id", *own]]
    return table.merge(person, on="donor_id", how="left")


def clinical_people(visits: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """One row a donor of `clinical_visits`; DataError where a donor has two values of a column."""
    missing = [name for name in columns if name not in visits]
    if missing:
        raise UsageError(
            f"survival needs the columns {missing}; the clinical table has "
            f"{sorted(map(str, visits.columns))}"
        )
    several = visits.groupby("donor_id")[list(columns)].nunique().gt(1)
    if several.any().any():
        donor, name = several.stack().idxmax()
        raise DataError(
            f"{name!r} must have one value for each donor; {donor} has several. Keep one.",
            reason="several_values",
        )
    # `first` takes the first known value of each column.
    return visits.groupby("donor_id", sort=True).first().reset_index()


def at_discovery(donors: AnnData, visits: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The columns at each row of `donors`: of that visit, or the one value that the donor has."""
    import pandas as pd

    rows = as_text(donors.obs[list(KEYS)]).reset_index(drop=True)
    out = pd.DataFrame(index=donors.obs_names)
    for name in columns:
        per_donor = visits.groupby("donor_id")[name]
        steady = per_donor.nunique() <= 1
        of_donor = rows["donor_id"].map(per_donor.first().where(steady))
        if "visit" in visits:
            of_visit = visits.set_index(list(KEYS))[name]
            found = of_visit.reindex(pd.MultiIndex.from_frame(rows)).reset_index(drop=True)
            of_donor = found.where(found.notna(), of_donor)
        out[name] = of_donor.to_numpy()
    return out


def _facts(donors: AnnData) -> pd.DataFrame:
    """What registration knows: a row a visit, the discovery visit of each donor first."""
    own = {slots.CANDIDATE, slots.STRATUM, slots.STATUS, slots.PROBABILITY, slots.CONFORMAL}
    own |= {slots.OOD, slots.MARGIN, slots.ENOUGH, slots.DISCOVERY}
    obs = donors.obs
    order = np.argsort(~obs[slots.DISCOVERY].to_numpy(bool), kind="stable")
    kept = obs[[name for name in obs if name not in own]].iloc[order].reset_index(drop=True)
    return kept.astype(dict.fromkeys(KEYS, str))
