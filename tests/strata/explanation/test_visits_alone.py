"""Donors before and after a treatment, of whom no column but the visit differs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import pmcell as pm
from explain_inputs import GENES as FEW_GENES
from explain_inputs import explain, write_inputs
from paired_donors import CHANGED, Visits, counts_of, found, people
from pmcell.io.atomic import read_json
from pmcell.io.h5ad import read_h5ad
from pmcell.io.tables import read_table
from pmcell.strata.explanation.contrasts import contrasts_of, design_of_study
from strata_inputs import profile, strata, write_atlas

DEFAULT, WITH_VISITS = ("stratum", "condition"), ("stratum", "condition", "visit")


def visits(n: int, labels: tuple[str, ...] = ("T0", "T1"), condition: str = "unknown") -> Visits:
    return [(f"d{number}", label, condition) for number in range(n) for label in labels]


@pytest.mark.parametrize(
    ("rows", "expected", "said"),
    [
        (visits(3), WITH_VISITS, "Visits are compared within donors"),
        (visits(8, condition="ill"), WITH_VISITS, "Visits are compared within donors"),
        (visits(4)[:-1], WITH_VISITS, "Visits are compared within donors"),
        (visits(3, ("T0", "T1", "T2")), WITH_VISITS, "Visits are compared within donors"),
        (visits(3)[:-1], DEFAULT, "fewer than 3 donors have the same two visits"),
        (visits(8, ("T0",)), DEFAULT, "fewer than 3 donors have the same two visits"),
        (visits(8, ("unknown",)), DEFAULT, "fewer than 3 donors have the same two visits"),
        # Each donor has labels of its own, such as days.
        ([(d, d + v, c) for d, v, c in visits(8)], DEFAULT, "fewer than 3 donors"),
        # Three pairs of visits, each of two donors.
        (
            [*visits(2), *[("e" + d, v, c) for d, v, c in visits(2, ("T0", "T2"))]],
            DEFAULT,
            "fewer than 3 donors",
        ),
        # Conditions keep visits out, within donors and between them.
        ([(d, v, v) for d, v, _ in visits(4)], DEFAULT, "Conditions are compared, within"),
        (
            [(d, v, "ill" if d < "d4" else "well") for d, v, _ in visits(8)],
            DEFAULT,
            "{contrasts: [stratum, condition, visit]}",
        ),
        (
            [(d, v, "ill" if d < "d4" else "well") for d, v, _ in visits(8, ("T0",))],
            DEFAULT,
            "Conditions are compared between donors.",
        ),
    ],
)
def test_visits_are_compared_where_donors_share_them_and_no_condition_differs(
    rows: Visits, expected: tuple[str, ...], said: str
) -> None:
    donors = people(rows)
    assert contrasts_of(donors) == expected
    assert said in design_of_study(donors)
    if said.endswith("between donors."):
        assert design_of_study(donors) == said


def test_donors_without_a_column_of_conditions_are_compared_by_visit() -> None:
    donors = people(visits(3))
    del donors.obs["condition"]
    assert contrasts_of(donors) == WITH_VISITS


def compare_visits(rows: Visits, batch: dict[str, str] | None = None) -> tuple:
    donors = people(rows, batch)
    treated = donors.copy()
    treated.obs["condition"] = donors.obs["visit"].map({"T1": "stim"}).fillna("ctrl")
    return pm.strata.differential_expression(
        donors, pseudobulk={"T cell": counts_of(treated)}, contrast="visit"
    )


def test_genes_that_change_in_eight_donors_are_found_and_one_without_an_after_is_left_out() -> None:
    genes, facts = compare_visits(visits(9)[:-1])
    assert facts["design"].item() == "~ donor_id + level; 1 donor with one level left out (d8)"
    assert len(found(genes) & set(CHANGED)) >= 9
    assert len(found(genes) - set(CHANGED)) <= 2


def test_visits_that_are_batches_cannot_be_told_from_them() -> None:
    rows = visits(4)
    _, facts = compare_visits(rows, {f"{d}|{v}": v for d, v, _ in rows})
    assert "cannot be told from batch" in facts["why_not"].item()


def test_visits_named_otherwise_in_each_cohort_are_not_taken_for_batches() -> None:
    other = [("e" + d, v, c) for d, v, c in visits(4, ("before", "after"))]
    _, facts = compare_visits([*visits(4), *other])
    assert set(facts["why_not"]) == {facts["why_not"].iloc[0]}
    assert "sets that no donor joins" in facts["why_not"].iloc[0]
    assert "batch" not in facts["why_not"].iloc[0]
    # A donor with visits of both joins them.
    _, facts = compare_visits([*visits(4), *other, ("d0", "before", "unknown")])
    assert set(facts["why_not"]) == {""}


@pytest.mark.parametrize("n_donors", [2, 3, 8])
def test_the_steps_compare_visits_by_default_and_say_so(tmp_path: Path, n_donors: int) -> None:
    cells = pm.simulate.simulate_latent(
        n_donors=n_donors,
        n_visits=2,
        n_types=3,
        n_batches=1,
        n_strata=1,
        cells_per_donor=60,
        seed=n_donors,
    )
    cells.obs["condition"] = "treated"
    write_atlas(tmp_path, cells)
    assert profile(tmp_path) == 0
    assert strata(tmp_path) == 0
    donors = read_h5ad(tmp_path / "donors.h5ad")
    after = donors.obs["visit"] != donors.obs["visit"].iloc[0]
    changed = pd.DataFrame(200, donors.obs_names, FEW_GENES)
    changed += pd.Series(range(len(FEW_GENES)), FEW_GENES) * 5
    changed.loc[after, FEW_GENES[:10]] *= 3
    (tmp_path / "genes").mkdir()
    assert explain(write_inputs(tmp_path / "genes", donors, changed)) == 0
    facts = read_table(tmp_path / "genes" / "expression_contrasts.parquet")
    shifts = read_table(tmp_path / "composition_shifts.parquet")
    associations = read_table(tmp_path / "associations.parquet")
    told = read_json(tmp_path / "strata.json")
    is_compared = n_donors >= 3
    assert ("visit" in set(facts["contrast"])) == is_compared
    assert set(shifts["contrast"]) == ({"visit"} if is_compared else set())
    assert told["design"].startswith("Visits are compared") == is_compared
    within = associations[associations["outcome"] == "map_within_donors"]
    assert ("visit" in set(within["covariate"])) == (n_donors == 8)
    assert ("visit" in told["not_tested"]) == (n_donors == 3)
    if is_compared:
        tested = facts[facts["contrast"] == "visit"]
        assert tested["design"].str.startswith("~ donor_id + level").all()
        assert tested["n_donors_paired"].tolist() == [n_donors]
    # A distance needs four donors; where there is none, the steps say why they are missing.
    n_steps = len(read_table(tmp_path / "movement.parquet"))
    why = {item["what"]: item["why"] for item in told["withheld"]}
    assert n_steps == (n_donors if n_donors > 3 else 0)
    assert ("Steps between visits (movement)" in why) == (n_steps == 0)
