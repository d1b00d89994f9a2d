"""Counts of several cohorts with cell types, strata, batch and donor effects."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.simulate import people as who

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

MITOCHONDRIAL = (
    "MT-ND1",
    "MT-ND2",
    "MT-CO1",
    "MT-CO2",
    "MT-ATP8",
    "MT-ATP6",
    "MT-CO3",
    "MT-ND3",
    "MT-ND4L",
    "MT-ND4",
    "MT-ND5",
    "MT-ND6",
    "MT-CYB",
)
SHARE_MITOCHONDRIAL = 0.05
SHARE_MARKERS = 0.1
SHARE_DRIVERS = 0.1
DONOR_RANK = 5

Array = NDArray[np.float64]


def simulate(
    *,
    n_cohorts: int = 3,
    n_donors: int = 30,
    n_strata: int = 3,
    n_cell_types: int = 8,
    n_genes: int = 600,
    cells_per_sample: int = 200,
    n_visits: int = 1,
    strata_effect_state: float = 0.8,
    strata_effect_composition: float = 0.8,
    batch_effect: float = 0.2,
    donor_sd: float = 0.15,
    confounding: float = 0.0,
    continuum: bool = False,
    library_size: float = 2000.0,
    dispersion: float = 0.1,
    ambient: float = 0.0,
    real_genes: bool = False,
    seed: int = 0,
) -> ad.AnnData:
    """Simulate raw counts of donors in several cohorts; every cohort is a batch of its own.

    The log expression of a gene in a cell is the sum of its baseline, the
    cell's type (markers), the donor's stratum (driver genes in half of the
    types), the donor, the visit and the batch. Expected counts are the cell's
    library size (log-normal, median `library_size`) times the expression's
    share; counts are Poisson with gamma noise, variance m + `dispersion`·m².

    `n_donors` counts all cohorts together. Effects are standard deviations, on
    the scale of natural logarithms: `strata_effect_state` of driver genes,
    `strata_effect_composition` and twice `donor_sd` of the logits of type
    proportions, `batch_effect` and `donor_sd` of all genes. Zero switches an
    effect off: with both strata effects zero there are no strata. `confounding`
    is the share of donors whose stratum follows from their cohort; with
    `continuum` donors lie evenly along a line and the stratum only slices it.
    `ambient` is the share of a cell's counts that comes from the sample's soup.
    With `real_genes` ids and symbols are of the pinned annotation, so that the
    result passes intake; the genes then do not depend on the seed.

    Returns cells × genes: `X` counts (CSR, int32); `obs` cohort_id donor_id
    sample_id visit visit_day batch_id stratum region condition cell_type;
    `var` index gene id, `symbol`; `uns["truth"]` all that is known, see
    `_truth`. The model is that of muscat's and splatter's kind:
    doi:10.1038/s41467-020-19894-4, doi:10.1186/s13059-017-1305-0.

    >>> adata = simulate(n_donors=6, cells_per_sample=50, n_genes=100, seed=1)
    >>> adata.shape, adata.obs["donor_id"].nunique(), str(adata.X.dtype)
    ((300, 100), 6, 'int32')
    """
    parameters = dict(locals())
    import anndata as ad
    import pandas as pd
    from scipy import sparse

    who.check_counts(
        n_cohorts=n_cohorts,
        n_donors=n_donors,
        n_strata=n_strata,
        n_cell_types=n_cell_types,
        n_genes=n_genes,
        cells_per_sample=cells_per_sample,
        n_visits=n_visits,
    )
    who.check_sizes(
        strata_effect_state=strata_effect_state,
        strata_effect_composition=strata_effect_composition,
        batch_effect=batch_effect,
        donor_sd=donor_sd,
        library_size=library_size,
        dispersion=dispersion,
    )
    who.check_share(confounding=confounding, ambient=ambient)

    rng = np.random.default_rng(seed)
    var = _genes(n_genes, real_genes)
    people = who.recruit(
        rng,
        n_donors=n_donors,
        n_groups=n_cohorts,
        n_strata=n_strata,
        confounding=confounding,
        continuum=continuum,
    )
    types = _type_expression(rng, n_cell_types, var)
    state = _strata_state(rng, people, n_cell_types, n_genes, continuum) * strata_effect_state
    composition = strata_effect_composition * who.strata_shifts(
        rng, people, (n_cell_types,), continuum=continuum
    )
    batch = batch_effect * rng.standard_normal((n_cohorts, n_genes))
    loadings = rng.standard_normal((n_cell_types, DONOR_RANK, n_genes)) / np.sqrt(DONOR_RANK)
    donor_scores = donor_sd * rng.standard_normal((n_donors, DONOR_RANK))
    logits = np.linspace(1, -1, n_cell_types) + composition
    logits += 2 * donor_sd * rng.standard_normal(logits.shape)

    samples = who.samples_frame(
        people,
        cohort_ids=[f"sim_{cohort + 1}" for cohort in range(n_cohorts)],
        batch_ids=[f"batch_{cohort + 1}" for cohort in range(n_cohorts)],
        n_visits=n_visits,
    )
    blocks, type_of_cell = [], []
    for donor in samples["donor"]:
        # A visit moves a donor by half of what separates donors.
        scores = donor_scores[donor] + 0.5 * donor_sd * rng.standard_normal(DONOR_RANK)
        log_expression = types + state[donor] + batch[people.group[donor]] + scores @ loadings
        cell_types = who.draw_types(rng, logits[donor], cells_per_sample)
        expected = _shares(log_expression, cell_types, ambient)
        size = library_size * np.exp(0.3 * rng.standard_normal(cells_per_sample))
        blocks.append(_counts(rng, expected[cell_types], size, dispersion))
        type_of_cell.append(cell_types)
    obs = who.cells_frame(samples, cells_per_sample)
    names = [f"type_{number + 1:02d}" for number in range(n_cell_types)]
    obs["cell_type"] = pd.Categorical.from_codes(
        np.concatenate(type_of_cell), pd.Index(names, dtype=object)
    )
    adata = ad.AnnData(X=sparse.vstack(blocks, format="csr", dtype=np.int32), obs=obs, var=var)
    adata.uns["truth"] = _truth(people, samples, names, types, state, logits, batch, parameters)
    return adata


def _truth(
    people: who.People,
    samples: pd.DataFrame,
    cell_types: list[str],
    types: Array,
    state: Array,
    logits: Array,
    batch: Array,
    parameters: dict[str, Any],
) -> dict[str, Any]:
    proportions = np.exp(logits)
    return {
        # donors, in order
        "donor_id": samples["donor_id"].drop_duplicates().to_numpy(dtype=object),
        "stratum": people.stratum,
        "position": people.position,
        "proportions": proportions / proportions.sum(axis=1, keepdims=True),
        # types × genes, strata × types × genes (first donor of each), batches × genes
        "cell_type": np.array(cell_types, dtype=object),
        "type_log_expression": types,
        "strata_log_fold": state[np.unique(people.stratum, return_index=True)[1]],
        "batch_log_fold": batch,
        "parameters": parameters,
    }


def _type_expression(rng: np.random.Generator, n_types: int, var: pd.DataFrame) -> Array:
    """Log expression of genes in types; mitochondrial genes keep their share, and mark no type."""
    n_genes = len(var)
    baseline = rng.normal(0, 1.2, n_genes)
    is_marker = rng.random((n_types, n_genes)) < SHARE_MARKERS
    fold = np.where(is_marker, rng.gamma(4.0, 0.5, (n_types, n_genes)), 0.0)
    mitochondrial = var["symbol"].str.startswith("MT-").to_numpy(dtype=bool)
    fold[:, mitochondrial] = 0.0
    log_expression = baseline + fold
    if mitochondrial.any() and not mitochondrial.all():
        rest = np.exp(log_expression[:, ~mitochondrial]).sum(axis=1, keepdims=True)
        own = np.exp(log_expression[:, mitochondrial]).sum(axis=1, keepdims=True)
        target = rest * SHARE_MITOCHONDRIAL / (1 - SHARE_MITOCHONDRIAL)
        log_expression[:, mitochondrial] += np.log(target / own)
    return log_expression


def _strata_state(
    rng: np.random.Generator, people: who.People, n_types: int, n_genes: int, continuum: bool
) -> Array:
    """Unit shifts of donors × types × genes, in half of the types and a tenth of their genes."""
    in_type = rng.permutation(n_types) < max(1, n_types // 2)
    is_driver = (rng.random((n_types, n_genes)) < SHARE_DRIVERS) & in_type[:, None]
    drivers = np.flatnonzero(is_driver)
    state = np.zeros((len(people.group), n_types * n_genes))
    state[:, drivers] = who.strata_shifts(rng, people, (len(drivers),), continuum=continuum)
    return state.reshape(-1, n_types, n_genes)


def _shares(log_expression: Array, cell_types: NDArray[np.int64], ambient: float) -> Array:
    """Expected share of each gene in each type's counts, with the sample's soup mixed in."""
    expression = np.exp(log_expression - log_expression.max(axis=1, keepdims=True))
    shares: Array = expression / expression.sum(axis=1, keepdims=True)
    if ambient:
        soup = shares[cell_types].mean(axis=0)
        shares = (1 - ambient) * shares + ambient * soup
    return shares


def _counts(rng: np.random.Generator, shares: Array, size: Array, dispersion: float) -> Any:
    from scipy import sparse

    mean = shares.astype(np.float32) * size[:, None].astype(np.float32)
    if dispersion:
        mean *= rng.standard_gamma(1 / dispersion, mean.shape, dtype=np.float32) * dispersion
    return sparse.csr_matrix(rng.poisson(mean), dtype=np.int32)


def _genes(n_genes: int, real_genes: bool) -> pd.DataFrame:
    """`var`: gene ids and symbols, the mitochondrial ones first where there is room for them."""
    import pandas as pd

    n_mitochondrial = len(MITOCHONDRIAL) if n_genes >= 5 * len(MITOCHONDRIAL) else 0
    if real_genes:
        ids, symbols = _annotated_genes(n_genes, n_mitochondrial)
    else:
        symbols = list(MITOCHONDRIAL[:n_mitochondrial])
        symbols += [f"GENE{number + 1:05d}" for number in range(n_genes - n_mitochondrial)]
        ids = [f"ENSG9{number + 1:010d}" for number in range(n_genes)]
    return pd.DataFrame(
        {"symbol": pd.Series(symbols, dtype=object).to_numpy()}, index=pd.Index(ids, dtype=object)
    )


def _annotated_genes(n_genes: int, n_mitochondrial: int) -> tuple[list[str], list[str]]:
    from pmcell.registry.terms.gene_table import gene_table

    table = gene_table()
    by_symbol = {symbol: gene_id for gene_id, symbol in table.symbols.items()}
    shared = {symbol for symbol, n in Counter(table.symbols.values()).items() if n > 1}
    first = [by_symbol[symbol] for symbol in MITOCHONDRIAL[:n_mitochondrial]]
    named = sorted(
        gene_id
        for symbol, gene_id in by_symbol.items()
        if symbol not in shared
        and gene_id not in table.mitochondrial
        and not symbol.startswith("ENSG")
    )
    if n_genes > len(named):
        raise UsageError(f"n_genes must be at most {len(named)} with real_genes, got {n_genes}")
    spread = np.linspace(0, len(named) - 1, n_genes - len(first)).round().astype(int)
    ids = first + [named[place] for place in spread]
    return ids, [table.symbols[gene_id] for gene_id in ids]
