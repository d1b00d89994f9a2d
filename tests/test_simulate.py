"""The simulators do what they say: known truth, effects that can be switched off, same bits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pmcell.errors import UsageError
from pmcell.simulate import SCENARIOS, simulate, simulate_latent
from pmcell.simulate.cohort_folders import write_cohort_folders

QUIET = {"strata_effect_state": 0.0, "strata_effect_composition": 0.0}


def log_pseudobulk(adata, by, cells=slice(None)):
    """Log share of each gene in the summed counts of each group, groups in order of name."""
    groups, codes = np.unique(adata.obs[by].astype(str).to_numpy()[cells], return_inverse=True)
    counts = adata.X[cells]
    sums = np.zeros((len(groups), adata.n_vars))
    for number in range(len(groups)):
        sums[number] = np.asarray(counts[codes == number].sum(axis=0)).ravel()
    return groups, np.log((sums + 0.5) / sums.sum(axis=1, keepdims=True))


def donor_strata(adata):
    truth = adata.uns["truth"]
    return pd.Series(truth["stratum"], index=truth["donor_id"])


def distances_within_and_between(features, labels):
    gaps = np.linalg.norm(features[:, None] - features[None], axis=2)
    upper = np.triu(np.ones_like(gaps, dtype=bool), 1)
    same = labels[:, None] == labels[None]
    return gaps[upper & same].mean(), gaps[upper & ~same].mean()


def state_features(adata, cell_type):
    cells = np.flatnonzero((adata.obs["cell_type"] == cell_type).to_numpy())
    donors, profile = log_pseudobulk(adata, "donor_id", cells)
    return profile, donor_strata(adata).loc[donors].to_numpy()


def composition_features(adata):
    table = pd.crosstab(adata.obs["donor_id"], adata.obs["cell_type"], normalize="index")
    return np.arcsin(np.sqrt(table.to_numpy())), donor_strata(adata).loc[table.index].to_numpy()


# --- counts ---------------------------------------------------------------------


def test_counts_have_the_asked_form():
    adata = simulate(n_cohorts=2, n_donors=5, n_visits=2, cells_per_sample=30, n_genes=90)
    assert adata.shape == (300, 90)
    assert adata.X.dtype == np.int32
    assert adata.X.data.min() >= 1
    assert adata.obs_names.is_unique
    assert adata.var_names.is_unique
    assert adata.obs["sample_id"].nunique() == 10
    assert adata.obs.groupby("donor_id", observed=True)["cohort_id"].nunique().max() == 1
    assert set(adata.obs["visit_day"]) == {0.0, 28.0}


def test_equal_seeds_give_equal_bits_and_others_do_not():
    first, again, other = (
        simulate(n_donors=4, cells_per_sample=40, n_genes=120, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.X.toarray(), again.X.toarray())
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert not np.array_equal(first.X.toarray(), other.X.toarray())


def test_library_size_and_mitochondrial_share_are_as_asked():
    adata = simulate(n_donors=6, library_size=3000, **QUIET, batch_effect=0, seed=1)
    size = np.asarray(adata.X.sum(axis=1)).ravel()
    assert np.median(size) == pytest.approx(3000, rel=0.05)
    mitochondrial = adata.var["symbol"].str.startswith("MT-").to_numpy(dtype=bool)
    assert mitochondrial.sum() == 13
    assert adata.X[:, mitochondrial].sum() / adata.X.sum() == pytest.approx(0.05, abs=0.01)


def test_expected_shares_are_the_truth_when_only_types_differ():
    adata = simulate(
        n_donors=6, n_cell_types=2, n_genes=200, batch_effect=0, donor_sd=0, **QUIET, seed=2
    )
    types, profile = log_pseudobulk(adata, "cell_type")
    truth = adata.uns["truth"]["type_log_expression"]
    truth = truth - np.log(np.exp(truth).sum(axis=1, keepdims=True))
    seen = truth > np.log(2e-3)
    assert list(types) == list(adata.uns["truth"]["cell_type"])
    np.testing.assert_allclose(profile[seen], truth[seen], atol=0.15)


@pytest.mark.parametrize("dispersion", [0.0, 0.5])
def test_variance_follows_the_dispersion(dispersion):
    adata = simulate(
        n_cohorts=1,
        n_donors=1,
        n_strata=1,
        n_cell_types=1,
        n_genes=50,
        cells_per_sample=4000,
        dispersion=dispersion,
        batch_effect=0,
        donor_sd=0,
        seed=5,
    )
    x = adata.X.toarray()
    # Library sizes vary with sd 0.3 on the log scale: cv² = exp(0.09) - 1, beside the noise's.
    mean = x.mean(axis=0)
    excess = (x.var(axis=0) - mean) / mean**2
    expected = (1 + dispersion) * np.exp(0.09) - 1
    assert np.median(excess[mean > 5]) == pytest.approx(expected, rel=0.15)


def test_strata_separate_donors_in_state_and_composition_when_effects_are_large():
    adata = simulate(n_donors=18, strata_effect_state=1.5, strata_effect_composition=1.5, seed=6)
    folds = np.abs(adata.uns["truth"]["strata_log_fold"]).sum(axis=(0, 2))
    driver = adata.uns["truth"]["cell_type"][int(folds.argmax())]
    for features, labels in (state_features(adata, driver), composition_features(adata)):
        within, between = distances_within_and_between(features, labels)
        assert between > 1.15 * within


def test_without_effects_strata_mean_nothing():
    adata = simulate(n_donors=18, **QUIET, seed=7)
    assert not adata.uns["truth"]["strata_log_fold"].any()
    for features, labels in (state_features(adata, "type_01"), composition_features(adata)):
        within, between = distances_within_and_between(features, labels)
        assert between == pytest.approx(within, rel=0.1)


def test_batch_effect_separates_cohorts_and_can_be_switched_off():
    for effect, low, high in ((0.0, 0.9, 1.1), (0.5, 1.5, np.inf)):
        adata = simulate(n_donors=12, batch_effect=effect, donor_sd=0.1, **QUIET, seed=8)
        donors, profile = log_pseudobulk(adata, "donor_id")
        batch = adata.obs.drop_duplicates("donor_id").set_index("donor_id")["batch_id"]
        labels = batch.loc[donors].astype(str).to_numpy()
        within, between = distances_within_and_between(profile, labels)
        assert low < between / within < high


def test_confounding_binds_strata_to_cohorts():
    free = simulate(n_donors=60, cells_per_sample=1, n_genes=10, confounding=0.0)
    bound = simulate(n_donors=60, cells_per_sample=1, n_genes=10, confounding=1.0)
    for adata, all_bound in ((free, False), (bound, True)):
        table = pd.crosstab(adata.obs["cohort_id"], adata.obs["stratum"]).to_numpy()
        assert table.sum() == 60
        assert ((table > 0).sum(axis=1) == 1).all() == all_bound


def test_a_continuum_has_no_gaps():
    adata = simulate(n_donors=30, continuum=True, cells_per_sample=1, n_genes=10, seed=9)
    position = np.sort(adata.uns["truth"]["position"])
    np.testing.assert_allclose(np.diff(position), 1 / 30)
    assert adata.obs["stratum"].nunique() == 3


def test_soup_draws_types_together():
    kept, soup = (
        simulate(n_donors=3, n_cell_types=3, ambient=share, **QUIET, seed=10)
        for share in (0.0, 0.5)
    )
    spread = [log_pseudobulk(adata, "cell_type")[1].std(axis=0).mean() for adata in (kept, soup)]
    assert spread[1] < 0.7 * spread[0]


def test_real_genes_are_in_the_annotation_and_free_of_the_seed():
    from pmcell.registry.terms.genes import map_genes

    adata = simulate(n_donors=3, cells_per_sample=5, real_genes=True, seed=1)
    again = simulate(n_donors=3, cells_per_sample=5, real_genes=True, seed=2)
    assert set(map_genes(list(adata.var_names)).fate) == {"kept"}
    assert list(map_genes(list(adata.var["symbol"])).gene_id) == list(adata.var_names)
    assert list(adata.var_names) == list(again.var_names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_donors": 0}, "n_donors must be at least 1, got 0"),
        ({"batch_effect": -1}, "batch_effect must be at least 0, got -1"),
        ({"donor_sd": float("nan")}, "donor_sd must be at least 0, got nan"),
        ({"confounding": 1.5}, "confounding must be from 0 to 1, got 1.5"),
        ({"n_genes": 10**6, "real_genes": True}, "n_genes must be at most"),
    ],
)
def test_senseless_arguments_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        simulate(**arguments)


# --- cohort folders -------------------------------------------------------------


def test_cohort_folders_hold_the_simulated_counts(tmp_path):
    import anndata as ad
    import yaml

    adata = simulate(
        n_cohorts=2, n_donors=4, n_visits=2, cells_per_sample=20, n_genes=80, real_genes=True
    )
    folders = write_cohort_folders(adata, tmp_path)
    assert [folder.name for folder in folders] == ["sim_1", "sim_2"]
    for folder in folders:
        settings = yaml.safe_load((folder / "cohort.yaml").read_text())
        samples = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
        donors = pd.read_csv(folder / "donors.tsv", sep="\t", dtype=str, keep_default_na=False)
        matrix = ad.read_h5ad(folder / settings["matrix"]["path"])
        expected = adata[adata.obs["cohort_id"] == folder.name]
        assert settings["id"] == folder.name
        assert (matrix.X != expected.X).nnz == 0
        assert list(matrix.obs_names) == list(expected.obs_names)
        assert set(matrix.obs["sample_id"]) == set(samples["sample_id"])
        assert set(samples["donor_id"]) == set(donors["donor_id"])
        assert set(samples["visit_day"]) == {"0", "28"}


def test_cohort_folders_are_the_same_bytes_when_written_again(tmp_path):
    adata = simulate(n_cohorts=1, n_donors=2, cells_per_sample=20, n_genes=80)
    for root in ("one", "two"):
        write_cohort_folders(adata, tmp_path / root)
    for file in sorted((tmp_path / "one" / "sim_1").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / "sim_1" / file.name).read_bytes()


def test_cohort_folders_ask_for_the_columns_they_need(tmp_path):
    adata = simulate(n_donors=3, cells_per_sample=5, n_genes=10)
    del adata.obs["visit"]
    with pytest.raises(UsageError, match=r"missing visit\. Make the cohorts"):
        write_cohort_folders(adata, tmp_path)
    assert not list(tmp_path.iterdir())


# --- latent cells ---------------------------------------------------------------


def latent_features(adata):
    """Mean of each donor and type, and the arcsine proportions, with donors' strata and batches."""
    x = pd.DataFrame(adata.obsm["X_integrated"])
    donor, kind = (adata.obs[name].to_numpy() for name in ("donor_id", "cell_type"))
    means = x.groupby([donor, kind], observed=True).mean().unstack()
    means = means.fillna(means.mean()).to_numpy()
    composition, labels = composition_features(adata)
    batch = adata.obs.drop_duplicates("donor_id").set_index("donor_id")["batch_id"]
    return means, composition, labels, batch.sort_index().astype(str).to_numpy()


