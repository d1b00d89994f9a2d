"""Rows of schema.OUTCOMES: comparisons of clinical outcomes, made or refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.donors.association import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

MIXED, COX, LOG_RANK = "mixed model", "Cox regression", "log-rank test"
WHOLE, CONTRASTS = "outcomes", "contrasts"
NAN = float("nan")


class Refused(Exception):
    """A comparison whose number would mean nothing, and why."""


def row(
    *,
    outcome: str,
    model: str,
    term: str,
    n_donors: int,
    p_value: float = NAN,
    interval: tuple[float, float, float] = (NAN, NAN, NAN),
    effect_name: str = "",
    n_visits: int | None = None,
    n_events: int | None = None,
    adjusted_for: tuple[str, ...] = (),
    ph_p: float = NAN,
    note: str = "",
    refused: str = "",
) -> dict[str, Any]:
    """One comparison; `interval` is the effect with its 95 % limits."""
    return {
        "outcome": outcome,
        "model": model,
        "term": term,
        "family": WHOLE if not effect_name else CONTRASTS,
        "effect": interval[0],
        "effect_name": effect_name,
        "effect_low": interval[1],
        "effect_high": interval[2],
        "p_value": p_value,
        "q_value": NAN,
        "n_donors": n_donors,
        "n_visits": n_visits,
        "n_events": n_events,
        "adjusted_for": ";".join(adjusted_for),
        "ph_p": ph_p,
        "note": note,
        "refused": refused,
    }


def refused_row(
    outcome: str, model: str, term: str, why: str, adjusted_for: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A comparison that was not made."""
    return row(
        outcome=outcome,
        model=model,
        term=term,
        n_donors=0,
        adjusted_for=adjusted_for,
        refused=why,
    )


def as_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table, with Benjamini-Hochberg q values within each family."""
    import pandas as pd

    columns = list(row(outcome="", model="", term="", n_donors=0))
    table = pd.DataFrame(rows, columns=columns)
    for name in ("n_visits", "n_events"):
        table[name] = pd.array(table[name], dtype="Int64")
    for _, group in table[table["p_value"].notna()].groupby("family"):
        q = benjamini_hochberg(group["p_value"].to_numpy(np.float64))
        table.loc[group.index, "q_value"] = q
    return table
