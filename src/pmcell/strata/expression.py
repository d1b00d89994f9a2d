"""Genes that differ between groups of donors: pseudobulk per cell type, held-out donors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.association import benjamini_hochberg
from pmcell.errors import UsageError
from pmcell.strata._threads import single_thread
from pmcell.strata.contrasts import MIN_DONORS, Comparison, compare
from pmcell.strata.groups import Group, Pair, design_of
from pmcell.strata.moderated import (
    Tested,
    library_sizes,
    log_cpm,
    moderated_tests,
    precision_weights,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

DESCRIPTIVE, CONFIRMED, NOT_CONFIRMED = "descriptive", "confirmed", "not confirmed"
KEY = ("contrast", "level", "cell_type")
MIN_COUNT = 10
MIN_GENES = 10
"""Genes that a cell type needs to be tested: variances are shared between genes."""


@dataclass(frozen=True)
class Part:
    """One cell type of a group of donors, ready to be tested.

    `y` (donors × genes) log2 counts per million with `weights`; `genes` their
    ids; `n_low` and `n_absent` genes are left out for few counts or because a
    donor's cohort did not measure them.
    """

    group: Group
    genes: NDArray[np.object_]
    y: Floats
    weights: Floats
    design: Any
    n_low: int
    n_absent: int


@single_thread
def differential_expression(
    donors: AnnData,
    *,
    pseudobulk: Mapping[str, pd.DataFrame],
    symbols: Mapping[str, str] | None = None,
    contrast: str = "stratum",
    covariates: Sequence[str] = (),
    alpha: float = 0.05,
    confirm: bool = True,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes of each cell type that differ between strata, or between values of another column.

    `pseudobulk` maps a cell type to raw counts, donor × gene, of each donor's
    discovery visit; NaN where the donor's cohort did not measure the gene; `symbols` maps
    gene ids to symbols. The model is
    ~ batch + covariates + level on log counts per million, with voom's precision
    weights and limma's moderated t; two levels are compared with each other,
    more each with the mean of the others. A level needs 3 donors in the type, a
    gene 10 counts in as many donors as the smallest level has. q is
    Benjamini-Hochberg over the genes of a type and contrast.

    Strata are learned from the same cells, so a row is `descriptive` unless held-out donors
    were asked: donors are split (see `compare`), strata found in the first part only, the
    second placed on them. Genes with q ≤ `alpha` in the first part are tested in the second:
    `confirmed` with q ≤ `alpha` over these and the same sign, else `not confirmed`. That
    confirms the difference along the strata in new donors, not that the strata are groups:
    the existence test does.

    Returns the genes (schema.DIFFERENTIAL_EXPRESSION) and, for each type and contrast, what
    was compared, or why it was not (schema.EXPRESSION_CONTRASTS).

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> genes, contrasts = differential_expression(donors, pseudobulk={})
    >>> contrasts["why_not"].item()
    'no strata are published (too few donors)'
    """
    import pandas as pd

    from pmcell.schema import DIFFERENTIAL_EXPRESSION, EXPRESSION_CONTRASTS

    if not 0 < alpha < 1:
        raise UsageError(f"alpha must be in (0, 1), got {alpha}")
    compared = compare(donors, contrast, covariates=covariates, confirm=confirm, seed=seed)
    genes, facts = [], []
    if compared.everyone is None:
        facts.append(_untested(compared, "", "all", compared.why))
    elif not pseudobulk:
        why = "no known cell type has enough cells in any donor"
        facts.append(_untested(compared, "", "all", why))
    else:
        for name in sorted(pseudobulk):
            tables, rows = _one_type(compared, name, pseudobulk[name], alpha)
            genes += tables
            facts += rows
    columns = [field.name for field in DIFFERENTIAL_EXPRESSION.fields]
    table = pd.concat(genes, ignore_index=True) if genes else pd.DataFrame(columns=columns)
    table["symbol"] = [(symbols or {}).get(gene, gene) for gene in table["gene_id"]]
    names = [field.name for field in EXPRESSION_CONTRASTS.fields]
    return table[columns], pd.DataFrame(facts, columns=names)


def parts_of(compared: Comparison, counts: pd.DataFrame) -> tuple[Part | str, list[Part | None]]:
    """A type's donors ready to be tested, or why not; and the same for the two split parts."""
    assert compared.everyone is not None
    n_levels = len(compared.levels)
    whole = prepare(compared.everyone, counts, n_levels, compared.levels)
    if isinstance(whole, str):
        return whole, [None, None]
    found: list[Part | None] = []
    for group in (compared.discovery, compared.held_out):
        part = "" if group is None else prepare(group, counts, n_levels, compared.levels)
        found.append(None if isinstance(part, str) else part)
    return whole, found


