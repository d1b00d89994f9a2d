"""A person who shows what no donor of the reference did gets no stratum, whatever lies near."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import pmcell as pm
from made_reference import cells, new_donors, people, reference
from pmcell.mapping.strata import unless_strange
from pmcell.registry.duplicates.sex import XIST, Y_GENES
from pmcell.registry.duplicates.two_people import TwoPeople
from pmcell.schema.mapped import AMBIGUOUS, ASSIGNED, NOT_PLACED, Residual, StratumAnswer

TWO = TwoPeople("genes of Y and XIST", 200, 60)
PLACED = StratumAnswer(ASSIGNED, "", "S1", "S1", {"S1": 0.9, "S2": 0.1}, ("S1",), 0.9)


def residual(p):
    return Residual(2.0, p, ("ACTB",))


@pytest.mark.parametrize(
    ("labelled", "donor_p", "left", "why"),
    [
        (0.49, 0.5, 0.5, "49% of the cells could be labelled; 50% are needed"),
        (0.9, 0.02, 0.5, "no donor of the reference has a composition as unusual"),
        (0.9, 0.5, 0.02, "outside the model than in any donor"),
    ],
)
def test_what_no_donor_showed_takes_the_stratum_back_and_says_why(labelled, donor_p, left, why):
    told = unless_strange(PLACED, labelled, donor_p, residual(left))
    assert (told.status, told.stratum) == (NOT_PLACED, None)
    assert why in told.why
    assert told.conformal_set == PLACED.conformal_set


@pytest.mark.parametrize("left", [None, residual(0.06)])
def test_a_person_like_the_donors_keeps_it(left):
    assert unless_strange(PLACED, 0.5, 0.05, left) is PLACED
    assert unless_strange(PLACED, 1.0, None, left) is PLACED


def test_an_answer_without_a_stratum_keeps_its_reason():
    told = StratumAnswer(AMBIGUOUS, "more than one stratum cannot be ruled out")
    assert unless_strange(told, 0.1, 0.01, residual(0.01)) is told


def with_sex_genes(own, is_man):
    """The cells with four counts of XIST, or of a gene of Y."""
    genes = pd.DataFrame(index=[*XIST, sorted(Y_GENES)[0]])
    counts = sp.csr_matrix(np.where(is_man[:, None], [0, 4], [4, 0]))
    return ad.AnnData(sp.hstack([own.X, counts]).tocsr(), own.obs, pd.concat([own.var[[]], genes]))


def test_two_people_in_one_sample_get_no_stratum_and_it_is_said():
    one, other = (people([name]) for name in new_donors()[:2])
    whole = ad.concat([one, other])
    is_man = np.repeat([True, False], [one.n_obs, other.n_obs])
    told = pm.map(with_sex_genes(whole, is_man), reference()).visits
    assert [visit.n_cells_of_another for visit in told] == [None, None]
    whole.obs = whole.obs.assign(donor_id="P", sample_id="P", visit="T0", batch_id="new")
    (visit,) = pm.map(with_sex_genes(whole, is_man), reference()).visits
    assert visit.n_cells_of_another > 50
    assert visit.stratum.status != ASSIGNED
    assert "the cells may be of two people: by genes of Y and XIST" in visit.warnings[-1]
    placed = unless_strange(PLACED, 1.0, None, None, TWO.sentence)
    assert (placed.status, placed.why) == (NOT_PLACED, TWO.sentence)


def test_cells_of_one_sorted_lineage_get_no_stratum_and_it_is_said():
    own = people(new_donors()[:1])
    (visit,) = pm.map(own, reference()).visits
    assert not [text for text in visit.warnings if "sorted out" in text]
    kinds = cells().obs.loc[own.obs_names, "cell_type"].astype(str)
    (visit,) = pm.map(own[kinds.isin(sorted(set(kinds))[:2])].copy(), reference()).visits
    assert visit.stratum.status != ASSIGNED
    assert "cells are of 3 types that together make at least" in visit.warnings[-1]
