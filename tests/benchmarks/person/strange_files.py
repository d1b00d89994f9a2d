"""Files that a person might hand in for a sample and that are none, or one in a strange form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from pmcell.mapping.labels import covers

Made = Callable[[ad.AnnData, np.random.Generator], ad.AnnData]


def new(
    cells: ad.AnnData, x: object = None, *, genes: object = None, obs: pd.DataFrame | None = None
) -> ad.AnnData:
    """A sample with other values, genes or columns."""
    x = cells.X if x is None else x
    genes = cells.var_names if genes is None else genes
    if obs is None:
        obs = cells.obs if x.shape[0] == cells.n_obs else plain(x.shape[0])
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    return ad.AnnData(x if sparse.issparse(x) else sparse.csr_matrix(x), obs, var)


def plain(n: int) -> pd.DataFrame:
    return pd.DataFrame(index=[f"cell{number}" for number in range(n)])


def grouped(cells: ad.AnnData, size: int, rng: np.random.Generator) -> np.ndarray:
    """Sums of so many cells at random."""
    order = rng.permutation(cells.n_obs)[: cells.n_obs // size * size].reshape(-1, size)
    return np.array([cells.X[rows].sum(axis=0) for rows in order])


def only(cells: ad.AnnData, rows: np.ndarray, n: int) -> ad.AnnData:
    own = cells[np.flatnonzero(rows)[:n]]
    return new(own, own.X)


def some_genes(cells: ad.AnnData, chosen: np.ndarray) -> ad.AnnData:
    return new(cells, cells.X[:, chosen], genes=cells.var_names[chosen])


def beside_mouse(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """A barnyard: half of the cells count under genes of the mouse."""
    is_mouse = rng.random(cells.n_obs) < 0.5
    x = np.zeros((cells.n_obs, 2 * cells.n_vars), np.int64)
    x[~is_mouse, : cells.n_vars] = cells.X[~is_mouse]
    x[is_mouse, cells.n_vars :] = cells.X[is_mouse]
    mouse = [f"ENSMUSG{number:011d}" for number in range(cells.n_vars)]
    return new(cells, x, genes=[*cells.var_names, *mouse])


def with_antibodies(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    tags = rng.poisson(200, (cells.n_obs, 60))
    names = [f"CD{number}_TotalSeqC" for number in range(60)]
    return new(cells, np.hstack([cells.X, tags]), genes=[*cells.var_names, *names])


def soup(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    share = cells.X.sum(axis=0) / cells.X.sum()
    half = rng.binomial(cells.X, 0.5)
    return new(cells, half + rng.multinomial(cells.X.sum(axis=1) - half.sum(axis=1), share))


def scaled(x: np.ndarray, target: float) -> np.ndarray:
    return x / x.sum(axis=1, keepdims=True) * target


def spoilt(value: float) -> Made:
    def make(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        x = cells.X.astype(float)
        x[3, 5] = value
        return new(cells, x)

    return make


def columned(**columns: Callable[[int], list[str]]) -> Made:
    def make(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        made = {name: values(cells.n_obs) for name, values in columns.items()}
        return new(cells, obs=cells.obs.assign(**made))

    return make


def halves(one: str, other: str) -> Callable[[int], list[str]]:
    return lambda n: [one if number % 2 else other for number in range(n)]


def renamed(names: Callable[[list[str]], list[str]]) -> Made:
    return lambda cells, rng: new(cells, genes=names(list(cells.var_names)))


def of_type(cells: ad.AnnData, above: str) -> np.ndarray:
    return np.array([covers(above, term) for term in cells.obs["truth"]], bool)


MADE: dict[str, Made] = {
    "200 genes at random": lambda c, r: some_genes(c, np.sort(r.permutation(c.n_vars)[:200])),
    "50 genes at random": lambda c, r: some_genes(c, np.sort(r.permutation(c.n_vars)[:50])),
    "the 200 genes with most counts": lambda c, r: some_genes(
        c, np.sort(np.argsort(-c.X.sum(axis=0))[:200])
    ),
    "nuclei (a third of the counts, genes unevenly)": lambda c, r: new(
        c, r.poisson(c.X / 3 * r.lognormal(0, 1.0, c.n_vars))
    ),
    "half of the cells of a mouse": beside_mouse,
    "mouse symbols": renamed(lambda names: [f"Gm{number}" for number in range(len(names))]),
    "spots of ten cells": lambda c, r: new(c, grouped(c, 10, r)),
    "thirty bulk samples": lambda c, r: new(c, grouped(c, c.n_obs // 30, r)),
    "one bulk sample, 300 times": lambda c, r: new(c, np.tile(c.X.sum(axis=0), (300, 1))),
    "bulk, drawn anew 300 times": lambda c, r: new(
        c, r.multinomial(3000, c.X.sum(axis=0) / c.X.sum(), 300)
    ),
    "antibodies among the genes": with_antibodies,
    "antibodies alone": lambda c, r: new(
        c, r.poisson(200, (c.n_obs, 60)), genes=[f"CD{n}_TotalSeqC" for n in range(60)]
    ),
    "half of each cell's counts from the soup": soup,
    "ln(1 + CP10K)": lambda c, r: new(c, np.log1p(scaled(c.X, 1e4))),
    "z-scores": lambda c, r: new(c, (c.X - c.X.mean(axis=0)) / (c.X.std(axis=0) + 1)),
    "counts per million": lambda c, r: new(c, scaled(c.X, 1e6)),
    "counts per million, rounded": lambda c, r: new(c, np.rint(scaled(c.X, 1e6))),
    "counts times three": lambda c, r: new(c, c.X * 3),
    "square roots, rounded": lambda c, r: new(c, np.rint(np.sqrt(c.X))),
    "a missing value": spoilt(np.nan),
    "an infinite value": spoilt(np.inf),
    "a negative value": spoilt(-1.0),
    "nothing but zeros": lambda c, r: new(c, np.zeros(c.shape, np.int64)),
    "one cell": lambda c, r: only(c, np.ones(c.n_obs, bool), 1),
    "nineteen cells": lambda c, r: only(c, np.ones(c.n_obs, bool), 19),
    "T cells alone": lambda c, r: only(c, of_type(c, "CL:0000084"), 10**6),
    "platelets alone": lambda c, r: only(c, of_type(c, "CL:0000233"), 10**6),
    "a third doublets": lambda c, r: new(
        c, c.X + c.X[r.permutation(c.n_obs)] * (r.random((c.n_obs, 1)) < 1 / 3)
    ),
    "cells and genes exchanged": lambda c, r: ad.AnnData(
        sparse.csr_matrix(c.X.T), plain(c.n_vars).set_index(c.var_names), c.obs[[]]
    ),
    "Ensembl ids with versions": renamed(lambda names: [f"{name}.7" for name in names]),
    "small ids": renamed(lambda names: [name.lower() for name in names]),
    "numbers for genes": renamed(lambda names: [str(number) for number in range(len(names))]),
    "every gene of one name": renamed(lambda names: ["CD3E"] * len(names)),
    "tissue blood and kidney": columned(tissue=halves("blood", "kidney")),
    "organism human and mouse": columned(organism=halves("Homo sapiens", "Mus musculus")),
    "donor 'doublet' for half": columned(donor_id=halves("P1", "doublet")),
    "donors without a name": columned(donor_id=lambda n: [""] * n),
    "four people under one name": columned(donor_id=lambda n: ["P1"] * n),
    "libraries of ten, no donor": lambda c, r: new(
        c, obs=plain(c.n_obs).set_index(pd.Index([f"AC{n}G-{n % 10}" for n in range(c.n_obs)]))
    ),
}
RAW = {
    "words": b"Dear laboratory, please find the sample attached.\n" * 20,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(2000),
    "nothing": b"",
}


def strange_files(
    cells: ad.AnnData, joined: ad.AnnData, folder: Path
) -> Iterator[tuple[str, Path, pd.Series]]:
    """Name and file of each, with the true type of its cells where they still have one.

    `joined` are the cells of two people, one with and one without HLA-DRB5.
    """
    path = folder / "strange.h5ad"
    for name, make in MADE.items():
        made = make(cells, np.random.default_rng(0))
        truth = made.obs.get("truth", pd.Series("", made.obs_names)).astype(str)
        sample = made.obs.get("sample_id", pd.Series(path.stem, made.obs_names)).astype(str)
        prefix = [f"{own}:" for own in sample]
        truth.index = [
            cell if cell.startswith(own) else f"{own}{cell}"
            for cell, own in zip(made.obs_names, prefix, strict=True)
        ]
        made.obs = made.obs.drop(columns="truth", errors="ignore")
        made.write_h5ad(path)
        yield name, path, truth
    whole = path.read_bytes()
    for name, value in {**RAW, "a file cut in half": whole[: len(whole) // 2]}.items():
        path.write_bytes(value)
        yield name, path, pd.Series(dtype=str)
    joined.write_h5ad(path)
    yield "two people of OneK1K in one sample", path, pd.Series("", joined.obs_names)
