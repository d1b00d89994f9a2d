"""What is published of outcomes, survival and genes of strata when a cohort is withheld."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_donors import make_outcomes, make_survival
from made_explanation import make_explanation
from pmcell import schema
from pmcell.io.tables import conform, read_table, write_table
from pmcell.publish.disclosure.classes import OPEN_ONLY, TABLE_CLASSES, VECTOR
from pmcell.publish.disclosure.hidden import shown_verdict
from pmcell.publish.explanation import explanation_frame
from pmcell.publish.facts import Facts, load_facts
from pmcell.publish.stratification import movement_frame, outcomes_frame, survival_frame
from results_folder import make_results

EXPLAINED = ("expression_contrasts", "differential_expression", "pathways", "gene_drivers")
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


@pytest.fixture(scope="module")
def withheld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_tables(tmp_path_factory.mktemp("withheld"), {})


@pytest.fixture(scope="module")
def everyone_open(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_tables(tmp_path_factory.mktemp("everyone"), {"closed": "open"})


def facts_of(results: Path, min_donors: int) -> Facts:
    return load_facts(results, config={"release": {"min_donors": min_donors}})


def test_outcomes_in_which_a_few_withheld_donors_are_have_no_row(withheld: Path) -> None:
    assert len(outcomes_frame(facts_of(withheld, 5))) == 0


def test_outcomes_of_all_donors_stay_without_counts_of_visits_events_and_values(
    withheld: Path,
) -> None:
    rows = outcomes_frame(facts_of(withheld, 4))
    conform(rows, schema.OUTCOMES)
    assert set(rows["model"]) == {"mixed model"}, "others leave out a donor, or say why"
    assert rows["n_visits"].isna().all()
    assert rows["n_events"].isna().all()
    assert set(rows["refused"]) == {""}
    assert set(rows["note"]) == {"hazards are not proportional"}
    assert rows["p_value"].notna().all()


def test_survival_curves_are_published_of_open_donors_and_strata_only(
    withheld: Path, everyone_open: Path
) -> None:
    assert TABLE_CLASSES["survival"] == OPEN_ONLY
    assert len(survival_frame(facts_of(withheld, 4))) == 0
    shown = facts_of(everyone_open, 5)
    assert len(survival_frame(shown)) > 0
    assert len(outcomes_frame(shown)) == 4
    continuum = replace(shown, strata={**shown.strata, "decision": "continuum"})
    assert len(survival_frame(continuum)) == 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_no_effect_of_a_gene_is_published_once_any_donor_is_withheld(
    name: str, withheld: Path, everyone_open: Path
) -> None:
    assert TABLE_CLASSES[name] == VECTOR
    for min_donors in (4, 5):
        none = explanation_frame(facts_of(withheld, min_donors), name)
        conform(none, schema.table(name))
        assert len(none) == 0
    assert len(explanation_frame(facts_of(everyone_open, 5), name)) > 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_without_published_strata_genes_of_conditions_remain(
    name: str, everyone_open: Path
) -> None:
    shown = facts_of(everyone_open, 5)
    rows = explanation_frame(replace(shown, strata={**shown.strata, "decision": "continuum"}), name)
    if name == "gene_drivers":
        assert len(rows) == 0
    else:
        assert set(rows["contrast"]) == {"condition"}


def test_a_study_without_the_explain_step_has_empty_tables(everyone_open: Path) -> None:
    shown = facts_of(everyone_open, 5)
    path = everyone_open / "strata" / "pathways.parquet"
    kept = path.read_bytes()
    path.unlink()
    try:
        rows = explanation_frame(shown, "pathways")
    finally:
        path.write_bytes(kept)
    assert len(rows) == 0
    assert list(rows.columns) == [field.name for field in schema.PATHWAYS.fields]


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (
            {"n_donors": N_USED, "ari": 0.9, "sizes": [5, 4], "refused": ""},
            {"n_donors": N_USED, "ari": 0.9, "refused": ""},
        ),
        (
            {"n_donors": N_USED - 1, "ari": 0.9, "sizes": [5, 3], "refused": ""},
            {"refused": "not shown: withheld donors took part"},
        ),
        (
            {"n_donors": N_USED, "refused": "age: known for 3 donors, 5 are needed"},
            {"refused": "not shown: withheld donors took part"},
        ),
    ],
)
def test_adjusted_strata_do_not_tell_who_has_the_covariate(
    found: dict[str, object], shown: dict[str, object], withheld: Path
) -> None:
    verdict = {"n_donors_used": N_USED, "adjusted": {"adjust_for": ["age"], **found}}
    told = shown_verdict(facts_of(withheld, 4), verdict)
    assert told["adjusted"] == {"adjust_for": ["age"], **shown}


def test_in_an_open_release_nothing_of_a_verdict_is_left_out(everyone_open: Path) -> None:
    verdict = {"adjusted": {"sizes": [5, 4]}, "n_visits": 12}
    assert shown_verdict(facts_of(everyone_open, 5), verdict) == verdict
    frame = outcomes_frame(facts_of(everyone_open, 5))
    assert frame["note"].str.contains(COUNTED).all()


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
    shifts = pd.DataFrame({"stratum": ["S1"], "cell_type": ["T cell"], "within_batch": [True]})
    shares = ("mean_share", "mean_share_others", "log2_ratio", "ratio_low", "ratio_high")
    shifts = shifts.assign(**dict.fromkeys(shares, 0.1), n_donors=4, n_donors_others=5)
    write_table(
        results / "strata" / "composition_shifts.parquet", shifts, schema.COMPOSITION_SHIFTS
    )


def test_q_values_of_steps_do_not_tell_how_many_steps_are_hidden(
    withheld: Path, everyone_open: Path
) -> None:
    for results in (withheld, everyone_open):
        with_strata_tables(results)
    everyone = movement_frame(facts_of(everyone_open, 5))
    shown = movement_frame(facts_of(withheld, 5))
    assert 0 < len(shown) < len(everyone)
    conform(shown, schema.MOVEMENT)
    # The largest q is its p: there is no trace of a test that is not shown.
    last = shown.loc[shown["p_value"].idxmax()]
    assert last["q_value"] == last["p_value"]
    assert everyone["q_value"].max() > 1, "the step's own values stay where all are shown"


def test_shifts_of_cell_types_are_published_of_open_cohorts_only(
    withheld: Path, everyone_open: Path
) -> None:
    for results in (withheld, everyone_open):
        with_strata_tables(results)
    assert TABLE_CLASSES["composition_shifts"] == OPEN_ONLY
    assert len(explanation_frame(facts_of(withheld, 4), "composition_shifts")) == 0
    facts = facts_of(everyone_open, 5)
    assert len(explanation_frame(facts, "composition_shifts")) == int(facts.has_strata)
