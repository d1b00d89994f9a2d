"""What the arrays of a frozen reference must be: shapes that fit each other, finite numbers.

A reference comes from somebody's release. Arrays that do not fit would end in an error far away,
or, worse, in labels made of values that are not numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, PmcellError
from pmcell.pp.qc import QcOptions

if TYPE_CHECKING:
    from pmcell.mapping.reference import Reference

Shape = tuple[str, ...]
TEXT, NUMBER, WHOLE, YES_NO = "U", "f", "iu", "b"

FORM_OF: dict[str, tuple[Shape, str]] = {
    "space.gene_ids": (("genes",), TEXT),
    "space.symbols": (("genes",), TEXT),
    "space.share": (("genes",), NUMBER),
    "space.model": (("features",), WHOLE),
    "basis.means": (("features",), NUMBER),
    "basis.scales": (("features",), NUMBER),
    "basis.components": (("features", "components"), NUMBER),
    "basis.variances": (("components",), NUMBER),
    "labels.head.types": (("types",), TEXT),
    "labels.head.centre": (("features",), NUMBER),
    "labels.head.directions": (("features", "coordinates"), NUMBER),
    "labels.head.coefficients": (("types", "coordinates"), NUMBER),
    "labels.head.intercepts": (("types",), NUMBER),
    "labels.head.means": (("types", "components"), NUMBER),
    "labels.head.whitening": (("components", "whitened"), NUMBER),
    "labels.calibration.distance": (("types", "levels"), NUMBER),
    "labels.calibration.by": (("types",), TEXT),
    "labels.calibration.n_donors": (("types",), WHOLE),
    "labels.calibration.mass": ((), NUMBER),
    "labels.vetoes.of_type": (("vetoes",), WHOLE),
    "labels.vetoes.kind": (("vetoes",), TEXT),
    "labels.vetoes.own": (("vetoes", "features"), YES_NO),
    "labels.vetoes.others": (("vetoes", "features"), YES_NO),
    "labels.terms": (("types",), TEXT),
    "labels.profile_types": (("types",), TEXT),
    "mixture.centres": (("clusters", "components"), NUMBER),
    "mixture.means": (("clusters", "components"), NUMBER),
    "mixture.n": (("clusters",), NUMBER),
    "mixture.anchors": (("anchors", "components"), NUMBER),
    "mixture.anchor_map": (("anchors", "two"), NUMBER),
    "residual.mean": (("features",), NUMBER),
    "residual.variance": (("features",), NUMBER),
    "residual.values": (("people",), NUMBER),
}
"""Shape and kind of each array; a name of a side is one number throughout."""
MAY_BE_ENDLESS = ("labels.calibration.distance",)
"""Distances that no cell reaches are infinite."""
NOT_BELOW_ZERO = (
    "space.share",
    "basis.scales",
    "basis.variances",
    "mixture.n",
    "residual.variance",
)
WITHIN = {"space.model": "genes", "labels.vetoes.of_type": "types"}
"""Positions, and the side that they are positions of."""
SIDES = {"two": 2}


FACTS: dict[str, type | tuple[type, ...]] = {
    "release_version": (str, int, float),
    "tissue_ontology_term_id": str,
    "n_cells": int,
    "n_donors": int,
    "batches": list,
    "qc": dict,
}
"""What `reference.json` must say, beside the form."""


def check_form(reference: Reference) -> None:
    """Raise `DataError` where arrays of a reference do not fit one another, or hold no values."""
    for name, must, found in (*_of_facts(reference), *_problems(reference)):
        raise DataError(
            f"the reference of a release must have {name} {must}; found {found}. Fetch the release "
            "again, and ask who wrote it if it happens again.",
            reason="unreadable_reference",
        )


def _problems(reference: Reference) -> Iterator[tuple[str, str, str]]:
    """Array, what must hold and what was found."""
    sides = dict(SIDES)
    for name, (shape, kind) in FORM_OF.items():
        if name.startswith("residual.") and reference.residual is None:
            continue
        value = np.asarray(_at(reference, name))
        if value.dtype.kind not in kind:
            yield name, f"of kind {kind!r}", repr(str(value.dtype))
            continue
        wanted = tuple(
            sides.get(side, size) for side, size in zip(shape, value.shape, strict=False)
        )
        if len(shape) != value.ndim or wanted != value.shape:
            yield name, f"of shape {_sides(shape, sides)}", str(value.shape)
            continue
        sides.update(zip(shape, value.shape, strict=True))
        if kind == NUMBER:
            yield from _of_numbers(name, value)
        if name in WITHIN and value.size:
            most = sides[WITHIN[name]]
            if value.min() < 0 or value.max() >= most:
                yield name, f"from 0 to {most - 1}", f"{value.min()} to {value.max()}"
    if sides.get("types", 0) < 1 or sides.get("features", 0) < 1:
        yield "types and features", "one at least", "none"
    ids = reference.space.gene_ids
    if np.unique(ids).size != ids.size:
        yield "space.gene_ids", "each once", "some twice"


def _of_facts(reference: Reference) -> Iterator[tuple[str, str, str]]:
    for name, kind in FACTS.items():
        value = reference.facts.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{name} of reference.json", "of its form", repr(value)[:60]
            return
    try:
        QcOptions(**reference.facts["qc"])
    except (TypeError, ValueError, PmcellError) as error:
        yield "qc of reference.json", "as the QC step's options", str(error)[:100]


def _of_numbers(name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    is_wrong = np.isnan(value) if name in MAY_BE_ENDLESS else ~np.isfinite(value)
    n_wrong = int(is_wrong.sum())
    if n_wrong:
        yield name, "of numbers", f"{n_wrong:,} that are none"
    elif name in NOT_BELOW_ZERO and (value < 0).any():
        yield name, "not below 0", f"{value.min():g}"


def _at(reference: Reference, name: str) -> Any:
    found: Any = reference
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _sides(shape: Shape, sides: dict[str, int]) -> str:
    shown = [f"{side} {sides[side]}" if side in sides else side for side in shape]
    return f"({', '.join(shown)})"
