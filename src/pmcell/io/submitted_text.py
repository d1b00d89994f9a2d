"""Reader of text count tables (CSV, TSV; gzip or not), genes × cells or cells × genes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.entries import Entries, blocks_from_entries
from pmcell.io.submission import Submission, summarise
from pmcell.io.textfile import open_text

ORIENTATIONS = ("auto", "genes_by_cells", "cells_by_genes")
READ_VALUES = 4_000_000
SAMPLED_ROWS = 200

_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?$")
_SYMBOL = re.compile(
    r"(?:[A-Z][A-Z0-9]{1,9}|[A-Z][a-z][a-z0-9]{1,8}|C\d+orf\d+)(?:-[A-Z0-9]{1,6})?$"
)
_BARCODE = re.compile(r"[ACGTN]{8,}|.*[_:.-][ACGTN]{8,}")


def inspect_text(
    path: Path,
    fmt: str,
    *,
    orientation: str = "auto",
    looks_like_genes: Callable[[Sequence[str]], float] | None = None,
) -> Submission:
    """Names of cells and genes and a summary; see `pmcell.io.submitted.inspect`."""
    import pandas as pd

    if orientation not in ORIENTATIONS:
        raise UsageError(
            f"orientation must be one of {', '.join(ORIENTATIONS)}, got {orientation!r}"
        )
    header, row_names, values, n_stored = _survey(path, fmt)
    if orientation == "auto":
        orientation = _orientation(path, header, row_names, looks_like_genes or gene_share)
    genes_first = orientation == "genes_by_cells"
    cells, genes = (header, row_names) if genes_first else (row_names, header)
    shape = (len(cells), len(genes))
    sampled = values.T if genes_first else values
    runs = [run[run != 0] for run in sampled[:SAMPLED_ROWS]]
    summary = summarise("X", np.dtype("float64"), shape, n_stored, runs, by_cell=not genes_first)
    return Submission(
        path,
        fmt,
        pd.DataFrame(index=pd.Index(cells, dtype=object)),
        pd.DataFrame(index=pd.Index(genes, dtype=object)),
        {"X": summary},
        detail={"orientation": orientation},
    )


def iter_counts(submission: Submission, layer: str, max_values: int) -> Iterator[tuple[int, Any]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.iter_counts`."""
    path, fmt = submission.path, submission.format
    genes_first = submission.detail["orientation"] == "genes_by_cells"
    yield from blocks_from_entries(
        lambda: _entries(path, fmt, genes_first),
        submission.summary_of(layer).shape,
        max_values=max_values,
        file=path.name,
    )


def gene_share(names: Sequence[str]) -> float:
    """Share of names written like Ensembl ids or gene symbols and not like barcodes."""
    if not names:
        return 0.0
    hits = sum(
        bool(_ENSEMBL.match(name) or (_SYMBOL.match(name) and not _BARCODE.match(name)))
        for name in names
    )
    return hits / len(names)


def _orientation(
    path: Path,
    header: list[str],
    row_names: list[str],
    looks_like_genes: Callable[[Sequence[str]], float],
) -> str:
    by_column, by_row = looks_like_genes(header), looks_like_genes(row_names)
    if abs(by_column - by_row) < 0.2:
        raise DataError(
            f"{path.name}: one axis must hold gene names and the other barcodes; {by_column:.0%} "
            "of the "
            f"column names (first {header[:3]}) and {by_row:.0%} of the row names (first "
            f"{row_names[:3]}) "
            "look like genes. Say it: matrix.orientation: genes_by_cells or cells_by_genes in "
            "cohort.yaml.",
            reason="ambiguous_orientation",
        )
    return "genes_by_cells" if by_row > by_column else "cells_by_genes"


def _survey(path: Path, fmt: str) -> tuple[list[str], list[str], np.ndarray, int]:
    """Column names, row names, the values of the first rows, and the number of values."""
    rows = _table_rows(path, fmt)
    header = next(rows)[1]
    names: list[str] = []
    first: list[np.ndarray] = []
    for number, fields in rows:
        names.append(fields[0])
        if len(first) < SAMPLED_ROWS:
            first.append(_numbers(path, number, fields, header))
    values = np.stack(first) if first else np.zeros((0, len(header)))
    return header, names, values, len(names) * len(header)


def _entries(path: Path, fmt: str, genes_first: bool) -> Iterator[Entries]:
    rows = _table_rows(path, fmt)
    header = next(rows)[1]
    n_rows = max(1, READ_VALUES // max(len(header), 1))
    held: list[np.ndarray] = []
    start = 0
    for number, fields in rows:
        held.append(_numbers(path, number, fields, header))
        if len(held) == n_rows:
            yield _nonzero(np.stack(held), start, genes_first)
            start, held = start + n_rows, []
    if held:
        yield _nonzero(np.stack(held), start, genes_first)


def _nonzero(values: np.ndarray, start: int, genes_first: bool) -> Entries:
    rows, columns = np.nonzero(values)
    stored = values[rows, columns]
    rows = rows + start
    return (columns, rows, stored) if genes_first else (rows, columns, stored)


def _table_rows(path: Path, fmt: str) -> Iterator[tuple[int, list[str]]]:
    """The header without its corner, then (line number, fields) of each row, all of one width."""
    with open_text(path) as stream:
        reader = csv.reader(stream, delimiter="," if fmt == "csv" else "\t")
        try:
            header = next(reader, [])
            second = next(reader, [])
            if len(header) < 2 or len(second) not in (len(header), len(header) + 1):
                raise DataError(
                    f"{path.name}: the first line must name the columns, and the second hold a "
                    "name and "
                    f"their values; found {len(header)} and {len(second)} fields. Is it "
                    f"{fmt.upper()}? "
                    "Correct matrix.format in cohort.yaml.",
                    reason="unreadable" if header else "empty_file",
                )
            # R writes no field above the row names.
            header = header[1:] if len(second) == len(header) else header
            yield 1, header
            yield 2, second
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header) + 1:
                    raise DataError(
                        f"{path.name}, row {reader.line_num}: each row must have "
                        f"{len(header) + 1} fields; "
                        f"found {len(fields)}. The file is cut off or damaged: write it again.",
                        reason="truncated",
                    )
                yield reader.line_num, fields
        except csv.Error as error:
            raise DataError(
                f"{path.name}, row {reader.line_num}: the line must be readable as {fmt.upper()}; "
                f"{error}. "
                "Write it again from the source.",
                reason="unreadable",
            ) from error


def _numbers(path: Path, number: int, fields: list[str], header: list[str]) -> np.ndarray:
    try:
        return np.array(fields[1:], dtype=np.float64)
    except ValueError:
        bad = next(k for k, value in enumerate(fields[1:]) if not _is_number(value))
        raise DataError(
            f"{path.name}, row {number}, column {header[bad]!r}: each count must be a number; "
            "found "
            f"{fields[bad + 1]!r}. Correct the value.",
            reason="not_counts",
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