def separation(features, labels):
    within, between = distances_within_and_between(features, labels)
    return between / within


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_separates_what_it_names(scenario):
    adata = simulate_latent(scenario=scenario, n_donors=24, cells_per_donor=600, seed=11)
    state, composition, strata, batches = latent_features(adata)
    in_state = scenario in ("state", "both", "batch", "continuum")
    in_composition = scenario in ("composition", "both", "batch", "continuum")
    assert (separation(state, strata) > 1.08) == in_state
    assert (separation(composition, strata) > 1.2) == in_composition
    assert (separation(state, batches) > 1.15) == (scenario == "batch")


def test_latent_effect_of_zero_is_the_null():
    adata = simulate_latent(scenario="both", effect=0, n_donors=24, seed=12)
    state, composition, strata, _ = latent_features(adata)
    assert separation(state, strata) == pytest.approx(1, abs=0.05)
    assert separation(composition, strata) == pytest.approx(1, abs=0.15)


def test_latent_seeds_fix_all_bits():
    first, again, other = (
        simulate_latent(n_donors=4, cells_per_donor=50, n_visits=2, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.obsm["X_integrated"], again.obsm["X_integrated"])
    assert not np.array_equal(first.obsm["X_integrated"], other.obsm["X_integrated"])
    assert first.obsm["X_integrated"].dtype == np.float32
    assert first.obs["sample_id"].nunique() == 8


def test_visits_of_a_donor_lie_nearer_than_donors_do():
    adata = simulate_latent(scenario="null", n_donors=10, n_visits=2, seed=13)
    x = pd.DataFrame(adata.obsm["X_integrated"])
    keys = [adata.obs[name].to_numpy() for name in ("donor_id", "visit", "cell_type")]
    means = x.groupby(keys, observed=True).mean().unstack()
    means = means.fillna(means.mean())
    donors = means.index.get_level_values(0).to_numpy()
    within, between = distances_within_and_between(means.to_numpy(), donors)
    assert between > 1.3 * within


def test_unknown_scenarios_are_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"one of null, continuum, .* got 'strange'"):
        simulate_latent(scenario="strange")
