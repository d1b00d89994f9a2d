"""Canaries that are cells of which some genes are left, with the names of these."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from pmcell.consent.removal.canary import COUNTS, DRAW, GENES, SOME, Plant

IDS, SYMBOLS = (np.array([name.split()[part] for name in GENES])[SOME] for part in (0, 1))

N_OTHERS = 60


def _rows(how: str) -> np.ndarray:
    """Other people's cells and the canary's, of some genes."""
    others = DRAW.permutation(np.arange(N_OTHERS * SOME.size) % 3).reshape(N_OTHERS, SOME.size)
    rows = np.vstack([others, COUNTS[SOME]]).astype(np.float32)
    if how == "ones":
        return np.minimum(rows, 1)
    if how == "scaled":
        values = np.log1p(rows)
        return np.asarray((values - values.mean(axis=0)) / (values.std(axis=0) + 0.1))
    return np.asarray(np.round(np.log1p(1e4 * rows / rows.sum(axis=1, keepdims=True)), 1))


def _anndata(home: Path, *, how: str, form: str = "dense", place: str = "X") -> None:
    import h5py
    from scipy.sparse import csc_matrix, csr_matrix

    rows = _rows(how)
    with h5py.File(home / "x.h5ad", "w") as file:
        root = file.create_group("raw") if place == "raw" else file
        var = root.create_group("var")
        var["_index"] = list(range(SOME.size))
        var["feature_name"] = SYMBOLS.astype("S")
        name = "layers/scaled" if place == "layer" else "X"
        if form == "dense":
            root[name] = rows
            return
        matrix = (csc_matrix if form == "csc" else csr_matrix)(rows)
        group = root.create_group(name)
        group.attrs["encoding-type"] = f"{form}_matrix"
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(matrix, part), compression="gzip")


def _tenx(home: Path) -> None:
    import h5py
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(_rows("ones"))
    with h5py.File(home / "x.h5", "w") as file:
        group = file.create_group("matrix")
        group["features/id"] = np.char.add(IDS, ".7").astype("S")
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)


def _loom(home: Path) -> None:
    import h5py

    with h5py.File(home / "x.loom", "w") as file:
        file["matrix"] = _rows("rounded").T
        file["row_attrs/Gene"] = np.char.lower(SYMBOLS).astype("S")


def _parquet(home: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = dict(zip(SYMBOLS, _rows("rounded").T, strict=True))
    pq.write_table(pa.table(columns), home / "x.parquet")


def _text(home: Path, *, is_turned: bool) -> None:
    rows = _rows("rounded")
    if is_turned:
        lines = ["\t".join(["gene", *(f"c{n}" for n in range(len(rows)))])]
        lines += ["\t".join([name, *map(str, row)]) for name, row in zip(IDS, rows.T, strict=True)]
    else:
        lines = ["\t".join(SYMBOLS)]
        lines += ["\t".join([f"c{n}", *map(str, row)]) for n, row in enumerate(rows)]
    (home / "x.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


SOME_GENES: dict[str, Plant] = {
    "some genes, rounded": lambda home: _anndata(home, how="rounded"),
    "some genes, ones": lambda home: _anndata(home, how="ones", form="csr"),
    "some genes, by columns": lambda home: _anndata(home, how="rounded", form="csc"),
    "some genes, scaled": lambda home: _anndata(home, how="scaled", place="layer"),
    "some genes in raw": lambda home: _anndata(home, how="rounded", form="csr", place="raw"),
    "some genes as 10x": _tenx,
    "some genes as loom": _loom,
    "some genes in Parquet": _parquet,
    "some genes in text": lambda home: _text(home, is_turned=False),
    "some genes in rows of text": lambda home: _text(home, is_turned=True),
}
"""How each canary is planted, by the place that it stands for."""
