"""Reader of 10x matrix folders: barcodes.tsv, features.tsv (or genes.tsv), matrix.mtx; gzip or not.

How the three files are found and the two lists are read: `pmcell.io.submitted.matrix_folder`; those
of several samples: `pmcell.io.submitted.sample_folders`.
Which side the genes are on is told by the lists' lengths, of a square matrix by its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError
from pmcell.io.entries import Entries, blocks_from_entries, check_range
from pmcell.io.submitted import tenx_h5
from pmcell.io.submitted.matrix_folder import find_parts, read_list
from pmcell.io.submitted.preflight import preflight
from pmcell.io.submitted.sample_folders import H5, find_samples, join_samples
from pmcell.io.submitted.square_mtx import orientation_of_square
from pmcell.io.submitted.submission import Submission, summarise
from pmcell.io.textfile import open_text

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp

READ_LINES = 2_000_000
SAMPLED_LINES = 200_000
MIN_BYTES_PER_ENTRY = 4
GZIP_MAX_RATIO = 1032
CELL_RANGER = "%metadata_json"
"""How Cell Ranger's comment begins. It writes genes × cells, and who turns a matrix loses it."""


def inspect(path: Path, orientation: str = "auto") -> Submission:
    """Barcodes, features (index: feature id) and a summary; see `readers.inspect`."""
    samples = find_samples(path)
    if not samples:
        return _inspect(path, find_parts(path), orientation)
    read = {name: _inspect(path, parts, orientation) for name, parts in samples.items()}
    return join_samples(path, read)


def _inspect(path: Path, parts: Mapping[str, Path], orientation: str) -> Submission:
    import pandas as pd

    if H5 in parts:
        preflight(parts[H5], "10x_h5")
        return tenx_h5.inspect(parts[H5])
    matrix = parts["matrix"]
    n_rows, n_columns, n_stored, field, is_of_cell_ranger = _header(matrix)
    barcodes = [row[0] for row in read_list(parts["barcodes"], (n_rows, n_columns))]
    var = _features(read_list(parts["features"], (n_rows, n_columns)))
    genes_by_cells = (n_rows, n_columns) == (len(var), len(barcodes))
    if not genes_by_cells and (n_rows, n_columns) != (len(barcodes), len(var)):
        raise DataError(
            f"{matrix.name}: the matrix must have {len(var)} rows (lines of "
            f"{parts['features'].name}) × {len(barcodes)} columns (lines of "
            f"{parts['barcodes'].name}); it declares {n_rows} × {n_columns}."
            f"{_first_lines(parts, barcodes, var, (n_rows, n_columns))} "
            "Else the files do not belong together: copy them again.",
            reason="shape_mismatch",
        )
    _check_declared(matrix, n_rows, n_columns, n_stored)
    detail = {
        "matrix": matrix,
        "n_stored": n_stored,
        "genes_by_cells": genes_by_cells,
        "field": field,
    }
    if n_rows == n_columns:
        detail["orientation"] = _orientation(parts, var, detail, orientation, is_of_cell_ranger)
        detail["genes_by_cells"] = detail["orientation"] == "genes_by_cells"
    shape = (len(barcodes), len(var))
    values, by_cell = _sample(matrix, detail)
    dtype = np.dtype("int64" if field == "integer" else "float64")
    summary = summarise("X", dtype, shape, n_stored, values, by_cell=by_cell)
    obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
    return Submission(path, "10x_mtx", obs, var, {"X": summary}, detail=detail)


