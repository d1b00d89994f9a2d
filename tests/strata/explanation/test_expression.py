"""Differential expression between strata and conditions; what held-out donors confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.errors import UsageError
from pmcell.strata.statistics.moderated import moderated_tests

if TYPE_CHECKING:
    from anndata import AnnData

N_GENES, N_PLANTED = 60, 8
PLANTED = [f"ENSG{number:011d}" for number in range(N_PLANTED)]


def counts_of(donors: AnnData, column: str = "candidate_stratum", high: str = "S1") -> pd.DataFrame:
    """Negative binomial counts where the first genes are threefold up or down in one group."""
    rng = np.random.default_rng(0)
    own = donors.obs[donors.obs["discovery"].to_numpy()]
    mean = np.tile(rng.gamma(2.0, 60.0, N_GENES) + 20, (len(own), 1))
    # As many up as down: otherwise the size factors move every other gene a little.
    factor = np.where(np.arange(N_PLANTED) % 2, 3.0, 1 / 3)
    mean[(own[column] == high).to_numpy(), :N_PLANTED] *= factor
    values = rng.negative_binomial(10, 10 / (10 + mean))
    genes = [f"ENSG{number:011d}" for number in range(N_GENES)]
    return pd.DataFrame(values, own.index.astype(str), genes)


@pytest.fixture(scope="module")
def with_condition(analysed: AnnData) -> AnnData:
    """The forty donors with a condition that is no stratum and no batch."""
    donors = analysed.copy()
    number = donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
    draw = np.random.default_rng(2).permutation(number.max() + 1)
    donors.obs["condition"] = np.where(draw[number] % 2, "ill", "well")
    return donors


def test_planted_genes_are_found_and_others_are_not(analysed: AnnData) -> None:
    counts = counts_of(analysed)
    table, facts = pm.strata.differential_expression(analysed, pseudobulk={"T cell": counts})
    own = table[table["level"] == "S1"].set_index("gene_id").loc[counts.columns]
    assert (own["q_value"].iloc[:N_PLANTED] < 0.05).all()
    change = own["log2_fold_change"].iloc[:N_PLANTED].abs()
    assert change.median() == pytest.approx(np.log2(3), abs=0.4)
    assert (own["q_value"].iloc[N_PLANTED:] < 0.05).mean() < 0.1
    inside = own["log2_fold_change_low"].le(0) & own["log2_fold_change_high"].ge(0)
    assert inside.iloc[N_PLANTED:].mean() > 0.85
    assert not inside.iloc[:N_PLANTED].any()
    # Forty donors are too few to find three strata in half of them, and that is said.
    assert set(table["inference"]) == {"descriptive"}
    assert facts["held_out"].str.startswith("none: 3 strata cannot be found in a part of 40").all()
    assert set(facts["level"]) == {"S1", "S2", "S3"}


def test_held_out_donors_confirm_planted_genes_of_a_condition(with_condition: AnnData) -> None:
    counts = counts_of(with_condition, "condition", "ill")
    table, facts = pm.strata.differential_expression(
        with_condition, pseudobulk={"T cell": counts}, contrast="condition"
    )
    confirmed = set(table.loc[table["inference"] == "confirmed", "gene_id"])
    assert len(confirmed & set(PLANTED)) >= N_PLANTED - 2
    assert len(confirmed - set(PLANTED)) <= 1
    assert facts["held_out"].item() == "by batch_id"
    assert facts["n_confirmed"].item() == len(confirmed)


def test_strata_found_without_the_held_out_donors_confirm_planted_genes() -> None:
    cells = pm.simulate.simulate_latent(
        n_donors=44, n_strata=2, n_types=4, n_dims=6, cells_per_donor=120, donor_sd=0.15, seed=3
    )
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=199)
    assert donors.uns["existence"]["decision"] == "strata"
    counts = {"T cell": counts_of(donors)}
    table, facts = pm.strata.differential_expression(donors, pseudobulk=counts)
    confirmed = set(table.loc[table["inference"] == "confirmed", "gene_id"])
    assert len(confirmed & set(PLANTED)) >= N_PLANTED - 2
    assert len(confirmed - set(PLANTED)) <= 2
    assert not facts["held_out"].str.startswith("none").any()


def aged(with_condition: AnnData) -> tuple[AnnData, pd.DataFrame, list[str]]:
    """The ill are older and some genes rise with age, others with illness."""
    donors = with_condition.copy()
    ill = (donors.obs["condition"] == "ill").to_numpy()
    number = donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
    draw = np.random.default_rng(6).normal(0, 6, number.max() + 1)
    donors.obs["age"] = 50 + 10 * ill + draw[number]
    counts = counts_of(donors, "condition", "ill").astype(float)
    age = donors.obs.loc[counts.index, "age"].to_numpy()
    of_age = list(counts.columns[20:28])
    up = np.where(np.arange(8) % 2, 1.0, -1.0)
    mean = 150 * np.exp(0.06 * np.outer(age - age.mean(), up))
    counts[of_age] = np.random.default_rng(7).negative_binomial(20, 20 / (20 + mean))
    return donors, counts, of_age


def test_a_difference_that_is_that_of_a_covariate_is_gone_after_adjusting_for_it(
    with_condition: AnnData,
) -> None:
    donors, counts, of_age = aged(with_condition)
    found = {}
    for covariates in ((), ("age",)):
        table, facts = pm.strata.differential_expression(
            donors, pseudobulk={"T": counts}, contrast="condition", covariates=covariates
        )
        found[covariates] = table.set_index("gene_id")
    assert facts["design"].item() == "~ batch_id + age + level"
    assert (found[()].loc[of_age, "q_value"] < 0.05).mean() > 0.8
    assert (found[("age",)].loc[of_age, "q_value"] < 0.05).mean() < 0.2
    assert (found[("age",)].loc[PLANTED, "q_value"] < 0.05).mean() > 0.7
    shrunk = found[("age",)].loc[of_age, "log2_fold_change"].abs()
    assert shrunk.mean() < 0.5 * found[()].loc[of_age, "log2_fold_change"].abs().mean()
    sets = {"of age": dict.fromkeys(of_age[1::2], 1.0) | dict.fromkeys(of_age[::2], -1.0)}
    p = [
        pm.strata.pathways(
            donors,
            pseudobulk={"T": counts},
            gene_sets=sets,
            contrast="condition",
            covariates=covariates,
        )["p_value"].item()
        for covariates in ((), ("age",))
    ]
    assert p[0] < 1e-3
    assert p[1] > 0.05


def test_random_groups_confirm_at_most_one_test_in_twenty(with_condition: AnnData) -> None:
    rng = np.random.default_rng(1)
    n_confirmed = n_small = n_tests = 0
    for number in range(12):
        donors = with_condition.copy()
        names = donors.obs["donor_id"].astype("category").cat.codes.to_numpy()
        draw = rng.permutation(names.max() + 1)
        donors.obs["condition"] = np.where(draw[names] % 2, "a", "b")
        counts = {"T cell": counts_of(with_condition, "condition", "none")}
        table, _ = pm.strata.differential_expression(
            donors, pseudobulk=counts, contrast="condition", alpha=0.5, seed=number
        )
        n_confirmed += int((table["inference"] == "confirmed").sum())
        n_small += int((table["p_value"] <= 0.05).sum())
        n_tests += len(table)
    # With alpha at one half, so that genes are taken to the held-out donors at all.
    assert n_confirmed <= 0.05 * n_tests
    assert 0.02 < n_small / n_tests < 0.08


def test_a_stratum_that_is_the_batch_is_not_tested_and_the_reason_is_told(
    analysed: AnnData,
) -> None:
    donors = analysed.copy()
    donors.obs["batch_id"] = donors.obs["candidate_stratum"].astype(str)
    table, facts = pm.strata.differential_expression(
        donors, pseudobulk={"T cell": counts_of(donors)}, confirm=False
    )
    assert len(table) == 0
    assert facts["why_not"].str.contains("cannot be told from batch").all()


def test_too_few_donors_and_genes_that_a_cohort_did_not_measure_are_told(
    with_condition: AnnData,
) -> None:
    counts = counts_of(with_condition, "condition", "ill").astype(float)
    condition = with_condition.obs["condition"]
    ill = [name for name in counts.index if condition[name] == "ill"]
    few = counts.drop(index=ill[2:])
    counts.iloc[0, 10:15] = np.nan
    _, facts = pm.strata.differential_expression(
        with_condition, pseudobulk={"B cell": few, "T cell": counts}, contrast="condition"
    )
    facts = facts.set_index("cell_type")
    assert "(ill 2); 3 a side are needed" in facts.loc["B cell", "why_not"]
    assert facts.loc["T cell", "n_genes_not_measured"] == 5
    assert facts.loc["T cell", "n_genes"] + 5 <= N_GENES


def test_without_published_strata_the_reason_is_the_only_row(analysed: AnnData) -> None:
    donors = analysed.copy()
    donors.uns["existence"] = {**donors.uns["existence"], "decision": "continuum"}
    genes, facts = pm.strata.differential_expression(donors, pseudobulk={"T": counts_of(donors)})
    assert len(genes) == 0
    assert facts["why_not"].tolist() == ["no strata are published (continuum)"]


def test_without_a_known_cell_type_the_reason_is_the_only_row(with_condition: AnnData) -> None:
    _, facts = pm.strata.differential_expression(
        with_condition, pseudobulk={}, contrast="condition"
    )
    assert facts["why_not"].tolist() == ["no known cell type has enough cells in any donor"]


def test_wrong_arguments_are_refused(analysed: AnnData) -> None:
    with pytest.raises(UsageError, match=r"alpha must be in \(0, 1\), got 2"):
        pm.strata.differential_expression(analysed, pseudobulk={}, alpha=2)
    with pytest.raises(UsageError, match="a contrast must be 'stratum' or a column"):
        pm.strata.differential_expression(analysed, pseudobulk={}, contrast="diagnosis")
    with pytest.raises(UsageError, match="covariates must be columns; 'bmi' is none of"):
        pm.strata.differential_expression(analysed, pseudobulk={}, covariates=["bmi"])


def test_with_equal_weights_and_no_shrinkage_the_test_is_least_squares() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat([0.0, 1.0], 6)
    design = np.column_stack([1 - group, group])
    y = rng.normal(size=(12, 1))
    from scipy.stats import ttest_ind

    test = moderated_tests(y, design, np.array([[-1.0, 1.0]]))[0]
    assert test.p[0] == pytest.approx(ttest_ind(y[group == 1], y[group == 0]).pvalue[0])
