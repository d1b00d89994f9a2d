"""The gene feature set: the axes that donors share in the expression of their cell types.

A donor differs from others in thousands of genes by itself; what makes strata, or a
continuum, is shared. So the inner products of donors over genes and types are taken apart
into axes, and only those are kept that genes varying one by one could not give. Genes weigh by
the squared correlation that halves of the cells would have over donors, so what repeats in
a donor counts and noise does not. A donor takes no part in its own place: its coordinates
come from the other donors' inner products, as those of a donor who was never seen do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pmcell.core.compiler import Array, kernel
from pmcell.core.donors.channels import GENES, Features, scales, squared_distances
from pmcell.core.donors.gene_sums import GeneSums
from pmcell.core.donors.offsets import new_offset

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_AXES = 10
CLIP = 2.5
"""Standard deviations at which a gene of a donor is cut off: one donor must not make an axis."""

MIN_SHARED = 0.2
"""A pair of rows that shares less than this share of all variance is not scaled up further."""


@dataclass(frozen=True)
class GeneChannel:
    """The fitted gene feature set.

    `centre` (types, genes) and `offset` (batches, types, genes) are taken out of log
    expression, `bound` (types, genes) cuts it off, `weight` (types, genes) multiplies squared
    differences, `energy` (types,) is each type's share of the variance between donors.
    `rows` (donors fitted on × types × genes) are those donors, weighted, 0 where a type is
    missing, `present` their types, `donor` their codes; `axes` (donors, axes) turn inner
    products with them into coordinates. `n_shared` is how many axes are above the edge of
    independent genes: 0 means that the one axis kept is none. `fitted_on` are those donors and
    their batches as they were given.
    """

    name: str
    centre: Floats
    offset: Floats
    bound: Floats
    weight: Floats
    energy: Floats
    rows: Floats
    present: NDArray[np.bool_]
    donor: Ints
    axes: Floats
    n_shared: int
    fill: Floats
    scale: float
    fitted_on: tuple[GeneSums, Ints] | None = None


@dataclass(frozen=True)
class GeneWeights:
    """What is taken out of expression, and what is left of each gene (types, genes).

    `centre`, `offset` (batches, types, genes); `between` donors and `noise` of sampling are
    variances; `weight` is the squared correlation that two halves of the cells would have.
    """

    centre: Floats
    offset: Floats
    between: Floats
    noise: Floats
    weight: Floats


def weigh_genes(
    sums: GeneSums, batch: Ints, n_batches: int, *, residual: bool = True
) -> GeneWeights:
    """How far each gene repeats in a donor beyond its batch."""
    return _weigh(sums, batch, n_batches, residual=residual)[0]


def _weigh(
    sums: GeneSums, batch: Ints, n_batches: int, *, residual: bool
) -> tuple[GeneWeights, Floats]:
    """The weights, and the expression that they rest on (rows, types, genes)."""
    known = sums.size > 0
    count = np.maximum(known.sum(axis=0), 1)
    centre, offset, x, variance = _centred(
        sums.mean, known, batch, n_batches, residual and n_batches > 1
    )
    noise = sums.within * (sums.variance().sum(axis=0) / count)[:, None]
    between = np.maximum(variance - noise, 0.0)
    repeats = between / np.maximum(between + 2.0 * noise, 1e-300)
    return GeneWeights(centre, offset, between, noise, repeats**2), x


def fit_genes(
    sums: GeneSums,
    batch: Ints,
    n_batches: int,
    *,
    residual: bool = True,
    even_axes: bool = False,
) -> GeneChannel:
    """Fit the gene feature set on these rows, one a donor.

    An axis is as long as what donors share along it, so strata in few genes drown in a factor
    that moves many. With `even_axes` all axes above the edge of independent genes are of one
    length.
    """
    n_rows = sums.donor.size
    known = sums.size > 0
    found, x = _weigh(sums, batch, n_batches, residual=residual)
    weight = found.weight
    bound = CLIP * np.sqrt(found.between + found.noise)
    rows = np.clip(x, -bound, bound, out=x)
    rows *= np.sqrt(weight)
    energy = (weight * found.between).sum(axis=1)
    inner = rows.reshape(n_rows, -1) @ rows.reshape(n_rows, -1).T
    products = inner.copy()
    products[np.diag_indices(n_rows)] -= sums.variance() @ (weight * sums.within).sum(axis=1)
    products = _shared(products, known, known, energy)
    values, vectors = _leading(products)
    edge = _edge(weight * found.between, sums.gene, n_rows)
    n_shared = int((values > edge).sum())
    kept = slice(0, max(min(n_shared, MAX_AXES), 1))
    axes = vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-300))
    axes = np.where(values[kept] > 0, axes, 0.0)
    channel = GeneChannel(
        GENES,
        found.centre,
        found.offset,
        bound,
        weight,
        energy,
        rows,
        known,
        sums.donor,
        axes,
        n_shared,
        np.zeros(1),
        1.0,
    )
    if even_axes:
        # As donors are placed by the others: a weak axis is shorter so than its eigenvalue says.
        spread = _place(channel, sums, inner).x[:, 0].std(axis=0)
        channel = replace(channel, axes=np.where(spread > 0, axes / np.maximum(spread, 1e-300), 0))
    fill, scale = scales(_place(channel, sums, inner))
    return replace(channel, fill=fill, scale=scale, fitted_on=(sums, batch))


def place_genes(channel: GeneChannel, sums: GeneSums, batch: Ints) -> Features:
    """Rows on the axes (one block), each from its inner products with the other donors."""
    x = weighted(channel, sums, batch)
    inner = x.reshape(x.shape[0], -1) @ channel.rows.reshape(channel.rows.shape[0], -1).T
    return _place(channel, sums, inner)


def _place(channel: GeneChannel, sums: GeneSums, products: Floats) -> Features:
    """The same, of rows with these inner products with the rows fitted on."""
    known = sums.size > 0
    products = _shared(products, known, channel.present, channel.energy)
    products[_same_donor(channel, sums)] = 0.0
    present = np.asarray(known.any(axis=1))[:, None]
    value = np.where(present, products @ channel.axes, 0.0)
    noise = sums.variance() @ _loading_noise(channel, sums.within) * _scale_up(channel, known) ** 2
    return Features(value[:, None, :], noise[:, None], present)


def clean_expression(channel: GeneChannel, sums: GeneSums, batch: Ints) -> Floats:
    """Expression less centre and offset, cut off (rows, types, genes); 0 where missing."""
    x = _clean(sums, channel.centre, channel.offset, batch)
    return np.asarray(np.clip(x, -channel.bound, channel.bound))


def weighted(channel: GeneChannel, sums: GeneSums, batch: Ints) -> Floats:
    """The same, weighted; an array that the caller may change."""
    known = channel.fitted_on
    if known is not None and known[0] is sums and known[1] is batch:
        return channel.rows.copy()
    return np.asarray(clean_expression(channel, sums, batch) * np.sqrt(channel.weight))


def loadings(channel: GeneChannel) -> Floats:
    """What a unit of weighted expression adds to each axis (types, genes, axes)."""
    found = channel.axes.T @ channel.rows.reshape(channel.rows.shape[0], -1)
    return np.ascontiguousarray(found.T).reshape(*channel.weight.shape, -1)


def adapt_genes(
    channel: GeneChannel, training: tuple[GeneSums, Ints], new: GeneSums
) -> GeneChannel:
    """The feature set with one more batch: the offset of the rows `new` against training rows."""
    sums, batch = training
    known = sums.mean - channel.centre - channel.offset[batch]
    fresh = new_offset(known, new.mean - channel.centre)
    return replace(channel, offset=np.concatenate([channel.offset, fresh[None]]))


def gene_distance_parts(channel: GeneChannel, sums: GeneSums, batch: Ints) -> Iterator[Floats]:
    """Each type's part of the squared distances between all rows; the parts sum to the whole.

    A row's coordinates are sums over types, so a squared difference is one of products of a
    type's difference with the whole difference. A pair in which one row is not known has of
    each type the share that it has of all variance between donors.
    """
    placed = place_genes(channel, sums, batch)
    whole = squared_distances(channel, placed)
    known = placed.present & placed.present.T
    noise = sums.variance() * _loading_noise(channel, sums.within)
    noise *= _scale_up(channel, sums.size > 0)[:, None] ** 2
    z = placed.x[:, 0]
    total = max(float(channel.energy.sum()), 1e-300)
    for kind, part in enumerate(_coordinates(channel, sums, batch)):
        own = (z * part).sum(axis=1) - noise[:, kind]
        cross = z @ part.T
        squared = own[:, None] + own - cross - cross.T
        out = np.where(known, squared / channel.scale, whole * channel.energy[kind] / total)
        np.fill_diagonal(out, 0.0)
        yield out


def _coordinates(channel: GeneChannel, sums: GeneSums, batch: Ints) -> Iterator[Floats]:
    """Each type's part of the rows' coordinates (rows, axes)."""
    known = sums.size > 0
    x = weighted(channel, sums, batch)
    ratio = _shared(
        np.ones((x.shape[0], channel.donor.size)), known, channel.present, channel.energy
    )
    ratio[_same_donor(channel, sums)] = 0.0
    for kind in range(x.shape[1]):
        yield (x[:, kind] @ channel.rows[:, kind].T * ratio) @ channel.axes


def _same_donor(channel: GeneChannel, sums: GeneSums) -> NDArray[np.bool_]:
    return np.asarray(sums.donor[:, None] == channel.donor[None, :], np.bool_)


def _clean(sums: GeneSums, centre: Floats, offset: Floats, batch: Ints) -> Floats:
    """Expression less what is common and what the batch adds; 0 where missing."""
    added = offset[np.maximum(batch, 0)]
    added[batch < 0] = 0.0
    x = sums.mean - centre
    x -= added
    # `np.where` with a condition of fewer dimensions takes twenty times as long.
    x[sums.size <= 0] = 0.0
    return x


def _shared(
    products: Floats,
    left: NDArray[np.bool_],
    right: NDArray[np.bool_],
    energy: Floats,
) -> Floats:
    """Inner products over the types that a pair has, scaled to all types."""
    whole = max(float(energy.sum()), 1e-300)
    both = (left * energy) @ right.T
    return np.asarray(products * (whole / np.maximum(both, MIN_SHARED * whole)))


def _scale_up(channel: GeneChannel, known: NDArray[np.bool_]) -> Floats:
    """By how much a row that lacks types is scaled up (rows,)."""
    whole = max(float(channel.energy.sum()), 1e-300)
    return np.asarray(whole / np.maximum(known @ channel.energy, MIN_SHARED * whole))


def _loading_noise(channel: GeneChannel, within: Floats) -> Floats:
    """Variance that a unit of a type's sampling variance adds over all axes (types,)."""
    squared = (loadings(channel) ** 2).sum(axis=2)
    return np.asarray((channel.weight * within * squared).sum(axis=1))


