"""GloScope's distance between donors: exact k-nearest-neighbour Kullback-Leibler divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.schema import X_INTEGRATED
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def knn_kl(
    adata: AnnData,
    *,
    by: tuple[str, ...] = ("donor_id", "visit"),
    basis: str = X_INTEGRATED,
    k: int = 25,
    estimator: str = "textbook",
) -> pd.DataFrame:
    """Symmetric divergence between the cells of each donor and visit, in an embedding.

    A distance to compare with, or to cluster by; rows are named as in
    `profile`, so that `donors.obsp["distance_knn_kl"] = table.loc[names, names]`
    with names = donors.obs_names. It takes no part in the fused distance: batches
    cannot be taken out of it, and a bootstrap would need the cells again.

    `estimator` is "textbook" (a cell is no neighbour of its own) or "gloscope_py",
    the values of patpy's port, which counts a cell as its own first neighbour
    and so uses the (k-1)-th other within a donor. Neighbours are exact; the port's
    are approximate. Negative values (equal clouds, few cells) are left as they are.

    Raises UsageError for a column or embedding that is not there, DataError for
    a donor and visit with k cells or fewer, or an embedding that is not finite.
    Source: Wang et al. 2024, doi:10.1186/s13059-024-03398-1.

    >>> from pmcell.simulate import simulate_latent
    >>> cells = simulate_latent(n_donors=4, n_strata=2, n_types=2, cells_per_donor=60)
    >>> knn_kl(cells, k=10).shape
    (4, 4)
    """
    import pandas as pd

    from pmcell.core.donors.knn_kl import knn_kl as divergence

    if estimator not in ("textbook", "gloscope_py"):
        raise UsageError(f"estimator must be textbook or gloscope_py, got {estimator!r}")
    if basis not in adata.obsm:
        raise UsageError(f"knn_kl needs obsm[{basis!r}]; there are {sorted(adata.obsm)}.")
    if not by or not set(by) <= set(adata.obs.columns):
        raise UsageError(f"by must name obs columns, got {by}; there are {list(adata.obs.columns)}")
    least = 2 if estimator == "gloscope_py" else 1
    if k < least:
        raise UsageError(f"k must be at least {least} for the {estimator} estimator, got {k}")
    x = np.asarray(adata.obsm[basis])
    if not np.isfinite(x).all():
        raise DataError(f"obsm[{basis!r}] must be finite in every cell", reason="embedding")
    name = as_text(adata.obs[list(by)]).agg("|".join, axis=1).to_numpy(object)
    code, names = pd.factorize(name, sort=True)
    n = np.bincount(code, minlength=len(names))
    if (n <= k).any():
        worst = int(n.argmin())
        raise DataError(
            f"every donor and visit must have more than {k} cells; {int((n <= k).sum())} do not, "
            f"{names[worst]!r} has {n[worst]}. Leave them out or lower k.",
            reason="too_few_cells",
        )
    table = divergence(x, code.astype(np.int64), len(names), k, count_own=least == 2)
    labels = pd.Index(names, dtype=object)
    return pd.DataFrame(table, index=labels, columns=labels)
