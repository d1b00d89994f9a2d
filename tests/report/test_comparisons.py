"""The report tells of confounding and of clinical outcomes, refused ones too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pmcell.release.report_tables import Release
from pmcell.report import read_release
from pmcell.report.comparisons import adjusted_text, confounding_grid, outcome_grid
from pmcell.report.donor_figures import donor_figure, existence_figure
from pmcell.report.explanation import shifts_note
from pmcell.report.parts import Grid
from pmcell.report.placement import generalisation_note
from pmcell.schema.verdict import Adjusted


@pytest.fixture(scope="module")
def opened(release_with_strata: Path) -> Release:
    return read_release(release_with_strata)


def with_verdict(release: Release, **facts: object) -> Release:
    """The release as if its verdict had these facts."""
    assert release.verdict is not None
    return replace(release, verdict=replace(release.verdict, **facts))  # type: ignore[arg-type]


def cells(grid: Grid | None) -> list[list[str]]:
    assert grid is not None
    return [[cell.text for cell in row] for row in grid.rows]


def association(**change: object) -> pd.DataFrame:
    row = {
        "outcome": "stratum",
        "covariate": "batch_id",
        "family": "technical",
        "test": "permutation of chi-square",
        "effect": 0.9,
        "effect_name": "Cramér's V, bias-corrected",
        "effect_low": 0.7,
        "effect_high": 1.0,
        "p_value": 0.001,
        "q_value": 0.002,
        "n_donors": 40,
    }
    return pd.DataFrame([{**row, **change}])


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        ({}, "cannot be told apart"),
        ({"effect": 0.3}, "goes with it in part"),
        ({"q_value": 0.4, "effect_high": 0.1}, "no sign of it"),
        ({"q_value": 0.4, "effect_high": 0.5}, "not shown, not ruled out"),
    ],
)
def test_each_factor_is_read_for_the_reader(
    opened: Release, change: dict[str, object], reading: str
) -> None:
    release = replace(opened, tables={**opened.tables, "associations": association(**change)})
    rows = cells(confounding_grid(release))
    assert rows[0][:2] == ["batch", "strata"]
    assert rows[0][-1] == reading


def test_what_the_study_confounds_and_what_was_not_tested_is_in_the_same_table(
    opened: Release,
) -> None:
    table = pd.concat([association(), association(outcome="condition", family="design")])
    told = with_verdict(opened, not_tested={"region": "the same for every donor"})
    release = replace(told, tables={**told.tables, "associations": table})
    rows = cells(confounding_grid(release))
    assert [row[:2] for row in rows] == [
        ["region", "strata"],
        ["batch", "strata"],
        ["batch", "condition"],
    ]
    assert rows[0][-1] == "not tested: the same for every donor"


def test_outcomes_show_intervals_and_refusals(opened: Release) -> None:
    rows = cells(outcome_grid(opened))
    assert ["das28", "mixed model", "S2 against S1", "1.31", "0.44 to 2.18"] in [
        row[:5] for row in rows
    ]
    assert any(row[-1].startswith("not made: 12 events for 3 parameters") for row in rows)
    assert any("58 donors, 91 visits" in row for row in rows)


def test_adjusted_strata_are_told_or_why_there_are_none(opened: Release) -> None:
    found = Adjusted(adjust_for=("age_group",), k=2, n_donors=40, ari=0.91, refused="")
    told = with_verdict(opened, adjusted=found)
    assert "adjusted Rand index 0.91" in adjusted_text(told)
    assert "existence" not in adjusted_text(told)
    for p, answer in ((0.01, "strata exist in what is left"), (0.4, "may be a continuum")):
        tested = with_verdict(opened, adjusted=replace(found, p=p))
        assert f"p = {p:.3f} without them" in adjusted_text(tested)
        assert answer in adjusted_text(tested)
    refused = Adjusted(adjust_for=("age_group",), refused="age_group: the same for every donor")
    none = with_verdict(opened, adjusted=refused)
    assert "were not made: age_group: the same for every donor" in adjusted_text(none)
    assert adjusted_text(opened) == ""


def test_the_test_says_how_many_combinations_its_p_pays_for(opened: Release) -> None:
    figure = existence_figure(opened)
    assert figure is not None
    assert "combinations" not in str(figure)
    assert "(share of draws that are as clear: 2: 0.310)" in str(figure)
    assert opened.verdict is not None
    assert opened.verdict.existence is not None
    chosen = with_verdict(opened, existence=replace(opened.verdict.existence, n_views=5))
    assert "It is 5 times the share of draws" in str(existence_figure(chosen))


def test_of_many_batches_that_were_not_left_out_the_first_are_named(opened):
    why = "; ".join(f"b{at}: 2 donors, 3 are needed" for at in range(9))
    verdict = replace(opened.verdict.generalisation, group=["b9"], why=why)
    said = generalisation_note(with_verdict(opened, generalisation=verdict))
    assert said.endswith("b3: 2 donors, 3 are needed; and 5 others (strata.json).")
    few = replace(verdict, why="b0: 2 donors, 3 are needed")
    said = generalisation_note(with_verdict(opened, generalisation=few))
    assert said.endswith("Not tested: b0: 2 donors, 3 are needed.")


def test_cell_types_that_were_not_compared_between_conditions_say_why(opened: Release) -> None:
    contrasts = pd.DataFrame(
        {"contrast": "condition", "cell_type": ["all"], "why_not": ["known values: 9"]}
    )
    shifts = opened["composition_shifts"]
    of_strata = shifts.iloc[:0].reindex([0]).assign(contrast="stratum")
    told = replace(
        opened,
        tables={
            **opened.tables,
            "composition_shifts": of_strata,
            "expression_contrasts": contrasts,
        },
    )
    assert shifts_note(told).endswith("between conditions: known values: 9.")
    of_types = contrasts.assign(cell_type="B cell")
    unsaid = replace(told, tables={**told.tables, "expression_contrasts": of_types})
    assert "too few donors of each group" in shifts_note(unsaid)
    compared = of_strata.assign(contrast="condition")
    assert not shifts_note(replace(told, tables={**told.tables, "composition_shifts": compared}))


def test_the_donor_map_of_one_cohort_is_not_drawn_by_cohort(opened: Release) -> None:
    several = donor_figure(opened)
    visits = opened["visits"].assign(cohort_id="only")
    one = donor_figure(replace(opened, tables={**opened.tables, "visits": visits}))
    assert several is not None
    assert one is not None
    assert len(several.pictures) == len(one.pictures) + 1
    assert "by cohort" in several.caption
    assert "by cohort" not in one.caption
