"""A person who shows what no donor of the reference did gets no stratum, whatever lies near."""

from __future__ import annotations

import pytest

from pmcell.mapping.strata import unless_strange
from pmcell.schema.mapped import AMBIGUOUS, ASSIGNED, NOT_PLACED, Residual, StratumAnswer

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
