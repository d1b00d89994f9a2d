"""The label head: from expression to the probability of each cell type of a reference.

Multinomial logistic regression on the directions that tell the types apart whatever the batch
(`pmcell.core.discriminant`), every type counting alike, since a new sample has other shares. It
is linear in the genes. Genes that a sample lacks stand at their mean given the measured ones,
under the probabilistic PCA of the reference (Tipping & Bishop 1999, doi:10.1111/1467-9868.00196).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.core.discriminant import Cells, find_discriminants
from pmcell.core.pca.gram import Basis
from pmcell.core.pca.project import projection_weights
from pmcell.errors import DataError
from pmcell.schema.text import text_array
from pmcell.strata._threads import single_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PENALTY = 1.0
"""Inverse weight of the squared coefficients, on coordinates of unit spread."""
MAX_ROUNDS = 200
"""Rounds of the solver."""


@dataclass(frozen=True)
class LabelHead:
    """A frozen classifier.

    Attributes
    ----------
    types
        Names of the types (types,).
    centre
        Features of the mean type (features,).
    directions
        From a centred cell to discriminant coordinates (features, types).
    coefficients, intercepts
        From these to the logits of the types (types, types) and (types,).
    means
        Principal component scores of each type's mean cell (types, components).
    whitening
        From scores to coordinates in which cells of a type have unit covariance.
    """

    types: NDArray[np.str_]
    centre: Floats
    directions: Floats
    coefficients: Floats
    intercepts: Floats
    means: Floats
    whitening: Floats

    @single_thread
    def judge(self, x: Cells, basis: Basis, measured: Bools) -> tuple[Floats, Floats]:
        """Probability of each type, and how far from it each cell is.

        Parameters
        ----------
        x
            Log-normalised expression (cells, features), 0 for features that are not measured.
        basis
            Principal components of the reference, in the order of the features.
        measured
            Which features the sample has (features,).

        Returns
        -------
        probability, distance : numpy.ndarray
            Both (cells, types). The distance is squared, in the principal components, by the
            covariance of cells of one type.
        """
        weights = projection_weights(basis, measured)
        linear, centre = self.directions, self.centre
        if not measured.all():
            missing, centre = ~measured, basis.means
            guess = weights @ _unscaled(basis)[missing].T
            linear = np.where(measured[:, None], self.directions, 0.0)
            linear = linear + guess @ self.directions[missing]
        scores = x @ weights - basis.means @ weights
        coordinates = x @ linear - centre @ linear + (centre - self.centre) @ self.directions
        logits = coordinates @ self.coefficients.T + self.intercepts
        logits -= logits.max(axis=1, keepdims=True)
        probability = np.exp(logits)
        probability /= probability.sum(axis=1, keepdims=True)
        return probability, self._distances(scores)

    def _distances(self, scores: Floats) -> Floats:
        white, means = scores @ self.whitening, self.means @ self.whitening
        squared = (white**2).sum(axis=1)[:, None] - 2.0 * white @ means.T + (means**2).sum(axis=1)
        return np.asarray(np.maximum(squared, 0.0))


def _unscaled(basis: Basis) -> Floats:
    """From scores back to features (features, components); 0 for a feature without a scale."""
    scales = np.where(basis.scales > 0, basis.scales, np.inf)
    return np.asarray(basis.components / scales[:, None])


@single_thread
def fit_head(x: Cells, types: NDArray[np.str_], batch: Ints, basis: Basis) -> LabelHead:
    """Fit a head on labelled cells.

    Parameters
    ----------
    x
        Log-normalised expression (cells, features).
    types
        Type of each cell (cells,), two at least.
    batch
        Code of each cell's batch (cells,).
    basis
        Principal components of the reference.

    Raises
    ------
    DataError
        Where there are fewer than two types.
    """
    from sklearn.linear_model import LogisticRegression

    names, group = np.unique(types, return_inverse=True)
    if names.size < 2:
        raise DataError(
            f"a label head needs cells of two types at least, got {names.size}", reason="one_type"
        )
    group, code = group.astype(np.int64), np.unique(batch, return_inverse=True)[1].astype(np.int64)
    found = find_discriminants(x, group, code)
    coordinates = found.along(x, code, found.centre, found.directions)
    model = LogisticRegression(C=PENALTY, max_iter=MAX_ROUNDS, class_weight="balanced")
    model.fit(coordinates, group)
    scores = found.along(x, code, basis.means, basis.loadings)
    means = (found.means - basis.means) @ basis.loadings
    whitening = _whitening(scores - means[group], group)
    coefficients, intercepts = model.coef_, model.intercept_
    if names.size == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2.0
        intercepts = np.concatenate([-intercepts, intercepts]) / 2.0
    return LabelHead(
        text_array(names),
        found.centre,
        found.directions,
        np.asarray(coefficients, np.float64),
        np.asarray(intercepts, np.float64),
        means,
        whitening,
    )


def _whitening(apart: Floats, group: Ints) -> Floats:
    """Root of the inverse covariance within types, every type alike (components, components)."""
    weight = 1.0 / np.bincount(group)[group]
    within = (apart * weight[:, None]).T @ apart / np.unique(group).size
    within[np.diag_indices_from(within)] += 1e-3 * max(float(np.trace(within)), 1e-9) / len(within)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(within)))
