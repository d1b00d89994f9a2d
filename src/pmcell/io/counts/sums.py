"""Files of the additive sums: moments and Gram matrix of a cohort, and the basis made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.moments import Moments
from pmcell.core.pca.gram import Basis, Gram
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.schema.text import text_array


def write_moments(
    target: Path | str, gene_ids: NDArray[np.str_], symbols: NDArray[np.str_], found: Moments
) -> None:
    """Write the moments of one cohort with its genes."""
    write_arrays(
        target,
        gene_ids=text_array(gene_ids),
        symbols=text_array(symbols),
        batches=text_array(found.batches),
        n_cells=found.n_cells,
        sums=found.sums,
        histogram=found.histogram,
        histogram_cells=found.histogram_cells,
    )


def read_moments(path: Path | str) -> tuple[NDArray[np.str_], NDArray[np.str_], Moments]:
    """Gene ids, symbols and moments of one cohort."""
    arrays = read_arrays(path)
    found = Moments(
        tuple(str(name) for name in arrays["batches"]),
        arrays["n_cells"],
        arrays["sums"],
        arrays["histogram"],
        arrays["histogram_cells"],
    )
    return arrays["gene_ids"], arrays["symbols"], found


def write_gram(target: Path | str, found: Gram) -> None:
    """Write the Gram matrix of one cohort; only the upper triangle is stored."""
    upper = np.triu_indices(found.sums.size)
    write_arrays(
        target,
        n_cells=np.int64(found.n_cells),
        measured=found.measured,
        sums=found.sums,
        products=found.products[upper],
    )


def read_gram(path: Path | str) -> Gram:
    """The Gram matrix of one cohort."""
    arrays = read_arrays(path)
    n_features = arrays["sums"].size
    products = np.zeros((n_features, n_features), np.int64)
    products[np.triu_indices(n_features)] = arrays["products"]
    products += np.triu(products, 1).T
    return Gram(int(arrays["n_cells"]), arrays["measured"], arrays["sums"], products)


def write_basis(target: Path | str, gene_ids: NDArray[np.str_], found: Basis) -> None:
    """Write the principal components with the features they are made of."""
    write_arrays(
        target,
        gene_ids=text_array(gene_ids),
        means=found.means,
        scales=found.scales,
        components=found.components,
        variances=found.variances,
        total_variance=np.float64(found.total_variance),
    )


def read_basis(path: Path | str) -> tuple[NDArray[np.str_], Basis]:
    """Feature gene ids and principal components."""
    arrays = read_arrays(path)
    found = Basis(
        arrays["means"],
        arrays["scales"],
        arrays["components"],
        arrays["variances"],
        float(arrays["total_variance"]),
    )
    return arrays["gene_ids"], found
