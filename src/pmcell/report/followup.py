"""What follow-up found: changes against the noise of repeats, steps between strata, contrasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.report.parts import Column, Grid, decimal, number_cell, p_text, text_cell
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release

CHANGES, STEPS, EFFECTS = "followup", "stratum_steps", "followup_effects"
KINDS = {
    "cell type": "shares of cell types",
    "measurement": "clinical values",
    "signature": "scores of signatures",
    "profile": "distances of whole profiles to the reference group",
}


def followup_text(release: Release) -> str:
    """How many changes exceed the noise of repeats, how many cannot be judged; '' without any."""
    rows = release[CHANGES]
    if rows.empty:
        return ""
    sentences = []
    for kind, name in KINDS.items():
        own = rows[rows["kind"] == kind]
        if own.empty:
            continue
        judged = own[own["verdict"] != "cannot be judged"]
        changed = judged[judged["verdict"] == "changed"]
        text = f"{plural(len(own), 'change')} of {name}: "
        if judged.empty:
            why = ", ".join(sorted(set(own["noise_source"])))
            sentences.append(f"{text}none can be judged ({why}).")
            continue
        source = ", ".join(sorted(set(judged["noise_source"])))
        text += f"{len(changed)} of {len(judged)} judged ones exceed the noise ({source})"
        ways = [
            f"{n} {way} the reference group"
            for way in ("toward", "away")
            if (n := int((changed["direction"] == way).sum()))
        ]
        rest = len(own) - len(judged)
        text += f"; {', '.join(ways)}" if ways else ""
        text += f"; {rest} cannot be judged" if rest else ""
        sentences.append(f"{text.replace(' away the', ' away from the')}.")
    return " ".join(sentences)


def steps_grid(release: Release) -> Grid | None:
    """Shares of the steps from each stratum to each."""
    rows = release[STEPS]
    if rows.empty:
        return None
    cells = tuple(
        (
            text_cell(row.previous_stratum),
            text_cell(row.stratum),
            number_cell(row.n_steps, str(row.n_steps)),
            number_cell(row.n_donors, f"{row.n_donors} of {row.n_donors_from}"),
            number_cell(row.share, _with_interval(row.share, row.share_low, row.share_high)),
        )
        for row in rows.itertuples()
    )
    columns = (
        Column("From"),
        Column("To"),
        Column("Steps", True, "Pairs of visits that follow one another"),
        Column("Donors", True, "Donors with such a step, of those with any from there"),
        Column("Share", True, "Of the steps from there, with its 95 % interval over donors"),
    )
    return Grid("Steps between strata", columns, cells, (STEPS,), fold=8)


def effects_grid(release: Release) -> Grid | None:
    """Declared contrasts and clinical values against cell types; refused ones last."""
    rows = release[EFFECTS]
    if rows.empty:
        return None
    ordered = rows.sort_values(["refused", "p_value", "term"], kind="stable")
    cells = tuple(
        (
            text_cell(row.outcome, note=row.programme),
            text_cell(row.term, note=f"{row.analysis}; {row.unit}" if row.unit else row.analysis),
            number_cell(row.effect, _with_interval(row.effect, row.effect_low, row.effect_high)),
            number_cell(row.q_value, p_text(row.q_value)),
            text_cell(_people(row)),
            number_cell(row.smallest_detectable, decimal(row.smallest_detectable)),
            text_cell(row.refused or row.note),
        )
        for row in ordered.itertuples()
    )
    columns = (
        Column("Outcome", help="With the programme that declares it"),
        Column("Contrast", help="Or the cell type of the model"),
        Column("Effect", True, "With its 95 % interval"),
        Column("q", True, "Benjamini-Hochberg within the programme's analysis"),
        Column("Donors"),
        Column("Detectable", True, "Smallest effect that 8 of 10 such studies would find"),
        Column("To mind"),
    )
    return Grid("Contrasts and associations over visits", columns, cells, (EFFECTS,), fold=8)


def _with_interval(value: float, low: float, high: float) -> str:
    shown = decimal(value)
    known = low == low and high == high
    return f"{shown} ({decimal(low)} to {decimal(high)})" if known else shown


def _people(row: object) -> str:
    n, reference = getattr(row, "n_donors", 0), getattr(row, "n_reference", None)
    return f"{n} against {int(reference)}" if reference == reference and reference else str(n)
