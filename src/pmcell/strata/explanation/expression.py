"""Genes that differ between groups of donors: pseudobulk per cell type, held-out donors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import UsageError
from pmcell.strata._threads import single_thread
from pmcell.strata.explanation.blind import Blind
from pmcell.strata.explanation.contrasts import Comparison, compare
from pmcell.strata.explanation.held_out import (
    CONFIRMED,
    NOT_CONFIRMED,
    blind_of,
    blind_tests,
    verdicts,
)
from pmcell.strata.explanation.parts import Part, by_pair, parts_of
from pmcell.strata.profiles.pseudobulk import check_rows
from pmcell.strata.statistics.moderated import Tested
from pmcell.strata.statistics.pairing import MIN_DONORS

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


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

    `pseudobulk` maps a cell type to raw counts, visit × gene, with the visits' names in `donors`
    (`donor|visit`) as index; NaN where the donor's cohort did not measure the gene; `symbols` maps
    gene ids to symbols. Visits of a donor with the same level are added up, so that a donor counts
    once on each side. The model is told from who has which levels:

    - each donor has one: ~ batch + covariates + level;
    - at least 3 have several, and as many as have one: ~ donor + batch + covariates + level, each
      donor compared with itself; those with one level are left out;
    - 3 have several and more have one: ~ batch + covariates + level over all, the rows of a donor
      correlated (Smyth 2005, doi:10.1093/bioinformatics/bti270);

    on log counts per million, with precision weights as voom's and limma's moderated t; two levels
    are compared with each other, more each with the mean of the others. A level needs 3 donors
    in the type; a gene the counts of `has_enough_counts`. q is
    Benjamini-Hochberg over the genes of a type and contrast, those with few counts left out
    where more are found so (`filtered_q`). Strata are of one visit of
    each donor, the discovery visit, and are compared in that.

    Strata are learned from the same cells, so a row is `descriptive` unless held-out donors
    were asked: donors are split (see `compare`), strata found in the first part only, the
    second placed on them. Genes with q ≤ `alpha` in the first part are tested in the second,
    whose donors are placed once more for it by other genes and by composition (see
    `blind`), since a gene that helps to place a donor differs between the placed
    by its own noise: `confirmed` with q ≤ `alpha` over these and the same sign, else
    `not confirmed`.

    What `confirmed` does not exclude: that the strata are slices of a continuum along which
    the gene changes (the existence test asks that); that the gene goes with others that place
    donors for a technical reason common to both parts; a part that it had in the cell types
    and the embedding, which all cells made.

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
        check_rows(pseudobulk, donors)
        blind = blind_of(donors, compared, pseudobulk)
        for name in sorted(pseudobulk):
            tables, rows = _one_type(compared, name, pseudobulk[name], alpha, blind)
            genes += tables
            facts += rows
    columns = DIFFERENTIAL_EXPRESSION.columns
    table = pd.concat(genes, ignore_index=True) if genes else pd.DataFrame(columns=columns)
    genes.clear()
    code, known = pd.factorize(table["gene_id"])
    table["symbol"] = np.array([(symbols or {}).get(gene, gene) for gene in known], object)[code]
    names = EXPRESSION_CONTRASTS.columns
    # The columns are those of `table`: a selection of them would be a copy.
    ordered = pd.DataFrame({name: table[name] for name in columns}, copy=False)
    return ordered, pd.DataFrame(facts, columns=names)


def _one_type(
    compared: Comparison, name: str, counts: pd.DataFrame, alpha: float, blind: Blind | None
) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    import pandas as pd

    whole, (first, second) = parts_of(compared, counts)
    if isinstance(whole, str):
        return [], [_untested(compared, name, level, whole) for level in _sides(compared)]
    found = [by_pair(part, alpha) for part in (whole, first, second)]
    if blind is not None and second is not None:
        found[2] = blind_tests(compared, counts, blind)
    tables, facts = [], []
    for pair, result in found[0].items():
        test: Tested = result["test"]
        held, q_held, inference = verdicts(
            whole.genes, found[1].get(pair), found[2].get(pair), alpha
        )
        low, high = test.interval()
        side = side_of(compared, whole, pair)
        tables.append(
            pd.DataFrame(
                {
                    "contrast": compared.name,
                    "level": side["level"],
                    "reference": side["reference"],
                    "cell_type": name,
                    "gene_id": whole.genes,
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
    why = f"fewer than {MIN_DONORS} donors have enough cells of the type"
    return tables, facts + [_untested(compared, name, level, why) for level in left]


def _sides(compared: Comparison) -> Iterator[str]:
    """Levels that are compared with others: the second of two, or each of more."""
    yield from compared.levels[1:] if len(compared.levels) == 2 else compared.levels


def side_of(compared: Comparison, part: Part, pair: tuple[int, tuple[int, ...]]) -> dict[str, Any]:
    """Names and donors of both sides of a pair."""
    level, others = pair
    group = part.group
    on_one = set(group.donors[group.level == level])
    on_other = set(group.donors[np.isin(group.level, others)])
    return {
        "level": compared.levels[level],
        "reference": "; ".join(compared.levels[other] for other in others),
        "n_donors_level": len(on_one),
        "n_donors_reference": len(on_other),
        "n_donors_paired": len(on_one & on_other),
        "n_donors_left_out": len(set(part.everyone.donors) - set(group.donors)),
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
        "n_donors_paired": 0,
        "n_donors_left_out": 0,
        "n_genes": 0,
        "n_genes_few_counts": 0,
        "n_genes_not_measured": 0,
        "n_significant": 0,
        "n_confirmed": 0,
        "n_not_confirmed": 0,
        "held_out": "",
        "why_not": why,
    }
