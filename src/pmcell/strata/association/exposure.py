"""What clinical outcomes are compared by: a donor's stratum, or its place on the axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.spelling import plural
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]

N_AXES = 3
MIN_STRATUM = 5
"""Donors that each stratum needs in a comparison."""


@dataclass(frozen=True)
class Exposure:
    """One row a donor: `label` the stratum ('' with axes), `columns` (donors, q) for a model.

    With strata the first is the reference and `terms` are 'S2 against S1', …;
    without, `terms` are the axes, in standard deviations.
    """

    donor: NDArray[np.object_]
    label: NDArray[np.object_]
    columns: Floats
    terms: tuple[str, ...]
    whole: str

    def too_small(self, chosen: NDArray[np.bool_]) -> str:
        """Why the chosen donors cannot be compared; '' when they can."""
        if not self.terms:
            return "the donors have neither strata nor axes"
        if self.whole != "strata":
            return ""
        for name in sorted(set(self.label)):
            n = int((chosen & (self.label == name)).sum())
            if n < MIN_STRATUM:
                return f"{name} has {plural(n, 'donor')} with all values, {MIN_STRATUM} are needed"
        return ""


def exposure(donors: AnnData) -> Exposure:
    """The published strata of the discovery donors; where labels are withheld, the first axes."""
    require(donors, "existence", "existence")
    rows = donors.obs[slots.DISCOVERY].to_numpy(bool)
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)[rows]
    if donors.uns["existence"]["decision"] == STRATA:
        label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)[rows]
        first, *others = sorted(set(label))
        columns = np.array([label == name for name in others], np.float64).T
        terms = tuple(f"{name} against {first}" for name in others)
        return Exposure(donor, label, columns.reshape(label.size, -1), terms, "strata")
    axes = np.asarray(donors.obsm[slots.AXES], np.float64)[rows][:, :N_AXES]
    spread = axes.std(axis=0) if rows.sum() > 1 else np.zeros(axes.shape[1])
    usable = np.isfinite(spread) & (spread > 0)
    terms = tuple(f"axis_{index + 1}" for index in np.flatnonzero(usable))
    scaled = (axes[:, usable] - axes[:, usable].mean(axis=0)) / spread[usable]
    return Exposure(donor, np.full(donor.size, "", object), scaled, terms, "axes")
