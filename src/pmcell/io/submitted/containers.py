"""Formats that people hand over and pmcell does not read: how to know and convert them."""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pmcell.errors import DataError

_PYTHON = "In Python: "
_R = "In R: "
_SEURAT = (
    f"{_R}library(anndataR); write_h5ad(as_AnnData(object), 'counts.h5ad') for a Seurat or "
    "SingleCellExperiment object that was read with readRDS()."
)
_NO_MATRIX = "Ask whoever made it for the counts themselves: h5ad, Cell Ranger's h5 or mtx folder."
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
    ".rda": ("R objects", _SEURAT.replace("readRDS", "load")),
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
    ".mat": (
        "a MATLAB file",
        f"{_PYTHON}scipy.io.loadmat({{name!r}}) (of version 7.3: h5py.File({{name!r}})) holds its "
        "arrays; anndata.AnnData(counts, obs=…, var=…).write_h5ad('counts.h5ad'), with the tables "
        "of cells and genes.",
    ),
    ".gef": ("a Stereo-seq file", f"{_PYTHON}stereo.io.stereo_to_anndata(…) writes h5ad."),
    ".7z": ("an archive", "Unpack it (7z x {quoted}), and give the file or folder inside."),
    ".rar": ("an archive", "Unpack it (unrar x {quoted}), and give the file or folder inside."),
    ".pdf": ("a document", _NO_MATRIX),
    ".sqlite": ("a database", _NO_MATRIX),
    ".json": ("JSON", _NO_MATRIX),
    ".html": ("a web page", _NO_MATRIX),
    ".png": ("a picture", _NO_MATRIX),
    ".tar": ("an archive", "Unpack it (tar -xf {quoted}), and give the file or folder inside."),
    ".fastq": ("reads, not counts", "Count them first, with Cell Ranger, STARsolo or alevin-fry."),
    ".bam": ("reads, not counts", "Count them first, with Cell Ranger, STARsolo or alevin-fry."),
}
"""By the ending of the name: what the file is, and how to make one that is read of it."""
MOLECULES, BPCELLS = "molecules", "BPCells"
_BPCELLS_FILES = {"version", "shape", "row_names", "col_names"}
_BY_CONTENT = {
    MOLECULES: (
        "Cell Ranger's list of molecules",
        "Give filtered_feature_bc_matrix.h5, which lies beside it.",
    ),
    BPCELLS: (
        "a matrix of BPCells",
        f"{_R}BPCells::write_matrix_anndata_hdf5(BPCells::open_matrix_dir({{name!r}}), "
        "'counts.h5ad').",
    ),
}
"""What is told by what it holds, whatever its name is."""
_SAME = {
    ".tgz": ".tar",
    ".rdata": ".rda",
    ".xls": ".xlsx",
    ".ods": ".xlsx",
    ".robj": ".rda",
    ".pickle": ".pkl",
    ".qs2": ".qs",
    ".arrow": ".feather",
    ".ipc": ".feather",
    ".loupe": ".cloupe",
    ".vloupe": ".cloupe",
    ".cram": ".bam",
    ".sam": ".bam",
    ".fq": ".fastq",
    ".docx": ".pdf",
    ".doc": ".pdf",
    ".pptx": ".pdf",
    ".db": ".sqlite",
    ".htm": ".html",
    ".jpg": ".png",
    ".tif": ".png",
    ".tiff": ".png",
}
_PACKED = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}
_ONLY_PLAIN = (".h5ad", ".h5", ".zarr", ".zip")

_CONTENTS = (
    (
        re.compile(rb"version https://git-lfs"),
        (
            "a pointer of Git LFS, not the file",
            "Get the file itself: git lfs pull --include {quoted} in its repository.",
        ),
    ),
    (
        re.compile(rb"\S*/annex/objects/"),
        ("a pointer of git-annex, not the file", "Get the file itself: git annex get {quoted}."),
    ),
    (
        re.compile(rb"\s*<(?:!doctype html|html|\?xml)", re.IGNORECASE),
        (
            "a web page",
            "The download was answered with a page, perhaps for a login: open {name!r} in a "
            "browser, and download the file again.",
        ),
    ),
    (re.compile(rb"RD[XA][23]\n"), CONVERSIONS[".rda"]),
    (re.compile(rb"X\n\0\0\0[\x02\x03]|A\n[23]\n"), CONVERSIONS[".rds"]),
    (re.compile(rb"PAR1"), CONVERSIONS[".parquet"]),
    (re.compile(rb"ARROW1"), CONVERSIONS[".feather"]),
    (re.compile(rb"\x93NUMPY"), CONVERSIONS[".npz"]),
)
"""First bytes, unpacked, that tell what a file is, whatever it is called."""
HEAD = 512


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
            path,
            "a packed file",
            f"Unpack it, {_PACKED[last]} {shlex.quote(path.name)}, and give {unpacked}.",
        )
    elif last == ".gz":
        last = before
    kind = CONVERSIONS.get(_SAME.get(last, last))
    if kind is not None:
        raise _of_kind(path, kind)


def other_content(path: Path, *, is_text: bool) -> DataError | None:
    """The error for a file whose first bytes say that it is no matrix, whatever its name says."""
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if head.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):  # Damage is named where the whole file is read.
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD)
        if not is_text and head.startswith(b"\x89HDF"):
            name = path.name if path.suffix == ".gz" else f"{path.name}.gz"
            moved = "" if name == path.name else f"mv {{quoted}} {shlex.quote(name)} && "
            return _of_kind(path, ("a packed file", f"{moved}gunzip {shlex.quote(name)}"))
    for form, kind in _CONTENTS:
        if form.match(head):
            return _of_kind(path, kind)
    return None


def refuse_bpcells(folder: Path, names: Iterable[str]) -> None:
    """`DataError` for a folder that BPCells wrote, by the names in it."""
    if set(names) >= _BPCELLS_FILES:
        raise _of_kind(folder, _BY_CONTENT[BPCELLS])


def what_hdf5_is(names: Iterable[str]) -> str:
    """The format of an HDF5 file by the names at its root: a format of ours, an ending, or ''."""
    found = set(names)
    if {"obs", "var"} <= found and "mod" in found:
        return ".h5mu"
    if {"barcode_idx", "feature_idx"} <= found:
        return MOLECULES
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
    if kind in CONVERSIONS or kind in _BY_CONTENT:
        return _of_kind(path, {**CONVERSIONS, **_BY_CONTENT}[kind])
    what = {"h5ad": "AnnData", "10x_h5": "a matrix of Cell Ranger"}[kind]
    return DataError(
        f"{path.name}: a file of format {wanted} must be one; found {what}. Set matrix.format in "
        f"cohort.yaml to {kind}.",
        reason=f"not_{wanted.removesuffix('_h5')}",
    )


def _of_kind(path: Path, kind: tuple[str, str]) -> DataError:
    """The error for a file of a known kind, with the way to convert it."""
    what, how = kind
    return _refusal(path, what, how.format(name=path.name, quoted=shlex.quote(path.name)))


def _refusal(path: Path, what: str, how: str) -> DataError:
    return DataError(
        f"{path.name}: the matrix must be AnnData (h5ad, zarr), Cell Ranger's h5 or mtx folder, or "
        f"a text table; found {what}. {how}",
        reason="format_not_read",
    )
