"""Limits of cells follow the study: from its donors' reliability, never a fixed number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.errors import UsageError
from pmcell.strata.profiles import limits, slots
from pmcell.strata.profiles.limits import (
    MAX_CELLS,
    MAX_TYPE,
    MIN_CELLS,
    MIN_TYPE,
    noise_to_signal,
)
from pmcell.strata.tables import left_out


def halves(n_rows: int, n_cells: int, signal: float, seed: int, batch_sd: float = 0.0):
    """Sums over the halves of rows whose means vary by `signal` around that of their batch."""
    rng = np.random.default_rng(seed)
    batch = np.arange(n_rows) % 4
    mean = np.sqrt(signal) * rng.standard_normal((n_rows, 6))
    mean += batch_sd * rng.standard_normal((4, 6))[batch]
    half = n_cells // 2
    sums = [half * mean + np.sqrt(half) * rng.standard_normal((n_rows, 6)) for _ in range(2)]
    n = np.full(n_rows, float(half))
    return sums[0], sums[1], (n, n), batch


@pytest.mark.parametrize("n_cells", [10, 60, 400])
@pytest.mark.parametrize("signal", [0.05, 0.5])
@pytest.mark.parametrize("batch_sd", [0.0, 3.0])
def test_the_ratio_is_that_of_the_planted_variances(n_cells, signal, batch_sd) -> None:
    found = noise_to_signal(*halves(2000, n_cells, signal, seed=1, batch_sd=batch_sd))
    assert found == pytest.approx(1 / signal, rel=0.2)


def test_rows_that_differ_by_sampling_alone_are_never_reliable() -> None:
    found = [noise_to_signal(*halves(200, 40, 0.0, seed)) for seed in range(8)]
    assert min(found) > MAX_CELLS


def test_a_row_alone_tells_nothing() -> None:
    assert noise_to_signal(*halves(1, 40, 1.0, 0)) == np.inf


def study(n_cells: list[int], donor_sd: float = 0.25):
    """Cells of donors with so many cells each."""
    cells = pm.simulate.simulate_latent(
        n_donors=len(n_cells), cells_per_donor=max(n_cells), n_types=3, donor_sd=donor_sd, seed=5
    )
    place = cells.obs.groupby("donor_id", observed=True).cumcount().to_numpy()
    number = cells.obs["donor_id"].astype("category").cat.codes.to_numpy()
    return cells[place < np.array(n_cells)[number]].copy()


def test_the_limit_falls_as_donors_differ_more() -> None:
    cells = [
        pm.strata.profile(study([240] * 24, donor_sd)).uns["profile"]["cells_for_reliability"]
        for donor_sd in (0.05, 0.5, 2.0)
    ]
    assert cells == sorted(cells, reverse=True)
    assert cells[2] < 0.5 * cells[0]


@pytest.mark.parametrize(
    ("reliable", "n_cells", "limit"),
    [
        (3.2, [240] * 10, MIN_CELLS),
        (59.1, [240] * 10, 60),
        (59.1, [12] * 5 + [60] * 5, 60),
        (59.1, [12] * 6 + [60] * 4, MIN_CELLS),
        (900.0, [240] * 10, MAX_CELLS),
        (np.inf, [240] * 10, MAX_CELLS),
        (np.inf, [24] * 10, MIN_CELLS),
    ],
)
def test_the_limit_is_the_reliable_number_within_bounds_that_half_of_the_visits_reach(
    monkeypatch, reliable, n_cells, limit
) -> None:
    monkeypatch.setattr(limits, "cells_for_reliability", lambda donors: reliable)
    donors = pm.strata.profile(study(n_cells))
    assert donors.uns["profile"]["min_cells_donor"] == limit
    assert int(donors.obs[slots.DISCOVERY].sum()) == (np.array(n_cells) >= limit).sum()


def test_a_study_of_few_cells_keeps_its_donors() -> None:
    n_cells = [6, 9, 20, 22, 22, 25, 25, 28, 30, 38]
    donors = pm.strata.profile(study(n_cells))
    limit = donors.uns["profile"]["min_cells_donor"]
    assert MIN_CELLS <= limit <= 25
    assert int(donors.obs[slots.DISCOVERY].sum()) >= 5
    assert left_out(donors)[:2] == [f"{n} cells, {limit} are needed" for n in (6, 9)]


@pytest.mark.parametrize(
    ("n_cells", "limit"), [(20, MIN_TYPE), (120, 6), (200, MAX_TYPE), (500, MAX_TYPE)]
)
def test_the_limit_of_a_type_follows_the_cells_of_a_typical_visit(n_cells, limit) -> None:
    assert pm.strata.profile(study([n_cells] * 8)).uns["profile"]["min_cells_type"] == limit


def test_a_limit_that_is_given_holds() -> None:
    cells = study([6, 9, 12, 20])
    donors = pm.strata.profile(cells, min_cells_donor=7, min_cells_type=2)
    assert donors.uns["profile"]["min_cells_donor"] == 7
    assert donors.uns["profile"]["min_cells_type"] == 2
    assert left_out(donors) == ["6 cells, 7 are needed", "", "", ""]
    with pytest.raises(UsageError, match=r"at least 1, or either 'auto'; got 'auto' and 'few'"):
        pm.strata.profile(cells, min_cells_donor="few")


def test_new_donors_have_the_limits_of_the_profile_that_they_are_compared_with() -> None:
    known = pm.strata.profile(study([400] * 12), min_cells_donor=50, min_cells_type=7)
    new = pm.strata.profile(study([30] * 12), like=known)
    for name in ("min_cells_donor", "min_cells_type"):
        assert new.uns["profile"][name] == known.uns["profile"][name]
    assert not new.obs[slots.ENOUGH].any()


@pytest.mark.parametrize(("n_few", "is_said"), [(10, False), (11, True), (20, True)])
def test_a_study_that_uses_fewer_than_half_of_its_donors_says_so_first(n_few, is_said) -> None:
    donors = pm.strata.profile(study([8] * n_few + [60] * (20 - n_few)), min_cells_donor=20)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=2)
    pm.strata.existence(donors, n_null=79)
    told = pm.strata.verdict(donors)
    assert (told.n_donors, told.n_donors_used) == (20, 20 - n_few)
    said = (
        "Strata were sought in fewer than half of the donors: the others have fewer than 20 cells"
    )
    assert [text.startswith(said) for text in told.limitations] == [True] * is_said
    table = pm.strata.assignments(donors)
    assert table.loc[table["left_out"] != "", "left_out"].tolist() == (
        ["8 cells, 20 are needed"] * n_few
    )


def test_every_other_visit_of_a_donor_is_listed() -> None:
    cells = pm.simulate.simulate_latent(n_donors=3, n_visits=2, cells_per_donor=40, n_types=2)
    reasons = pd.Series(left_out(pm.strata.profile(cells)))
    assert reasons.value_counts().to_dict() == {"": 3, "another visit of the donor is used": 3}
