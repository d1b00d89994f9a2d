"""Directions that tell groups apart whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.core.discriminant import find_discriminants


def made(seed, n_features=12):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, 600)
    batch = rng.integers(0, 2, 600)
    means, shifts = rng.normal(size=(3, n_features)) * 3, rng.normal(size=(2, n_features)) * 5
    x = rng.normal(size=(600, n_features)) + means[group] + shifts[batch]
    return x, group, batch, shifts


def test_offsets_are_those_that_were_added():
    x, group, batch, shifts = made(0)
    found = find_discriminants(x, group, batch)
    apart = (found.offsets[1] - found.offsets[0]) - (shifts[1] - shifts[0])
    assert np.abs(apart).max() < 0.5


def test_a_batch_without_a_group_does_not_move_the_group():
    x, group, batch, shifts = made(1)
    kept = ~((group == 0) & (batch == 1))
    found = find_discriminants(x[kept], group[kept], batch[kept])
    apart = (found.offsets[1] - found.offsets[0]) - (shifts[1] - shifts[0])
    assert np.abs(apart).max() < 0.5


def test_within_one_batch_they_lie_in_the_space_of_fishers_directions():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, group, batch, shifts = made(2)
    x = x - shifts[batch]
    ours = find_discriminants(x, group, np.zeros(600, np.int64))
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(x, group)
    space = np.linalg.svd(theirs.scalings_[:, :2], full_matrices=False)[0]
    directions = ours.directions / np.linalg.norm(ours.directions, axis=0)
    inside = np.linalg.norm(space.T @ directions, axis=0)
    assert inside.min() > 0.97


def test_one_group_is_refused():
    with pytest.raises(ValueError, match="at least two groups, got 1"):
        find_discriminants(np.ones((4, 2)), np.zeros(4, np.int64), np.zeros(4, np.int64))
