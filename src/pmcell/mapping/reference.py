"""A frozen reference: all that mapping a new sample needs of a release, without its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.discriminant import Cells
from pmcell.core.pca.gram import Basis
from pmcell.mapping.calibration import (
    LabelledCells,
    TypeCalibration,
    batch_folds,
    calibrate,
    donor_folds,
    leave_out,
)
from pmcell.mapping.coordinates import Mixture
from pmcell.mapping.donors import DonorModel
from pmcell.mapping.expression import GeneSpace
from pmcell.mapping.head import LabelHead, fit_head
from pmcell.mapping.labels import CellLabels, covers, label_cells
from pmcell.mapping.residual import ResidualModel, fit_residual
from pmcell.mapping.vetoes import Vetoes, find_vetoes
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import UnseenSite
from pmcell.schema.text import text_array

Text = NDArray[np.str_]

FORM = 2
"""Raised when a reference is written in another form: an older pmcell then refuses it."""
MIN_SHARE_OF_MODEL = 0.2
"""Least share of the label model on measured genes (tests/benchmarks/person/RESULTS.md)."""


@dataclass(frozen=True)
class LabelModel:
    """How cells are labelled: a head, its calibration, its vetoes, and what its types are.

    `terms` are Cell Ontology terms of the head's types, `profile_types` what their cells count as
    in the profiles of donors.
    """

    head: LabelHead
    calibration: TypeCalibration
    vetoes: Vetoes
    terms: Text
    profile_types: Text
    unseen: UnseenSite

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each feature weighs in the logits, whatever the type (features,)."""
        linear = self.head.directions @ (self.head.coefficients - self.head.coefficients.mean(0)).T
        return np.asarray((linear**2).sum(axis=1))


@dataclass(frozen=True)
class CellModel:
    """The frozen model of cells: how they are read, labelled and put on the map.

    `facts` are those of `reference.json` that cells alone tell.
    """

    facts: Mapping[str, Any]
    space: GeneSpace
    basis: Basis
    labels: LabelModel
    mixture: Mixture
    residual: ResidualModel | None

    def share_of_model(self, measured: NDArray[np.bool_]) -> float:
        """Share of what the label model weighs, by the spread of expression, that was measured."""
        weight = self.labels.weights * self.spread
        return float(weight[measured].sum() / max(float(weight.sum()), 1e-300))

    @property
    def spread(self) -> NDArray[np.float64]:
        """Variance of each feature that the components describe (features,)."""
        scales = np.where(self.basis.scales > 0, self.basis.scales, np.inf)
        return np.asarray(((self.basis.components / scales[:, None]) ** 2) @ self.basis.variances)


@dataclass(frozen=True)
class Reference(CellModel):
    """A frozen reference; `facts` are all of `reference.json`, `digest` is that of its files."""

    donors: DonorModel
    digest: str = ""


def fit_labels(
    cells: LabelledCells,
    basis: Basis,
    terms: Mapping[str, str],
    profile_types: Mapping[str, str],
    symbols: Text,
) -> LabelModel:
    """Fit the head on all cells, and calibrate it by batches and donors left out.

    Parameters
    ----------
    cells
        Training cells.
    basis
        Principal components of the reference.
    terms, profile_types
        Of each type its Cell Ontology term, and what its cells count as in profiles.
    symbols
        Symbols of the features.
    """
    unseen = _unseen_site(cells, basis, terms, symbols)
    return _fit(cells, basis, terms, profile_types, symbols, unseen)


def _fit(
    cells: LabelledCells,
    basis: Basis,
    terms: Mapping[str, str],
    profile_types: Mapping[str, str],
    symbols: Text,
    unseen: UnseenSite,
) -> LabelModel:
    names = np.unique(cells.types)
    of_type = text_array([terms[str(name)] for name in names])
    code = np.unique(cells.batch, return_inverse=True)[1].astype(np.int64)
    by_batch = leave_out(cells, batch_folds(cells.batch), basis, names)
    by_donor = leave_out(cells, donor_folds(cells.donor), basis, names)
    return LabelModel(
        fit_head(cells.x, cells.types, code, basis),
        calibrate(cells, names, by_batch, by_donor),
        find_vetoes(cells.x, cells.types, names, of_type, symbols),
        of_type,
        text_array([profile_types[str(name)] for name in names]),
        unseen,
    )


