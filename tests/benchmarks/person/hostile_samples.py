"""Samples that should be refused, or answered with care: cells of a release, changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from strange_files import new, of_type, only, scaled

REFUSED, NO_STRATUM, MAY_BE_PLACED = "refused", "no stratum", "may be placed"
"""What should become of a sample; of those that may be placed at most 3 % of the cells may have a
wrong coarse label, of others too unless they are refused."""
Made = Callable[[ad.AnnData, np.random.Generator], ad.AnnData]
T, B, NK, MONOCYTE = "CL:0000084", "CL:0000236", "CL:0000623", "CL:0000576"
CD4, CD8, PLATELET, PLASMABLAST = "CL:0000624", "CL:0000625", "CL:0000233", "CL:0000980"


def mixed(cells: ad.AnnData, parts: dict[str, int], rng: np.random.Generator) -> ad.AnnData:
    """So many cells of each type, of all donors."""
    rows = [
        np.sort(rng.permutation(np.flatnonzero(of_type(cells, above)))[:n])
        for above, n in parts.items()
    ]
    own = cells[np.concatenate(rows)]
    return new(own, own.X)


def as_one(made: ad.AnnData) -> ad.AnnData:
    """All cells as those of one person's sample."""
    made.obs = made.obs.assign(donor_id="P1", sample_id="S1", visit="T0", batch_id="new")
    return made


def line(cells: ad.AnnData, types: tuple[str, ...], rng: np.random.Generator) -> ad.AnnData:
    """A culture: one mean profile, cells that vary in their genes and depth."""
    profile = sum(
        cells.X[of_type(cells, above)].sum(axis=0) / cells.X[of_type(cells, above)].sum()
        for above in types
    )
    mean = profile / profile.sum() * 3_000 * rng.lognormal(0, 0.4, (500, 1))
    made = new(cells, rng.poisson(mean * rng.gamma(4.0, 0.25, (500, cells.n_vars))))
    made.obs["truth"] = types[0] if len(types) == 1 else "none"
    return as_one(made)


def with_others(
    cells: ad.AnnData, clone: ad.AnnData, n: int, rng: np.random.Generator
) -> ad.AnnData:
    """A clone beside some of the cells of one donor."""
    donor = cells.obs["donor_id"].iloc[0]
    own = cells[(cells.obs["donor_id"] == donor).to_numpy()]
    rest = as_one(new(own, own.X)[np.sort(rng.permutation(own.n_obs)[:n])].copy())
    clone.obs_names = [f"clone{number}" for number in range(clone.n_obs)]
    return ad.concat([rest, clone])


def raised(cells: ad.AnnData, symbols: np.ndarray, by: dict[str, float]) -> np.ndarray:
    """Means with some genes' expression raised."""
    factor = np.ones(cells.n_vars)
    for name, value in by.items():
        factor[symbols == name] = value
    return np.asarray(cells.X * factor)


