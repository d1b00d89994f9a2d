"""Formats that people hand over and pmcell does not read: how to know and convert them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pmcell.errors import DataError

_PYTHON = "In Python: "
_R = "In R: "
_SEURAT = (
    f"{_R}library(anndataR); write_h5ad(as_AnnData(object), 'counts.h5ad') for a Seurat or "
    "SingleCellExperiment object that was read with readRDS()."
)
CONVERSIONS: dict[str, tuple[str, str]] = {
    ".loom": (
        "a loom file",
        f"{_PYTHON}anndata.io.read_loom({{name!r}}, X_name='', var_names='Gene').write_h5ad("
        "'counts.h5ad') (needs the package loompy).",
    ),
    ".h5mu": (
        "a MuData file of several modalities",
        f"{_PYTHON}mudata.read_h5mu({{name!r}})['rna'].write_h5ad('counts.h5ad').",
    ),
    ".h5seurat": (
        "a SeuratDisk file",
        f"{_R}SeuratDisk::Convert({{name!r}}, dest = 'h5ad').",
    ),
    ".rds": ("an R object", _SEURAT),
    ".rda": ("R objects", _SEURAT),
    ".rdata": ("R objects", _SEURAT),
    ".qs": ("an R object", _SEURAT.replace("readRDS", "qs::qread")),
    ".xlsx": (
        "a spreadsheet",
        "Spreadsheets change names of genes (SEPT2 to 2-Sep): get the table it was made from, as "
        "CSV or h5ad; else save it as CSV.",
    ),
    ".mtx": (
        "a Matrix Market file alone",
        "Put it into one folder with its lists, named matrix.mtx, barcodes.tsv and features.tsv, "
        "and give that folder.",
    ),
    ".parquet": (
        "a Parquet table",
        f"{_PYTHON}pandas.read_parquet({{name!r}}).to_csv('counts.csv'), names of genes or cells "
        "as its index.",
    ),
    ".feather": (
        "a Feather table",
        f"{_PYTHON}pandas.read_feather({{name!r}}).to_csv('counts.csv').",
    ),
    ".npz": (
        "a NumPy archive",
        f"{_PYTHON}anndata.AnnData(scipy.sparse.load_npz({{name!r}}), obs=…, var=…).write_h5ad("
        "'counts.h5ad'), with the tables of cells and genes.",
    ),
    ".pkl": (
        "a pickled Python object",
        "A pickle can run code: write the AnnData as h5ad where it came from, adata.write_h5ad().",
    ),
    ".cloupe": (
        "a Loupe file",
        "Give Cell Ranger's filtered_feature_bc_matrix.h5 of the same run.",
    ),
    ".tar": ("an archive", "Unpack it (tar -xf {name!r}), and give the file or folder inside."),
    ".fastq": ("reads, not counts", "Count them first, with Cell Ranger, STARsolo or alevin-fry."),
    ".bam": ("reads, not counts", "Count them first, with Cell Ranger, STARsolo or alevin-fry."),
}
"""By the ending of the name: what the file is, and how to make one that is read of it."""
_SAME = {".tgz": ".tar", ".xls": ".xlsx", ".ods": ".xlsx", ".robj": ".rda", ".pickle": ".pkl"}
_PACKED = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}
_ONLY_PLAIN = (".h5ad", ".h5", ".zarr", ".zip")


def refuse_other(path: Path) -> None:
    """`DataError` for a file whose name says that it is packed or of a format that is not read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    before = suffixes[-2] if len(suffixes) > 1 else ""
    if before == ".tar":
        last = ".tar"
    elif last in _PACKED and (before in _ONLY_PLAIN or last != ".gz"):
        unpacked = path.name.removesuffix(path.suffix)
        raise _refusal(
            path, "a packed file", f"Unpack it, {_PACKED[last]} {path.name}, and give {unpacked}."
        )
    elif last == ".gz":
        last = before
    kind = CONVERSIONS.get(_SAME.get(last, last))
    if kind is not None:
        raise _refusal(path, kind[0], kind[1].format(name=path.name))


def what_hdf5_is(names: Iterable[str]) -> str:
    """The format of an HDF5 file by the names at its root: a format of ours, an ending, or ''."""
    found = set(names)
    if {"obs", "var"} <= found and "mod" in found:
        return ".h5mu"
    for needed, kind in (
        ({"obs", "var"}, "h5ad"),
        ({"row_attrs", "col_attrs"}, ".loom"),
        ({"assays"}, ".h5seurat"),
        ({"mod"}, ".h5mu"),
    ):
        if needed <= found:
            return kind
    return ""


def other_hdf5(path: Path, names: Iterable[str], *, is_10x: bool, wanted: str) -> DataError | None:
    """The error for an HDF5 file of another format than `wanted`, if it is one that is known."""
    kind = "10x_h5" if is_10x else what_hdf5_is(names)
    if kind in ("", wanted):
        return None
    if kind in CONVERSIONS:
        what, how = CONVERSIONS[kind]
        return _refusal(path, what, how.format(name=path.name))
    what = {"h5ad": "AnnData", "10x_h5": "a matrix of Cell Ranger"}[kind]
    return DataError(
        f"{path.name}: a file of format {wanted} must be one; found {what}. Set matrix.format in "
        f"cohort.yaml to {kind}.",
        reason=f"not_{wanted.removesuffix('_h5')}",
    )


def _refusal(path: Path, what: str, how: str) -> DataError:
    return DataError(
        f"{path.name}: the matrix must be AnnData (h5ad, zarr), Cell Ranger's h5 or mtx folder, or "
        f"a text table; found {what}. {how}",
        reason="format_not_read",
    )
