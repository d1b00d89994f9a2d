"""Find the mitochondrial genes of a table of genes, however they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.registry.terms.gene_columns import ID_COLUMNS, SYMBOL_COLUMNS
from pmcell.registry.terms.gene_table import gene_table
from pmcell.registry.terms.genes import map_genes

if TYPE_CHECKING:
    import pandas as pd


def mitochondrial_features(var: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of `var` are mitochondrial genes (n_genes).

    The index and the usual columns of symbols and ids are asked; one that says so is enough.
    Names that begin with MT-, in any case, count as well, so that other species are found.

    >>> import pandas as pd
    >>> names = ["MT-ND1", "MT.ND2", "GRCh38_MT-CO1", "ENSG00000198712.1", "MTOR"]
    >>> mitochondrial_features(pd.DataFrame(index=names)).tolist()
    [True, True, True, True, False]
    """
    table = gene_table()
    ids = [str(gene_id) for gene_id in var.index]
    symbols = [table.symbols.get(gene_id) for gene_id in ids]
    found = np.array([gene_id in table.mitochondrial for gene_id in ids], bool)
    usual = {*SYMBOL_COLUMNS, *ID_COLUMNS}
    columns = [column for column in var.columns if str(column).lower() in usual]
    for values in (var.index, *(var[column] for column in columns)):
        names = [str(name) for name in values]
        # The case of a prefix differs between species; whole symbols are looked up below.
        found |= np.array([name.upper().startswith("MT-") for name in names], bool)
        # Of a current id and its own symbol no older name needs to be asked.
        if not all(
            symbol is not None and name in (gene_id, symbol)
            for name, gene_id, symbol in zip(names, ids, symbols, strict=True)
        ):
            mapped = map_genes(names).gene_id
            found |= np.array([gene_id in table.mitochondrial for gene_id in mapped], bool)
    return found
