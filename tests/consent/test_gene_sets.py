"""A person's cells by the genes that they express, where only some of the genes are left."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.consent.removal.gene_sets import MIN_EXPRESSED, GeneSets, gene_sets
from pmcell.consent.removal.places_genes import expressed, table_rows

N_GENES = 600
NAMES = tuple(f"ENSG{number:011d} GENE{number}" for number in range(N_GENES))


def cells(n_cells: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.6, 1.0, N_GENES), (n_cells, N_GENES))


def sets_of(counts: np.ndarray) -> GeneSets:
    rows, genes = np.nonzero(counts)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(counts)))])
    return GeneSets(NAMES, indptr.astype(np.int64), genes.astype(np.int64))


def changed(counts: np.ndarray, how: str) -> np.ndarray:
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    return {
        "counts": counts,
        "logs": logs,
        "rounded": np.round(logs, 1),
        "ones": np.minimum(counts, 1),
        "scaled": (logs - logs.mean(axis=0)) / (logs.std(axis=0) + 1e-6),
    }[how]


@pytest.mark.parametrize("how", ["counts", "logs", "rounded", "ones", "scaled"])
@pytest.mark.parametrize("part", [0, 1])
def test_a_cell_is_known_by_some_of_its_genes_and_nobody_else_is(how: str, part: int) -> None:
    everyone = cells(60)
    person = sets_of(everyone[:3])
    kept = np.random.default_rng(1).permutation(N_GENES)[:300]
    names = [NAMES[gene].split()[part] for gene in kept]
    values = changed(everyone, how)[:, kept]
    assert person.are_in(table_rows(names, values))
    assert not person.are_in(table_rows(names, values[3:]))
    assert not person.are_in(table_rows([f"other{n}" for n in range(300)], values))


def test_versions_and_case_of_a_name_do_not_matter_and_a_gene_counts_once() -> None:
    everyone = cells(30)
    names = [f"{name.split()[0].lower()}.{number % 9}" for number, name in enumerate(NAMES)]
    twice = np.hstack([everyone, everyone[:, :1]])
    assert sets_of(everyone[:1]).are_in(table_rows([*names, names[0]], twice))


def test_too_few_genes_tell_nobody() -> None:
    counts = np.zeros((2, N_GENES), int)
    counts[0, : MIN_EXPRESSED - 1] = 1
    names = [name.split()[1] for name in NAMES]
    assert not sets_of(counts[:1]).are_in(table_rows(names, counts))
    everyone = cells(5)
    assert not sets_of(everyone).are_in(table_rows(names[:99], everyone[:, :99]))
    # Of genes that nearly every cell expresses chance makes two alike.
    assert not sets_of(everyone * 0 + 1).are_in(table_rows(names, everyone * 0 + 1))


def test_what_a_journal_keeps_comes_back() -> None:
    person = sets_of(cells(4))
    back = gene_sets(person.as_text())
    assert back is not None
    assert back.genes == person.genes
    assert np.array_equal(back.indptr, person.indptr)
    assert np.array_equal(back.indices, person.indices)
    assert gene_sets("") is None


def test_genes_that_all_cells_express_do_not_say_what_no_count_is() -> None:
    values = np.array([[-1.0, 0.3], [-1.0, 0.7], [2.0, 0.9]] * 4)
    values[:, 1] += np.arange(12)
    kept, is_expressed = expressed(values)
    assert kept.tolist() == [0]
    assert is_expressed[:, 0].tolist() == [False, False, True] * 4