def _leading(products: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and vectors about the centroid, largest first; the largest entry positive."""
    centred = products - products.mean(axis=0)
    centred -= centred.mean(axis=1)[:, None]
    values, vectors = np.linalg.eigh(0.5 * (centred + centred.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    peak = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.where(vectors[peak, np.arange(peak.size)] < 0, -1.0, 1.0)


def _edge(energy: Floats, gene: Ints, n_rows: int) -> float:
    """Largest eigenvalue to expect where genes vary independently of one another.

    Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001, with genes of unequal variance
    counted as (Σe)²/Σe² equal ones. A gene varies alike in all types, at most, so its
    variances in them are added.
    """
    real = gene >= 0
    of_gene = np.bincount(gene[real], weights=energy[real])
    total = float(of_gene.sum())
    if total <= 0:
        return np.inf
    n_equal = total**2 / float((of_gene**2).sum())
    return float(total * (1.0 + np.sqrt(n_rows / n_equal)) ** 2)


@kernel
def _centred(
    mean: Array, known: Array, batch: Array, n_batches: int, has_offsets: bool
) -> tuple[Array, Array, Array, Array]:
    """Centre, what batches add, what is left of each row (0 where missing), and its variance.

    Offsets are those of `pmcell.core.donors.offsets.batch_offsets`. Rows are added in their order.
    """
    n_types, n_genes = mean.shape[1:]
    centre, variance = np.zeros((n_types, n_genes)), np.zeros((n_types, n_genes))
    offset, left = np.zeros((n_batches, n_types, n_genes)), np.zeros(mean.shape)
    for kind in range(n_types):
        rows = np.flatnonzero(known[:, kind])
        middle, spread = centre[kind], variance[kind]
        for row in rows:
            own = mean[row, kind]
            for gene in range(n_genes):
                middle[gene] += own[gene]
        for gene in range(n_genes):
            middle[gene] /= max(rows.size, 1)
        if has_offsets:
            _add_offsets(mean[:, kind], rows, batch, middle, offset[:, kind])
        for row in rows:
            own, out, added = mean[row, kind], left[row, kind], offset[batch[row], kind]
            for gene in range(n_genes):
                out[gene] = own[gene] - middle[gene] - added[gene]
                spread[gene] += out[gene] * out[gene]
        for gene in range(n_genes):
            spread[gene] /= max(rows.size - 1, 1)
    return centre, offset, left, variance


@kernel
def _add_offsets(mean: Array, rows: Array, batch: Array, middle: Array, offset: Array) -> None:
    n_batches, n_genes = offset.shape
    count = np.zeros(n_batches)
    total, centre, spread = np.zeros((n_batches, n_genes)), np.zeros(n_genes), np.zeros(n_genes)
    for row in rows:
        own, of_batch = mean[row], total[batch[row]]
        count[batch[row]] += 1
        for gene in range(n_genes):
            of_batch[gene] += own[gene] - middle[gene]
            centre[gene] += own[gene] - middle[gene]
    for at in range(n_batches):
        for gene in range(n_genes):
            total[at, gene] /= max(count[at], 1.0)
    for row in rows:
        own, of_batch = mean[row], total[batch[row]]
        for gene in range(n_genes):
            difference = own[gene] - middle[gene] - of_batch[gene]
            spread[gene] += difference * difference
    n_usable = (count >= 2).sum()
    if n_usable < 2:
        return
    freedom = max(rows.size - (count > 0).sum(), 1)
    for gene in range(n_genes):
        within = spread[gene] / freedom
        tau = 0.0
        for at in range(n_batches):
            if count[at] >= 2:
                shift = total[at, gene] - centre[gene] / rows.size
                tau += shift * shift - within / count[at]
        tau /= n_usable
        for at in range(n_batches):
            if count[at] >= 2 and tau > 0:
                shift = total[at, gene] - centre[gene] / rows.size
                offset[at, gene] = tau / (tau + within / count[at]) * shift
