"""Find the three files of a 10x matrix folder and read its two lists, however they were written.

The names may have a prefix (`GSM123_barcodes.tsv.gz`, as in GEO) or something behind them
(`barcodes_S1.tsv`). What macOS leaves behind is not looked at.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pmcell.errors import DataError
from pmcell.io.submitted.containers import refuse_bpcells
from pmcell.io.submitted.preflight import preflight
from pmcell.io.textfile import open_text

KINDS = {
    "barcodes": ("barcodes.tsv", re.compile(r"(?:^|.*[_.-])(?:barcodes|cells)(?:[_.-].*)?\.tsv")),
    "features": (
        "features.tsv or genes.tsv",
        re.compile(r"(?:^|.*[_.-])(?:features|genes)(?:[_.-].*)?\.tsv"),
    ),
    "matrix": ("matrix.mtx", re.compile(r"(?:^|.*[_.-])matrix(?:[_.-].*)?\.mtx")),
}
"""What each of the three files is called, and the form of its name without .gz."""
_PARTS = frozenset({"spliced", "unspliced", "ambiguous"})
"""Names of matrices that hold a part of the counts."""
_OF_OTHER_TOOLS = {
    "cells_x_genes.barcodes.txt": "barcodes.tsv",
    "cells_x_genes.genes.txt": "features.tsv",
    "cells_x_genes.mtx": "matrix.mtx",
    "quants_mat_rows.txt": "barcodes.tsv",
    "quants_mat_cols.txt": "features.tsv",
    "quants_mat.mtx": "matrix.mtx",
    "uniqueandmult-em.mtx": "matrix.mtx",
    "uniqueandmult-uniform.mtx": "matrix.mtx",
}
"""Names that kb count, alevin-fry and STARsolo give the three files, and what they are here."""
MAX_SHOWN, MAX_DEPTH, MAX_LOOKED_AT = 6, 10, 2000
"""Folders that a message lists, how deep they are looked for, and in how many."""
_HEADERS = frozenset(
    [
        "x",
        "v1",
        "barcode",
        "barcodes",
        "cell",
        "cells",
        "cellid",
        "cellids",
        "cellbarcode",
        "cellbarcodes",
        "gene",
        "genes",
        "geneid",
        "geneids",
        "genename",
        "genenames",
        "genesymbol",
        "genesymbols",
        "symbol",
        "symbols",
        "feature",
        "features",
        "featureid",
        "featureids",
        "featurename",
        "id",
        "ids",
        "index",
        "name",
        "names",
        "rownames",
        "colnames",
        "ensembl",
        "ensemblid",
    ]
)
"""First fields of lines that are no entry, letters and digits only."""


def folder_files(folder: Path) -> list[Path]:
    """The folder's files, without those that macOS and Windows leave behind."""
    return sorted(
        item
        for item in folder.iterdir()
        if not item.name.startswith(".") and item.name not in ("__MACOSX", "Thumbs.db")
    )


def find_parts(folder: Path) -> dict[str, Path]:
    """The files `barcodes`, `features` and `matrix`; `DataError` says what is missing."""
    files = folder_files(folder)
    refuse_bpcells(folder, (item.name for item in files))
    found = {
        kind: [item for item in files if form.fullmatch(item.name.lower().removesuffix(".gz"))]
        for kind, (_, form) in KINDS.items()
    }
    several = {kind: items for kind, items in found.items() if len(items) > 1}
    if several:
        listed = ", ".join(item.name for items in several.values() for item in items)
        packed = [item.name for items in several.values() for item in items if _is_packed(item)]
        fix = (
            f"Keep one of each pair, for example without {', '.join(packed)}."
            if packed
            else "Put the three files of each sample in a folder of its own."
        )
        raise DataError(
            f"{folder.name}: the folder must hold one file of each kind; found {listed}. {fix}",
            reason="ambiguous_files",
        )
    missing = [KINDS[kind][0] for kind, items in found.items() if not items]
    if missing:
        raise DataError(
            f"{folder.name}: the folder must hold {_listed([name for name, _ in KINDS.values()])} "
            f"(.gz or not, a prefix before the name); found "
            f"{', '.join(item.name for item in files[:12]) or 'nothing'}, so "
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing. "
            f"{_what_helps(folder, files)}",
            reason="file_missing",
        )
    for items in found.values():
        preflight(items[0], "text")
    return {kind: items[0] for kind, items in found.items()}


def _is_packed(item: Path) -> bool:
    """Whether a file is the packed copy of another one beside it."""
    return item.suffix == ".gz" and item.with_suffix("").exists()


def read_list(path: Path, n_declared: tuple[int, int]) -> list[list[str]]:
    """The rows of a list of barcodes or features, as lists of fields.

    Fields lie between tabs, or between commas or spaces where write.table wrote them; quotes,
    numbers of rows and a header are no part of them. A header is only taken off where the list
    has one row more than either side of the matrix, `n_declared`.
    """
    with open_text(path) as stream:
        lines = [line for line in stream.read().splitlines() if line.strip()]
    rows = _cut(lines)
    if len(rows) - 1 in n_declared and len(rows) not in n_declared and _is_header(rows[0]):
        rows = rows[1:]
    numbered = len(rows) > 1 and all(
        len(row) > 1 and row[0] == str(number) for number, row in enumerate(rows, 1)
    )
    return [row[1:] for row in rows] if numbered else rows


