"""Samples that hold cells of two people, told by genes that people have in different shares.

Of some pairs of genes the cells of a person have about the same share of counts, and people have
one of two: XIST and the genes of Y (women, men), HLA-DRB5 and HLA-DRB1 (haplotype DR51 or another).
Where some cells have the one share and some the other, they are of two people. Alleles are
expressed in bursts, so that one person's cells vary by more than counting does: two people are told
where two beta-binomial distributions fit much better than any one of the same spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

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
MIN_TELLING = 20
"""Cells that tell, below which nothing is said."""
MIN_SHARE = 0.05
"""Share of the cells that tell which must be of the second person."""
MIN_CELLS = 5
"""How many of them."""
SPREAD = 0.03
"""Correlation of two counts of a cell beyond its person's share: 0 to 0.03 in most people of four
laboratories (tests/benchmarks/registry/two_people.py)."""
MIN_GAIN = float(np.log(1000.0))
"""How much likelier two people must make the cells than one does (natural logarithm)."""
SHARES = 1.0 / (1.0 + np.exp(np.linspace(7.0, -7.0, 41)))
"""Shares of a person that are tried."""
PARTS = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
"""Parts of the cells that are of the first person."""


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
    """What one pair tells of cells: the likeliest two people beside the likeliest one."""
    both = ours + theirs
    tells = both >= pair.least
    n_cells = int(tells.sum())
    if n_cells < MIN_TELLING:
        return None
    counts, times = np.unique(np.column_stack([ours, both])[tells], axis=0, return_counts=True)
    shares = np.unique([*SHARES, pair.low, pair.high])
    logs = _log_chance(counts[:, :1], counts[:, 1:], shares)
    first, second = (logs[:, is_own].T for is_own in (shares <= pair.low, shares >= pair.high))
    best, fewer = float((times @ logs).max()) + MIN_GAIN, 0.0
    for part in PARTS:
        of_first, of_second = np.log(part) + first[:, None], np.log1p(-part) + second
        together = np.logaddexp(of_first, of_second)
        gain = together @ times
        if gain.max() >= best:
            one, other = np.unravel_index(gain.argmax(), gain.shape)
            own = float(np.exp(of_second[other] - together[one, other]) @ times)
            best, fewer = float(gain.max()), min(own, n_cells - own)
    if fewer < max(MIN_CELLS, MIN_SHARE * n_cells):
        return None
    return TwoPeople(pair.said, n_cells, round(fewer))


def _log_chance(k: Floats, n: Floats, share: Floats) -> Floats:
    """Beta-binomial log probability of k of n, but for a term that the share does not change."""
    size = (1.0 - SPREAD) / SPREAD
    a, b = share * size, (1.0 - share) * size
    return np.asarray(betaln(k + a, n - k + b) - betaln(a, b))
