"""A decomposition is the same with other signs of its vectors, and libraries choose them by the
processor: neither the verdict nor a published number may hang on that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import pmcell as pm
from pmcell.core.donors import cloud, permanova, resample, spectral
from pmcell.simulate import simulate_latent
from pmcell.strata.explanation import blind

Decomposition = Callable[..., tuple[Any, ...]]


def flips(n: int) -> np.ndarray:
    """A sign for each of n vectors: most of them turned."""
    return np.where(np.arange(n) % 3 == 0, 1.0, -1.0)


def other_vectors(eigh: Decomposition) -> Decomposition:
    def turned(*args: Any, **options: Any) -> tuple[Any, ...]:
        values, vectors = eigh(*args, **options)
        return values, vectors * flips(vectors.shape[1])

    return turned


def other_singular(svd: Decomposition) -> Decomposition:
    def turned(*args: Any, **options: Any) -> tuple[Any, ...]:
        left, values, right = svd(*args, **options)
        signs = flips(values.size)
        return left * signs, values, right * signs[:, None]

    return turned


def other_columns(qr: Decomposition) -> Decomposition:
    def turned(*args: Any, **options: Any) -> tuple[Any, ...]:
        columns, triangle, *pivot = qr(*args, **options)
        signs = flips(triangle.shape[0])
        return columns * signs, triangle * signs[:, None], *pivot

    return turned


LIBRARY = {
    "eigh of numpy": (np.linalg, "eigh", other_vectors),
    "eigh of scipy": (spectral, "eigh", other_vectors),
    "svd": (np.linalg, "svd", other_singular),
    "qr of numpy": (np.linalg, "qr", other_columns),
    "qr of scipy": (spectral, "qr", other_columns),
}


def turn(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a decomposition return other signs."""
    owner, function, other = LIBRARY[name]
    monkeypatch.setattr(owner, function, other(getattr(owner, function)))


def made_cells() -> AnnData:
    """Thirty-six donors in three strata, with an embedding and counts of 150 genes."""
    cells = simulate_latent(n_donors=36, cells_per_donor=150, n_types=4, seed=2)
    rng = np.random.default_rng(0)
    stratum = np.unique(cells.obs["stratum"].astype(str), return_inverse=True)[1]
    own = rng.normal(0, 0.2, (36, 150))[cells.obs["donor_id"].cat.codes]
    log = rng.normal(0, 0.7, (3, 150))[stratum] + own
    counts = rng.poisson(4 * np.exp(log)).astype(np.float32)
    made = AnnData(counts, obs=cells.obs.copy(), obsm=dict(cells.obsm))
    made.var_names = [f"ENSG{number:011d}" for number in range(150)]
    return made


def published(cells: AnnData) -> dict[str, Any]:
    """What is said of donors, and the numbers beside it."""
    donors = pm.strata.profile(cells)
    pm.strata.add_genes(donors, cells=cells)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=19)
    pm.strata.place(donors)
    assert set(donors.uns["channels"]["used"]) == {"cluster_free", "composition", "genes", "state"}
    assert donors.uns["existence"]["decision"] == "strata"
    report = {name: np.asarray(value) for name, value in donors.uns["existence"].items()}
    columns = {name: donors.obs[name].to_numpy() for name in donors.obs}
    return {**report, **columns, **dict(donors.obsm), **dict(donors.obsp)}


def test_what_is_published_does_not_hang_on_the_signs_of_any_decomposition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = made_cells()
    first = published(cells)
    for name in LIBRARY:
        turn(monkeypatch, name)
    again = published(cells)
    assert again.keys() == first.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize("name", LIBRARY)
def test_each_decomposition_gives_the_same_with_other_signs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = decomposed()
    turn(monkeypatch, name)
    for one, other in zip(before, decomposed(), strict=True):
        assert np.array_equal(one, other)


def decomposed() -> list[np.ndarray]:
    """What is made of decompositions, besides the genes' axes."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (30, 5)) + 3.0 * (np.arange(30) % 2)[:, None]
    squared = spectral.pairwise_squared(x)
    waves = cloud.random_waves(5, 1.0)[:, :20]
    centred = x - x.mean(axis=0)
    return [
        *spectral.spectrum(squared),
        *spectral.principal_coordinates(squared),
        spectral.spectral_partitions(squared, range(2, 4)),
        cloud.error_root(x, np.arange(30) % 2, 2, waves),
        resample.continuum(np.array([0.0, 0.4, 0.2]), 30, np.random.default_rng(2)),
        resample._bend(spectral.spectrum(squared)[1]),
        permanova.without(centred @ centred.T, x[:, :1] > 0, x[:, 1:2]),
        blind._classify(centred @ centred.T, np.arange(20) % 2),
    ]
