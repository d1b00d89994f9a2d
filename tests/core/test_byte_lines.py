"""What stands in lines and cells beside each other, against slow twins and by example."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.core.byte_lines import squeezed, with_cells_joined
from pmcell.core.byte_search import PART, WHOLE, compile_forms, search
from pmcell.core.gene_sums import gene_sums


@settings(deadline=None)
@given(st.text("ab \n", max_size=80))
def test_lines_of_tables_are_those_with_three_spaces_between_words(text: str) -> None:
    lines = [line for line in text.split("\n") if re.search(r"[^ ] {3,}[^ ]", line)]
    plain = [re.sub(" +", " ", line.strip(" ")) for line in lines]
    assert squeezed(text.encode()) == "".join(f"{line}\n" for line in plain).encode()


@pytest.mark.parametrize(
    ("data", "joined"),
    [
        (b'"a","b"', b'"a\tb"'),
        (b'"a" ; "b"', b'"a\tb"'),
        (b'"a"\t"b"', b'"a\tb"'),
        (b'["a",\n   "b"]', b'["a\tb"]'),
        (b'{"x": "a", "y" : "b", "z": 3}', b'{"x": "a\tb", "z": 3}'),
        (b'{"a": 1, "b": 2}', b""),
        (b'"a" "b"', b""),
        (b'"a",', b""),
        (b'"', b""),
        (b'"a","' + b"k" * 99 + b'": "b"', b'"a\t' + b"k" * 99 + b'": "b"'),
    ],
)
def test_texts_in_quotes_are_joined_where_they_are_neighbours(data: bytes, joined: bytes) -> None:
    assert with_cells_joined(data) == joined


@settings(deadline=None)
@given(st.text("abAB1 -", max_size=40), st.lists(st.text("ab1-", min_size=1, max_size=9)))
def test_the_numbers_of_all_forms_that_stand_in_bytes_are_found(text, names) -> None:
    forms = [name.encode() for name in names]
    found = search(text.encode(), compile_forms(forms, [PART] * len(forms))).tolist()
    assert found == [at for at, form in enumerate(forms) if form in text.lower().encode()]
    whole = search(text.encode(), compile_forms(forms, [WHOLE] * len(forms))).tolist()
    assert set(whole) <= set(found)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=6))
def test_codes_of_genes_are_added_row_by_row(rows: list[list[int]]) -> None:
    numbers = np.array([2, -1, 0, 1, -1, 3, 0])
    codes = np.array([1 << 63, (1 << 63) + 5, 7, 11], np.uint64)
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    sums, known = gene_sums(
        indptr, np.array([column for row in rows for column in row], np.int64), numbers, codes
    )
    own = [[int(numbers[column]) for column in row if numbers[column] >= 0] for row in rows]
    assert known.tolist() == [len(genes) for genes in own]
    assert sums.tolist() == [sum(int(codes[gene]) for gene in genes) % 2**64 for genes in own]