def iter_counts(
    submission: Submission, layer: str, max_values: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """CSR blocks of all cells; see `pmcell.io.submitted.readers.iter_counts`."""
    n_before = 0
    for one in _samples(submission):
        yield from _blocks(one, layer, max_values, n_before)
        n_before += one.n_cells


def _samples(submission: Submission) -> list[Submission]:
    """The submission of each sample of a folder, which is itself where it is of one."""
    return list(submission.detail.get("samples", {"": submission}).values())


def _blocks(
    submission: Submission, layer: str, max_values: int, n_before: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    detail = submission.detail
    if submission.format == "10x_h5":
        blocks = tenx_h5.iter_counts(submission, layer, max_values)
        yield from ((n_before + start, block) for start, block in blocks)
        return
    blocks = blocks_from_entries(
        lambda: _entries(detail["matrix"], detail),
        submission.summary_of(layer).shape,
        max_values=max_values,
        file=detail["matrix"].name,
    )
    yield from ((n_before + start, block) for start, block in blocks)


def sample_umis(submission: Submission, layer: str) -> np.ndarray | None:
    """Counts of each feature in the first cells; see `pmcell.io.submitted.readers.sample_umis`."""
    submission.summary_of(layer)
    found = [
        tenx_h5.sample_umis(one, layer) if one.format == "10x_h5" else _sampled_umis(one)
        for one in _samples(submission)
    ]
    told = [umis for umis in found if umis is not None]
    return np.sum(told, axis=0) if len(told) == len(found) else None


def _sampled_umis(submission: Submission) -> np.ndarray | None:
    detail = submission.detail
    for cells, genes, values in _entries(detail["matrix"], detail, SAMPLED_LINES):
        if np.any(np.diff(cells) < 0):
            return None
        check_range(genes, submission.n_genes, file=detail["matrix"].name, axis="gene")
        return np.bincount(genes, weights=values, minlength=submission.n_genes)
    return np.zeros(submission.n_genes)


def is_compressed(submission: Submission, layer: str) -> bool:
    """Whether the matrix is compressed; see `pmcell.io.submitted.readers.is_compressed`."""
    return all(
        tenx_h5.is_compressed(one, layer)
        if one.format == "10x_h5"
        else one.detail["matrix"].name.endswith(".gz")
        for one in _samples(submission)
    )


def _features(rows: list[list[str]]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, list[str]] = {}
    for position, column in ((1, "symbol"), (2, "feature_types")):
        if rows and all(len(row) > position for row in rows):
            columns[column] = [row[position] for row in rows]
    return pd.DataFrame(columns, index=pd.Index([row[0] for row in rows], dtype=object))


def _orientation(
    parts: Mapping[str, Path],
    var: pd.DataFrame,
    detail: Mapping[str, Any],
    orientation: str,
    is_of_cell_ranger: bool,
) -> str:
    """How a square matrix lies: as its registration says, else as its values tell."""
    if orientation != "auto":
        return orientation
    matrix = parts["matrix"]
    symbols = var.get("symbol", var.index)
    stored = ((rows, columns, values) for columns, rows, values in _entries(matrix, detail))
    told = orientation_of_square(symbols.tolist(), stored)
    if told is None and is_of_cell_ranger:
        return "genes_by_cells"
    if told is None:
        raise DataError(
            f"{matrix.name}: one side must be the genes of {parts['features'].name}, the other the "
            f"cells of {parts['barcodes'].name}; both have {len(var)} lines, and the values do not "
            "tell which. Set matrix.orientation in cohort.yaml to genes_by_cells, as Cell Ranger "
            "writes it, or cells_by_genes.",
            reason="ambiguous_orientation",
        )
    return told


def _first_lines(
    parts: Mapping[str, Path], barcodes: list[str], var: pd.DataFrame, declared: tuple[int, int]
) -> str:
    """The first line of each list that has one line too many: it may be a header."""
    lists = (("features", list(var.index)), ("barcodes", barcodes))
    return "".join(
        f" Is the first line of {parts[kind].name}, {names[0]!r}, a header? Remove it."
        for kind, names in lists
        if len(names) - 1 in declared and len(names) not in declared
    )


def _header(path: Path) -> tuple[int, int, int, str, bool]:
    with open_text(path) as stream:
        banner = stream.readline(1024).lower().split()
        if len(banner) != 5 or banner[:3] != ["%%matrixmarket", "matrix", "coordinate"]:
            found = " ".join(banner)[:60]
            raise _malformed(
                path, f"the first line '%%MatrixMarket matrix coordinate …', found {found!r}"
            )
        field, symmetry = banner[3:]
        if field not in ("integer", "real") or symmetry != "general":
            raise _malformed(
                path, f"integer or real values in general layout, found {field} {symmetry}"
            )
        line = stream.readline(2**16)
        is_of_cell_ranger = False
        while line.startswith("%") or line.strip() == "" != line:
            is_of_cell_ranger |= line.startswith(CELL_RANGER)
            line = stream.readline(2**16)
    sizes = line.split()
    if len(sizes) != 3 or not all(size.isdigit() and len(size) < 19 for size in sizes):
        raise _malformed(path, f"a line 'rows columns entries', found {line.strip()[:60]!r}")
    return int(sizes[0]), int(sizes[1]), int(sizes[2]), field, is_of_cell_ranger


def _check_declared(path: Path, n_rows: int, n_columns: int, n_stored: int) -> None:
    size = path.stat().st_size * (GZIP_MAX_RATIO if path.name.endswith(".gz") else 1)
    if n_stored > n_rows * n_columns or n_stored * MIN_BYTES_PER_ENTRY > size:
        raise DataError(
            f"{path.name}: the file must hold the {n_stored} entries that it declares; its size "
            "is too "
            "small for them. Copy it again from the source.",
            reason="bomb",
        )


def _entries(path: Path, detail: Any, n_lines: int | None = None) -> Iterator[Entries]:
    import pandas as pd

    n_read = 0
    with open_text(path) as stream:
        stream.readline()
        line = stream.readline(2**16)
        while line.startswith("%") or line.strip() == "" != line:
            line = stream.readline(2**16)
        try:
            chunks = pd.read_csv(
                stream,
                sep=r"\s+",
                header=None,
                names=("row", "column", "value"),
                dtype={"row": np.int64, "column": np.int64, "value": np.float64},
                na_filter=False,
                index_col=False,
                chunksize=n_lines or READ_LINES,
                nrows=n_lines,
                engine="c",
            )
            for chunk in chunks:
                n_read += len(chunk)
                rows, columns = chunk["row"].to_numpy() - 1, chunk["column"].to_numpy() - 1
                cells, genes = (columns, rows) if detail["genes_by_cells"] else (rows, columns)
                yield cells, genes, chunk["value"].to_numpy()
        except pd.errors.EmptyDataError:
            pass
        except (pd.errors.ParserError, ValueError) as error:
            raise _malformed(path, f"lines 'row column value' of numbers ({error})") from error
    if n_lines is None and n_read != detail["n_stored"]:
        raise DataError(
            f"{path.name}: the file must hold the {detail['n_stored']} entries that it declares; "
            "found "
            f"{n_read}. It is cut off or damaged: copy it again.",
            reason="truncated",
        )


def _sample(path: Path, detail: Any) -> tuple[list[np.ndarray], bool]:
    for cells, _, values in _entries(path, detail, SAMPLED_LINES):
        in_order = bool(np.all(np.diff(cells) >= 0))
        changes = np.flatnonzero(np.diff(cells)) + 1
        return (np.split(values, changes), True) if in_order else ([values], False)
    return [], True


def _malformed(path: Path, must: str) -> DataError:
    return DataError(
        f"{path.name}: a Matrix Market file must have {must}. Write it again from the source.",
        reason="unreadable",
    )