def _cut(lines: list[str]) -> list[list[str]]:
    is_quoted = bool(lines) and all(line.lstrip().startswith('"') for line in lines)
    if any("\t" in line for line in lines):
        delimiter = "\t"
    elif is_quoted and any('" ' in line for line in lines):
        delimiter = " "
    elif len({line.count(",") for line in lines}) == 1 and "," in lines[0]:
        delimiter = ","
    else:
        delimiter = "\t"
    if is_quoted or delimiter != "\t":
        reader = csv.reader(lines, delimiter=delimiter)
    else:
        # A quote of its own is part of a name.
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return [row for row in reader if row]


def _is_header(row: list[str]) -> bool:
    return all(re.sub(r"[^a-z0-9]", "", field.lower()) in _HEADERS | {""} for field in row)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _what_helps(folder: Path, files: list[Path]) -> str:
    names = {item.name.lower().removesuffix(".gz") for item in files}
    if {"all_genes.csv", "cell_metadata.csv"} <= names:
        matrix = next(
            (n for n in ("count_matrix.mtx", "dge.mtx") if n in names), "count_matrix.mtx"
        )
        return (
            "This is the output of Parse's split-pipe; write it as h5ad: import anndata, pandas, "
            f"scipy.io; genes = pandas.read_csv('all_genes.csv'); cells = "
            f"pandas.read_csv('cell_metadata.csv', index_col=0); anndata.AnnData("
            f"scipy.io.mmread('{matrix}').tocsr(), obs=cells, "
            "var=genes.set_index('gene_id')).write_h5ad('counts.h5ad')."
        )
    found = folders_with_a_matrix(folder) or []
    called = [path for path in found if not any("raw" in part.lower() for part in path)]
    within = ["/".join(path) for path in called or found]
    if len(within) == 1:
        return f"Give the folder that holds them: {folder.name}/{within[0]}."
    if within:
        listed = ", ".join(f"{folder.name}/{item}" for item in within[:MAX_SHOWN])
        more = ", …" if len(within) > MAX_SHOWN else ""
        return f"Give one of the folders that hold them: {listed}{more}."
    if h5 := [item.name for item in files if item.name.lower().endswith(".h5")]:
        return f"Give the file itself: {folder.name}/{h5[0]}."
    tables = [
        item.name for item in files if re.search(r"\.(mtx|tsv|txt|csv)(\.gz)?$", item.name.lower())
    ]
    known = {item.name: _OF_OTHER_TOOLS.get(item.name.lower()) for item in files}
    if len({name.partition(".")[0].lower() for name in known} & _PARTS) > 1:
        return (
            "These are parts of the counts, for velocities; none alone is taken for them. Give the "
            "folder with all counts of the run, such as STARsolo's Gene/filtered or "
            "GeneFull/filtered, or write their sum as h5ad."
        )
    if moves := [f"mv {name} {new}" for name, new in known.items() if new]:
        return f"In the folder: {' && '.join(moves)}"
    if tables:
        return "Rename each file to the name of what it holds, or write the matrix as h5ad."
    return "Give the folder that Cell Ranger or STARsolo wrote, or the file itself."


def folders_with_a_matrix(
    folder: Path, *, most: int = MAX_LOOKED_AT
) -> list[tuple[str, ...]] | None:
    """Paths below a folder of those that hold a matrix; None where more than `most` lie there."""
    return paths_below(folder, lambda items: [()] if has_matrix(items) else [], most=most)


def paths_below(
    folder: Path,
    found_in: Callable[[list[Path]], list[tuple[str, ...]]],
    *,
    most: int = MAX_LOOKED_AT,
) -> list[tuple[str, ...]] | None:
    """Paths of what `found_in` finds among the items of each folder below, sorted.

    Nothing is looked for below where something was found. None where more than `most` folders
    lie there.
    """
    found: list[tuple[str, ...]] = []
    below: list[tuple[Path, tuple[str, ...]]] = [(folder, ())]
    n_looked_at = 0
    while below:
        if n_looked_at == most:
            return None
        here, path = below.pop(0)
        n_looked_at += 1
        items = folder_files(here)
        own = found_in(items) if path else []
        found += [(*path, *one) for one in own]
        if not own and len(path) < MAX_DEPTH:
            below += [
                (item, (*path, item.name))
                for item in items
                if item.is_dir() and not item.is_symlink()
            ]
    return sorted(found)


def has_matrix(items: Sequence[Path]) -> bool:
    """Whether a Matrix Market file is among the items of a folder."""
    return any(item.name.lower().removesuffix(".gz").endswith(".mtx") for item in items)
