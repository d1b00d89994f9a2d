"""Strata as published: tables, `strata.json` and the donor profiles in `donors.h5ad`.

Donors of cohorts without open access are left out row by row. When the
existence test did not find strata, no label leaves: neither the published nor
the candidate one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.association import benjamini_hochberg
from pmcell.io import h5ad
from pmcell.io.atomic import write_json
from pmcell.io.tables import empty_table, read_table
from pmcell.publish.disclosure import slots
from pmcell.publish.disclosure.hidden import (
    hidden_donors,
    shown_associations,
    shown_outcomes,
    shown_verdict,
)
from pmcell.publish.disclosure.rules import rules_of
from pmcell.publish.facts import Facts
from pmcell.schema import table as schema_table

if TYPE_CHECKING:
    import pandas as pd

WITHHELD_DONOR = "withheld"


def composition_frame(facts: Facts) -> pd.DataFrame:
    """Composition of published donors."""
    return _shown(facts, _read(facts, "composition"))


def assignments_frame(facts: Facts) -> pd.DataFrame:
    """Assignments of published donors; labels only where strata are published."""
    frame = _shown(facts, _read(facts, "assignments"))
    if not facts.has_strata:
        frame[["stratum", "candidate_stratum", "conformal_set"]] = None
        frame[["probability", "ood_p", "margin"]] = np.nan
        frame["status"] = frame["status"].where(frame["status"] == "too_few_cells", "withheld")
    return frame


def drivers_frame(facts: Facts) -> pd.DataFrame:
    """Drivers of published donors; none without strata, for they name the nearest stratum."""
    frame = _shown(facts, _read(facts, "drivers"))
    return frame if facts.has_strata else frame.iloc[:0]


def movement_frame(facts: Facts) -> pd.DataFrame:
    """Movement of published donors between visits; strata only where these are published.

    Where donors are withheld q is over the rows that are shown: from p and q over all
    rows it would follow how many steps are hidden.
    """
    frame = _shown(facts, _read_or_none(facts, "movement"))
    if facts.withheld:
        tested = frame["p_value"].notna()
        frame.loc[tested, "q_value"] = benjamini_hochberg(frame.loc[tested, "p_value"].to_numpy())
    if not facts.has_strata:
        frame[["stratum", "previous_stratum"]] = None
    return frame


def strata_frame(facts: Facts) -> pd.DataFrame:
    """Published strata; donors are counted over published cohorts only."""
    frame = _read(facts, "strata")
    if not facts.has_strata:
        return frame.iloc[:0]
    if not facts.withheld:
        return frame
    assigned = assignments_frame(facts).dropna(subset=["stratum"])
    donors = assigned.groupby("stratum", observed=True)["donor_id"].nunique()
    frame["n_donors"] = donors.reindex(frame["stratum"], fill_value=0).to_numpy("int64")
    shown = frame["medoid_donor_id"].map(lambda donor: is_shown(facts, str(donor)))
    frame["medoid_donor_id"] = frame["medoid_donor_id"].where(shown, WITHHELD_DONOR)
    hidden = hidden_donors(facts)
    few = [hidden.is_few(len(hidden.strata.get(str(name), ()))) for name in frame["stratum"]]
    frame["description"] = frame["description"].mask(few, WITHHELD_DONOR)
    frame["stability"] = frame["stability"].round(2)
    return frame[frame["n_donors"] > 0]


def associations_frame(facts: Facts) -> pd.DataFrame:
    """Associations, unless they rest on too few donors without open access."""
    return shown_associations(facts, _read(facts, "associations"))


def outcomes_frame(facts: Facts) -> pd.DataFrame:
    """Comparisons of clinical outcomes, unless a few donors without open access may be in them."""
    frame = _read_or_none(facts, "outcomes")
    return shown_outcomes(facts, frame)


def survival_frame(facts: Facts) -> pd.DataFrame:
    """Survival curves; none where donors are withheld, for each step is somebody's time."""
    frame = _read_or_none(facts, "survival")
    return frame if facts.has_strata and not facts.withheld else frame.iloc[:0]


def few_hidden_donors(facts: Facts) -> bool:
    """Whether 1 to min_donors - 1 donors of cohorts without open access entered the strata."""
    donors = _read(facts, "assignments", ["donor_id"])["donor_id"]
    hidden = {donor for donor in donors if not is_shown(facts, str(donor))}
    return 0 < len(hidden) < rules_of(facts).strictest


def is_shown(facts: Facts, global_id: str) -> bool:
    """Whether an id belongs to no cohort without open access."""
    return not global_id.startswith(
        tuple(cohort.prefix for cohort in facts.cohorts if not cohort.is_open)
    )


def write_strata_json(facts: Facts, target: Path) -> None:
    """The strata step's verdict, without any donor that is withheld, and what access withheld.

    Where too few donors without open access took part only the words of the
    verdict remain: a number of donors would tell how many they are.
    """
    verdict = _with_large_groups(facts, shown_verdict(facts, facts.strata))
    if few_hidden_donors(facts):
        verdict = {key: value for key, value in verdict.items() if isinstance(value, str)}
    withheld = [cohort.cohort_id for cohort in facts.withheld]
    write_json(target, {**_clean(facts, verdict), "withheld_by_access": withheld})


