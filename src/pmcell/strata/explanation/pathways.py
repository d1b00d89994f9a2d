"""Activity of gene sets in each donor and cell type, and how it differs between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.schema.text import is_among
from pmcell.strata._threads import single_thread
from pmcell.strata.explanation.blind import Blind
from pmcell.strata.explanation.contrasts import Comparison, compare
from pmcell.strata.explanation.expression import side_of
from pmcell.strata.explanation.groups import Pair
from pmcell.strata.explanation.held_out import blind_of, verdicts
from pmcell.strata.explanation.parts import Part, by_pair, parts_of, prepare

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

MIN_FOUND = 5
"""Genes of a set that a cell type's tested genes must hold."""


def activity(y: Floats, weights: Floats) -> Floats:
    """Activity of each set in each row: t of the slope of `y` (rows × genes) on its weights.

    `weights` (genes × sets), 0 for genes that are not in the set. The univariate linear model of
    decoupler (Badia-i-Mompel et al. 2022, doi:10.1093/bioadv/vbac016).

    >>> y = np.array([[3.0, 2.0, 0.0, 1.0]])
    >>> activity(y, np.array([[1.0], [1.0], [0.0], [0.0]])).round(3)
    array([[2.828]])
    """
    n = y.shape[1]
    centred = y - y.mean(axis=1, keepdims=True)
    own = weights - weights.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1)[:, None] * (own**2).sum(axis=0)[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(np.where(scale > 0, centred @ own / scale, 0.0), -1 + 1e-12, 1 - 1e-12)
    return np.asarray(r * np.sqrt((n - 2) / (1 - r**2)))


@single_thread
def pathways(
    donors: AnnData,
    *,
    pseudobulk: Mapping[str, pd.DataFrame],
    gene_sets: Mapping[str, Mapping[str, float]],
    symbols: Mapping[str, str] | None = None,
    contrast: str = "stratum",
    covariates: Sequence[str] = (),
    alpha: float = 0.05,
    confirm: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """How the activity of each gene set differs between groups of donors, per cell type.

    `gene_sets` maps a set to its genes' weights, by gene id or symbol;
    `symbols` maps gene ids to symbols. Activity is measured in log counts per
    million less each gene's mean over the donors, and tested as
    `differential_expression` tests genes: same donors, design, split and families. A set with
    fewer than 5 genes among the tested ones has a row that says so.

    Returns the columns of schema.PATHWAYS.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(pathways(donors, pseudobulk={}, gene_sets={"made up": {"IFI6": 1.0}}))
    0
    """
    import pandas as pd

    from pmcell.schema import PATHWAYS

    if not gene_sets:
        raise UsageError("pathways needs at least one gene set, got none")
    compared = compare(donors, contrast, covariates=covariates, confirm=confirm, seed=seed)
    frames = []
    blind = blind_of(donors, compared, pseudobulk)
    sets = _Sets(gene_sets, symbols or {}, alpha)
    for name in sorted(pseudobulk) if compared.everyone is not None else ():
        counts = pseudobulk[name]
        whole, split = parts_of(compared, counts)
        if isinstance(whole, str):
            continue
        results = [sets.tests(part) for part in (whole, *split)]
        if blind is not None and split[1] is not None:
            results[2] = _blind_tests(compared, counts, blind, sets, results[1])
        frames += [
            frame.assign(contrast=contrast, cell_type=name)
            for frame in _one_type(compared, whole, results, sets)
        ]
    columns = PATHWAYS.columns
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat(frames, ignore_index=True)[columns]


def set_matrix(
    genes: NDArray[np.object_],
    gene_sets: Mapping[str, Mapping[str, float]],
    symbols: Mapping[str, str],
) -> tuple[Floats, NDArray[np.int64]]:
    """Weights of each set's genes (genes × sets), and how many of its genes are there.

    A gene of a set is found by its id, else by its symbol.
    """
    by_symbol: dict[str, int] = {}
    for place, gene in enumerate(genes):
        by_symbol.setdefault(str(symbols.get(str(gene), gene)), place)
    by_id = {str(gene): place for place, gene in enumerate(genes)}
    matrix = np.zeros((genes.size, len(gene_sets)))
    n_found = np.zeros(len(gene_sets), np.int64)
    for column, weights in enumerate(gene_sets.values()):
        for gene, weight in weights.items():
            at = by_id.get(gene, by_symbol.get(gene))
            if at is not None:
                matrix[at, column] = weight
        n_found[column] = np.count_nonzero(matrix[:, column])
    return matrix, n_found


@dataclass(frozen=True)
class _Sets:
    """The gene sets of the study, and the q up to which one counts as found."""

    weights: Mapping[str, Mapping[str, float]]
    symbols: Mapping[str, str]
    alpha: float

    @property
    def names(self) -> NDArray[np.object_]:
        return np.array(list(self.weights), object)

    def tests(self, part: Part | None) -> dict[Pair, dict[str, Any]]:
        """Tests of the sets that have enough genes in this part of the donors."""
        if part is None:
            return {}
        matrix, n_found = set_matrix(part.genes, self.weights, self.symbols)
        enough = n_found >= MIN_FOUND
        if not enough.any():
            return {}
        scores = activity(part.y - part.y.mean(axis=0), matrix[:, enough])
        found = by_pair(part, self.alpha, scores)
        return {pair: {**result, "names": self.names[enough]} for pair, result in found.items()}


def _blind_tests(
    compared: Comparison,
    counts: pd.DataFrame,
    blind: Blind,
    sets: _Sets,
    first: Mapping[Pair, Mapping[str, Any]],
) -> dict[Pair, dict[str, Any]]:
    """Sets found in the first part, tested in donors whom none of their genes has placed."""
    assert compared.held_out is not None
    genes = counts.columns.to_numpy(object)
    taken = sorted({str(n) for one in first.values() for n in one["names"][one["q"] <= sets.alpha]})
    matrix, _ = set_matrix(genes, {name: sets.weights[name] for name in taken}, sets.symbols)
    tested: dict[bytes, dict[Pair, dict[str, Any]]] = {}
    parts: dict[Pair, list[dict[str, Any]]] = {}
    for column, name in enumerate(taken):
        label = blind.labels(genes[matrix[:, column] != 0])
        key = label.tobytes()
        if key not in tested:
            group = replace(compared.held_out, level=label)
            part = prepare(group, counts, len(compared.levels), compared.levels)
            tested[key] = {} if isinstance(part, str) else sets.tests(part)
        for pair, found in tested[key].items():
            own = found["names"] == name
            values = {item: found[item][own] for item in ("names", "effect", "p")}
            parts.setdefault(pair, []).append(values)
    return {
        pair: {item: np.concatenate([one[item] for one in found]) for item in found[0]}
        for pair, found in parts.items()
    }


def _one_type(
    compared: Comparison,
    whole: Part,
    results: list[dict[Pair, dict[str, Any]]],
    sets: _Sets,
) -> list[pd.DataFrame]:
    import pandas as pd

    names = sets.names
    n_genes = np.array([len(genes) for genes in sets.weights.values()], np.int64)
    _, n_found = set_matrix(whole.genes, sets.weights, sets.symbols)
    frames = []
    for pair in whole.design.pairs:
        result = results[0].get(pair)
        columns = {
            name: np.full(names.size, np.nan)
            for name in ("activity_difference", "low", "high", "p_value", "q_value", "q_held_out")
        }
        inference = np.full(names.size, "not tested", object)
        if result is not None:
            at = np.flatnonzero(is_among(names, result["names"]))
            low, high = result["test"].interval()
            _, q_held, verdict = verdicts(
                result["names"], results[1].get(pair), results[2].get(pair), sets.alpha
            )
            values = (result["effect"], low, high, result["p"], result["q"], q_held)
            for name, value in zip(columns, values, strict=True):
                columns[name][at] = value
            inference[at] = verdict
        side = side_of(compared, whole, pair)
        few = n_found < MIN_FOUND
        frames.append(
            pd.DataFrame(
                {
                    **side,
                    "gene_set": names,
                    "activity_difference": columns["activity_difference"],
                    "activity_difference_low": columns["low"],
                    "activity_difference_high": columns["high"],
                    "p_value": columns["p_value"],
                    "q_value": columns["q_value"],
                    "q_value_held_out": columns["q_held_out"],
                    "inference": inference,
                    "n_genes": n_genes,
                    "n_genes_found": n_found,
                    "why_not": np.where(
                        few, f"fewer than {MIN_FOUND} of its genes are tested in the type", ""
                    ),
                }
            )
        )
    return frames
