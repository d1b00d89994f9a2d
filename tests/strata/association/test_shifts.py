"""Shifts of cell types between strata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

import pmcell as pm
from pmcell import schema
from pmcell.io.tables import conform
from pmcell.simulate import simulate_latent
from pmcell.strata.association import shifts
from pmcell.strata.profiles import slots

if TYPE_CHECKING:
    from anndata import AnnData

N_TYPES = 8


def counts_with_one_grown_type(fold: float = 4.0, n_donors: int = 40) -> tuple[AnnData, np.ndarray]:
    """Donors of two halves; in the first `fold` times as many cells of one type, nothing else."""
    donors = pm.strata.profile(
        simulate_latent(n_donors=n_donors, cells_per_donor=200, n_dims=4, n_types=N_TYPES, seed=2)
    )
    rng = np.random.default_rng(5)
    grown = np.arange(n_donors) % 2 == 0
    share = np.full((n_donors, N_TYPES), 1.0 / N_TYPES)
    share[grown, 0] *= fold
    share *= np.exp(0.2 * rng.standard_normal(share.shape))
    share /= share.sum(axis=1, keepdims=True)
    donors.X = np.stack([rng.multinomial(3000, row) for row in share]).astype(np.int64)
    donors.obs[slots.DISCOVERY] = True
    donors.obs[slots.CANDIDATE] = np.where(grown, "S1", "S2")
    donors.obs["batch_id"] = np.where(np.arange(n_donors) < n_donors // 2, "a", "b")
    donors.uns["existence"] = {"decision": "strata", "k": 2}
    return donors, grown


def of_strata(donors: AnnData, **options: bool) -> pd.DataFrame:
    return pm.strata.composition_shifts(donors, contrasts=("stratum",), **options)


def test_a_type_that_grows_does_not_make_the_others_shrink() -> None:
    donors, grown = counts_with_one_grown_type(fold=4.0)
    table = conform(of_strata(donors), schema.COMPOSITION_SHIFTS)
    first = table[table["level"] == "S1"].set_index("cell_type")
    types = donors.var_names
    assert abs(first.loc[types[0], "log2_ratio"] - 2.0) < 0.25
    assert first.loc[types[1:], "log2_ratio"].abs().max() < 0.35
    # Shares alone say that all others fell to 8/11 of what they were.
    fell = first.loc[types[1:], "mean_share"] / first.loc[types[1:], "mean_share_others"]
    assert fell.max() < 0.85
    mirrored = table[table["level"] == "S2"].set_index("cell_type")
    assert np.allclose(mirrored["log2_ratio"], -first["log2_ratio"])
    assert table["within_batch"].all()
    assert set(first["n_donors"]) == {int(grown.sum())}


def test_without_batches_the_effects_are_differences_of_means() -> None:
    donors, grown = counts_with_one_grown_type()
    donors.obs["batch_id"] = "one"
    table = of_strata(donors)
    logs = np.log2(np.asarray(donors.X) + 0.5)
    logs -= logs.mean(axis=1, keepdims=True)
    difference = logs[grown].mean(axis=0) - logs[~grown].mean(axis=0)
    own = table[table["level"] == "S1"]
    assert np.allclose(own["log2_ratio"], difference - np.median(difference))
    # Variances are drawn together, so widths lie around those of Student's interval.
    pooled = np.sqrt((logs[grown].var(axis=0, ddof=1) + logs[~grown].var(axis=0, ddof=1)) / 20)
    student = 2 * stats.t.ppf(0.975, 38) * pooled
    width = (own["ratio_high"] - own["ratio_low"]).to_numpy()
    assert 0.7 < np.median(width / student) < 1.3


def test_a_shift_between_batches_is_not_one_between_strata() -> None:
    donors, _ = counts_with_one_grown_type(fold=1.0)
    in_a = (donors.obs["batch_id"] == "a").to_numpy()
    counts = np.asarray(donors.X).copy()
    counts[in_a, 1] *= 6
    donors.X = counts
    # Most of the first stratum in batch a.
    label = np.where(in_a, "S1", "S2").astype(object)
    label[::5] = np.where(in_a[::5], "S2", "S1")
    donors.obs[slots.CANDIDATE] = label
    table = of_strata(donors).set_index(["level", "cell_type"])
    assert abs(table.loc[("S1", donors.var_names[1]), "log2_ratio"]) < 0.4
    donors.obs[slots.CANDIDATE] = np.where(in_a, "S1", "S2")
    nested = of_strata(donors).set_index(["level", "cell_type"])
    assert not nested["within_batch"].any()
    assert nested.loc[("S1", donors.var_names[1]), "log2_ratio"] > 2


def test_withheld_strata_have_no_shifts_unless_asked(analysed: AnnData) -> None:
    withheld = analysed.copy()
    withheld.uns["existence"] = {**withheld.uns["existence"], "decision": "continuum"}
    assert len(of_strata(withheld)) == 0
    asked = of_strata(withheld, candidates=True)
    pd.testing.assert_frame_equal(asked, of_strata(analysed))


def test_shifts_of_simulated_strata_are_those_of_their_true_proportions(
    analysed: AnnData, cells: AnnData
) -> None:
    truth = cells.uns["truth"]
    logs = np.log2(np.asarray(truth["proportions"]))
    logs -= logs.mean(axis=1, keepdims=True)
    chosen = analysed.obs[slots.DISCOVERY].to_numpy(bool)
    label = analysed.obs[slots.CANDIDATE].astype(str)[chosen]
    label = label.set_axis(analysed.obs["donor_id"].astype(str)[chosen])
    inside = label.loc[np.asarray(truth["donor_id"], str)].to_numpy() == "S1"
    difference = logs[inside].mean(axis=0) - logs[~inside].mean(axis=0)
    table = of_strata(analysed)
    found = table[table["level"] == "S1"]["log2_ratio"].to_numpy()
    assert np.corrcoef(found, difference - np.median(difference))[0, 1] > 0.95


def test_without_a_difference_few_studies_find_a_type_and_rare_types_no_more_than_others() -> None:
    rng = np.random.default_rng(11)
    share = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005])
    inside, batch = np.arange(16) < 8, np.zeros(16, np.int64)
    found, rarest = [], []
    for _ in range(1000):
        own = share * np.exp(0.5 * rng.standard_normal((16, N_TYPES)))
        own /= own.sum(axis=1, keepdims=True)
        n = np.stack([rng.multinomial(220, row) for row in own]).astype(np.float64)
        tested = shifts._test(inside, n, batch)
        assert tested is not None
        p = shifts._against_typical(tested[0]).p
        found.append(bool((stats.false_discovery_control(p) <= 0.05).any()))
        rarest.append(p[-1] <= 0.01)
    # Where all types share one variance and the median has no error: 0.09 to 0.11, 0.03 to 0.04.
    assert np.mean(found) <= 0.085
    assert np.mean(rarest) <= 0.02