def _unseen_site(
    cells: LabelledCells, basis: Basis, terms: Mapping[str, str], symbols: Text
) -> UnseenSite:
    """What the labels of each batch are worth to a model that was fitted without it.

    Head, calibration and vetoes are fitted again. A calibration made of scores that other batches
    got from heads that knew the batch would promise too much.
    """
    # Who opens a reference, or maps onto it, fits nothing and has no need of scikit-learn.
    from sklearn.metrics import f1_score

    unit, fold = "batch_id", batch_folds(cells.batch)
    why = "all cells are of one batch: nothing is known of another site"
    found: dict[str, list[Any]] = {}
    everywhere = np.ones(cells.x.shape[1], bool)
    for number in range(0 if fold is None else int(fold.max()) + 1):
        held = np.asarray(fold == number, bool)
        training = cells.take(~held)
        types = np.unique(training.types)
        if types.size < 2:
            continue
        model = _fit(training, basis, terms, terms, symbols, UnseenSite(unit, why))
        for group in np.unique(cells.batch[held]):
            own = cells.take((cells.batch == group) & np.isin(cells.types, types))
            if not own.types.size:
                continue
            told = label_expression(own.x, model, basis, everywhere)
            kind = np.searchsorted(types, own.types)
            best = types[told.best]
            answered = told.term != UNKNOWN
            right = np.array(
                [
                    covers(str(label), str(term))
                    for label, term in zip(told.term, model.terms[kind], strict=True)
                ]
            )
            f1 = f1_score(
                own.types, best, labels=np.unique(own.types), average="macro", zero_division=0.0
            )
            values = {
                "group": str(group),
                "n_cells": int(kind.size),
                "label_accuracy": float((best == own.types).mean()),
                "label_macro_f1": float(f1),
                "label_coverage": float(told.sets[np.arange(kind.size), kind].mean()),
                "answered": float(answered.mean()),
                "answered_accuracy": float(right[answered].mean()) if answered.any() else np.nan,
                "confident_wrong": float((answered & ~right).mean()),
            }
            for name, value in values.items():
                value = round(value, 6) if isinstance(value, float) else value
                found.setdefault(name, []).append(value)
    if not found:
        return UnseenSite(unit, why)
    return UnseenSite(unit, "", **{name: tuple(values) for name, values in found.items()})


def label_expression(
    x: Cells, model: LabelModel, basis: Basis, measured: NDArray[np.bool_], is_poor: Any = False
) -> CellLabels:
    """Labels of cells; of the `is_poor` ones nothing can be said."""
    probability, distance = model.head.judge(x, basis, measured)
    distance[np.broadcast_to(is_poor, distance.shape[:1])] = np.inf
    veto = model.vetoes.struck(x, np.asarray(probability.argmax(axis=1), np.int64), measured)
    return label_cells(
        probability, distance, model.calibration, model.head.types, model.terms, veto
    )


def fit_rest(cells: LabelledCells, basis: Basis) -> ResidualModel | None:
    """The model of expression that the components do not describe."""
    return fit_residual(cells.x, cells.donor, cells.batch, basis)


def cell_arrays(model: CellModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything of the cells but the basis, as arrays and as plain facts."""
    parts: dict[str, Any] = {
        "space": model.space,
        "head": model.labels.head,
        "calibration": model.labels.calibration,
        "vetoes": model.labels.vetoes,
        "mixture": model.mixture,
    }
    if model.residual is not None:
        parts["residual"] = model.residual
    arrays = {
        f"{part}__{name}": np.asarray(value)
        for part, item in parts.items()
        for name, value in vars(item).items()
    }
    arrays["terms"] = model.labels.terms
    arrays["profile_types"] = model.labels.profile_types
    return arrays, {"unseen_site": asdict(model.labels.unseen)}


def reference_from(
    facts: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    basis: Basis,
    donors: DonorModel,
    digest: str,
) -> Reference:
    """The reference that `cell_arrays` took apart."""

    def part(name: str) -> dict[str, Any]:
        head = f"{name}__"
        return {
            key.removeprefix(head): value for key, value in arrays.items() if key.startswith(head)
        }

    unseen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in facts["unseen_site"].items()
    }
    labels = LabelModel(
        LabelHead(**part("head")),
        TypeCalibration(**part("calibration")),
        Vetoes(**part("vetoes")),
        arrays["terms"],
        arrays["profile_types"],
        UnseenSite(**unseen),
    )
    residual = part("residual")
    return Reference(
        facts,
        GeneSpace(**part("space")),
        basis,
        labels,
        Mixture(**part("mixture")),
        ResidualModel(**residual) if residual else None,
        donors,
        digest,
    )
