"""Cells of two people in one sample are told by genes that people have in different shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.registry.duplicates.find import TWO_PEOPLE, find_duplicates
from pmcell.registry.duplicates.sex import XIST, Y_GENES
from pmcell.registry.duplicates.two_people import (
    PAIRS,
    SEX_PAIR,
    SPREAD,
    PairCounts,
    shares_apart,
)

HAPLOTYPE = PAIRS[1]


def cells(pair, shares, sizes, *, depth=3.0, seed=0):
    """Counts of both sides in cells of people who have the given shares of `ours`."""
    rng = np.random.default_rng(seed)
    share = np.repeat(shares, sizes)
    both = rng.poisson(depth * rng.lognormal(0.0, 0.5, share.size))
    ours = rng.binomial(both, share)
    return ours.astype(float), (both - ours).astype(float)


@pytest.mark.parametrize("n_fewer", [50, 150])
@pytest.mark.parametrize(
    ("pair", "shares", "depth"), [(SEX_PAIR, (0.99, 0.01), 2.0), (HAPLOTYPE, (0.25, 0.01), 15.0)]
)
def test_two_people_are_told_and_how_many_cells_are_whose(pair, shares, depth, n_fewer):
    found = shares_apart(*cells(pair, shares, [300 - n_fewer, n_fewer], depth=depth), pair)
    assert found is not None
    assert found.said == pair.said
    assert found.n_fewer / found.n_cells == pytest.approx(n_fewer / 300, abs=0.07)
    assert f"{found.n_fewer} of the {found.n_cells} cells" in found.sentence


@pytest.mark.parametrize(
    ("pair", "share"),
    [
        (SEX_PAIR, 0.99),
        (SEX_PAIR, 0.02),
        (SEX_PAIR, 0.5),  # XXY: every cell has both.
        (HAPLOTYPE, 0.0),
        (HAPLOTYPE, 0.03),
        (HAPLOTYPE, 0.2),
        (HAPLOTYPE, 0.5),
    ],
)
def test_one_person_is_one_whatever_the_share(pair, share):
    for seed in range(10):
        counts = cells(pair, [share], [400], depth=8.0, seed=seed)
        assert shares_apart(*counts, pair) is None


@pytest.mark.parametrize("share", [0.15, 0.2])
def test_bursts_of_one_persons_alleles_are_no_second_person(share):
    size, told = (1.0 - SPREAD) / SPREAD, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        both = np.maximum(rng.poisson(8.0 * rng.lognormal(0.0, 0.5, 100)), HAPLOTYPE.least)
        ours = rng.binomial(both, rng.beta(share * size, (1.0 - share) * size, 100))
        told.append(shares_apart(ours.astype(float), (both - ours).astype(float), HAPLOTYPE))
    assert told == [None] * 100


def test_a_fifteenth_of_the_cells_is_enough():
    found = shares_apart(*cells(HAPLOTYPE, (0.5, 0.01), [278, 22], depth=15.0), HAPLOTYPE)
    assert found is not None
    assert found.n_fewer == pytest.approx(22, abs=6)


def test_two_who_have_the_same_share_few_cells_and_single_strangers_are_not_told():
    same = cells(SEX_PAIR, (0.99, 0.98), [150, 150])
    few = cells(SEX_PAIR, (0.99, 0.01), [8, 8], depth=9.0)
    stray = cells(SEX_PAIR, (0.99, 0.01), [300, 6], depth=9.0)
    assert [shares_apart(*own, SEX_PAIR) for own in (same, few, stray)] == [None] * 3


def test_men_who_lost_y_in_a_part_of_their_cells_are_one_person():
    ours, theirs = cells(SEX_PAIR, [0.98], [400])
    ours[:100] = 0.0
    assert shares_apart(ours, theirs, SEX_PAIR) is None


def test_genes_are_found_by_their_ids_and_blocks_change_nothing():
    ours, theirs = cells(SEX_PAIR, (0.99, 0.01), [150, 150])
    other = sorted(Y_GENES)[1]
    genes = np.array(["ENSG00000000003", sorted(Y_GENES)[0], *XIST, other])
    counts = np.column_stack([theirs, ours // 2, theirs, ours - ours // 2])
    whole, blocks = (PairCounts(genes, 300) for _ in range(2))
    whole.add(slice(None), lambda is_gene: counts[:, is_gene].sum(axis=1))
    for rows in (slice(0, 100), np.arange(100, 300)):
        blocks.add(rows, lambda is_gene, rows=rows: counts[rows][:, is_gene].sum(axis=1))
    everyone = np.ones(300, bool)
    assert whole.two_people(everyone) == blocks.two_people(everyone) is not None
    assert whole.two_people(np.arange(300) < 150) is None
    assert whole.counts(HAPLOTYPE) == [None, None]


def test_nothing_is_said_where_one_side_was_not_measured():
    pairs = PairCounts(np.array(sorted(Y_GENES)), 100)
    pairs.add(slice(None), lambda is_gene: np.repeat([0.0, 9.0], 50))
    assert pairs.two_people(np.ones(100, bool)) is None


def test_the_table_of_duplicates_names_the_donor_and_no_other(tmp_path):
    ours, theirs = cells(SEX_PAIR, (0.99, 0.01, 0.99), [150, 150, 300])
    genes = pd.DataFrame(index=[sorted(Y_GENES)[0], *XIST])
    donors = np.repeat(["c:pooled", "c:man"], 300)
    obs = pd.DataFrame({"donor_id": donors, "sample_id": donors})
    obs.index = [f"cell{number}" for number in range(600)]
    with CanonicalWriter(tmp_path / "intake.h5ad", obs, genes) as writer:
        writer.append(sp.csr_matrix(np.column_stack([ours, theirs]).astype(np.int64)))
    known = pd.DataFrame({"donor_id": ["c:pooled", "c:man"], "sex_ontology_term_id": "unknown"})
    known.to_parquet(tmp_path / "donors.parquet")
    found = find_duplicates({"c": tmp_path})
    assert found[["donor_id", "other_donor_id", "kind"]].to_numpy().tolist() == [
        ["c:pooled", "c:pooled", TWO_PEOPLE]
    ]
    assert 80 < found["n_found"].item() < found["n_compared"].item() / 2 + 40
