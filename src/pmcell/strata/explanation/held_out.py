"""What held-out donors say of what the others show: tests with labels made without the gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.schema.text import is_among
from pmcell.strata.explanation.blind import Blind, fold_of
from pmcell.strata.explanation.contrasts import STRATUM, Comparison
from pmcell.strata.explanation.groups import Pair
from pmcell.strata.explanation.parts import by_pair, prepare

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

DESCRIPTIVE, CONFIRMED, NOT_CONFIRMED = "descriptive", "confirmed", "not confirmed"


def verdicts(
    index: NDArray[Any], first: dict[str, Any] | None, second: dict[str, Any] | None, alpha: float
) -> tuple[Floats, Floats, NDArray[np.object_]]:
    """Held-out effect and q, and the inference, of each tested name in `index`.

    Names with q ≤ `alpha` in the first part are a family of their own in the second.
    """
    n = len(index)
    effect, q = np.full(n, np.nan), np.full(n, np.nan)
    inference = np.full(n, DESCRIPTIVE, object)
    if first is None or second is None:
        return effect, q, inference
    place = {name: at for at, name in enumerate(index)}
    taken = [
        name
        for name, chosen in zip(first["names"], first["q"] <= alpha, strict=True)
        if chosen and name in place
    ]
    at_first = {name: at for at, name in enumerate(first["names"])}
    at_second = {name: at for at, name in enumerate(second["names"])}
    taken = [name for name in taken if name in at_second]
    if not taken:
        return effect, q, inference
    rows = np.array([place[name] for name in taken])
    again = np.array([at_second[name] for name in taken])
    before = np.array([at_first[name] for name in taken])
    effect[rows] = second["effect"][again]
    q[rows] = benjamini_hochberg(second["p"][again])
    same = np.sign(first["effect"][before]) == np.sign(second["effect"][again])
    inference[rows] = np.where((q[rows] <= alpha) & same, CONFIRMED, NOT_CONFIRMED)
    return effect, q, inference


def blind_of(
    donors: AnnData, compared: Comparison, pseudobulk: Mapping[str, pd.DataFrame]
) -> Blind | None:
    """What places held-out donors without the genes tested; None where labels are given."""
    if compared.name != STRATUM or compared.discovery is None or compared.held_out is None:
        return None
    return Blind(donors, compared.discovery, compared.held_out, pseudobulk)


def blind_tests(
    compared: Comparison, counts: pd.DataFrame, blind: Blind
) -> dict[Pair, dict[str, Any]]:
    """Tests in the held-out donors, each gene's with labels that it had no part in."""
    assert compared.held_out is not None
    genes = counts.columns.to_numpy(object)
    fold = fold_of(genes)
    tested: dict[bytes, dict[Pair, Any]] = {}
    parts: dict[Pair, list[dict[str, Any]]] = {}
    for number in np.unique(fold):
        label = blind.labels(genes[fold == number])
        key = label.tobytes()
        if key not in tested:
            group = replace(compared.held_out, level=label)
            part = prepare(group, counts, len(compared.levels), compared.levels)
            tested[key] = {} if isinstance(part, str) else by_pair(part)
        for pair, found in tested[key].items():
            own = is_among(found["names"], genes[fold == number])
            parts.setdefault(pair, []).append(
                {name: found[name][own] for name in ("names", "effect", "p")}
            )
    return {
        pair: {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        for pair, found in parts.items()
    }