def smoothed(cells: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    """Each cell the mean of ten of its type, rounded, as imputation leaves it."""
    out = np.zeros(cells.shape)
    truth = cells.obs["truth"].to_numpy(str)
    for kind in np.unique(truth):
        rows = np.flatnonzero(truth == kind)
        out[rows] = [cells.X[rng.choice(rows, 10)].mean(axis=0) for _ in rows]
    return np.rint(out)


def of_profiles(cells: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    """Each cell drawn from its type's mean profile, as from a decoder."""
    out = np.zeros(cells.shape, np.int64)
    truth = cells.obs["truth"].to_numpy(str)
    for kind in np.unique(truth):
        rows = truth == kind
        share = cells.X[rows].sum(axis=0) / cells.X[rows].sum()
        out[rows] = rng.poisson(share * cells.X[rows].sum(axis=1, keepdims=True))
    return out


def one_depth(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of each cell drawn down to the same total."""
    total = x.sum(axis=1)
    depth = int(np.quantile(total, 0.2))
    return np.array(
        [
            rng.multivariate_hypergeometric(row, min(depth, int(n)))
            for row, n in zip(x, total, strict=True)
        ]
    )


def some(cells: ad.AnnData, is_kept: np.ndarray) -> ad.AnnData:
    return new(cells, cells.X[:, is_kept], genes=cells.var_names[is_kept])


def shifted_part(cells: ad.AnnData, part: float) -> ad.AnnData:
    """The last part of the genes under the next name."""
    names = cells.var_names.to_numpy(object).copy()
    first = int((1.0 - part) * names.size)
    names[first:] = np.roll(names[first:], 1)
    return new(cells, genes=names)


def twice(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Every gene in two rows, with a part of its counts in each."""
    half = rng.binomial(cells.X, 0.5)
    return new(cells, np.hstack([half, cells.X - half]), genes=[*cells.var_names] * 2)


def said(**columns: str) -> Made:
    return lambda cells, rng: new(cells, obs=cells.obs.assign(**columns))


def made_samples(symbols: np.ndarray) -> dict[str, tuple[str, Made]]:
    """Name of each sample, what should become of it, and how it is made."""
    from itertools import count

    number = count()
    title = [name.capitalize() for name in symbols]
    other = [f"ENSMUSG{next(number):011d}" for _ in symbols]
    is_ig = np.array([name.startswith(("IGH", "IGK", "IGL", "TR")) for name in symbols])
    lymphoid = np.array(
        [name.startswith(("CD3", "TRAC", "IL7R", "CD4", "CD8")) for name in symbols]
    )
    nuclear = {"NEAT1": 20.0, "MT-CO1": 0.02, "MT-CO2": 0.02, "MT-ND1": 0.02}
    ribosomal = {name: 0.1 for name in symbols if name.startswith(("RPL", "RPS"))}
    return {
        # another species
        "mouse symbols (Cd3e)": (REFUSED, lambda c, r: new(c, genes=title)),
        "mouse ids": (REFUSED, lambda c, r: new(c, genes=other)),
        "half of the genes under ids of the mouse": (
            NO_STRATUM,
            lambda c, r: new(c, genes=[*c.var_names[::2], *other[1::2]]),
        ),
        "rat by its term": (REFUSED, said(organism_ontology_term_id="NCBITaxon:10116")),
        # another tissue or preparation, as said
        "kidney by its term": (REFUSED, said(tissue_ontology_term_id="UBERON:0002113")),
        "bone marrow by name": (REFUSED, said(tissue="bone marrow")),
        "lymph node by name": (REFUSED, said(tissue="lymph node")),
        "cord blood by name": (NO_STRATUM, said(tissue="umbilical cord blood")),
        "organoid": (REFUSED, said(tissue_type="organoid")),
        "nuclei, as said": (NO_STRATUM, said(suspension_type="nucleus")),
        "an embryo, as said": (NO_STRATUM, said(development_stage="embryonic stage")),
        "bulk, as said": (REFUSED, said(assay="RNA-Seq")),
        "ATAC, as said": (REFUSED, said(assay_ontology_term_id="EFO:0030007")),
        # another preparation, as measured
        "nuclei (NEAT1 up, mitochondrial and ribosomal down)": (
            NO_STRATUM,
            lambda c, r: new(c, r.poisson(raised(c, symbols, nuclear | ribosomal) / 2)),
        ),
        "ATAC: activity of genes": (
            REFUSED,
            lambda c, r: new(c, 2 * r.poisson(0.3 * r.gamma(1.0, 1.0, (1, c.n_vars)), c.shape)),
        ),
        "ATAC: peaks": (
            REFUSED,
            lambda c, r: new(c, genes=[f"chr1:{n}00-{n}50" for n in range(c.n_vars)]),
        ),
        "3' against 5' (sd of ln 0.8)": (
            NO_STRATUM,
            lambda c, r: new(c, r.poisson(c.X * r.lognormal(0, 0.8, c.n_vars))),
        ),
        "a probe for each gene (sd of ln 1, none of a fifth)": (
            NO_STRATUM,
            lambda c, r: new(
                c, r.poisson(c.X * r.lognormal(0, 1.0, c.n_vars) * (r.random(c.n_vars) > 0.2))
            ),
        ),
        # cell lines and clones
        "a T cell line": (NO_STRATUM, lambda c, r: line(c, (T,), r)),
        "a B cell line": (NO_STRATUM, lambda c, r: line(c, (B,), r)),
        "a line of two lineages": (NO_STRATUM, lambda c, r: line(c, (B, MONOCYTE), r)),
        "leukaemia (clone of two lineages, a fifth normal)": (
            NO_STRATUM,
            lambda c, r: with_others(c, line(c, (MONOCYTE, CD4), r), 125, r),
        ),
        "CLL (a B clone, a fifth normal)": (
            NO_STRATUM,
            lambda c, r: with_others(c, line(c, (B,), r), 125, r),
        ),
        # sorted and enriched cells
        "CD4 T cells alone": (NO_STRATUM, lambda c, r: only(c, of_type(c, CD4), 10**6)),
        "CD8 T cells alone": (NO_STRATUM, lambda c, r: only(c, of_type(c, CD8), 10**6)),
        "NK cells alone": (NO_STRATUM, lambda c, r: only(c, of_type(c, NK), 10**6)),
        "plasmablasts alone": (NO_STRATUM, lambda c, r: only(c, of_type(c, PLASMABLAST), 10**6)),
        "B cells, a tenth T": (NO_STRATUM, lambda c, r: as_one(mixed(c, {B: 450, T: 50}, r))),
        "T cells, a twentieth monocytes": (
            NO_STRATUM,
            lambda c, r: as_one(mixed(c, {T: 570, MONOCYTE: 30}, r)),
        ),
        "myeloma (70 % plasmablasts)": (
            NO_STRATUM,
            lambda c, r: as_one(mixed(c, {PLASMABLAST: 210, T: 60, MONOCYTE: 30}, r)),
        ),
        # values in disguise
        "each cell to the median total, rounded": (
            REFUSED,
            lambda c, r: new(c, np.rint(scaled(c.X, float(np.median(c.X.sum(axis=1)))))),
        ),
        "ln(1 + CP10K) times 100, rounded": (
            REFUSED,
            lambda c, r: new(c, np.rint(100 * np.log1p(scaled(c.X, 1e4)))),
        ),
        "CP10K, rounded up": (REFUSED, lambda c, r: new(c, np.ceil(scaled(c.X, 1e4)))),
        "ranks within the cell": (
            REFUSED,
            lambda c, r: new(c, np.argsort(np.argsort(c.X, axis=1, kind="stable"), axis=1)),
        ),
        "counts of at most 3": (REFUSED, lambda c, r: new(c, np.minimum(c.X, 3))),
        "squares": (REFUSED, lambda c, r: new(c, c.X.astype(np.int64) ** 2)),
        "means of ten cells of a type, rounded": (REFUSED, lambda c, r: new(c, smoothed(c, r))),
        "draws from each type's mean": (NO_STRATUM, lambda c, r: new(c, of_profiles(c, r))),
        "drawn down to one depth": (MAY_BE_PLACED, lambda c, r: new(c, one_depth(c.X, r))),
        "CP10K as floats that are whole": (
            REFUSED,
            lambda c, r: new(c, np.floor(scaled(c.X, 1e4))),
        ),
        # genes missing or mixed up
        "the half of the genes with most counts missing": (
            NO_STRATUM,
            lambda c, r: some(c, c.X.sum(axis=0) < np.median(c.X.sum(axis=0))),
        ),
        "half of the genes missing, at random": (
            MAY_BE_PLACED,
            lambda c, r: some(c, r.random(c.n_vars) < 0.5),
        ),
        "genes of receptors missing": (MAY_BE_PLACED, lambda c, r: some(c, ~is_ig)),
        "genes of T cells missing": (MAY_BE_PLACED, lambda c, r: some(c, ~lymphoid)),
        "a tenth of the genes under the next name": (
            MAY_BE_PLACED,
            lambda c, r: shifted_part(c, 0.1),
        ),
        "half of the genes under the next name": (NO_STRATUM, lambda c, r: shifted_part(c, 0.5)),
        "every gene twice": (MAY_BE_PLACED, twice),
        "genes in another order": (
            MAY_BE_PLACED,
            lambda c, r: new(c, c.X[:, ::-1], genes=c.var_names[::-1]),
        ),
        "cells in another order": (
            MAY_BE_PLACED,
            lambda c, r: c[r.permutation(c.n_obs)].copy(),
        ),
        "genes permuted within each cell": (
            REFUSED,
            lambda c, r: new(c, r.permuted(c.X, axis=1)),
        ),
        # few cells, dying cells, droplets
        "fifty cells of one person": (
            MAY_BE_PLACED,
            lambda c, r: as_one(new(c, c.X)[np.sort(r.permutation(c.n_obs)[:50])].copy()),
        ),
        "twenty-five cells of one type": (NO_STRATUM, lambda c, r: only(c, of_type(c, B), 25)),
        "pairs of two cells of a type": (
            NO_STRATUM,
            lambda c, r: as_one(new(c, c.X + smoothed_pairs(c, r))),
        ),
        "half doublets": (
            NO_STRATUM,
            lambda c, r: new(c, c.X + c.X[r.permutation(c.n_obs)] * (r.random((c.n_obs, 1)) < 0.5)),
        ),
        "four fifths empty droplets": (NO_STRATUM, lambda c, r: beside_empty(c, r)),
        "four fifths of each cell from the soup": (
            NO_STRATUM,
            lambda c, r: new(c, r.binomial(c.X, 0.2) + drops(c, r)),
        ),
        "dying cells (mitochondrial thirty times, a third of the rest)": (
            NO_STRATUM,
            lambda c, r: new(c, r.poisson(raised(c, symbols, {"MT-CO1": 90.0}) / 3)),
        ),
        # more people than one, other people
        "two people of two batches in one sample": (NO_STRATUM, lambda c, r: as_one(new(c, c.X))),
        "donors exchanged among cells": (
            NO_STRATUM,
            lambda c, r: new(c, obs=c.obs.assign(donor_id=r.permutation(c.obs["donor_id"]))),
        ),
        "wrong programme and labels of another reference": (
            MAY_BE_PLACED,
            said(programme="type_2_diabetes", cell_type="B cell", disease="type 2 diabetes"),
        ),
        "whole blood (half neutrophils)": (
            NO_STRATUM,
            lambda c, r: whole_blood(c, symbols, r),
        ),
        "macrophages (monocytes with C1QA, fewer S100A8)": (
            NO_STRATUM,
            lambda c, r: macrophages(c, symbols, r),
        ),
    }


def smoothed_pairs(cells: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    """Another cell of the same type for each."""
    truth = cells.obs["truth"].to_numpy(str)
    out = np.zeros(cells.shape, np.int64)
    for kind in np.unique(truth):
        rows = np.flatnonzero(truth == kind)
        out[rows] = cells.X[rng.permutation(rows)]
    return out


def drops(cells: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    """Of each cell four fifths of its counts, drawn from all cells together."""
    share = cells.X.sum(axis=0) / cells.X.sum()
    return np.asarray(rng.multinomial((0.8 * cells.X.sum(axis=1)).astype(int), share))


def beside_empty(cells: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    share = cells.X.sum(axis=0) / cells.X.sum()
    depth = rng.integers(300, 900, 2_000)
    droplets = new(cells, rng.multinomial(depth, share))
    droplets.obs["truth"] = "none"
    own = as_one(new(cells, cells.X)[np.sort(rng.permutation(cells.n_obs)[:500])].copy())
    return ad.concat([own, as_one(droplets)])


def whole_blood(cells: ad.AnnData, symbols: np.ndarray, rng: np.random.Generator) -> ad.AnnData:
    mature = {"S100A8": 8.0, "S100A9": 8.0, "CSF3R": 20.0, "CXCL8": 20.0, "FCGR3B": 50.0}
    mature |= {name: 0.05 for name in symbols if name.startswith(("HLA-D", "CD74", "RP", "LYZ"))}
    own = cells[of_type(cells, MONOCYTE)]
    made = new(cells, rng.poisson(raised(own, symbols, mature) / 3))
    made.obs["truth"] = "none"
    return with_others(cells, as_one(made[:300].copy()), 300, rng)


def macrophages(cells: ad.AnnData, symbols: np.ndarray, rng: np.random.Generator) -> ad.AnnData:
    own = cells[of_type(cells, MONOCYTE)]
    by = {"S100A8": 0.05, "S100A9": 0.05, "C1QA": 300.0, "C1QB": 300.0, "APOE": 300.0}
    made = new(cells, rng.poisson(raised(own, symbols, by)))
    made.obs["truth"] = own.obs["truth"].iloc[:1].repeat(made.n_obs).to_numpy()
    return as_one(made)


def hostile_samples(
    cells: ad.AnnData, symbols: np.ndarray, path: Path
) -> Iterator[tuple[str, str, Path, pd.Series]]:
    """Name, what should become of it, file, and the type of each cell where it still has one."""
    for name, (expected, make) in made_samples(symbols).items():
        made = make(cells.copy(), np.random.default_rng(18))
        if not sparse.issparse(made.X):
            made.X = sparse.csr_matrix(made.X)
        truth = made.obs.get("truth", pd.Series("", made.obs_names)).astype(str)
        sample = made.obs.get("sample_id", pd.Series(path.stem, made.obs_names)).astype(str)
        prefix = [f"{own}:" for own in sample]
        truth.index = [
            cell if cell.startswith(own) else f"{own}{cell}"
            for cell, own in zip(made.obs_names, prefix, strict=True)
        ]
        made.obs = made.obs.drop(columns="truth", errors="ignore")
        made.write_h5ad(path)
        yield name, expected, path, truth
