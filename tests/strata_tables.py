"""A results folder with every table that the strata and explain steps leave for the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from made_donors import make_outcomes, make_survival
from made_explanation import make_explanation
from pmcell import schema
from pmcell.io.tables import read_table, write_table
from results_folder import make_results

N_USED = 9
"""Donors of the made-up study; four of them are of the withheld cohort."""
COUNTED = "not adjusted for age_group: known for 3 donors, 5 are needed"


def with_tables(root: Path, access: dict[str, str]) -> Path:
    """A results folder in which strata were compared by outcomes and genes."""
    results = make_results(root, access=access)
    outcomes = make_outcomes(True)
    compared = outcomes["refused"] == ""
    outcomes.loc[compared, "n_donors"] = N_USED
    outcomes.loc[outcomes["model"] == "log-rank test", "n_donors"] = N_USED - 1
    outcomes["note"] = f"hazards are not proportional; {COUNTED}"
    tables = {"outcomes": outcomes, "survival": make_survival(np.random.default_rng(0), True)}
    genes = read_table(results / "atlas" / "features.parquet")
    tables |= make_explanation(genes, published=True)
    for name, frame in tables.items():
        write_table(results / "strata" / f"{name}.parquet", frame, schema.table(name))
    return results


def with_strata_tables(results: Path) -> None:
    """Steps and shifts as the strata step would write them, of open and withheld donors alike."""
    placed = read_table(results / "strata" / "assignments.parquet")
    steps = placed[["donor_id", "visit"]].assign(
        previous_visit="before",
        moved=1.0,
        moved_by_chance=0.5,
        p_value=np.arange(1, len(placed) + 1) / 100,
        q_value=np.arange(1, len(placed) + 1) / 100 * len(placed),
        same_batch=True,
        stratum=None,
        previous_stratum=None,
    )
    write_table(results / "strata" / "movement.parquet", steps, schema.MOVEMENT)
    shifts = pd.DataFrame({"contrast": ["stratum"], "level": ["S1"], "reference": ["S2"]})
    shifts = shifts.assign(cell_type="T cell", within_batch=True, p_value=np.nan, q_value=np.nan)
    shares = ("mean_share", "mean_share_others", "log2_ratio", "ratio_low", "ratio_high")
    shifts = shifts.assign(**dict.fromkeys(shares, 0.1), n_donors=4, n_donors_others=5)
    shifts = shifts.assign(n_donors_paired=0)
    write_table(
        results / "strata" / "composition_shifts.parquet", shifts, schema.COMPOSITION_SHIFTS
    )
