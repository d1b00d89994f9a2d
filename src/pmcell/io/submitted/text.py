"""Reader of text count tables (CSV, TSV; gzip or not), genes × cells or cells × genes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.entries import Entries, blocks_from_entries
from pmcell.io.submitted.submission import Submission, summarise
from pmcell.io.submitted.text_dialect import Dialect, sniff_dialect
from pmcell.io.textfile import open_text

ORIENTATIONS = ("auto", "genes_by_cells", "cells_by_genes")
READ_VALUES = 4_000_000
SAMPLED_ROWS = 200

_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?$")
_SYMBOL = re.compile(
    r"(?:[A-Z][A-Z0-9]{1,9}|[A-Z][a-z][a-z0-9]{1,8}|C\d+orf\d+)(?:-[A-Z0-9]{1,6})?$"
)
_BARCODE = re.compile(r"[ACGTN]{8,}|.*[_:.-][ACGTN]{8,}")
_MEASURE = re.compile(
    "n(?:count|feature|gene|umi)s?(?:rna|bycounts)?|total(?:counts|umis?)|(?:percent|pct|frac).*"
    "|(?:umap|tsne|pca?|pc)_?\\d+|doubletscores?|leiden|louvain|(?:seurat)?clusters?|sizefactors?"
    "|age|length|start|end|strand"
)
"""Names of numeric columns that stand beside counts in exported tables."""
_TOTAL = re.compile(
    "(?:grand)?totals?|sums?|(?:row|col|column)sums?|summe|gesamt|somme|suma|somma|totaal|razem|ogolem"
)
"""Names of rows and columns that add up the others, letters only."""
_NUMBER_LIKE = re.compile(r"[-+.,_\d]+(?:e[-+]?\d+)?|[-+]?inf(?:inity)?|nan|na|", re.IGNORECASE)


def inspect_text(
    path: Path,
    fmt: str,
    *,
    orientation: str = "auto",
    looks_like_genes: Callable[[Sequence[str]], float] | None = None,
) -> Submission:
    """Names of cells and genes and a summary; see `pmcell.io.submitted.readers.inspect`."""
    import pandas as pd

    if orientation not in ORIENTATIONS:
        raise UsageError(
            f"orientation must be one of {', '.join(ORIENTATIONS)}, got {orientation!r}"
        )
    dialect = sniff_dialect(path, fmt)
    header, row_names, first, sums = _survey(path, dialect)
    known = looks_like_genes or gene_share
    if orientation == "auto":
        orientation = _orientation(path, header, row_names, known)
    _refuse_long_table(path, header, first)
    _refuse_other_columns(path, dialect, header, first)
    _refuse_totals(path, header, row_names)
    genes_first = orientation == "genes_by_cells"
    cells, genes = (header, row_names) if genes_first else (row_names, header)
    shape = (len(cells), len(genes))
    rows = [_numbers(path, number, fields, header, dialect) for number, fields in first]
    values = np.stack(rows) if rows else np.zeros((0, len(header)))
    sampled = values.T if genes_first else values
    runs = [run[run != 0] for run in sampled[:SAMPLED_ROWS]]
    n_stored = len(row_names) * len(header)
    summary = summarise("X", np.dtype("float64"), shape, n_stored, runs, by_cell=not genes_first)
    return Submission(
        path,
        fmt,
        pd.DataFrame(index=pd.Index(cells, dtype=object)),
        pd.DataFrame(index=pd.Index(genes, dtype=object)),
        {"X": summary},
        detail={
            "orientation": orientation,
            "dialect": dialect,
            "umis": np.array(sums) if genes_first else values.sum(axis=0),
        },
    )


def iter_counts(submission: Submission, layer: str, max_values: int) -> Iterator[tuple[int, Any]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.readers.iter_counts`."""
    path, dialect = submission.path, submission.detail["dialect"]
    genes_first = submission.detail["orientation"] == "genes_by_cells"
    yield from blocks_from_entries(
        lambda: _entries(path, dialect, genes_first),
        submission.summary_of(layer).shape,
        max_values=max_values,
        file=path.name,
    )


