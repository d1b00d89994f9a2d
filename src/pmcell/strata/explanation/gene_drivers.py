"""Which genes place a stratum, and a donor: exact parts of squared distances in expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.resample import stream
from pmcell.errors import UsageError
from pmcell.schema.text import as_text, text_array
from pmcell.strata._threads import single_thread
from pmcell.strata.explanation.contrasts import STRATUM, Comparison, compare
from pmcell.strata.explanation.parts import Part, prepare
from pmcell.strata.profiles import slots
from pmcell.strata.statistics.moderated import library_sizes, log_cpm

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR = 2.0
"""Counts added to each gene: with few counts, log expression is drawn to the donors' mean."""
N_DRAWS = 200
DRAWS = 13
"""Purpose of the random stream that draws donors again."""


@dataclass(frozen=True)
class _Space:
    """Expression of one type, batch offsets removed (donors × genes), and each donor's stratum."""

    name: str
    part: Part
    y: Floats

    def members(self, level: int) -> Ints:
        """Donors of a stratum."""
        return np.flatnonzero(self.part.group.level == level)


@single_thread
def gene_drivers(
    donors: AnnData,
    *,
    pseudobulk: Mapping[str, pd.DataFrame],
    symbols: Mapping[str, str] | None = None,
    top: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Genes that separate each published stratum from the nearest other, per cell type.

    The squared distance in log counts per million is a sum over genes, so each
    gene's part of D²(donor, other) - D²(donor, own) is exact; a stratum's part is the mean over
    its donors, which is (difference of means)² less the noise of both means. Batch
    offsets are removed. Intervals are from bootstraps of the donors within strata. The
    `top` genes of each stratum and type are returned; `share` is of all genes. A type whose
    genes together do not tell the two apart has no rows.

    Returns the columns of schema.GENE_DRIVERS; no rows unless strata are published.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(gene_drivers(donors, pseudobulk={}))
    0
    """
    import pandas as pd

    from pmcell.schema import GENE_DRIVERS

    columns = GENE_DRIVERS.columns
    compared = compare(donors, STRATUM, confirm=False, seed=seed)
    if compared.everyone is None:
        return pd.DataFrame(columns=columns)
    near = nearest_strata(donors, len(compared.levels))
    frames = []
    for space in _spaces(compared, pseudobulk):
        for level, other in enumerate(near):
            own, far = space.members(level), space.members(other)
            if min(own.size, far.size) < 2:
                continue
            parts = _parts(space.y, own, far)
            total = parts.sum()
            if total <= 0:  # Nothing in this type tells the two apart.
                continue
            difference = space.y[own].mean(axis=0) - space.y[far].mean(axis=0)
            first = np.lexsort((text_array(space.part.genes), -parts))[:top]
            low, high = _interval(np.ascontiguousarray(space.y[:, first]), own, far, seed)
            frames.append(
                pd.DataFrame(
                    {
                        "stratum": compared.levels[level],
                        "other": compared.levels[other],
                        "cell_type": space.name,
                        "gene_id": text_array(space.part.genes[first]),
                        "contribution": parts[first],
                        "contribution_low": low,
                        "contribution_high": high,
                        "share": parts[first] / total,
                        "direction": np.where(difference[first] > 0, "higher", "lower"),
                        "n_donors": own.size,
                        "n_donors_other": far.size,
                    }
                )
            )
    if not frames:
        return pd.DataFrame(columns=columns)
    table = pd.concat(frames, ignore_index=True)
    table["symbol"] = [(symbols or {}).get(gene, gene) for gene in table["gene_id"]]
    return table[columns]


@single_thread
def donor_gene_drivers(
    donors: AnnData,
    *,
    donor_id: str,
    pseudobulk: Mapping[str, pd.DataFrame],
    seed: int = 0,
) -> pd.DataFrame:
    """Genes that place one donor in its stratum: individual data, which no release holds.

    Columns stratum, other, cell_type, gene_id, contribution, contribution_low
    and contribution_high. Over a stratum's donors with the type, the parts of a gene
    have the contribution of `gene_drivers` as their mean.
    Raises UsageError for a donor without a stratum.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> donor_gene_drivers(donors, donor_id="d1", pseudobulk={})
    Traceback (most recent call last):
    pmcell.errors.UsageError: call pmcell.strata.existence(donors) first: ...
    """
    import pandas as pd

    compared = compare(donors, STRATUM, confirm=False, seed=seed)
    if compared.everyone is None:
        raise UsageError(f"genes place a donor only among published strata: {compared.why}")
    if donor_id not in compared.everyone.donors:
        raise UsageError(
            f"donor_id must be a donor that made the strata; there is no {donor_id!r} among "
            f"{compared.everyone.donors.size}"
        )
    near = nearest_strata(donors, len(compared.levels))
    frames = []
    for space in _spaces(compared, pseudobulk):
        row = np.flatnonzero(space.part.group.donors == donor_id)
        if row.size == 0:
            continue
        level = int(space.part.group.level[row[0]])
        own, far = space.members(level), space.members(near[level])
        if min(own.size, far.size) < 2:
            continue
        place = int(np.flatnonzero(own == row[0])[0])
        low, high = _interval(space.y, own, far, seed, place)
        frames.append(
            pd.DataFrame(
                {
                    "stratum": compared.levels[level],
                    "other": compared.levels[near[level]],
                    "cell_type": space.name,
                    "gene_id": text_array(space.part.genes),
                    "contribution": donor_parts(space.y, own, far)[place],
                    "contribution_low": low,
                    "contribution_high": high,
                }
            )
        )
    if not frames:
        return pd.DataFrame()
    return pd.concat(frames, ignore_index=True)


def donor_parts(y: Floats, own: Ints, far: Ints) -> Floats:
    """Each member's squared difference from the other mean minus that from its own, per gene.

    A member does not count itself, and the noise of the means is subtracted.
    Shape (members, genes).
    """
    mine, theirs = y[own], y[far]
    n, m = own.size, far.size
    without = (mine.sum(axis=0) - mine) / (n - 1)
    return np.asarray(
        (mine - theirs.mean(axis=0)) ** 2
        - theirs.var(axis=0, ddof=1) / m
        - (mine - without) ** 2
        + mine.var(axis=0, ddof=1) / (n - 1)
    )


def nearest_strata(donors: AnnData, k: int) -> list[int]:
    """The stratum nearest to each, by mean fused distance of their donors less that within."""
    rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy()[rows]
    squared = np.asarray(donors.obsp[slots.DISTANCE])[np.ix_(rows, rows)]
    members = [np.flatnonzero(label == f"S{level + 1}") for level in range(k)]
    inside = [
        squared[np.ix_(own, own)].sum() / max(own.size * (own.size - 1), 1) for own in members
    ]
    out = []
    for level, own in enumerate(members):
        gaps = [
            np.inf
            if other == level or own.size == 0 or members[other].size == 0
            else squared[np.ix_(own, members[other])].mean() - inside[other] / 2
            for other in range(k)
        ]
        out.append(int(np.argmin(gaps)))
    return out


def _spaces(compared: Comparison, pseudobulk: Mapping[str, pd.DataFrame]) -> Iterator[_Space]:
    assert compared.everyone is not None
    for name in sorted(pseudobulk):
        counts = pseudobulk[name]
        part = prepare(compared.everyone, counts, len(compared.levels), compared.levels)
        if isinstance(part, str):
            continue
        y = log_cpm(part.counts, library_sizes(part.counts, part.total), PRIOR)
        # Offsets of batches as the model with strata sees them, so that strata stay.
        coefficients, *_ = np.linalg.lstsq(part.design.matrix, y, rcond=None)
        n_levels = np.unique(part.group.level).size - 1
        batch = part.design.matrix[:, : part.design.matrix.shape[1] - n_levels]
        offset = batch @ coefficients[: batch.shape[1]]
        yield _Space(name, part, y - (offset - offset.mean(axis=0)))


def _parts(y: Floats, own: Ints, far: Ints, noise: float = 1.0) -> Floats:
    """A stratum's contribution per gene: the mean of its donors' parts."""
    mine, theirs = y[own], y[far]
    gap = mine.mean(axis=0) - theirs.mean(axis=0)
    spread = mine.var(axis=0, ddof=1) / own.size + theirs.var(axis=0, ddof=1) / far.size
    return np.asarray(gap**2 - noise * spread)


def _interval(
    y: Floats, own: Ints, far: Ints, seed: int, member: int | None = None
) -> tuple[Floats, Floats]:
    """2.5 and 97.5 % of the contributions when the donors of both strata are drawn again.

    Means of a draw carry the noise of the donors and that of drawing, so it is subtracted twice.
    """
    draws = np.empty((N_DRAWS, y.shape[1]))
    for number in range(N_DRAWS):
        rng = stream(seed, DRAWS, number)
        theirs = far[rng.integers(far.size, size=far.size)]
        if member is None:
            mine = own[rng.integers(own.size, size=own.size)]
            draws[number] = _parts(y, mine, theirs, noise=2.0)
        else:
            rest = np.delete(own, member)
            mine = rest[rng.integers(rest.size, size=rest.size)]
            there, here = y[theirs], y[mine]
            draws[number] = (
                (y[own[member]] - there.mean(axis=0)) ** 2
                - 2 * there.var(axis=0, ddof=1) / far.size
                - (y[own[member]] - here.mean(axis=0)) ** 2
                + 2 * here.var(axis=0, ddof=1) / rest.size
            )
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return low, high
