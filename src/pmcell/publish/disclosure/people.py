"""Who is the same person: told by cells, not by names, because a name changes with the cohort's id.

A donor's pseudonym is made with the id of the cohort, so the same people
registered under another id look like strangers. Their cells do not change: of
each donor a few hashes of cells are kept, those that are smallest, so that two
registrations of the same cells share most of them, whatever the order of rows,
the names, or which cells and genes were left out. Each cell is hashed in
`PARTS` parts by gene, so that a gene that is left out changes one of them. The
hashes are keyed: without the register's key they say nothing of anyone. People
whose cells were counted again (another aligner, another sequencing) share none.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from pmcell.publish.facts import Facts
from pmcell.schema.text import text_array

PARTS = 3
KEPT = 12
"""Hashes kept of each donor and part."""
MIN_GENES = 8
"""Genes with counts in a part of a cell, below which chance could make two cells alike."""
MIN_PANEL = 24
"""Genes of a part that the file must have."""
SHARED = 2
"""Hashes that two registrations of one person share at least."""

Prints = Mapping[str, frozenset[str]]
"""Donor → hashes of cells of theirs."""


def fingerprints(facts: Facts, key: bytes) -> dict[str, frozenset[str]]:
    """The hashes of each donor of the accepted cohorts, from their counts."""
    found: dict[str, frozenset[str]] = {}
    for cohort in (*facts.withheld, *facts.published):
        path = cohort.folder / "intake.h5ad"
        about = path.stat()
        found |= _of_cohort(path, key, about.st_mtime_ns, about.st_size)
    return found


@lru_cache(maxsize=64)
def _of_cohort(path: Path, key: bytes, *state: int) -> dict[str, frozenset[str]]:
    """Of one cohort's file in a state of it: the writer of counts and the gate ask for the same."""
    from pmcell.io.counts.open import open_counts

    counts = open_counts(path)
    donors = text_array(counts.read_obs()["donor_id"])
    codes = np.array([_code(gene, key) for gene in counts.gene_ids], dtype=np.uint64)
    part = (codes % PARTS).astype(np.int8)
    part[np.isin(part, np.flatnonzero(np.bincount(part, minlength=PARTS) < MIN_PANEL))] = -1
    rank = np.argsort(np.argsort(codes)).astype(np.int64)
    kept: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for block in counts.iter_blocks():
        rows = np.arange(counts.n_cells)[block.rows]
        of_row = np.repeat(np.arange(rows.size), np.diff(block.indptr))
        # Genes in the order of their codes, in all cells at once.
        order = np.argsort(of_row * rank.size + rank[block.indices])
        indices, data = block.indices[order], block.data[order]
        for number in range(PARTS):
            inside = part[indices] == number
            bounds = np.concatenate([[0], np.cumsum(inside)])[block.indptr]
            genes = memoryview(codes[indices[inside]].tobytes())
            values = memoryview(data[inside].astype("<i8").tobytes())
            ends = (8 * bounds).tolist()
            for row in np.flatnonzero(np.diff(bounds) >= MIN_GENES).tolist():
                span = slice(ends[row], ends[row + 1])
                content = b"".join((genes[span], values[span]))
                _keep(kept[donors[rows[row]], number], _hash(content, key))
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for (donor, number), smallest in kept.items():
        hashes[donor] |= {f"{number}{-item:016x}" for item in smallest}
    return {donor: frozenset(items) for donor, items in hashes.items()}


def same_people(prints: Iterable[Prints]) -> dict[str, str]:
    """For each donor of several lists one name that all registrations of the person share."""
    holders: defaultdict[str, set[str]] = defaultdict(set)
    above: dict[str, str] = {}
    for listed in prints:
        for donor, hashes in listed.items():
            above.setdefault(donor, donor)
            for item in hashes:
                holders[item].add(donor)

    def top(donor: str) -> str:
        while above[donor] != donor:
            donor = above[donor]
        return donor

    shared: Counter[tuple[str, str]] = Counter()
    for donors in holders.values():
        names = sorted(donors)
        shared.update((a, b) for n, a in enumerate(names) for b in names[n + 1 :])
    for (first, second), n_shared in shared.items():
        if n_shared >= SHARED:
            low, high = sorted((top(first), top(second)))
            above[high] = low
    return {donor: top(donor) for donor in above}


def _keep(smallest: list[int], item: int) -> None:
    """Keep the `KEPT` smallest different hashes, negated: the heap then yields the largest."""
    if -item in smallest:
        return
    if len(smallest) < KEPT:
        heapq.heappush(smallest, -item)
    elif -item > smallest[0]:
        heapq.heapreplace(smallest, -item)


def _hash(content: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, key=key, digest_size=8).digest(), "big")


def _code(gene: object, key: bytes) -> int:
    return _hash(str(gene).encode(), key)
