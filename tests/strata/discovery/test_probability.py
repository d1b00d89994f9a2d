"""Probability of a stratum where the number of strata is uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pmcell.strata.discovery.probability import counterpart, stratum_probability
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture
def two_or_three(analysed: AnnData) -> AnnData:
    """Two strata are chosen, of which the first may be two."""
    donors = analysed.copy()
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    labels = np.full((donors.n_obs, 2), 0, np.int64)
    labels[rows[24:], 0] = 1
    labels[rows, 1] = np.repeat([0, 1, 2], [14, 16, 10])[: rows.size]
    labels[rows[14:24], 1] = 2
    labels[rows[24:], 1] = 1
    donors.obsm[slots.LABELS] = labels
    donors.obsm[slots.SUPPORT] = np.tile([0.9, 0.8], (donors.n_obs, 1))
    donors.uns["clustering"] = {"ks": np.array([2, 3])}
    donors.uns["existence"] = {"k": 2, "k_support": np.array([0.6, 0.4])}
    return donors


def test_donors_of_the_smaller_part_of_a_stratum_are_unsure(two_or_three: AnnData) -> None:
    donors = two_or_three
    one, other = donors.uns["existence"]["k_support"]
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    got = stratum_probability(donors, np.ones(donors.n_obs))
    assert np.allclose(got[rows[:14]], one * 0.9 + other * 0.8)
    assert np.allclose(got[rows[14:24]], one * 0.9 + other * 0.2)
    assert np.allclose(got[rows[24:]], one * 0.9 + other * 0.8)


def test_donors_of_the_smaller_of_two_strata_that_may_be_one_are_unsure(
    two_or_three: AnnData,
) -> None:
    donors = two_or_three
    donors.uns["existence"]["k"] = 3
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    got = stratum_probability(donors, np.ones(donors.n_obs))
    assert np.allclose(got[rows[:14]], 0.6 * 0.9 + 0.4 * 0.8)
    assert np.allclose(got[rows[14:24]], 0.6 * 0.1 + 0.4 * 0.8)


def test_refits_stand_for_bootstraps_in_donors_who_took_no_part(two_or_three: AnnData) -> None:
    donors = two_or_three
    donors.obsm[slots.SUPPORT][0] = np.nan
    donors.uns["existence"]["k_support"] = np.array([1.0, 0.0])
    refits = np.full(donors.n_obs, 0.7)
    assert stratum_probability(donors, refits)[0] == 0.7
    donors.obsm[slots.LABELS][0] = -1
    assert np.isnan(stratum_probability(donors, refits)[0])


def test_counterparts_are_one_to_one() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    reference = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    assert list(counterpart(labels, reference)) == [1, 2, 0]
