"""Files of the additive sums: moments and Gram matrices of a cohort, and the bases made of them.

Each holds the sums of every tissue by itself, one after another, with the name of the tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.moments import Moments, take_batches
from pmcell.core.pca.gram import Basis, Gram
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.schema.text import text_array


def write_moments(
    target: Path | str,
    gene_ids: NDArray[np.str_],
    symbols: NDArray[np.str_],
    tissues: NDArray[np.str_],
    found: Moments,
) -> None:
    """Write the moments of one cohort with its genes and the tissue of each batch."""
    write_arrays(
        target,
        gene_ids=text_array(gene_ids),
        symbols=text_array(symbols),
        tissues=text_array(tissues),
        batches=text_array(found.batches),
        n_cells=found.n_cells,
        sums=found.sums,
        histogram=found.histogram,
        histogram_cells=found.histogram_cells,
    )


def read_moments(path: Path | str) -> tuple[NDArray[np.str_], NDArray[np.str_], dict[str, Moments]]:
    """Gene ids, symbols and the moments of each tissue of one cohort."""
    arrays = read_arrays(path)
    found = Moments(
        tuple(str(name) for name in arrays["batches"]),
        arrays["n_cells"],
        arrays["sums"],
        arrays["histogram"],
        arrays["histogram_cells"],
    )
    of_batch = arrays["tissues"]
    tissues = {
        str(tissue): take_batches(found, np.flatnonzero(of_batch == tissue))
        for tissue in np.unique(of_batch)
    }
    return arrays["gene_ids"], arrays["symbols"], tissues


def write_grams(target: Path | str, grams: Mapping[str, Gram]) -> None:
    """Write the Gram matrix of each tissue of one cohort; only upper triangles are stored."""
    found = list(grams.values())
    write_arrays(
        target,
        tissues=text_array(list(grams)),
        n_cells=np.array([item.n_cells for item in found], np.int64),
        n_features=np.array([item.sums.size for item in found], np.int64),
        measured=_joined([item.measured for item in found], np.bool_),
        sums=_joined([item.sums for item in found], np.int64),
        products=_joined(
            [item.products[np.triu_indices(item.sums.size)] for item in found], np.int64
        ),
    )


def read_grams(path: Path | str) -> dict[str, Gram]:
    """The Gram matrix of each tissue of one cohort."""
    arrays = read_arrays(path)
    n_features = arrays["n_features"]
    features = np.concatenate([[0], np.cumsum(n_features)])
    pairs = np.concatenate([[0], np.cumsum(n_features * (n_features + 1) // 2)])
    grams = {}
    for at, tissue in enumerate(arrays["tissues"]):
        own = slice(features[at], features[at + 1])
        products = _symmetric(arrays["products"][pairs[at] : pairs[at + 1]], int(n_features[at]))
        grams[str(tissue)] = Gram(
            int(arrays["n_cells"][at]), arrays["measured"][own], arrays["sums"][own], products
        )
    return grams


def write_bases(
    target: Path | str, features: Mapping[str, NDArray[np.str_]], bases: Mapping[str, Basis]
) -> None:
    """Write the principal components of each tissue with the features they are made of.

    Rows of all arrays but the variances are features, those of one tissue together
    (`tissue`); a tissue with fewer components than others has zeros for the rest.
    """
    width = max(item.components.shape[1] for item in bases.values())
    sizes = [features[tissue].size for tissue in bases]
    found = list(bases.values())
    write_arrays(
        target,
        gene_ids=text_array(np.concatenate([features[tissue] for tissue in bases])),
        tissue=text_array(np.repeat(np.array(list(bases), object), sizes)),
        means=np.concatenate([item.means for item in found]),
        scales=np.concatenate([item.scales for item in found]),
        components=np.concatenate([_widened(item.components, width) for item in found]),
        tissues=text_array(list(bases)),
        variances=np.stack([_widened(item.variances[None], width)[0] for item in found]),
        total_variance=np.array([item.total_variance for item in found]),
    )


def read_bases(path: Path | str) -> dict[str, Basis]:
    """The principal components of each tissue."""
    arrays = read_arrays(path)
    bases = {}
    for at, tissue in enumerate(arrays["tissues"]):
        own = arrays["tissue"] == tissue
        width = min(int(own.sum()), arrays["components"].shape[1])
        bases[str(tissue)] = Basis(
            arrays["means"][own],
            arrays["scales"][own],
            arrays["components"][own, :width],
            arrays["variances"][at, :width],
            float(arrays["total_variance"][at]),
        )
    return bases


def _joined(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _symmetric(upper: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    products = np.zeros((size, size), np.int64)
    products[np.triu_indices(size)] = upper
    products += np.triu(products, 1).T
    return products


def _widened(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))
