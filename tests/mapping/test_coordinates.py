"""Where new cells lie on the map of a reference."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from pmcell.mapping.coordinates import N_MAP_NEIGHBORS, Mixture


def mixture(n_anchors: int, n_dims: int = 30, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    anchors = rng.normal(size=(n_anchors, n_dims)).astype(np.float32)
    places = rng.normal(size=(n_anchors, 2)).astype(np.float32)
    return Mixture(np.eye(n_dims), np.zeros((n_dims, n_dims)), np.ones(n_dims), anchors, places)


@pytest.mark.parametrize("n_anchors", [1, 2, N_MAP_NEIGHBORS, N_MAP_NEIGHBORS + 1, 500])
@pytest.mark.parametrize("n_cells", [1, 17, 130])
def test_a_cell_lies_at_the_mean_of_its_nearest_anchors(n_anchors: int, n_cells: int) -> None:
    model = mixture(n_anchors)
    cells = np.random.default_rng(1).normal(size=(n_cells, 30)).astype(np.float32)
    finder = NearestNeighbors(n_neighbors=min(N_MAP_NEIGHBORS, n_anchors)).fit(model.anchors)
    near = finder.kneighbors(cells, return_distance=False)
    expected = model.anchor_map[near].mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(model.on_map(cells), expected, rtol=0, atol=1e-6)


def test_a_cell_that_is_an_anchor_counts_itself() -> None:
    model = mixture(1)
    np.testing.assert_array_equal(model.on_map(model.anchors), model.anchor_map)


def test_cells_in_another_layout_lie_where_they_did() -> None:
    model = mixture(40)
    cells = np.random.default_rng(1).normal(size=(9, 30)).astype(np.float32)
    np.testing.assert_array_equal(model.on_map(np.asfortranarray(cells)), model.on_map(cells))
    np.testing.assert_array_equal(
        model.on_map(np.repeat(cells, 2, axis=0)[::2]), model.on_map(cells)
    )


def test_without_anchors_or_cells_there_is_no_place() -> None:
    assert np.isnan(mixture(0).on_map(np.zeros((3, 30), np.float32))).all()
    assert mixture(5).on_map(np.zeros((0, 30), np.float32)).shape == (0, 2)