def write_donors(facts: Facts, target: Path) -> None:
    """Profiles and distances of the published donors and visits."""
    import anndata as ad

    donors = ad.read_h5ad(facts.results / "strata" / "donors.h5ad")
    shown = np.array([is_shown(facts, str(donor)) for donor in donors.obs["donor_id"]], dtype=bool)
    obs = donors.obs.loc[shown]
    if not facts.has_strata:
        obs = obs.drop(columns=[name for name in obs.columns if _places(name)])
    with h5ad.create_h5ad(target) as file:
        h5ad.write_frame(file, "obs", obs, index="donor_visit")
        h5ad.write_frame(file, "var", _var(facts, donors.var), index="cell_type")
        if donors.X is not None and donors.n_vars:
            h5ad.write_value(file, "X", donors.X[shown])
        # Sums and candidate labels of the strata step are its own; profiles are named X_….
        for name in sorted(key for key in donors.obsm if key.startswith("X_")):
            if facts.withheld and name not in slots.DONORS:
                continue
            h5ad.write_value(file["obsm"], name, _rows(donors.obsm[name], shown))
        for name in sorted(donors.obsp):
            h5ad.write_value(file["obsp"], name, _rows(donors.obsp[name], shown)[:, shown])
        if not few_hidden_donors(facts):
            uns = _with_shown_consensus(facts, donors.uns, _discovered(donors.obs, shown))
            uns = _with_large_groups(facts, shown_verdict(facts, uns))
            h5ad.write_value(file, "uns", _known(_clean(facts, uns)))


def _places(column: str) -> bool:
    """Whether a column of the donors tells where among the strata they are."""
    return "stratum" in column or column in ("probability", "conformal_set", "ood_p", "margin")


def _discovered(obs: pd.DataFrame, shown: np.ndarray) -> np.ndarray:
    """Which of the donors that made the strata are published, in the order of the consensus."""
    if "discovery" not in obs:
        return shown
    return np.asarray(shown[obs["discovery"].to_numpy(bool)], bool)


def _with_shown_consensus(
    facts: Facts, uns: Mapping[str, Any], shown: np.ndarray
) -> dict[str, Any]:
    """`uns` with the consensus of published donors, or none: its blocks are the withheld strata."""
    if "clustering" not in uns:
        return dict(uns)
    clustering = dict(uns["clustering"])
    consensus = clustering.pop("consensus", {})
    if facts.has_strata:
        clustering["consensus"] = {
            k: np.asarray(matrix)[np.ix_(shown, shown)] for k, matrix in consensus.items()
        }
    return {**uns, "clustering": clustering}


def _with_large_groups(facts: Facts, value: Mapping[str, Any]) -> dict[str, Any]:
    """Without the batches or regions of `generalisation` that count a few withheld donors."""
    found = value.get("generalisation")
    if not facts.withheld or not found or "n_donors" not in found:
        return dict(value)
    large = np.asarray(found["n_donors"]) >= facts.options.min_donors
    kept: dict[str, Any] = {
        key: [item for item, is_large in zip(entry, large, strict=True) if is_large]
        for key, entry in found.items()
        if isinstance(entry, list | np.ndarray)
    }
    plain = {key: item for key, item in found.items() if key not in kept}
    if not large.all() or found["why"]:
        # Means over all groups and reasons would tell what the small ones hold.
        plain = {key: item for key, item in plain.items() if not key.startswith("mean")}
        plain["why"] = f"groups with fewer than {facts.options.min_donors} donors are not shown"
    return {**value, "generalisation": {**plain, **kept}}


def _var(facts: Facts, var: pd.DataFrame) -> pd.DataFrame:
    """Columns of the cell types; counts over all donors only where no donor is withheld."""
    counts = [name for name in var.columns if name.startswith("n_")]
    return var.drop(columns=counts) if facts.withheld else var


def _rows(values: Any, shown: np.ndarray) -> Any:
    import pandas as pd
    import scipy.sparse as sp

    if isinstance(values, pd.DataFrame):
        return values.loc[shown].to_numpy()
    return values[shown].toarray() if sp.issparse(values) else values[shown]


def _read(facts: Facts, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    return read_table(facts.results / "strata" / f"{name}.parquet", columns)[
        columns or [item.name for item in schema_table(name).fields]
    ]


def _read_or_none(facts: Facts, name: str) -> pd.DataFrame:
    """A table of the strata step, empty where an earlier version of the step did not write it."""
    if (facts.results / "strata" / f"{name}.parquet").is_file():
        return _read(facts, name)
    return empty_table(schema_table(name))


def _shown(facts: Facts, frame: pd.DataFrame) -> pd.DataFrame:
    # An empty list would select no columns instead of no rows.
    shown = np.array([is_shown(facts, str(donor)) for donor in frame["donor_id"]], bool)
    return frame[shown].copy()


def _known(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value without keys of which nothing is known."""
    return {
        key: _known(item) if isinstance(item, Mapping) else item
        for key, item in value.items()
        if item is not None
    }


def _clean(facts: Facts, value: Any) -> Any:
    """The value without entries that name a withheld donor."""
    if isinstance(value, Mapping):
        return {
            key: _clean(facts, item) for key, item in value.items() if is_shown(facts, str(key))
        }
    if isinstance(value, list | tuple):
        return [
            _clean(facts, item)
            for item in value
            if not isinstance(item, str) or is_shown(facts, item)
        ]
    if isinstance(value, str) and not is_shown(facts, value):
        return WITHHELD_DONOR
    return value