def sample_umis(submission: Submission, layer: str) -> np.ndarray:
    """Counts of each gene in the first cells; see `pmcell.io.submitted.readers.sample_umis`."""
    submission.summary_of(layer)
    umis: np.ndarray = submission.detail["umis"]
    return umis


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the table is gzipped; see `pmcell.io.submitted.readers.is_compressed`."""
    return submission.path.name.endswith(".gz")


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
            "look like genes. Set matrix.orientation in cohort.yaml to genes_by_cells or "
            "cells_by_genes.",
            reason="ambiguous_orientation",
        )
    return "genes_by_cells" if by_row > by_column else "cells_by_genes"


def _refuse_long_table(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """`DataError` for a table with a row for each count: its gene, its cell and its number."""
    if len(header) != 2 or not rows:
        return
    words = [not _NUMBER_LIKE.fullmatch(fields[1].strip()) for _, fields in rows]
    if all(words):
        raise DataError(
            f"{path.name}: a count table must have genes on one axis and cells on the other; found "
            f"a row for each count ({', '.join(rows[0][1])}). Turn it: "
            f"pandas.read_csv({path.name!r}, sep=None, engine='python').pipe(lambda t: t.pivot("
            "index=t.columns[0], columns=t.columns[1], values=t.columns[2])).fillna(0).astype(int)"
            ".to_csv('counts.csv').",
            reason="long_table",
        )


def _refuse_totals(path: Path, header: list[str], row_names: list[str]) -> None:
    """`DataError` for a row or column that adds up the others: it would be a cell of its own."""
    columns, rows = (
        [name for name in names if _TOTAL.fullmatch(re.sub(r"[^a-z]", "", name.lower()))]
        for names in (header, row_names)
    )
    if columns or rows:
        raise DataError(
            f"{path.name}: a count table must hold counts of single cells and genes; found what "
            f"adds them up ({', '.join(map(repr, [*columns, *rows]))}). Remove it: "
            f"pandas.read_csv({path.name!r}, sep=None, engine='python', index_col=0)"
            f".drop(columns={columns!r}, index={rows!r}).to_csv('counts.csv').",
            reason="other_columns",
        )


def _refuse_other_columns(
    path: Path,
    dialect: Dialect,
    header: list[str],
    rows: list[tuple[int, list[str]]],
) -> None:
    """`DataError` that names the columns of words, and those of numbers that are no counts."""
    found = []
    for column, name in enumerate(header):
        values = [fields[column + 1] for _, fields in rows]
        words = sum(not _NUMBER_LIKE.fullmatch(value.strip()) for value in values)
        is_measure = _MEASURE.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower()))
        # Genes that are called like a measure have capitals only.
        if 2 * words > len(values) or (is_measure and (name != name.upper() or "_" in name)):
            found.append(name)
    # Where most are words, the values are in the way and not the columns.
    if not found or 2 * len(found) > len(header) > 20:
        return
    shown = ", ".join(map(repr, found[:8])) + (", …" if len(found) > 8 else "")
    dropped = f"[{', '.join(map(repr, found))}]" if len(found) <= 20 else "[…]"
    sep = "" if dialect.delimiter == "," else f", sep={dialect.delimiter!r}"
    sep += f", skiprows={dialect.n_before}" if dialect.n_before else ""
    raise DataError(
        f"{path.name}: a count table must hold counts alone; found {len(found)} other "
        f"{'column' if len(found) == 1 else 'columns'} ({shown}). Remove what is no count: "
        f"pandas.read_csv({path.name!r}, index_col=0{sep}).drop(columns={dropped})"
        f".to_csv('counts.csv').",
        reason="other_columns",
    )


def _survey(
    path: Path, dialect: Dialect
) -> tuple[list[str], list[str], list[tuple[int, list[str]]], list[float]]:
    """Column names, row names, the first rows, and the sum of each row's first values."""
    rows = _table_rows(path, dialect)
    header = next(rows)[1]
    names: list[str] = []
    first: list[tuple[int, list[str]]] = []
    sums: list[float] = []
    for number, fields in rows:
        names.append(fields[0])
        if len(first) < SAMPLED_ROWS:
            first.append((number, fields))
        sums.append(_sum(dialect, fields[1 : SAMPLED_ROWS + 1]))
    return header, names, first, sums


