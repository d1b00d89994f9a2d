"""Open the submitted matrix of a cohort, with the table beside it that says more of each cell.

Pools that were told apart by another program, and lanes without any metadata, have donors and
samples in a table by barcode. `pmcell register --cells` writes it as cells.tsv into the cohort's
folder; from there it is joined to the cells wherever the matrix is opened.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from pmcell.errors import DataError
from pmcell.io.submitted import readers
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.registered import leads_to
from pmcell.registry.cohorts.registration import Matrix
from pmcell.registry.terms.genes import share_known
from pmcell.schema.text import as_text

MAX_BYTES = 1_000_000_000
BARCODE = "barcode"


def open_matrix(matrix: Matrix) -> Submission:
    """What the submitted file holds, its cells with the columns of their table; `DataError`."""
    submission = readers.inspect(
        matrix.path, matrix.format, orientation=matrix.orientation, looks_like_genes=share_known
    )
    return submission if matrix.cells is None else join_cells(submission, matrix.cells)


def join_cells(submission: Submission, path: Path) -> Submission:
    """The submission with the columns of cells.tsv; of two columns of a name, the table's stays.

    Cells that the table does not name have no value in its columns.
    """
    import pandas as pd

    name = path.name
    if leads_to(path, [path.parent]) is not None:
        raise DataError(f"{name}: must lie in the cohort's folder; it is a link.", reason="outside")
    if not path.is_file():
        raise DataError(
            f"{name}: the table of cells must exist; there is no such file. Register it again with "
            "`pmcell register --cells TABLE`, or remove matrix.cells from cohort.yaml.",
            reason="file_missing",
        )
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{name}: must be below {MAX_BYTES:,} bytes.", reason="too_big")
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
        )
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(
            f"{name}: must be a tab-separated table in UTF-8; reading it failed ({error}). Write "
            "it again with `pmcell register --cells TABLE`.",
            reason="unreadable",
        ) from error
    if BARCODE not in table or len(table.columns) < 2 or not table[BARCODE].is_unique:
        raise DataError(
            f"{name}: must have a column {BARCODE!r}, each barcode once, and another column; found "
            f"{', '.join(map(str, table.columns))[:100]}. Write it again with `pmcell register "
            "--cells TABLE`.",
            reason="column_missing",
        )
    known = as_text(submission.obs.index)
    by_barcode = table.set_index(BARCODE)
    if not known.isin(by_barcode.index).any():
        raise DataError(
            f"{name}: must name cells of {submission.path.name}; none of its {len(table):,} "
            f"barcodes ({table[BARCODE].iloc[0]!r}, …) is one of the file's, such as {known[0]!r}.",
            reason="ids_differ",
        )
    joined = by_barcode.reindex(known, fill_value="")
    obs = submission.obs.copy()
    for column in joined.columns:
        obs[column] = joined[column].to_numpy()
    return replace(submission, obs=obs)
