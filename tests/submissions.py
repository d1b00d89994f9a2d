"""Write tiny submissions of every format, for the tests of reading and intake."""

from __future__ import annotations

import gzip
import shutil
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES = [
    "CD3E",
    "MS4A1",
    "LYZ",
    "NKG7",
    "ACTB",
    "B2M",
    "GAPDH",
    "MALAT1",
    "PPBP",
    "HBB",
    "CST3",
    "GNLY",
]


def barcode(number: int) -> str:
    letters = "".join("ACGT"[(number >> (2 * place)) & 3] for place in range(16))
    return f"{letters}-1"


def write_h5ad(path: Path, x, barcodes, *, compression=None, **parts) -> Path:
    made(x, barcodes, **parts).write_h5ad(path, compression=compression)
    return path


def write_zarr(path: Path, x, barcodes, *, version: int = 3, **parts) -> Path:
    """A store in a folder; in a zip file where `path` ends so."""
    folder = path.with_suffix("") if path.suffix == ".zip" else path
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=version):
        warnings.simplefilter("ignore")
        made(x, barcodes, **parts).write_zarr(folder)
    return Path(shutil.make_archive(str(folder), "zip", folder)) if folder != path else path


def made(x, barcodes, *, genes=GENES, layers=None, raw=None, obs=None) -> ad.AnnData:
    frame = pd.DataFrame(obs or {}, index=barcodes)
    adata = ad.AnnData(x, obs=frame, var=pd.DataFrame(index=list(genes)))
    for name, layer in (layers or {}).items():
        adata.layers[name] = layer
    if raw is not None:
        adata.raw = ad.AnnData(raw, obs=frame, var=pd.DataFrame(index=list(genes)))
    return adata


def write_10x_h5(path: Path, counts, barcodes, version: int = 3, genes=GENES) -> Path:
    x = sp.csr_matrix(counts)
    ids = [f"ENSG{k:011d}" for k in range(len(genes))]
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        group["barcodes"] = np.array(barcodes, dtype="S")
        for name, values in (("data", x.data), ("indices", x.indices), ("indptr", x.indptr)):
            group.create_dataset(name, data=values, compression="gzip")
        group["shape"] = np.array(counts.shape[::-1])
        if version == 2:
            group["genes"], group["gene_names"] = np.array(ids, "S"), np.array(genes, "S")
        else:
            features = group.create_group("features")
            features["id"], features["name"] = np.array(ids, "S"), np.array(genes, "S")
            features["feature_type"] = np.array(["Gene Expression"] * len(genes), "S")
    return path


def write_mtx(
    folder: Path, counts, barcodes, *, packed: bool, order: str = "cells", genes=GENES
) -> Path:
    folder.mkdir()
    end = ".gz" if packed else ""
    cells, places = np.nonzero(counts)
    if order == "shuffled":
        turn = np.random.default_rng(1).permutation(cells.size)
        cells, places = cells[turn], places[turn]
    lines = ["%%MatrixMarket matrix coordinate integer general", "%made by hand"]
    lines.append(f"{counts.shape[1]} {counts.shape[0]} {cells.size}")
    lines += [f"{g + 1} {c + 1} {counts[c, g]}" for c, g in zip(cells, places, strict=True)]
    write_text(folder / f"matrix.mtx{end}", "\n".join(lines) + "\n")
    features = [f"ENSG{k:011d}\t{name}\tGene Expression" for k, name in enumerate(genes)]
    write_text(folder / f"features.tsv{end}", "\n".join(features) + "\n")
    write_text(folder / f"barcodes.tsv{end}", "\n".join(barcodes) + "\n")
    return folder


def write_table(path: Path, values, rows, columns, *, corner: str = "id\t") -> Path:
    sep = "," if ".csv" in path.name else "\t"
    lines = [corner.replace("\t", sep) + sep.join(columns)]
    lines += [sep.join([name, *map(str, row)]) for name, row in zip(rows, values, strict=True)]
    write_text(path, "\n".join(lines) + "\n")
    return path


def write_text(path: Path, text: str) -> None:
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
