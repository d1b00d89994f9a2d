"""Shares, states, changes and place of a person, against plain pandas and loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from dossier.made_people import ALONE, FEMALE, N_CELLS, PERSON, TYPES, edit, make_people
from pmcell.dossier import Dossier, build_dossier
from pmcell.dossier.change import changes, repeats_of
from pmcell.dossier.model import COMPARISON_GROUP, REFERENCE_INTERVAL, Interval
from pmcell.dossier.placed import place_of, split_set
from pmcell.dossier.ranges import two_digits
from pmcell.dossier.standing import shares
from pmcell.dossier.unsaid import notes, unsaid
from pmcell.schema import Verdict


def naive_group(release: Path) -> pd.DataFrame:
    """Shares of healthy women other than the person, donors × types."""
    donors = pd.read_parquet(release / "tables/donors.parquet")
    women = donors[(donors["sex_ontology_term_id"] == FEMALE) & (donors["donor_id"] != PERSON)]
    rows = pd.read_parquet(release / "tables/composition.parquet")
    rows = rows[rows["donor_id"].isin(women["donor_id"])]
    return rows.pivot(index="donor_id", columns="cell_type", values="share")


def test_shares_and_ranges_are_those_of_plain_pandas(people: Path, dossier: Dossier) -> None:
    group = naive_group(people)
    assert len(group) == dossier.group.n == 130
    assert {item.cell_type for item in dossier.shares} == set(TYPES)
    for item in dossier.shares:
        theirs = group[item.cell_type]
        assert item.share == item.n_cells / N_CELLS
        assert item.group.n == 130
        assert item.group.median == two_digits(theirs.median())
        edges = theirs.quantile([0.025, 0.975], interpolation="linear")
        # pandas' ranks are p·(n − 1) + 1; of 130 people that is less than half a person away.
        ordered = np.sort(theirs)
        for found, near in zip(
            (item.group.reference.low, item.group.reference.high), edges, strict=True
        ):
            at = np.searchsorted(ordered, near)
            assert ordered[max(at - 2, 0)] * 0.94 <= found <= ordered[min(at + 2, 129)] * 1.06


def test_what_is_rare_or_plenty_in_the_person_stands_outside(dossier: Dossier) -> None:
    by_type = {item.cell_type: item for item in dossier.shares}
    for name, where in (
        ("natural killer cell", "below"),
        ("plasmablast", "above"),
        ("platelet", "below"),
        ("classical monocyte", "within"),
    ):
        assert (by_type[name].position, by_type[name].against_reference) == (where, where)
    assert by_type["plasmablast"].is_sure
    assert by_type["platelet"].n_cells == 0
    assert by_type["platelet"].share == 0.0
    assert by_type["platelet"].counting.high > 0, "none found among few cells is not none"
    assert by_type["naive B cell"].term == "CL:0000788"


def test_a_type_without_a_row_was_not_looked_for_and_has_no_share(dossier: Dossier) -> None:
    own = pd.DataFrame({"cell_type": ["B cell", "T cell"], "n_cells": [0, 10]})
    theirs = pd.DataFrame(
        {
            "donor_id": np.repeat([f"a:{n}" for n in range(12)], 3), "visit": "T0",
            "cell_type": ["B cell", "T cell", "mast cell"] * 12, "n_cells": [5, 4, 1] * 12,
        }
    )  # fmt: skip
    group = pd.DataFrame({"donor_id": [f"a:{n}" for n in range(12)], "visit": "T0"})
    found = {i.cell_type: i for i in shares(own, theirs, group, terms={}, least=10)}
    assert found["B cell"].share == 0.0
    assert found["mast cell"].share is None
    assert found["mast cell"].n_cells is None
    assert found["mast cell"].group.median == 0.1
    assert found["T cell"].term == "unknown"


def test_119_women_are_a_comparison_group_in_the_dossier(tmp_path: Path) -> None:
    for n, kind in ((119, COMPARISON_GROUP), (120, REFERENCE_INTERVAL)):
        release = make_people(tmp_path / str(n), n_women=n)
        told = build_dossier(release, PERSON)
        assert {item.group.kind for item in told.shares} == {kind}
        assert any("There is no reference interval" in text for text in told.unsaid) == (n == 119)


def test_states_are_distances_from_the_mean_of_the_others(people: Path, dossier: Dossier) -> None:
    donors = anndata.read_h5ad(people / "donors.h5ad")
    values = donors.obsm["X_state"][:, :3]
    group = donors.obs["donor_id"].isin(naive_group(people).index).to_numpy()
    theirs = values[group]
    distances = [
        np.linalg.norm(row - np.delete(theirs, n, axis=0).mean(axis=0))
        for n, row in enumerate(theirs)
    ]
    own = values[(donors.obs["donor_id"] == PERSON) & (donors.obs["visit"] == "T1")][0]
    expected = np.linalg.norm(own - theirs.mean(axis=0)) / np.median(distances)
    by_type = {item.cell_type: item for item in dossier.states}
    assert by_type["classical monocyte"].distance == pytest.approx(expected)
    assert by_type["classical monocyte"].position == "above"
    assert by_type["platelet"].distance is None, "a state that was not measured is no distance"


def test_change_is_the_difference_of_shares_with_newcombes_interval() -> None:
    before = pd.DataFrame({"cell_type": ["a", "b", "only before"], "n_cells": [56, 14, 0]})
    now = pd.DataFrame({"cell_type": ["a", "b"], "n_cells": [48, 32]})
    found = {item.cell_type: item for item in changes(now=before, before=now)}
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339.
    assert found["a"].difference == pytest.approx(0.2)
    assert found["a"].counting.low == pytest.approx(0.0524, abs=5e-5)
    assert found["a"].counting.high == pytest.approx(0.3339, abs=5e-5)
    assert found["a"].is_more_than_counting
    assert set(found) == {"a", "b"}


def test_change_follows_the_visit_before(people: Path, dossier: Dossier) -> None:
    assert dossier.previous_visit == "T0"
    assert {item.cell_type for item in dossier.changes} == set(TYPES)
    assert dossier.movement.previous_stratum == "S2"
    first = build_dossier(people, PERSON, visit="T0")
    assert first.previous_visit == ""
    assert first.changes == ()
    assert first.movement is None


def test_place_has_set_drivers_and_coverage(dossier: Dossier) -> None:
    place = dossier.place
    assert (place.stratum, place.conformal_set, place.coverage) == ("S1", ("S1", "S2"), 0.9)
    assert [(part.cell_type, part.share) for part in place.parts] == [
        ("classical monocyte", pytest.approx(0.75)),
        ("platelet", pytest.approx(0.25)),
    ]
    assert place.n_donors == 100


def test_without_strata_the_verdict_says_why() -> None:
    columns = ["donor_id", "visit", "stratum", "status", "probability", "conformal_set", "ood_p"]
    rows = pd.DataFrame([["a:1", "T0", None, "withheld", 0.9, None, None]], columns=columns)
    rows["margin"] = 0.1
    empty = pd.DataFrame(columns=["visit", "stratum", "channel", "cell_type", "contribution"])
    verdict = Verdict("continuum", "as clear as a continuum")
    place = place_of(rows, empty, empty, verdict, "T0")
    assert place.stratum == ""
    assert place.probability is None
    assert place.why_not == "this release has no strata: as clear as a continuum"
    assert "no placement" in place_of(rows, empty, empty, verdict, "T9").why_not
    assert split_set("S1") == ("S1",)


def test_a_person_of_whom_little_is_known_is_told_what_could_not_be_said(people: Path) -> None:
    told = build_dossier(people, ALONE)
    assert told.person.age == told.person.sex == "unknown"
    assert told.visit.day is None
    assert told.changes == ()
    assert told.measurements == ()
    assert told.place.stratum == ""
    assert told.place.conformal_set == ()
    said = " ".join(told.unsaid)
    for text in (
        "not matched by age: not known of this person",
        "not matched by sex: not known of this person",
        "No stratum is given: no stratum of the release fits.",
        "Nothing is said of change",
        "no other measurements",
        "Days between visits are not known.",
    ):
        assert text in said
    assert told.group.n == 150


def test_measurements_are_in_the_order_of_time(dossier: Dossier) -> None:
    assert [(m.visit, m.value, m.unit) for m in dossier.measurements] == [
        ("T0", 6.5, "%"),
        ("T1", 7.25, "%"),
    ]


def test_equal_arguments_give_equal_dossiers(people: Path, dossier: Dossier) -> None:
    assert build_dossier(people, PERSON, date="2026-11-30") == dossier


def test_a_group_below_the_releases_own_minimum_is_not_told(tmp_path: Path) -> None:
    release = make_people(tmp_path, min_donors=200)
    told = build_dossier(release, PERSON)
    assert told.group.least == 200
    assert all(item.group.median is None for item in told.shares)
    assert all(item.position == "" for item in told.shares)
    assert told.group.cohorts == ()


def test_a_state_of_a_group_without_spread_is_not_divided_by_zero(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=15, n_men=0)
    donors = anndata.read_h5ad(release / "donors.h5ad")
    donors.obsm["X_state"][:] = 1.0
    donors.write_h5ad(release / "donors.h5ad")
    assert all(item.distance is None for item in build_dossier(release, PERSON).states)


def test_samples_of_two_tissues_at_one_visit_are_compared_with_nobody(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=15, n_men=0)

    def add_lung(frame: pd.DataFrame) -> pd.DataFrame:
        row = frame[(frame["donor_id"] == PERSON) & (frame["visit"] == "T1")].copy()
        row["sample_id"] += "_lung"
        row["tissue_ontology_term_id"] = "UBERON:0002048"
        return pd.concat([frame, row])

    edit(release, "samples", add_lung)
    told = build_dossier(release, PERSON)
    assert told.group.n == 0
    assert len(told.samples) == 2
    assert Interval(0, 1) not in [item.group.reference for item in told.shares]


def followup_rows(**other: object) -> pd.DataFrame:
    row = {
        "donor_id": PERSON, "visit": "T1", "kind": "cell type", "quantity": "naive B cell",
        "previous_visit": "T0", "change": 0.4, "change_unit": "log2 odds ratio",
        "change_limit": 1.5, "noise_donors": 12, "noise_source": "visits of reference donors",
        "verdict": "within noise",
    }  # fmt: skip
    return pd.DataFrame([row | other])


def test_change_is_held_against_repeats_where_they_are_known(dossier: Dossier) -> None:
    before = pd.DataFrame({"cell_type": ["naive B cell", "platelet"], "n_cells": [100, 900]})
    now = pd.DataFrame({"cell_type": ["naive B cell", "platelet"], "n_cells": [200, 800]})
    for rows, clear, judged in (
        (followup_rows(), False, True),
        (followup_rows(verdict="changed"), True, True),
        (followup_rows(verdict="cannot be judged", change_limit=np.nan), True, False),
        (followup_rows(previous_visit="T7"), True, None),
        (followup_rows(kind="measurement"), True, None),
    ):
        found = changes(before, now, repeats=repeats_of(rows, "T1", "T0"))
        (item,) = [item for item in found if item.cell_type == "naive B cell"]
        assert item.is_more_than_counting
        assert item.is_clear is clear
        assert (item.repeats.is_judged if item.repeats else None) is judged
    told = replace(dossier, changes=found, notes=(), unsaid=())
    assert any("Change is held against counting cells only" in text for text in unsaid(told))
    judged = changes(before, now, repeats=repeats_of(followup_rows(), "T1", "T0"))
    told = replace(told, changes=judged)
    assert not any("counting cells only" in text for text in unsaid(told))
    assert any("visits of reference donors, 12 people" in text for text in notes(told))