def _sum(dialect: Dialect, fields: list[str]) -> float:
    try:
        return float(np.array(dialect.plain_numbers(fields), dtype=np.float64).sum())
    except ValueError:
        # Named with row and column where the values are read.
        return 0.0


def _entries(path: Path, dialect: Dialect, genes_first: bool) -> Iterator[Entries]:
    rows = _table_rows(path, dialect)
    header = next(rows)[1]
    n_rows = max(1, READ_VALUES // max(len(header), 1))
    held: list[np.ndarray] = []
    start = 0
    for number, fields in rows:
        held.append(_numbers(path, number, fields, header, dialect))
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


def _table_rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The header without its corner, then (line number, fields) of each row, all of one width."""
    with open_text(path) as stream:
        before = dialect.n_before
        for _ in range(before):
            next(stream)
        reader = dialect.reader(stream)
        try:
            header: list[str] = next(reader, [])
            second: list[str] = next(reader, [])
            # R writes no field above the row names.
            header = header[1:] if len(second) == len(header) else header
            width = len(header) + 1
            # A separator at the end of each row makes columns of nothing.
            while len(header) > 1 and not header[-1].strip():
                header.pop()
            n_kept = len(header) + 1
            yield before + 1, header
            for fields in chain([second], reader):
                if not fields:
                    continue
                number = before + (2 if fields is second else reader.line_num)
                if len(fields) != width:
                    raise DataError(
                        f"{path.name}, row {number}: each row must have {width} fields; "
                        f"found {len(fields)}. The file is cut off or damaged: write it again.",
                        reason="truncated",
                    )
                if width > n_kept and any(field.strip() for field in fields[n_kept:]):
                    raise DataError(
                        f"{path.name}, row {number}: each column must have a name in the first "
                        f"line; found a value in column {n_kept + 1}, which has none. Name it "
                        "there, or remove it.",
                        reason="not_counts",
                    )
                yield number, fields[:n_kept]
        except csv.Error as error:
            raise DataError(
                f"{path.name}, row {before + reader.line_num}: the line must be a row of a table "
                f"{dialect}; {error}. Write it again from the source.",
                reason="unreadable",
            ) from error


def _numbers(
    path: Path, number: int, fields: list[str], header: list[str], dialect: Dialect
) -> np.ndarray:
    try:
        return np.array(dialect.plain_numbers(fields[1:]), dtype=np.float64)
    except ValueError:
        bad = next(k for k, value in enumerate(fields[1:]) if not _is_number(dialect, value))
        value = fields[bad + 1]
        if dialect.decimal == "," and re.fullmatch(r"[\d,.]+", value):
            fix = "Write it without a comma: it may be a decimal or a thousand."
        elif re.fullmatch(r"\d{1,3}(?:,\d{3})+", value):
            fix = f"Write numbers without commas: {value.replace(',', '')}."
        elif value.strip().lower() in ("", "na", "n/a", "null", "none", "-"):
            fix = "Write 0 where nothing was counted."
        elif not any(_is_number(dialect, other) for other in fields[1:]):
            fix = (
                "No value of the row is a plain number: write them so, or remove the row where it "
                "tells something else, such as units."
            )
        else:
            fix = "Correct the value."
        raise DataError(
            f"{path.name}, row {number}, column {header[bad]!r}: each count must be a number; "
            f"found {value!r}. {fix}",
            reason="not_counts",
        ) from None


def _is_number(dialect: Dialect, text: str) -> bool:
    try:
        float(dialect.plain_numbers([text])[0])
    except ValueError:
        return False
    return True
