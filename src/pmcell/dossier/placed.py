"""The person's place among the strata of the release, and how far the release can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.dossier.model import Part, Place
from pmcell.schema import Verdict

if TYPE_CHECKING:
    import pandas as pd

MAX_PARTS = 5
"""Drivers that are told, the largest first."""
WHY = {
    "ambiguous": "more than one stratum, or none clearly, fits",
    "novel": "no stratum of the release fits",
    "new_batch": "the batch is new to the release, and too few batches are known to say more",
    "withheld": "strata of this release are not published",
    "too_few_cells": "there are too few cells",
}
"""Why there is no stratum, by the status in the table `assignments`."""


def place_of(
    assignments: pd.DataFrame,
    drivers: pd.DataFrame,
    strata: pd.DataFrame,
    verdict: Verdict | None,
    visit: str,
) -> Place:
    """The place of one visit; without strata, or without a row, it says why there is none."""
    rows = assignments[assignments["visit"] == visit]
    if rows.empty:
        return no_place("the release has no placement of this visit")
    row = rows.iloc[0]
    status = str(row["status"])
    if verdict is None or not verdict.has_strata:
        why = "" if verdict is None else (verdict.why or verdict.decision)
        return no_place(f"this release has no strata{f': {why}' if why else ''}", status)
    stratum = _text(row["stratum"])
    about = strata[strata["stratum"] == stratum]
    chosen = drivers[drivers["visit"] == visit]
    told = verdict.placement
    return Place(
        status,
        stratum,
        str(about["description"].iloc[0]) if len(about) else "",
        int(about["n_donors"].iloc[0]) if len(about) else None,
        _number(row["probability"]),
        split_set(_text(row["conformal_set"])),
        None if told is None else told.coverage,
        _number(row["ood_p"]),
        _number(row["margin"]),
        parts_of(zip(chosen["channel"], chosen["cell_type"], chosen["contribution"], strict=True)),
        "" if stratum else WHY.get(status, status),
    )


def parts_of(rows: Any) -> tuple[Part, ...]:
    """The largest of (feature set, cell type, contribution), with their share of all sizes."""
    items = [(str(channel), str(name), float(value)) for channel, name, value in rows]
    total = sum(abs(value) for *_, value in items)
    if not total:
        return ()
    items.sort(key=lambda item: (-abs(item[2]), item[0], item[1]))
    return tuple(
        Part(channel, name, value, abs(value) / total) for channel, name, value in items[:MAX_PARTS]
    )


def no_place(why: str, status: str = "") -> Place:
    """A place that says only why there is none."""
    return Place(status, "", "", None, None, None, None, None, None, (), why)


def split_set(text: str) -> tuple[str, ...] | None:
    """The strata of a conformal set as `assignments` writes it; None where none was made.

    >>> split_set("S1;S2"), split_set("none"), split_set("")
    (('S1', 'S2'), (), None)
    """
    if not text:
        return None
    return () if text == "none" else tuple(text.split(";"))


def reference_facts(verdict: Verdict | None) -> tuple[str, ...]:
    """Sentences on how well donors and batches that were left out were placed."""
    if verdict is None:
        return ()
    said = []
    placed, tried = verdict.placement, verdict.generalisation
    if placed is not None and placed.fold_agreement is not None:
        said.append(
            f"{100 * placed.fold_agreement:.0f} % of the donors are placed in their own stratum by "
            "runs that left them out."
        )
    if tried is not None and tried.balanced_accuracy:
        known = [value for value in tried.balanced_accuracy if value == value]
        if known:
            said.append(
                f"With each {str(tried.unit).removesuffix('_id')} left out in turn ({len(known)}), "
                "strata are found again with a balanced accuracy from "
                f"{min(known):.2f} to {max(known):.2f}."
            )
    if tried is not None and tried.why:
        said.append(f"Not tested: {tried.why}.")
    return tuple(said)


def _number(value: Any) -> float | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else float(value)


def _text(value: Any) -> str:
    import pandas as pd

    return "" if value is None or pd.isna(value) else str(value)
