"""Know a person's cells again by which genes they express, where only some of the genes are left.

A cell is the set of genes that it expresses. Where a matrix says the names of its genes, the
person's cells are cut to these genes and compared with its rows, so that a choice of genes (highly
variable ones, a panel), another order, and any values that keep zeros apart (rounded, scaled by
gene, ones alone) hide nobody. Sets are compared by sums of random numbers, one a gene: the order
of genes does not matter, and all rows of a block are one pass.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pmcell.core.gene_sums import gene_sums

MIN_PANEL = 100
"""Genes of a matrix that must be known for its rows to be compared."""
MIN_EXPRESSED = 40
"""Genes of a cell that must be expressed, and that must not be: else chance makes two alike."""
MAX_CELLS = 2000
"""Cells of a person, of those with the most genes, that are kept to be compared."""
MAX_WRITTEN = 1 << 18
"""Names that are remembered as they are written."""
_VERSION = re.compile(r"(?<=\d)\.\d+$")

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where each row begins and ends, and the columns that it expresses."""
NamedRows = tuple[Sequence[Sequence[str]], Iterable[Rows]]
"""What a matrix calls its columns, in one way or several, and its rows, in blocks."""


def is_telling(is_expressed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether rows express enough of their genes, and not too many: else chance makes two alike."""
    n_expressed = is_expressed.sum(axis=1)
    n_not = is_expressed.shape[1] - n_expressed
    return np.asarray((n_expressed >= MIN_EXPRESSED) & (n_not >= MIN_EXPRESSED), np.bool_)


@dataclass(frozen=True)
class GeneSets:
    """The genes that each cell of a person expresses.

    Attributes
    ----------
    genes
        Names of genes; those of one gene, such as its id and its symbol, stand in one text with a
        space between them.
    indptr, indices
        Genes of each cell, by their place in `genes`.
    """

    genes: tuple[str, ...]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]

    @cached_property
    def _number(self) -> Mapping[str, int]:
        """The gene of each name; a name of several is none's."""
        found: dict[str, int] = {}
        for number, names in enumerate(self.genes):
            for name in {_plain(name) for name in names.split()}:
                found[name] = number if name not in found else -1
        return found

    @cached_property
    def _codes(self) -> NDArray[np.uint64]:
        draw = np.random.default_rng(20261201)
        return draw.integers(0, 1 << 64, len(self.genes), dtype=np.uint64)

    def are_in(self, matrix: NamedRows) -> bool:
        """Whether a row of the matrix is a cell of the person, cut to the genes that both have.

        Examples
        --------
        >>> expressed = np.random.default_rng(0).permutation(300)[:150]
        >>> names = tuple(f"ENSG{n:011d} SYMBOL{n}" for n in range(300))
        >>> person = GeneSets(names, np.array([0, 150]), np.sort(expressed))
        >>> kept = np.arange(0, 300, 2)
        >>> row = np.flatnonzero(np.isin(kept, expressed))
        >>> matrix = ([[f"Symbol{n}" for n in kept]], [(np.array([0, row.size]), row)])
        >>> person.are_in(matrix)
        True
        """
        named, blocks = matrix
        known = [self._numbers(names) for names in named]
        numbers = max(known, key=lambda found: int((found >= 0).sum()), default=np.empty(0, int))
        n_panel = int((numbers >= 0).sum())
        if n_panel < MIN_PANEL:
            return False
        inside = np.full(len(self.genes), -1)
        inside[numbers[numbers >= 0]] = numbers[numbers >= 0]
        own = self._sums((self.indptr, self.indices), inside, n_panel)
        return own.size > 0 and any(
            np.isin(self._sums(rows, numbers, n_panel), own).any() for rows in blocks
        )

    def _numbers(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The gene of each column; -1 where none is known, or an earlier column is of it."""
        numbers = np.array([self._number_of(str(name)) for name in names], np.int64)
        first = np.zeros(numbers.size, bool)
        first[np.unique(numbers, return_index=True)[1]] = True
        return np.where(first, numbers, -1)

    def _number_of(self, name: str) -> int:
        """The gene of a name as it is written: every file of a study has the same ones."""
        found = self._written.get(name)
        if found is None:
            found = self._number.get(_plain(name), -1)
            if len(self._written) < MAX_WRITTEN:
                self._written[name] = found
        return found

    @cached_property
    def _written(self) -> dict[str, int]:
        return {}

    def _sums(self, rows: Rows, numbers: NDArray[np.int64], n_panel: int) -> NDArray[np.uint64]:
        """The sum of each row that expresses enough genes and not too many."""
        sums, n_expressed = gene_sums(*rows, numbers, self._codes)
        is_telling = (n_expressed >= MIN_EXPRESSED) & (n_panel - n_expressed >= MIN_EXPRESSED)
        return sums[is_telling]

    def as_text(self) -> str:
        """The sets as one text, as a journal keeps them."""
        parts = ["\n".join(self.genes).encode(), self.indptr.astype("<i8").tobytes()]
        packed = (zlib.compress(part) for part in (*parts, self.indices.astype("<i4").tobytes()))
        return " ".join(base64.b64encode(part).decode("ascii") for part in packed)


def gene_sets(text: str) -> GeneSets | None:
    """The sets that `GeneSets.as_text` wrote; None of an empty text."""
    if not text:
        return None
    names, indptr, indices = (zlib.decompress(base64.b64decode(part)) for part in text.split(" "))
    return GeneSets(
        tuple(names.decode().split("\n")),
        np.frombuffer(indptr, "<i8").astype(np.int64),
        np.frombuffer(indices, "<i4").astype(np.int64),
    )


def _plain(name: str) -> str:
    """A name of a gene without its version, in upper case."""
    return _VERSION.sub("", name.strip()).upper() if name[:3].upper() == "ENS" else name.upper()
