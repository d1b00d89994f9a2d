"""What is published of outcomes, survival and genes of strata when a cohort is withheld."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pmcell import schema
from pmcell.io.coded_tables import plain_frame
from pmcell.io.tables import conform
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content.sources import rows_of
from pmcell.publish.disclosure.counted import ALL, USED
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact
from pmcell.publish.disclosure.verdict import redact_facts, redact_verdict
from pmcell.publish.facts import Facts, load_facts
from pmcell.schema.disclosure import OPEN_ONLY, VECTOR
from pmcell.schema.verdict import Verdict
from strata_tables import COUNTED, N_USED, with_strata_tables, with_tables

EXPLAINED = ("expression_contrasts", "differential_expression", "pathways", "gene_drivers")


@pytest.fixture(scope="module")
def withheld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_tables(tmp_path_factory.mktemp("withheld"), {})


@pytest.fixture(scope="module")
def everyone_open(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_tables(tmp_path_factory.mktemp("everyone"), {"closed": "open"})


def facts_of(results: Path, min_donors: int) -> Facts:
    return load_facts(results, config={"release": {"min_donors": min_donors}})


def published(name: str, facts: Facts) -> pd.DataFrame:
    """A table as a release holds it."""
    atlas, table = load_atlas(facts.results), schema.table(name)
    rows = rows_of(table, facts, atlas)
    if not isinstance(rows, pd.DataFrame):
        rows = pd.concat(map(plain_frame, rows), ignore_index=True)
    return redact(table, rows, Policy(facts, atlas))


def class_of(name: str) -> str:
    told = schema.table(name).disclosure
    assert told is not None
    return told.kind


def without_strata(facts: Facts) -> Facts:
    return replace(facts, strata=replace(facts.strata, decision="continuum"))


def test_outcomes_in_which_a_few_withheld_donors_are_have_no_row(withheld: Path) -> None:
    assert len(published("outcomes", facts_of(withheld, 5))) == 0


def test_outcomes_of_all_donors_stay_without_counts_of_visits_events_and_values(
    withheld: Path,
) -> None:
    rows = published("outcomes", facts_of(withheld, 4))
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
    assert class_of("survival") == OPEN_ONLY
    assert len(published("survival", facts_of(withheld, 4))) == 0
    shown = facts_of(everyone_open, 5)
    assert len(published("survival", shown)) > 0
    assert len(published("outcomes", shown)) == 4
    assert len(published("survival", without_strata(shown))) == 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_no_effect_of_a_gene_is_published_once_any_donor_is_withheld(
    name: str, withheld: Path, everyone_open: Path
) -> None:
    assert class_of(name) == VECTOR
    for min_donors in (4, 5):
        none = published(name, facts_of(withheld, min_donors))
        conform(none, schema.table(name))
        assert len(none) == 0
    assert len(published(name, facts_of(everyone_open, 5))) > 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_without_published_strata_genes_of_conditions_remain(
    name: str, everyone_open: Path
) -> None:
    shown = facts_of(everyone_open, 5)
    rows = published(name, without_strata(shown))
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
        rows = published("pathways", shown)
    finally:
        path.write_bytes(kept)
    assert len(rows) == 0
    assert list(rows.columns) == schema.PATHWAYS.columns


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
    told = redact_facts(verdict, Policy(facts_of(withheld, 4)))
    assert told["adjusted"] == {"adjust_for": ["age"], **shown}


def policy_of(*, few: bool, used: set[str], withheld: set[str], told: Any = None) -> Any:
    hidden = SimpleNamespace(
        donors=withheld, used=used, placed=used, is_few=lambda number: 0 < number < 10
    )
    return SimpleNamespace(
        few_took_part=few,
        is_mixed=True,
        hidden=hidden,
        told=told or {},
        names_closed=lambda _: False,
        facts=SimpleNamespace(withheld=[], options=SimpleNamespace(min_donors=10)),
    )


@pytest.mark.parametrize("few", [True, False])
def test_words_of_a_verdict_do_not_count_withheld_donors(few: bool) -> None:
    told = {
        "decision": "too few donors",
        "why": "11 donors have enough cells, 20 are needed",
        "intended_use": "research use only",
        "design": "Conditions are compared between donors.",
        "limitations": ["3 donors were left out.", "Strata describe donors."],
    }
    # Of twelve, one withheld donor has too few cells: their number would tell of this one.
    donors = [f"c:{k}" for k in range(12)]
    hidden = policy_of(few=few, used=set(donors[:11]), withheld=set(donors))
    shown = redact_verdict(Verdict.from_json(told), hidden).as_json()
    assert shown["decision"] == "too few donors"
    assert shown["design"] == told["design"]
    assert "11" not in json.dumps(shown)
    assert "3 donors" not in json.dumps(shown)


def test_counts_in_words_stay_where_the_number_itself_may() -> None:
    everyone = {f"c:{k}" for k in range(20)}
    facts = {
        "channels": {"genes": {"why": "only 11 donors have enough cells"}},
        "n_donors_used": 11,
    }
    kept = redact_facts(facts, policy_of(few=False, used=everyone, withheld=everyone))
    assert kept["channels"]["genes"]["why"] == "only 11 donors have enough cells"
    facts["channels"]["genes"]["why"] = "4 visits have enough cells"
    kept = redact_facts(facts, policy_of(few=False, used=everyone, withheld=everyone))
    assert "4" not in kept["channels"]["genes"]["why"]


def test_numbers_of_donors_that_few_more_enter_than_before_are_not_told_again() -> None:
    everyone = {f"c:{k}" for k in range(20)}
    facts = {"n_donors": 20, "channels": {"genes": {"why": "only 11 donors have cells"}}}
    again = policy_of(few=False, used=everyone, withheld=everyone, told={ALL: {USED}})
    assert "n_donors" in redact_facts(facts, policy_of(few=False, used=everyone, withheld=everyone))
    kept = redact_facts(facts, again)
    assert "n_donors" not in kept
    assert "11" not in kept["channels"]["genes"]["why"]


def test_in_an_open_release_nothing_of_a_verdict_is_left_out(everyone_open: Path) -> None:
    verdict = {"adjusted": {"sizes": [5, 4]}, "n_visits": 12}
    assert redact_facts(verdict, Policy(facts_of(everyone_open, 5))) == verdict
    frame = published("outcomes", facts_of(everyone_open, 5))
    assert frame["note"].str.contains(COUNTED).all()


def test_q_values_of_steps_do_not_tell_how_many_steps_are_hidden(
    withheld: Path, everyone_open: Path
) -> None:
    for results in (withheld, everyone_open):
        with_strata_tables(results)
    everyone = published("movement", facts_of(everyone_open, 5))
    shown = published("movement", facts_of(withheld, 5))
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
    assert class_of("composition_shifts") == OPEN_ONLY
    assert len(published("composition_shifts", facts_of(withheld, 4))) == 0
    facts = facts_of(everyone_open, 5)
    assert len(published("composition_shifts", facts)) == int(facts.has_strata)
