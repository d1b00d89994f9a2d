"""Rows of schema.FOLLOWUP_EFFECTS: comparisons over donors, made or refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.donors.association import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")
GROUPS, CHANGE = "groups", "difference in differences"
WITHIN, BETWEEN = "mixed model, within donors", "mixed model, between donors"


def effect_row(
    *,
    programme: str,
    analysis: str,
    outcome: str,
    term: str,
    unit: str = "",
    interval: tuple[float, float, float] = (NAN, NAN, NAN),
    p_value: float = NAN,
    n_donors: int = 0,
    n_reference: int | None = None,
    n_visits: int | None = None,
    detectable: float = NAN,
    power: float = NAN,
    n_needed: int | None = None,
    adjusted_for: tuple[str, ...] = (),
    note: str = "",
    refused: str = "",
) -> dict[str, Any]:
    """One comparison; `interval` is the effect with its 95 % limits."""
    return {
        "programme": programme,
        "analysis": analysis,
        "outcome": outcome,
        "term": term,
        "effect": interval[0],
        "effect_low": interval[1],
        "effect_high": interval[2],
        "unit": unit,
        "p_value": p_value,
        "q_value": NAN,
        "n_donors": n_donors,
        "n_reference": n_reference,
        "n_visits": n_visits,
        "smallest_detectable": detectable,
        "power": power,
        "n_needed": n_needed,
        "adjusted_for": ";".join(adjusted_for),
        "note": note,
        "refused": refused,
    }


def effects_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table, with Benjamini-Hochberg q values within each programme and analysis."""
    import pandas as pd

    columns = list(effect_row(programme="", analysis="", outcome="", term=""))
    table = pd.DataFrame(rows, columns=columns)
    for name in ("n_reference", "n_visits", "n_needed"):
        table[name] = pd.array(table[name], dtype="Int64")
    tested = table[table["p_value"].notna()]
    for _, group in tested.groupby(["programme", "analysis"]):
        q = benjamini_hochberg(group["p_value"].to_numpy(np.float64))
        table.loc[group.index, "q_value"] = q
    return table
