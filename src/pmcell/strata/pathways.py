"""Activity of gene sets in each donor and cell type, and how it differs between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.strata._threads import single_thread
from pmcell.strata.contrasts import compare
from pmcell.strata.expression import Part, by_pair, parts_of, side_of, verdicts

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
    for name in sorted(pseudobulk) if compared.everyone is not None else ():
        whole, split = parts_of(compared, pseudobulk[name])
        if isinstance(whole, str):
            continue
        frames += [
            frame.assign(contrast=contrast, cell_type=name)
            for frame in _one_type(compared, whole, split, gene_sets, symbols or {}, alpha)
        ]
    columns = [field.name for field in PATHWAYS.fields]
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
            place = by_id.get(gene, by_symbol.get(gene))
            if place is not None:
                matrix[place, column] = weight
        n_found[column] = np.count_nonzero(matrix[:, column])
    return matrix, n_found


def _one_type(
    compared: Any,
    whole: Part,
    split: list[Part | None],
    gene_sets: Mapping[str, Mapping[str, float]],
    symbols: Mapping[str, str],
    alpha: float,
) -> list[pd.DataFrame]:
    import pandas as pd

    names = np.array(list(gene_sets), object)
    n_genes = np.array([len(genes) for genes in gene_sets.values()], np.int64)
    _, n_found = set_matrix(whole.genes, gene_sets, symbols)
    results = [_tests(part, gene_sets, symbols) for part in (whole, *split)]
    frames = []
    for pair in whole.design.pairs:
        result = results[0].get(pair)
        columns = {
            name: np.full(names.size, np.nan)
            for name in ("activity_difference", "low", "high", "p_value", "q_value", "q_held_out")
        }
        inference = np.full(names.size, "not tested", object)
        if result is not None:
            at = np.flatnonzero(np.isin(names, result["names"]))
            low, high = result["test"].interval()
            _, q_held, verdict = verdicts(
                result["names"], results[1].get(pair), results[2].get(pair), alpha
            )
            values = (result["effect"], low, high, result["p"], result["q"], q_held)
            for name, value in zip(columns, values, strict=True):
                columns[name][at] = value
            inference[at] = verdict
        side = side_of(compared, whole.group, pair)
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


def _tests(
    part: Part | None, gene_sets: Mapping[str, Mapping[str, float]], symbols: Mapping[str, str]
) -> dict[Any, Any]:
    """Tests of the sets that have enough genes in this part of the donors."""
    if part is None:
        return {}
    matrix, n_found = set_matrix(part.genes, gene_sets, symbols)
    enough = n_found >= MIN_FOUND
    if not enough.any():
        return {}
    scores = activity(part.y - part.y.mean(axis=0), matrix[:, enough])
    found = by_pair(part, scores)
    names = np.array(list(gene_sets), object)[enough]
    return {pair: {**result, "names": names} for pair, result in found.items()}
