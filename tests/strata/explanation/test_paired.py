"""Donors with several conditions or visits: the design is told from the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import pmcell as pm
from paired_donors import CHANGED, N_GENES, Visits, counts_of, found, people
from pmcell import schema
from pmcell.errors import UsageError
from pmcell.io.tables import conform
from pmcell.strata.profiles import slots


def compared(donors: AnnData, counts: pd.DataFrame, **options: object) -> tuple[pd.DataFrame, ...]:
    genes, facts = pm.strata.differential_expression(
        donors, pseudobulk={"T cell": counts}, contrast="condition", **options
    )
    conform(genes, schema.DIFFERENTIAL_EXPRESSION)
    return genes, conform(facts, schema.EXPRESSION_CONTRASTS)


def pairs(n: int) -> Visits:
    return [(f"d{number}", level, level) for number in range(n) for level in ("ctrl", "stim")]


def test_donors_with_both_conditions_are_compared_with_themselves() -> None:
    donors = people(pairs(8))
    counts = counts_of(donors)
    genes, facts = compared(donors, counts)
    assert facts["design"].item() == "~ donor_id + level"
    assert facts[["n_donors_level", "n_donors_reference", "n_donors_paired"]].iloc[0].tolist() == [
        8,
        8,
        8,
    ]
    assert len(found(genes) & set(CHANGED)) >= 9
    assert len(found(genes) - set(CHANGED)) <= 2
    # One half of the donors with each condition: donors differ more than conditions do.
    number = donors.obs["donor_id"].str[1:].astype(int)
    half = donors[(number % 2 == 0) == (donors.obs["condition"] == "stim")].copy()
    alone, facts = compared(half, counts)
    assert facts["design"].item() == "~ level"
    assert len(found(alone) & set(CHANGED)) <= 3


def test_held_out_donors_are_held_out_with_all_their_visits() -> None:
    donors = people(pairs(12))
    genes, facts = compared(donors, counts_of(donors))
    assert facts["held_out"].item() == "random halves within batch"
    assert facts["n_confirmed"].item() >= 8
    assert (genes["inference"] == "confirmed").sum() == facts["n_confirmed"].item()
    # Visits of one donor in two batches: batches cannot part the donors.
    batch = {name: name.split("|")[1] if name < "d5" else "b" for name in donors.obs_names}
    _, facts = compared(people(pairs(12), batch), counts_of(donors))
    assert facts["held_out"].item() == "random halves within batch"


def test_broken_pairs_are_left_out_and_named() -> None:
    donors = people([*pairs(6), ("e1", "ctrl", "ctrl"), ("e2", "stim", "stim")])
    genes, facts = compared(donors, counts_of(donors))
    fact = facts.iloc[0]
    assert fact["design"] == "~ donor_id + level; 2 donors with one level left out (e1, e2)"
    assert fact["n_donors_left_out"] == 2
    assert fact["n_donors_level"] == fact["n_donors_paired"] == 6
    whole = people(pairs(6))
    alone, _ = compared(whole, counts_of(donors).loc[whole.obs_names])
    pd.testing.assert_frame_equal(genes, alone)


def test_a_few_pairs_among_many_single_donors_are_correlated() -> None:
    single = [(f"e{number}", "T0", ("ctrl", "stim")[number % 2]) for number in range(20)]
    donors = people([*pairs(5), *single])
    counts = counts_of(donors, donor_sd=0.3)
    genes, facts = compared(donors, counts)
    formula, told = facts["design"].item().split("; ")[:2]
    assert formula == "~ level + (1 | donor_id)"
    assert 0.4 < float(told.removeprefix("correlation within donors ")) < 0.95
    assert facts["n_donors_paired"].item() == 5
    assert len(found(genes) & set(CHANGED)) >= 9
    assert len(found(genes) - set(CHANGED)) <= 2
    # Pairs tell more than the same rows as if they were of different people.
    strangers = donors.copy()
    strangers.obs["donor_id"] = strangers.obs_names
    apart, _ = compared(strangers, counts)
    width = [
        (one["log2_fold_change_high"] - one["log2_fold_change_low"]).median()
        for one in (genes, apart)
    ]
    assert width[0] < width[1]


def test_two_pairs_are_too_few_and_their_first_visit_counts() -> None:
    single = [(f"e{number}", "T0", ("ctrl", "stim")[number % 2]) for number in range(12)]
    donors = people([*pairs(2), *single])
    _, facts = compared(donors, counts_of(donors))
    assert facts["design"].item() == (
        "~ level; 2 donors with several levels count with their first (d0, d1)"
    )
    assert facts[["n_donors_level", "n_donors_reference"]].iloc[0].tolist() == [6, 8]
    alone = people(pairs(2))
    _, facts = compared(alone, counts_of(alone))
    assert facts["why_not"].item() == (
        "too few donors have enough cells of the type (ctrl 2, stim 0); 3 a side are needed, "
        "or 3 donors in several groups, where 2 are"
    )


def test_visits_of_one_condition_are_added_up_and_count_once() -> None:
    visits = [
        (f"d{number}", f"T{visit}", ("ctrl", "stim")[number % 2])
        for number in range(12)
        for visit in range(1 + number % 3)
    ]
    donors = people(visits)
    counts = counts_of(donors, donor_sd=0.2)
    genes, facts = compared(donors, counts)
    assert facts["design"].item() == "~ level; visits of a donor and level added up"
    assert facts[["n_donors_level", "n_donors_reference"]].sum(axis=1).item() == 12
    once = donors[donors.obs[slots.DISCOVERY].to_numpy()].copy()
    summed = counts.groupby(donors.obs["donor_id"].to_numpy(object)).sum()
    summed = summed.loc[once.obs["donor_id"]].set_axis(once.obs_names)
    alone, _ = compared(once, summed)
    pd.testing.assert_frame_equal(genes, alone)


def test_visits_in_other_batches_are_adjusted_for_or_refuse_the_comparison() -> None:
    nested = {f"d{number}|{level}": level for number in range(6) for level in ("ctrl", "stim")}
    donors = people(pairs(6), nested)
    genes, facts = compared(donors, counts_of(donors))
    assert len(genes) == 0
    assert "lie in another batch for each group" in facts["why_not"].item()
    assert "would suffice" in facts["why_not"].item()
    crossed = {f"d{number}|stim": "c" for number in range(3)}
    donors = people(pairs(8), crossed)
    genes, facts = compared(donors, counts_of(donors))
    assert facts["design"].item() == "~ donor_id + batch_id + level"
    assert len(found(genes) & set(CHANGED)) >= 7


def test_three_conditions_of_each_donor_are_compared_within_donors() -> None:
    visits = [
        (f"d{number}", level, level) for number in range(6) for level in ("ctrl", "stim", "wash")
    ]
    donors = people(visits)
    genes, facts = compared(donors, counts_of(donors))
    assert set(facts["design"]) == {"~ donor_id + level"}
    stim = genes[genes["level"] == "stim"]
    assert stim["reference"].unique().tolist() == ["ctrl; wash"]
    assert len(found(stim) & set(CHANGED)) >= 9


def test_labels_swapped_in_half_of_the_pairs_show_nothing() -> None:
    donors = people(pairs(8))
    counts = counts_of(donors, fold=1.0)
    n_found = n_small = 0
    for number in range(8):
        turned = np.random.default_rng(number).permutation(8)[:4]
        of_turned = donors.obs["donor_id"].isin([f"d{who}" for who in turned])
        own = donors.copy()
        stim = (own.obs["condition"] == "stim") ^ of_turned
        own.obs["condition"] = np.where(stim, "stim", "ctrl")
        genes, _ = compared(own, counts, confirm=False)
        n_found += len(found(genes))
        n_small += int((genes["p_value"] < 0.05).sum())
    assert n_found <= 2
    assert 0.02 < n_small / (8 * N_GENES) < 0.08


def test_one_value_alone_says_what_would_suffice() -> None:
    donors = people([(f"d{number}", "T0", "ctrl") for number in range(5)])
    _, facts = compared(donors, counts_of(donors))
    assert facts["why_not"].item() == (
        "known values among the donors: 1 (ctrl); 2 to 8 are compared, each known in 3 donors "
        "or more"
    )


def test_counts_by_donor_instead_of_visit_are_refused_with_the_way_out() -> None:
    donors = people(pairs(4))
    counts = counts_of(donors).iloc[::2].set_axis([f"d{number}" for number in range(4)])
    with pytest.raises(UsageError, match=r"rows of pseudobulk must be visits.*'d0\|ctrl'"):
        compared(donors, counts)
