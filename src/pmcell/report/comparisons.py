"""What strata go with: confounding in one table, clinical outcomes, strata after adjusting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.report import strata as verdicts
from pmcell.report.parts import (
    Cell,
    Column,
    Grid,
    as_number,
    decimal,
    number_cell,
    p_text,
    percent,
    plain_name,
    text_cell,
)
from pmcell.schema.text import as_text
from pmcell.schema.verdict import NO_COLUMN

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release
    from pmcell.schema.verdict import Adjusted

LARGE = 0.6
NOTABLE = 0.2
SMALL_P = 0.05


def confounding_grid(release: Release) -> Grid | None:
    """Strata (or axes where there are none), then conditions, against each factor."""
    rows = release["associations"]
    outcomes = set(as_text(rows["outcome"]))
    own = next((name for name in ("stratum", "candidate_stratum") if name in outcomes), "")
    subjects = [own] if own else sorted(name for name in outcomes if name.startswith("axis_"))
    parts = []
    for factor, text in verdicts.FACTORS.items():
        for subject in subjects:
            parts += _tested(rows, subject, factor, text)
        if not (rows["covariate"] == factor).any() and (why := _why_not(release, factor)):
            parts.append(_untested(text, ", ".join(map(_subject, subjects)) or "strata", why))
    design = rows[as_text(rows["family"]) == "design"]
    for subject in sorted(set(as_text(design["outcome"]))):
        for factor, text in verdicts.FACTORS.items():
            parts += _tested(design, subject, factor, text)
    if not parts:
        return None
    columns = (
        Column("Factor"),
        Column("Compared with"),
        Column("Effect", True, "0: nothing in common, 1: the same"),
        Column("95 % interval"),
        Column("Effect size"),
        Column("p", True, "Permutation over donors"),
        Column("q", True, "Benjamini-Hochberg within the family"),
        Column("Donors", True),
        Column("Reading"),
    )
    return Grid(
        "Confounding: do strata or conditions go with how and where donors were measured?",
        columns,
        tuple(parts),
        ("associations", "strata.json"),
        fold=40,
    )


def _tested(rows: pd.DataFrame, subject: str, factor: str, text: str) -> list[tuple[Cell, ...]]:
    found = rows[(rows["outcome"] == subject) & (rows["covariate"] == factor)]
    return [
        (
            text_cell(text),
            text_cell(_subject(subject)),
            number_cell(row.effect, decimal(row.effect), bar=True),
            text_cell(_interval(row.effect_low, row.effect_high)),
            text_cell(row.effect_name),
            number_cell(row.p_value, p_text(row.p_value)),
            number_cell(row.q_value, p_text(row.q_value)),
            number_cell(row.n_donors),
            _reading(row.effect, row.effect_high, row.q_value),
        )
        for row in found.itertuples()
    ]


def _untested(text: str, subject: str, why: str) -> tuple[Cell, ...]:
    nothing = text_cell("")
    return (
        text_cell(text),
        text_cell(subject),
        *[nothing] * 6,
        Cell(f"not tested: {why}", tone="muted"),
    )


def _subject(name: str) -> str:
    return {
        "candidate_stratum": "candidate strata (not published)",
        "stratum": "strata",
    }.get(name, plain_name(name))


def _reading(effect: Any, high: Any, q: Any) -> Cell:
    size, most, small = as_number(effect), as_number(high), as_number(q)
    if size is None or small is None:
        return text_cell("")
    if small > SMALL_P:
        if most is None or most >= NOTABLE:
            return text_cell("not shown, not ruled out")
        return Cell("no sign of it", tone="ok")
    if size >= LARGE:
        return Cell("cannot be told apart", tone="warn")
    return Cell("goes with it in part", tone="strong")


def _interval(low: Any, high: Any) -> str:
    known = as_number(low) is not None and as_number(high) is not None
    return f"{decimal(low)} to {decimal(high)}" if known else ""


def _why_not(release: Release, factor: str) -> str:
    told = (release.verdict.not_tested if release.verdict else None) or {}
    why = told.get(factor)
    return "" if why is None or why == NO_COLUMN else why


def outcome_grid(release: Release) -> Grid | None:
    """Clinical outcomes against strata or axes, refused comparisons too."""
    frame = release["outcomes"]
    if frame.empty:
        return None
    rows = tuple(
        (
            text_cell(row.outcome),
            text_cell(row.model),
            text_cell(str(row.term).replace("_", " "), note=row.effect_name or ""),
            number_cell(row.effect, decimal(row.effect)),
            text_cell(_interval(row.effect_low, row.effect_high)),
            number_cell(row.p_value, p_text(row.p_value)),
            number_cell(row.q_value, p_text(row.q_value)),
            text_cell(_numbers(row)),
            text_cell(", ".join(map(plain_name, filter(None, str(row.adjusted_for).split(";"))))),
            text_cell(f"not made: {row.refused}" if row.refused else row.note),
        )
        for row in frame.itertuples()
    )
    columns = (
        Column("Outcome"),
        Column("Model"),
        Column("What is compared", help="With the effect's name below"),
        Column("Effect", True, "In the outcome's own unit, or a hazard ratio"),
        Column("95 % interval"),
        Column("p", True),
        Column("q", True, "Benjamini-Hochberg within whole comparisons, and within contrasts"),
        Column("In it"),
        Column("Adjusted for"),
        Column("To mind"),
    )
    return Grid("Clinical outcomes", columns, rows, ("outcomes",), fold=30)


def _numbers(row: Any) -> str:
    parts = ((row.n_donors, "donors"), (row.n_visits, "visits"), (row.n_events, "events"))
    known = [(as_number(_plain(value)), name) for value, name in parts]
    return ", ".join(f"{number:.0f} {name}" for number, name in known if number)


def _plain(value: Any) -> Any:
    import pandas as pd

    return None if pd.isna(value) else int(value)


def adjusted_text(release: Release) -> str:
    """Strata found again without covariates, in a sentence or two; '' where none were declared."""
    found = release.verdict.adjusted if release.verdict else None
    if found is None or not found.adjust_for:
        return ""
    names = ", ".join(map(plain_name, found.adjust_for))
    if found.refused:
        return f"Strata adjusted for {names} were not made: {found.refused}."
    return (
        f"With {names} taken out ({percent(found.share_explained)} of the squared "
        f"distances), {found.k} strata were found again in {found.n_donors} donors: "
        f"adjusted Rand index {decimal(found.ari)} to the strata before (1 the same, 0 as "
        f"by chance).{_still_there(found, release)}"
    )


def _still_there(found: Adjusted, release: Release) -> str:
    """The existence test of what is left, in a sentence; '' where it was not made."""
    p = as_number(found.p)
    if p is None:
        return ""
    alpha = as_number(verdicts.existence(release).alpha) or 0.05
    told = "strata exist in what is left" if p <= alpha else "what is left may be a continuum"
    return f" The same test of existence gives p = {p_text(p)} without them: {told}."
