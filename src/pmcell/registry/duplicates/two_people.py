"""Samples that hold cells of two people, told by genes that people have in different shares.

Of some pairs of genes every cell of a person has the same share of counts, and people have one of
two: XIST and the genes of Y (women, men), HLA-DRB5 and HLA-DRB1 (haplotype DR51 or another). Where
some cells have the one share and some the other, they are of two people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmcell.registry.duplicates.sex import XIST, Y_GENES
from pmcell.schema.text import text_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GenePair:
    """Genes whose counts are compared within a cell.

    A person's cells have at most the share `low` of their counts in `ours`, or at least `high`;
    cells with fewer than `least` counts of both tell nothing.
    """

    said: str
    ours: frozenset[str]
    theirs: frozenset[str]
    least: int
    low: float
    high: float


SEX_PAIR = GenePair("genes of Y and XIST", Y_GENES, XIST, 2, 0.1, 0.9)
PAIRS = (
    SEX_PAIR,
    GenePair(
        "HLA-DRB5 and HLA-DRB1",
        frozenset({"ENSG00000198502"}),
        frozenset({"ENSG00000196126"}),
        5,
        0.05,
        0.15,
    ),
)
MIN_SHARE = 0.1
"""Share of the cells that tell which must be of the second person."""
MIN_CELLS = 10
"""How many of them."""
ROUNDS = 100


@dataclass(frozen=True)
class TwoPeople:
    """How many of the cells that tell are of each of two people, and by which genes."""

    said: str
    n_cells: int
    n_fewer: int

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return (
            f"the cells may be of two people: by {self.said}, {self.n_fewer} of the "
            f"{self.n_cells} cells that tell are of another person than the rest"
        )


class PairCounts:
    """Counts of each pair's genes in every cell, gathered block by block.

    Parameters
    ----------
    gene_ids
        Ensembl ids of the genes, '' for none.
    n_cells
        Cells that will come.
    """

    def __init__(self, gene_ids: NDArray[np.str_], n_cells: int) -> None:
        ids = text_array(gene_ids)
        self._genes = {
            pair: [np.isin(ids, sorted(side)) for side in (pair.ours, pair.theirs)]
            for pair in PAIRS
        }
        self._of = {pair: np.zeros((2, n_cells)) for pair in PAIRS}

    def add(self, rows: slice | Ints, sums: Callable[[NDArray[np.bool_]], NDArray[Any]]) -> None:
        """Take in cells that stand at `rows`; `sums` gives their counts of some genes."""
        for pair, sides in self._genes.items():
            for side, is_gene in enumerate(sides):
                if is_gene.any():
                    self._of[pair][side, rows] = sums(is_gene)

    def counts(self, pair: GenePair) -> list[Floats | None]:
        """Counts of its two sides in every cell; None of a side that was not measured."""
        sides = zip(self._genes[pair], self._of[pair], strict=True)
        return [found if is_gene.any() else None for is_gene, found in sides]

    def two_people(self, own: NDArray[np.bool_]) -> TwoPeople | None:
        """Tell whether some of the cells, said to be one person's, are of two people.

        None is no proof of one person: two women with the same haplotypes look like one, and the
        genes may not have been measured. A person who was given another's blood stem cells holds
        cells of both.
        """
        for pair in PAIRS:
            ours, theirs = self.counts(pair)
            if ours is not None and theirs is not None:
                found = shares_apart(ours[own], theirs[own], pair)
                if found is not None:
                    return found
        return None


def gene_sums(counts: Any, is_gene: NDArray[np.bool_]) -> Floats:
    """Counts of some genes in each cell of a sparse matrix (cells,)."""
    return np.asarray(counts[:, is_gene].sum(axis=1), np.float64).ravel()


def shares_apart(ours: Floats, theirs: Floats, pair: GenePair) -> TwoPeople | None:
    """What one pair tells of cells: a mixture of two binomials, fitted by EM."""
    both = ours + theirs
    tells = both >= pair.least
    k, n = ours[tells], both[tells]
    if k.size < 2 * MIN_CELLS:
        return None
    share, part = np.array([0.5 * pair.low, 0.5 + 0.5 * pair.high]), np.full(2, 0.5)
    for _ in range(ROUNDS):
        logs = np.log(part) + k[:, None] * np.log(share) + (n - k)[:, None] * np.log1p(-share)
        of_second = 1.0 / (1.0 + np.exp(np.clip(logs[:, 0] - logs[:, 1], -700, 700)))
        weight = np.column_stack([1.0 - of_second, of_second])
        part = np.clip(weight.mean(axis=0), 1e-9, 1.0)
        share = (weight * k[:, None]).sum(axis=0) / np.maximum((weight * n[:, None]).sum(axis=0), 1)
        share = np.clip(share, 1e-3, 1.0 - 1e-3)
    fewer = float(weight.sum(axis=0).min())
    if share[0] > pair.low or share[1] < pair.high or fewer < max(MIN_CELLS, MIN_SHARE * k.size):
        return None
    return TwoPeople(pair.said, int(k.size), round(fewer))
