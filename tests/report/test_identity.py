"""What report and site say first: who was used, what the strata are, who was left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pmcell.io.tables import empty_table
from pmcell.pl.style import NEUTRAL
from pmcell.release.report_tables import Release
from pmcell.report import identity, page
from pmcell.report.colours import donor_colours
from pmcell.report.site.trust import _strata as signs_of_strata
from pmcell.report.strata import confounding
from pmcell.schema import TABLES, Verdict
from pmcell.schema.verdict import Confounding, Existence

EMPTY = {item.name: empty_table(item) for item in TABLES}
SEX = "sex_ontology_term_id"
TECHNICAL = ("batch_id", "median_share_mitochondrial")
FEMALE, MALE = "PATO:0000383", "PATO:0000384"


def study(
    strata: str = "AAAAABBBBB",
    condition: str = "sssssccccc",
    sex: str = "mmmffmmmff",
    verdict: Verdict | None = None,
    q_values: dict[str, float] | None = None,
) -> Release:
    """Ten donors, each letter the value of one; '-' is unknown."""
    words = {"s": "severe", "c": "control", "m": MALE, "f": FEMALE, "-": "unknown"}
    names = [f"d{number}" for number in range(len(strata))]
    label = [f"S{'AB'.index(letter) + 1}" if letter in "AB" else None for letter in strata]
    published = sorted(filter(None, set(label)))
    people = pd.DataFrame({"donor_id": names, "cohort_id": "c", "region": "unknown"})
    people[SEX] = [words[letter] for letter in sex]
    people["disease_ontology_term_id"] = "MONDO:0100096"
    people["age_group"] = "unknown"
    people["n_cells"] = 500
    visits = pd.DataFrame({"donor_id": names, "visit": "T0", "cohort_id": "c", "visit_day": 0.0})
    visits["condition"] = [words[letter] for letter in condition]
    placed = visits[["donor_id", "visit"]].assign(
        stratum=label, candidate_stratum=label, n_cells=500, left_out="", status="assigned"
    )
    q_values = {"condition": 0.01, SEX: 0.6} if q_values is None else q_values
    tests = pd.DataFrame(
        [("stratum", name, 1.0 - q, q, q, len(names)) for name, q in q_values.items()],
        columns=["outcome", "covariate", "effect", "p_value", "q_value", "n_donors"],
    ).assign(family="clinical", effect_name="V")
    tests.loc[tests["covariate"].isin(TECHNICAL), "family"] = "technical"
    shifts = pd.DataFrame(
        [
            ("S1", "monocyte", 1.5, 0.9, 2.1),
            ("S1", "B cell", -0.8, -1.5, -0.2),
            ("S1", "T cell", 0.3, -0.4, 1.0),
        ],
        columns=["level", "cell_type", "log2_ratio", "ratio_low", "ratio_high"],
    ).assign(contrast="stratum")
    tables = EMPTY | {
        "donors": people,
        "visits": visits,
        "assignments": placed,
        "associations": tests,
        "strata": pd.DataFrame({"stratum": published, "n_donors": 5}),
        "composition_shifts": shifts if published else EMPTY["composition_shifts"],
    }
    decision = verdict or Verdict("strata" if published else "continuum", "")
    return Release(tables, (), decision, {}, "")


def test_a_stratum_is_its_donors_what_they_have_and_what_their_cells_have() -> None:
    said = identity.identity(study())
    assert said == (
        "S1 is 5 donors, 5 of 5 with condition severe; "
        "S2 is 5 donors, 5 of 5 with condition control. "
        "S1 has a higher share of monocyte and a lower share of B cell than S2. "
        "Diagnoses took no part in finding the strata, and a stratum is none. "
        "Not known of any donor: age group and region."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"condition": "sssscccccc"}, "S1 is 5 donors, 4 of 5 with condition severe"),
        ({"condition": "sss--ccccc"}, "S1 is 5 donors, 3 of 3 with condition severe"),
        (
            {"condition": "-----ccccc"},
            "S1 is 5 donors; S2 is 5 donors, 5 of 5 with condition control. S1",
        ),
        (
            {"q_values": {"condition": 0.06}},
            "S1 is 5 donors; S2 is 5 donors. S1 has a higher share",
        ),
        ({"q_values": {}}, "S1 is 5 donors; S2 is 5 donors. S1 has a higher share"),
        (
            {"sex": "mmmmmfffff", "q_values": {"condition": 0.01, SEX: 0.01}},
            "S1 is 5 donors, 5 of 5 with condition severe; S2",
        ),
        (
            {"sex": "mmmmffffff", "q_values": {"condition": 0.01, SEX: 0.02}},
            "5 of 5 with condition severe, 4 of 5 of sex male; S2",
        ),
    ],
)
def test_only_what_goes_with_the_strata_is_said_once_and_of_donors_with_a_value(
    change, said
) -> None:
    assert said in identity.identity(study(**change))


def test_of_three_strata_each_has_its_own_cells_and_those_set_apart_alike_are_named_once() -> None:
    release = study()
    people, placed = release["donors"], release["assignments"]
    placed.loc[8:, ["stratum", "candidate_stratum"]] = "S3"
    parts = pd.DataFrame({"donor_id": people["donor_id"], "visit": "T0", "channel": "state"})
    parts = parts.assign(cell_type=["T cell"] * 8 + ["B cell"] * 2, contribution=1.0)
    three = pd.DataFrame({"stratum": ["S1", "S2", "S3"], "n_donors": [5, 3, 2]})
    said = identity.identity(
        replace(release, tables=release.tables | {"strata": three, "drivers": parts})
    )
    assert "S1 is 5 donors, 5 of 5 with condition severe, higher share of monocyte, lower" in said
    assert said.count("has a") == 0
    assert "S1 and S2 are set apart most by the state of T cell. S3 is set apart most by" in said


def test_a_colour_of_a_stratum_is_that_of_no_condition() -> None:
    colours = donor_colours(study())
    used = [colours[name].values() for name in ("stratum", "condition")]
    named = [colour for values in used for colour in values if colour != NEUTRAL]
    assert len(named) == len(set(named)) == 4


def test_strata_that_go_with_how_donors_were_measured_say_so_at_once() -> None:
    q_values = {"condition": 0.01, "median_share_mitochondrial": 0.009, "batch_id": 0.4}
    release = study(q_values=q_values)
    said = identity.identity(release)
    assert (
        "The strata go along with mitochondrial share (V 0.99, q = 0.009): how samples were" in said
    )
    assert "(V 0.60" not in said, "a factor without a sign is not named"
    sign = signs_of_strata(release)
    assert sign.tone == "open"
    assert "mitochondrial share" in sign.more
    assert signs_of_strata(study()).tone == "good"


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.4, "No sign that the strata follow the batch: bias-corrected"),
        (0.01, "The strata go along with the batch: bias-corrected"),
    ],
)
def test_whether_strata_follow_the_batch_is_said_before_its_numbers(p: float, said: str) -> None:
    told = Verdict("strata", "", existence=Existence(confounding=Confounding(0.2, p)))
    assert confounding(study(verdict=told)).startswith(said)


def test_a_property_that_nobody_has_is_unknown() -> None:
    said = identity.identity(study(condition="-" * 10, sex="-" * 10, q_values={}))
    assert said.endswith("Not known of any donor: condition, sex, age group and region.")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            Verdict("continuum", "p = 0.4"),
            "The donors differ by degrees, along axes, not as groups.",
        ),
        (
            Verdict("continuum", "p = 0.4", power="30 donors are enough for shifts of 1 sd."),
            "The donors differ by degrees, along axes, not as groups. "
            "30 donors are enough for shifts of 1 sd.",
        ),
        (Verdict("too few donors", "8"), ""),
        (Verdict("too few donors", "8", power="30 are enough."), "30 are enough."),
        (Verdict("not separable from batch", "V"), ""),
    ],
)
def test_without_strata_it_says_what_donors_are_instead(verdict: Verdict, said: str) -> None:
    assert identity.identity(study(strata="-" * 10, verdict=verdict)) == said


@pytest.mark.parametrize(
    ("q_value", "said"),
    [
        (0.01, "differ by condition (R squared 0.72, p = 0.010; 2 genes do in 1 cell type)."),
        (0.4, "are not shown to differ by condition (R squared 0.72, p = 0.400)."),
    ],
)
def test_conditions_within_donors_are_told_where_there_are_no_strata(
    q_value: float, said: str
) -> None:
    release = study(strata="-" * 10, verdict=Verdict("too few donors", "10"))
    columns = ["outcome", "covariate", "effect", "p_value", "q_value", "n_donors"]
    within = [
        ("map_within_donors", "condition", 0.72, q_value, q_value, 8),
        # What is technical stands in its own table.
        ("map_within_donors", "median_total_counts", 0.9, 0.01, 0.01, 8),
    ]
    genes = [("condition", "B cell", 2), ("condition", "T cell", 0), ("stratum", "T cell", 7)]
    found = pd.DataFrame(genes, columns=["contrast", "cell_type", "n_significant"])
    tables = release.tables | {
        "associations": pd.DataFrame(within, columns=columns),
        "expression_contrasts": found if q_value < 0.05 else found.iloc[1:],
    }
    assert identity.identity(replace(release, tables=tables)) == (
        f"8 donors, compared with themselves, {said}"
    )


def test_the_table_counts_every_donor_once_beside_the_test() -> None:
    release = study(condition="ssss-ccccc")
    told = replace(release.verdict, not_tested={"region": "the same for every donor"})
    grid = identity.cross_grid(replace(release, verdict=told))
    rows = [[cell.text for cell in row] for row in grid.rows]
    assert [column.name for column in grid.columns[2:4]] == ["S1", "S2"]
    assert rows[:3] == [
        ["condition", "control", "0 (0 %)", "5 (100 %)", "0.99", "0.010", "q 0.010 in 10 donors"],
        ["condition", "severe", "4 (100 %)", "0 (0 %)", "", "", ""],
        ["condition", "unknown", "1", "0", "", "", ""],
    ]
    assert ["sex", "female", "2 (40 %)", "2 (40 %)"] in [row[:4] for row in rows]
    assert [row[-1] for row in rows if row[0] == "region"] == ["not made: the same for every donor"]
    for name in identity.PROPERTIES.values():
        counted = [sum(int(row[at].split()[0]) for row in rows if row[0] == name) for at in (2, 3)]
        assert counted == [5, 5], name
    assert identity.cross_grid(study(strata="-" * 10)) is None


def test_a_property_with_a_value_a_donor_is_not_spread_over_the_table() -> None:
    release = study()
    release["donors"]["age_group"] = [f"{number}" for number in range(10)]
    few = identity.cross_grid(release)
    assert len([row for row in few.rows if row[0].text == "age group"]) == 10
    many = study(strata="A" * 7 + "B" * 7, condition="s" * 14, sex="m" * 14)
    many["donors"]["age_group"] = [f"{number}" for number in range(14)]
    rows = [row for row in identity.cross_grid(many).rows if row[0].text == "age group"]
    assert [row[1].text for row in rows] == ["14 different values"]


def test_visits_that_had_no_part_are_listed_with_their_reason() -> None:
    release = study()
    assert identity.left_out_grid(release) is None
    placed = release["assignments"]
    placed.loc[3, ["left_out", "n_cells"]] = ["7 cells, 20 are needed", 7]
    again = placed.loc[[4]].assign(visit="T1", left_out="another visit of the donor is used")
    tables = {**release.tables, "assignments": pd.concat([placed, again], ignore_index=True)}
    tables["donors"] = pd.concat(
        [tables["donors"], tables["donors"].loc[[0]].assign(donor_id="gone", n_cells=0)]
    )
    grid = identity.left_out_grid(replace(release, tables=tables))
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["d3", "T0", "7", "7 cells, 20 are needed", "no"],
        ["gone", "–", "0", "no cell passed QC", "no"],
        ["d4", "T1", "500", "another visit of the donor is used", "yes"],
    ]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((44, 8), "8 of 44 donors were used. Strata were sought in fewer than half."),
        ((None, None), "Strata were sought in fewer than half."),
    ],
)
def test_a_limitation_comes_with_its_numbers_unless_they_are_suppressed(numbers, said) -> None:
    told = Verdict(
        "continuum",
        "",
        limitations=("Strata were sought in fewer than half.",),
        n_donors=numbers[0],
        n_donors_used=numbers[1],
    )
    assert identity.limitations(study(verdict=told)) == [said]
    assert identity.limitations(study()) == []


def test_the_report_begins_with_limits_then_strata_then_the_map(
    release_with_strata: Path,
) -> None:
    from pmcell.release.report_tables import read_release

    release = read_release(release_with_strata)
    told = replace(release.verdict, limitations=("FEWER THAN HALF",))
    text = page.render(replace(release, verdict=told))
    summary = text[text.index('<section id="summary">') :]
    places = [
        summary.index(mark)
        for mark in ("FEWER THAN HALF", "S1 is ", 'id="figure-donors"', '<dl class="tiles">')
    ]
    assert places == sorted(places)
    assert text.count('id="figure-donors"') == 1
    assert "By condition" in summary
    assert "Strata against the donors&#39; properties" in text
    assert 'id="left-out"' in text
