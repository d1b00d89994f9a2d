"""Numbers as places: letters that are written as numbers, and cells in numbers that are text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from pmcell.consent.removal.gene_sets import MIN_PANEL, NamedRows, is_telling
from pmcell.consent.removal.needles import MIN_GENES
from pmcell.consent.removal.place import (
    Cells,
    Place,
    array_cells,
    long_cells,
    matrix_cells,
)
from pmcell.consent.removal.places_genes import expressed, table_rows
from pmcell.core.byte_numbers import TextTable, read_list, read_table
from pmcell.core.byte_signs import long_words

MATRIX_MARKET = b"%%MatrixMarket"
MAX_WHOLE = 1 << 20
"""Numbers of an array that are all looked at; of a longer one, its begin."""
SAMPLED = 4096
MIN_ROW = 6
"""Numbers in a row that are taken for letters."""
MAX_LONG = 8
"""Columns of a table that may have a row for each value."""
_NUMERIC = np.zeros(256, dtype=bool)
_NUMERIC[list(b"0123456789.+-eE, \t\r\n")] = True
"""Bytes that a list of numbers is written with."""


def array_places(array: Any, where: str) -> Iterator[Place]:
    """Letters and cells in an array of numbers of HDF5 or zarr, or of numpy."""
    if array.dtype.kind in "iuf" and (letters := array_letters(array)):
        yield Place(where, letters, is_joined=True)
    if array.ndim and array.dtype.kind in "iuf":
        yield Place(where, cells=partial(array_cells, array))


def number_bytes(array: Any, where: str) -> Iterator[Place]:
    """Bytes that numbers are made of, bits that truths are, letters that complex numbers are."""
    kind = array.dtype.kind
    if kind not in "iufbc" or array.size > MAX_WHOLE:
        return
    values = np.asarray(array[()])
    if kind == "b":
        text = np.packbits(values.ravel()).tobytes()
    else:
        text = array_letters(values.real) if kind == "c" else values.tobytes()
    yield Place(where, text, is_joined=True)


def array_letters(array: Any) -> bytes:
    """Numbers as the letters that they stand for, rows apart; nothing where too few are letters.

    >>> array_letters(np.array([[100, 111, 110, 111, 114, 45, 49], [7] * 7]))
    b'donor-1\\x00donor-1'
    """
    n_rows = array.shape[0] if array.ndim else 1
    if array.dtype.itemsize == 1:
        values = np.asarray(array[()])
        return in_rows(values.astype(np.uint8, copy=False)) if array.dtype.kind in "iu" else b""
    is_whole = array.size <= MAX_WHOLE
    rows = n_rows if is_whole else max(SAMPLED * n_rows // max(array.size, 1), 1)
    values = np.asarray(array[()] if array.ndim == 0 else array[:rows])
    if is_whole and values.ndim == 2 and _has_a_row(values.T):
        columns = _in_lines(np.ascontiguousarray(values.T))
        return columns + b"\0" + _in_lines(values) if _has_a_row(values) else columns
    if not _has_a_row(values):
        return b""
    if not is_whole:
        values = np.asarray(array[()])
    return _in_lines(values)


def _in_lines(values: np.ndarray) -> bytes:
    """Letters of an array; of a matrix also each row with any by itself."""
    is_letter = (values >= 32) & (values < 127)
    # Several numbers that are none are one sign: what is written in few letters stays short.
    letters = np.where(is_letter, values, 0).astype(np.uint8)
    if values.ndim < 2:
        is_kept = is_letter | np.concatenate([[False], is_letter[:-1]]) if values.ndim else True
        return bytes(letters[is_kept].tobytes())
    return in_rows(letters[is_letter.any(axis=tuple(range(1, values.ndim)))])


def _has_a_row(values: np.ndarray) -> bool:
    """Whether enough numbers one after the other are letters, none of them twice in all places."""
    flat = values.ravel()
    is_letter = (flat >= 32) & (flat < 127)
    if int(is_letter.sum()) < MIN_ROW:
        return False
    ends = np.flatnonzero(np.diff(np.concatenate([[0], is_letter.astype(np.int8), [0]])))
    return bool((ends[1::2] - ends[::2]).max(initial=0) >= MIN_ROW)


def in_rows(values: np.ndarray) -> bytes:
    """Letters of an array, all together and each row by itself."""
    if values.ndim < 2:
        return values.tobytes()
    # Where a text goes on over rows, and where each row is one.
    return values.tobytes() + b"\0" + b"\0".join(row.tobytes() for row in values)


def text_places(data: bytes, where: str) -> Iterator[Place]:
    """Cells in numbers that a text holds: a table, a sparse matrix, lists of JSON."""
    if data.startswith(MATRIX_MARKET):
        yield Place(f"{where}/cells", cells=partial(_market_cells, data))
        return
    if b"[" in data and b"," in data and b"\0" not in data[:4096]:
        yield Place(f"{where}/cells", cells=partial(_list_cells, data))
    first = data[: 1 << 16].splitlines()[:4]
    if not first:
        return
    n_lines = data.count(b"\n") + 1
    for sign in (b"\t", b",", b";", b" "):
        cells = first[-1].split(sign)
        # A cell has as many numbers as genes: in its line, or in its column over the lines.
        if len(cells) < 2 or max(len(cells), n_lines) < MIN_GENES:
            continue
        n_numbers = sum(map(_is_number, cells))
        if 2 * n_numbers >= len(cells) or (n_numbers and len(cells) <= MAX_LONG):
            read = cache(partial(read_table, data, sign))
            yield Place(f"{where}/cells", cells=partial(_text_cells, read))
            if max(len(cells), n_lines) >= MIN_PANEL:
                yield Place(f"{where}/genes", genes=partial(_text_genes, data, sign, read))
            return


def _market_cells(data: bytes) -> Iterator[Cells]:
    from scipy.io import mmread
    from scipy.sparse import coo_matrix

    return matrix_cells(coo_matrix(mmread(io.BytesIO(data))))


def _list_cells(data: bytes) -> Iterator[Cells]:
    """Cells of lists of numbers with commas between them."""
    for begin, end in long_words(data, _NUMERIC, 2 * MIN_GENES - 1).tolist():
        numbers = read_list(data[begin:end])
        if numbers is not None and numbers.size >= MIN_GENES:
            yield from array_cells(numbers)


def _text_cells(read: Callable[[], TextTable]) -> Iterator[Cells]:
    table = read()
    is_full = table.is_full
    values = table.of_rows(table.values, is_full)
    yield from array_cells(values)
    # Rows of another length are cells, too; columns they are none.
    sizes = np.diff(table.bounds)[~is_full]
    others = table.values[~np.repeat(is_full, np.diff(table.bounds))]
    yield np.concatenate([[0], np.cumsum(sizes)]), others
    if values.shape[1] <= MAX_LONG:
        # Of a table with a row for each value: names as they are, numbers as numbers. One name for
        # all rows is none: its cell is the column.
        marks = table.of_rows(table.marks, is_full)
        is_number = table.of_rows(table.is_number, is_full).any(axis=0)
        numbers = values.T[is_number & (values != values[0]).any(axis=0)]
        if len(numbers):
            yield from long_cells(list(numbers), list(marks.T[(marks != marks[0]).any(axis=0)]))


def _text_genes(data: bytes, sign: bytes, read: Callable[[], TextTable]) -> NamedRows:
    """Numbers of a table with a row a cell and genes above, or turned, whichever has more genes."""
    table = read()
    is_full = table.is_full
    is_full[:1] = False
    array = table.of_rows(table.values, is_full) if is_full.any() else np.zeros((0, 0))
    is_turned = len(array) > array.shape[1]
    if is_turned:
        array = array.T
    # Names are made of text, which takes long, once numbers may be a cell.
    if not array.size or not is_telling(expressed(array)[1]).any():
        return [], []
    lines = data.splitlines()
    if is_turned:
        header = [lines[row].partition(sign)[0] for row in np.flatnonzero(is_full).tolist()]
    else:
        # A header may lack the sign above the names of rows.
        header = lines[0].split(sign) if lines else []
        header = [b""] * (array.shape[1] - len(header)) + header
    header = header[: array.shape[1]]
    return table_rows([name.decode("utf-8", "replace").strip('"') for name in header], array)


def _is_number(cell: bytes) -> bool:
    if not cell[:1] or cell[0] not in b"0123456789.+- ":
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
