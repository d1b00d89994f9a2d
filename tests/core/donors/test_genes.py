"""The gene feature set: naive oracles, properties, planted strata."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_genes import MadeGenes, made_genes
from pmcell.core.donors.association import adjusted_rand
from pmcell.core.donors.channels import squared_distances
from pmcell.core.donors.donor_map import partition
from pmcell.core.donors.gene_model import draw_expression, fit_gene_model
from pmcell.core.donors.gene_sums import GeneSums, HalfCounts, gene_sums
from pmcell.core.donors.genes import (
    GeneChannel,
    fit_genes,
    gene_distance_parts,
    place_genes,
    weigh_genes,
    weighted,
)
from pmcell.core.donors.offsets import batch_offsets


def fitted(made: MadeGenes) -> tuple[GeneChannel, GeneSums]:
    sums = made.sums()
    return fit_genes(sums, made.batch, int(made.batch.max()) + 1), sums


def without_rows(made: MadeGenes, missing: list[tuple[int, int]]) -> MadeGenes:
    total = made.halves.total.copy()
    for row, kind in missing:
        total[:, row, kind] = 0
    return MadeGenes(HalfCounts(made.halves.counts, total, made.halves.n), made.stratum, made.batch)


@pytest.mark.parametrize("batch", [[0] * 6 + [1] * 5 + [2], [0] * 12, range(12), [0, 1] * 6])
@pytest.mark.parametrize("residual", [True, False])
def test_genes_are_centred_as_by_sums_over_whole_arrays(batch: list[int], residual: bool) -> None:
    of_row = np.array(batch)
    n_batches = int(of_row.max()) + 1
    sums = without_rows(made_genes(4, n_donors=12), [(2, 1), (5, 0), (11, 3)]).sums()
    known = (sums.size > 0)[:, :, None]
    count = known.sum(axis=0)
    centre = np.nansum(sums.mean, axis=0) / count
    offset = batch_offsets((sums.mean - centre).reshape(12, -1), of_row, n_batches)
    offset = offset.reshape(n_batches, *centre.shape) * residual
    x = np.where(known, sums.mean - centre - offset[of_row], 0.0)
    noise = sums.within * (sums.variance().sum(axis=0)[:, None] / count)
    found = weigh_genes(sums, of_row, n_batches, residual=residual)
    assert np.allclose(found.centre, centre, rtol=1e-12)
    assert np.allclose(found.offset, offset, rtol=1e-9, atol=1e-15)
    expected = np.maximum((x**2).sum(axis=0) / (count - 1) - noise, 0.0)
    assert np.allclose(found.between, expected, rtol=1e-9, atol=1e-12)


def test_the_rows_fitted_on_lie_where_equal_rows_would() -> None:
    made = without_rows(made_genes(5, n_batches=2), [(2, 1)])
    channel, sums = fitted(made)
    own = place_genes(channel, sums, made.batch)
    again = place_genes(channel, replace(sums), made.batch.copy())
    assert (own.x == again.x).all()
    assert (own.noise == again.noise).all()


def test_planted_strata_are_found_on_their_two_axes() -> None:
    made = made_genes(1)
    channel, sums = fitted(made)
    assert channel.n_shared == 2
    squared = squared_distances(channel, place_genes(channel, sums, made.batch))
    found = partition(squared, range(3, 4), 5).labels[0]
    assert adjusted_rand(found, made.stratum) == 1.0


def test_axes_of_one_length_show_strata_beside_a_factor_that_moves_every_gene() -> None:
    made = made_genes(0, factor=0.2)
    sums = made.sums()
    agreement = {}
    for even in (False, True):
        channel = fit_genes(sums, made.batch, 1, even_axes=even)
        squared = squared_distances(channel, place_genes(channel, sums, made.batch))
        found = partition(squared, range(3, 4), 5).labels[0]
        agreement[even] = adjusted_rand(found, made.stratum)
    assert agreement[True] == 1.0
    assert agreement[False] < 0.5


def test_axes_of_one_length_have_equal_variance_and_the_same_directions() -> None:
    made = made_genes(2, factor=0.2)
    sums = made.sums()
    plain, even = (fit_genes(sums, made.batch, 1, even_axes=value) for value in (False, True))
    assert plain.n_shared == even.n_shared == 3
    ratio = even.axes / plain.axes
    assert np.allclose(ratio, ratio[0])
    assert np.allclose(place_genes(even, sums, made.batch).x[:, 0].std(axis=0), 1.0)


def test_strata_are_found_across_batches_that_move_every_gene() -> None:
    made = made_genes(2, n_batches=3)
    channel, sums = fitted(made)
    squared = squared_distances(channel, place_genes(channel, sums, made.batch))
    assert adjusted_rand(partition(squared, range(3, 4), 5).labels[0], made.stratum) == 1.0


def test_donors_whose_genes_vary_one_by_one_share_no_axis() -> None:
    shared = [fitted(made_genes(seed, effect=0.0, own=0.4))[0].n_shared for seed in range(10)]
    assert max(shared) <= 1
    assert np.mean(shared) <= 0.2


def test_coordinates_are_those_of_a_naive_sum_over_other_donors() -> None:
    made = without_rows(made_genes(3, n_donors=12), [(2, 1), (5, 0), (5, 3)])
    channel, sums = fitted(made)
    x, energy = weighted(channel, sums, made.batch), channel.energy
    expected = np.zeros((12, channel.axes.shape[1]))
    for row in range(12):
        for other in range(12):
            if other == row:
                continue
            both = (sums.size[row] > 0) & (sums.size[other] > 0)
            product = sum(float(x[row, t] @ x[other, t]) for t in np.flatnonzero(both))
            share = max(energy[both].sum() / energy.sum(), 0.2)
            expected[row] += product / share * channel.axes[other]
    placed = place_genes(channel, sums, made.batch)
    np.testing.assert_allclose(placed.x[:, 0], expected, atol=1e-9)


def test_a_donor_has_no_part_in_its_own_place_and_a_new_one_lands_beside_its_kin() -> None:
    made = made_genes(4, n_donors=60)
    training = np.flatnonzero(np.arange(60) % 3 > 0)
    sums = made.sums()
    channel = fit_genes(sums.take(training), made.batch[training], 1)
    z = place_genes(channel, sums, made.batch).x[:, 0]
    held = np.flatnonzero(np.arange(60) % 3 == 0)
    for level in range(3):
        old = np.linalg.norm(z[training][made.stratum[training] == level].mean(axis=0))
        new = np.linalg.norm(z[held][made.stratum[held] == level].mean(axis=0))
        assert 0.85 < new / old < 1.15


@pytest.mark.parametrize("even_axes", [False, True])
def test_parts_of_types_sum_to_the_squared_distance(even_axes: bool) -> None:
    made = without_rows(made_genes(5, n_donors=15), [(3, 0), (4, 0), (4, 1), (4, 2), (4, 3)])
    sums = made.sums()
    channel = fit_genes(sums, made.batch, 1, even_axes=even_axes)
    whole = squared_distances(channel, place_genes(channel, sums, made.batch))
    parts = list(gene_distance_parts(channel, sums, made.batch))
    assert len(parts) == 4
    np.testing.assert_allclose(sum(parts), whole, atol=1e-9)


def test_the_order_of_rows_does_not_matter() -> None:
    made = made_genes(6)
    order = np.random.default_rng(0).permutation(40)
    channel, sums = fitted(made)
    one = squared_distances(channel, place_genes(channel, sums, made.batch))
    again = sums.take(order)
    other = fit_genes(again, made.batch[order], 1)
    two = squared_distances(other, place_genes(other, again, made.batch[order]))
    np.testing.assert_allclose(two, one[np.ix_(order, order)], rtol=1e-6, atol=1e-9)


def test_few_cells_do_not_look_far_from_everybody() -> None:
    made = made_genes(7, effect=0.0, cells=(20, 600))
    channel, sums = fitted(made)
    squared = squared_distances(channel, place_genes(channel, sums, made.batch))
    far = squared.sum(axis=1)
    assert abs(np.corrcoef(far, made.halves.n.sum(axis=1))[0, 1]) < 0.35


def test_draws_of_the_model_have_the_variance_of_the_data() -> None:
    made = made_genes(8)
    channel, sums = fitted(made)
    z = place_genes(channel, sums, made.batch).x[:, 0]
    axes = np.linalg.qr(z - z.mean(axis=0))[0]
    rescale = np.full(axes.shape[1], 1 / np.sqrt(39))
    model = fit_gene_model(channel, sums, made.batch, axes, rescale)
    assert 0.5 < model.alike <= 1.0  # a donor's own variation was made the same in all types
    rng = np.random.default_rng(0)
    scores = np.linalg.qr(rng.standard_normal(axes.shape))[0] * np.sqrt(39)
    drawn = draw_expression(model, scores, rng)
    data, draw = (np.nanvar(one.mean, axis=0).sum() for one in (sums, drawn))
    assert 0.85 < draw / data < 1.15


def test_a_draw_adds_up_what_axes_the_donor_and_sampling_add() -> None:
    made = without_rows(made_genes(8), [(2, 1)])
    channel, sums = fitted(made)
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 3)))[0]
    model = fit_gene_model(channel, sums, made.batch, axes, np.ones(3))
    drawn = draw_expression(model, axes, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((40, int(sums.gene.max()) + 1))
    alone = rng.standard_normal(sums.mean.shape)
    expected = alone * model.error + shared[:, sums.gene] * np.sqrt(model.alike) * model.own
    expected += np.tensordot(axes, model.loadings, 1)
    expected[2, 1] = np.nan
    assert np.allclose(drawn.mean, expected, rtol=1e-12, equal_nan=True)


def test_a_gene_of_one_donor_alone_makes_no_axis() -> None:
    made = made_genes(9, effect=0.0)
    counts = made.halves.counts.copy()
    counts[:, 7, :, :60] *= 20
    halves = HalfCounts(counts, counts.sum(axis=3), made.halves.n)
    rows = np.arange(40)
    sums = gene_sums(halves, rows, np.tile(np.arange(400), (4, 1)), rows)
    channel = fit_genes(sums, made.batch, 1)
    z = place_genes(channel, sums, made.batch).x[:, 0]
    assert np.abs(z[7]).max() < 4 * np.abs(np.delete(z, 7, 0)).max()