def prepare(group: Group, counts: pd.DataFrame, n_levels: int, levels: Sequence[str]) -> Part | str:
    """The donors that have counts, genes with enough of them, and the design; or why not."""
    own = group.of(np.isin(group.donors, counts.index.to_numpy()))
    size = np.bincount(own.level, minlength=n_levels)
    small = np.flatnonzero(size < MIN_DONORS)
    if n_levels - small.size < 2:
        few = ", ".join(f"{levels[level]} {size[level]}" for level in small)
        what = "cells of the type" + (" and every covariate" if group.names else "")
        return f"too few donors have {what} ({few}); {MIN_DONORS} a side are needed"
    own = own.of(~np.isin(own.level, small))
    design = design_of(own, n_levels)
    if isinstance(design, str):
        return design
    values = counts.loc[own.donors].to_numpy(float)
    measured = ~np.isnan(values).any(axis=0)
    total = np.nansum(values, axis=1)
    least = int(size[size >= MIN_DONORS].min())
    enough = measured & ((values >= MIN_COUNT).sum(axis=0) >= least)
    if enough.sum() < MIN_GENES:
        return (
            f"{int(enough.sum())} genes have {MIN_COUNT} counts in {least} donors; "
            f"{MIN_GENES} are needed"
        )
    kept = values[:, enough]
    library = library_sizes(kept, total)
    y = log_cpm(kept, library)
    return Part(
        own,
        counts.columns.to_numpy(object)[enough],
        y,
        precision_weights(y, library, design.matrix),
        design,
        int((measured & ~enough).sum()),
        int((~measured).sum()),
    )


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


def by_pair(part: Part | None, y: Floats | None = None) -> dict[Pair, Any]:
    """Tests of every pair of a part: names, effect, p and q."""
    if part is None:
        return {}
    weights = part.weights if y is None else None
    values = part.y if y is None else y
    tests = moderated_tests(values, part.design.matrix, part.design.contrasts, weights)
    return {
        pair: {
            "names": part.genes,
            "effect": test.effect,
            "p": test.p,
            "q": benjamini_hochberg(test.p),
            "test": test,
        }
        for pair, test in zip(part.design.pairs, tests, strict=True)
    }


def _one_type(
    compared: Comparison, name: str, counts: pd.DataFrame, alpha: float
) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    import pandas as pd

    whole, (first, second) = parts_of(compared, counts)
    if isinstance(whole, str):
        return [], [_untested(compared, name, level, whole) for level in _sides(compared)]
    found = [by_pair(part) for part in (whole, first, second)]
    tables, facts = [], []
    for pair, result in found[0].items():
        test: Tested = result["test"]
        held, q_held, inference = verdicts(
            whole.genes, found[1].get(pair), found[2].get(pair), alpha
        )
        low, high = test.interval()
        side = side_of(compared, whole.group, pair)
        tables.append(
            pd.DataFrame(
                {
                    "contrast": compared.name,
                    "level": side["level"],
                    "reference": side["reference"],
                    "cell_type": name,
                    "gene_id": whole.genes.astype(str),
                    "log2_fold_change": test.effect,
                    "log2_fold_change_low": low,
                    "log2_fold_change_high": high,
                    "mean_log2_cpm": whole.y.mean(axis=0),
                    "p_value": test.p,
                    "q_value": result["q"],
                    "log2_fold_change_held_out": held,
                    "q_value_held_out": q_held,
                    "inference": inference,
                    "n_donors_level": side["n_donors_level"],
                    "n_donors_reference": side["n_donors_reference"],
                }
            )
        )
        examined = first is not None and second is not None and pair in found[2]
        facts.append(
            {
                "contrast": compared.name,
                **side,
                "cell_type": name,
                "design": whole.design.formula,
                "n_genes": whole.genes.size,
                "n_genes_few_counts": whole.n_low,
                "n_genes_not_measured": whole.n_absent,
                "n_significant": int((result["q"] <= alpha).sum()),
                "n_confirmed": int((inference == CONFIRMED).sum()),
                "n_not_confirmed": int((inference == NOT_CONFIRMED).sum()),
                "held_out": compared.split
                if examined or compared.held_out is None
                else "none: too few donors of the type in a part",
                "why_not": "",
            }
        )
    seen = {fact["level"] for fact in facts}
    left = [level for level in _sides(compared) if level not in seen]
    why = f"fewer than {MIN_DONORS} donors have cells of the type"
    return tables, facts + [_untested(compared, name, level, why) for level in left]


def _sides(compared: Comparison) -> Iterator[str]:
    """Levels that are compared with others: the second of two, or each of more."""
    yield from compared.levels[1:] if len(compared.levels) == 2 else compared.levels


def side_of(
    compared: Comparison, group: Group, pair: tuple[int, tuple[int, ...]]
) -> dict[str, Any]:
    """Names and donors of both sides of a pair."""
    level, others = pair
    return {
        "level": compared.levels[level],
        "reference": "; ".join(compared.levels[other] for other in others),
        "n_donors_level": int((group.level == level).sum()),
        "n_donors_reference": int(np.isin(group.level, others).sum()),
    }


def _untested(compared: Comparison, name: str, level: str, why: str) -> dict[str, Any]:
    """The row of a type and contrast that was not tested; `all` where nothing of it was."""
    others = [other for other in compared.levels if other != level]
    return {
        "contrast": compared.name,
        "level": level,
        "reference": "; ".join(others),
        "cell_type": name or "all",
        "design": "",
        "n_donors_level": 0,
        "n_donors_reference": 0,
        "n_genes": 0,
        "n_genes_few_counts": 0,
        "n_genes_not_measured": 0,
        "n_significant": 0,
        "n_confirmed": 0,
        "n_not_confirmed": 0,
        "held_out": "",
        "why_not": why,
    }
