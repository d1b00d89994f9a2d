"""Expression of any cells in the gene space of a reference.

A sample may be measured with other genes than the reference. What a cell's counts are divided by
must not depend on that: it is the total over genes that the reference measured, and where the
sample lacks some of them, that total over the share of the reference's counts that the others have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.lognorm import TARGET
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GeneSpace:
    """Genes of a reference.

    Attributes
    ----------
    gene_ids, symbols
        Genes that every cohort of the reference measured, sorted by id (genes,).
    share
        Mean share of a cell's counts that each has (genes,), adding up to 1.
    model
        Which of them the models use (features,), as positions in `gene_ids`.
    """

    gene_ids: NDArray[np.str_]
    symbols: NDArray[np.str_]
    share: Floats
    model: Ints

    @property
    def features(self) -> NDArray[np.str_]:
        """Ids of the genes that the models use."""
        return self.gene_ids[self.model]

    @property
    def feature_symbols(self) -> NDArray[np.str_]:
        """Symbols of the genes that the models use."""
        return self.symbols[self.model]

    def measured(self, gene_ids: Sequence[str] | NDArray[np.str_]) -> Bools:
        """Which features are among the genes of a sample (features,)."""
        return np.isin(self.features, text_array(gene_ids))


def log_expression(
    counts: sparse.csr_matrix, gene_ids: Sequence[str] | NDArray[np.str_], space: GeneSpace
) -> sparse.csr_matrix:
    """Log-normalised expression of the features (cells, features), nothing where a gene is missing.

    Parameters
    ----------
    counts
        Raw counts (cells, genes of the sample).
    gene_ids
        Ids of the sample's genes.
    space
        The gene space of the reference.

    Returns
    -------
    scipy.sparse.csr_matrix
        ln(1 + 10⁴ · count / total), float32, with the total of the module's docstring; nothing of
        a cell without counts.
    """
    from scipy import sparse

    own = text_array(gene_ids)
    place = {name: at for at, name in enumerate(space.gene_ids.tolist())}
    target = np.array([place.get(name, -1) for name in own.tolist()], np.int64)
    shared = target >= 0
    known = float(space.share[target[shared]].sum())
    total = np.asarray(counts @ shared.astype(np.float64)).ravel() / max(known, 1e-12)
    feature = np.full(space.gene_ids.size, -1, np.int64)
    feature[space.model] = np.arange(space.model.size)
    of_gene = np.where(shared, feature[np.maximum(target, 0)], -1)
    chosen = np.flatnonzero(of_gene >= 0)
    to_features = sparse.csr_matrix(
        (np.ones(chosen.size), (chosen, of_gene[chosen])), shape=(own.size, space.model.size)
    )
    values = counts.astype(np.float64) @ to_features
    values.sort_indices()
    factor = np.divide(TARGET, total, out=np.zeros_like(total), where=total > 0)
    values.data = np.log1p(values.data * np.repeat(factor, np.diff(values.indptr)))
    return values.astype(np.float32)
