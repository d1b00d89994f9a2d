"""What becomes of files that a judge might bring: of cells of a release, changed.

python tests/benchmarks/person/queries.py --release RELEASE --data FOLDER

RELEASE is that of the demo (`pmcell demo`); FOLDER holds kang_ifnb.h5ad, onek1k_au_40.h5ad,
csle_us_slim.h5ad and t2d_islet_xin.h5ad, other laboratories' cells. Cells of the demo are known
to the reference: what is asked here is not how many labels are right, but which files get answers
that are wrong. A row says what the file was, the answer, and of mapped files the share of cells
with a label, with a wrong one at the level of T, B, NK cells, monocytes and other types, and the
visits that got a stratum. "-" where there is no truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from hostile_samples import MAY_BE_PLACED, NO_STRATUM, REFUSED, hostile_samples
from scipy import sparse
from strange_files import strange_files

import pmcell as pm
from pmcell.errors import PmcellError
from pmcell.mapping.labels import covers
from pmcell.registry.draft.person import read_people
from pmcell.schema.mapped import ASSIGNED

COARSE = ("CL:0000084", "CL:0000236", "CL:0000623", "CL:0000576")
NONE = "none"
"""Truth of what is no cell of one type."""
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def scaled(x: np.ndarray, target: float) -> np.ndarray:
    return np.asarray(x / x.sum(axis=1, keepdims=True) * target)


CHANGES: dict[str, Change] = {
    "as they are": lambda x, rng: x,
    "half of the counts": lambda x, rng: rng.binomial(x, 0.5),
    "a tenth of the counts": lambda x, rng: rng.binomial(x, 0.1),
    "a hundredth of the counts": lambda x, rng: rng.binomial(x, 0.01),
    "genes captured unevenly (sd of ln 0.5)": lambda x, rng: rng.poisson(
        x * rng.lognormal(0, 0.5, x.shape[1])
    ),
    "genes captured unevenly (sd of ln 1.2)": lambda x, rng: rng.poisson(
        x * rng.lognormal(0, 1.2, x.shape[1])
    ),
    "ln(1 + CP10K), rounded": lambda x, rng: np.rint(np.log1p(scaled(x, 1e4))),
    "log2(1 + count), rounded": lambda x, rng: np.rint(np.log2(1.0 + x)),
    "yes or no": lambda x, rng: (x > 0).astype(int),
    "one added to each": lambda x, rng: x + 1,
    "five cells, each a hundred times": lambda x, rng: np.repeat(x[:5], 100, axis=0),
    "genes under names of others": lambda x, rng: x[:, rng.permutation(x.shape[1])],
    "genes under the next name": lambda x, rng: np.roll(x, 1, axis=1),
}


def cells_of_release(release: Path, cohort: str, n_donors: int) -> ad.AnnData:
    """Raw counts of the first donors of a cohort, with the type of each cell."""
    made = ad.read_h5ad(release / "cells" / f"{cohort}.h5ad")
    donors = sorted(set(made.obs["donor_id"].astype(str)))[:n_donors]
    made = made[made.obs["donor_id"].astype(str).isin(donors)]
    obs = made.obs[["donor_id", "sample_id", "visit", "batch_id"]].astype(str)
    obs["truth"] = made.obs["cell_type_ontology_term_id"].astype(str)
    x = made.raw.X.toarray().astype(np.int64)
    return ad.AnnData(x, obs, pd.DataFrame(index=made.raw.var_names))


def changed(cells: ad.AnnData, change: Change) -> ad.AnnData:
    x = np.asarray(change(cells.X, np.random.default_rng(0)))
    obs = cells.obs.copy()
    if len(x) != len(obs):
        obs = obs.iloc[np.zeros(len(x), int)]
        obs.index = [f"cell{number}" for number in range(len(x))]
        obs["truth"] = NONE
    return ad.AnnData(sparse.csr_matrix(x), obs, cells.var.copy())


def nobody(cells: ad.AnnData, x: np.ndarray) -> ad.AnnData:
    """Made droplets of one sample, which have no type."""
    ids = [f"cell{number}" for number in range(len(x))]
    obs = pd.DataFrame({"donor_id": "d", "sample_id": "s", "truth": NONE}, ids)
    return ad.AnnData(sparse.csr_matrix(x), obs, cells.var.copy())


def made(cells: ad.AnnData) -> Iterator[tuple[str, ad.AnnData]]:
    rng = np.random.default_rng(1)
    total = cells.X.sum(axis=1)
    soup = cells.X.sum(axis=0) / cells.X.sum()
    yield "empty droplets", nobody(cells, rng.multinomial(rng.choice(total, 600), soup))
    pairs = rng.integers(0, cells.n_obs, (2, 800))
    kind = np.array([coarse(term) for term in cells.obs["truth"]])
    pairs = pairs[:, kind[pairs[0]] != kind[pairs[1]]]
    yield "doublets of two types", nobody(cells, cells.X[pairs[0]] + cells.X[pairs[1]])
    strange = rng.dirichlet(np.full(cells.n_vars, 0.05))
    yield "one clone of no tissue", nobody(cells, rng.multinomial(rng.choice(total, 600), strange))
    for name, above in (("B cells", COARSE[1]), ("monocytes", COARSE[3])):
        own = [covers(above, term) for term in cells.obs["truth"]]
        yield f"{name} alone", changed(cells[own].copy(), CHANGES["as they are"])
    said = {"tissue": "kidney", "organism": "Mus musculus", "tissue_type": "cell culture"}
    for column, value in said.items():
        own = changed(cells, CHANGES["as they are"])
        own.obs[column] = value
        yield f"{column} said to be {value}", own
    own = changed(cells, CHANGES["as they are"])
    own.obs = own.obs.rename(columns={"donor_id": "patient"})
    yield "column 'patient' and no donor_id", own


def others(data: Path) -> Iterator[tuple[str, ad.AnnData]]:
    for name in ("onek1k_au_40", "csle_us_slim", "kang_ifnb", "t2d_islet_xin"):
        read = ad.read_h5ad(data / f"{name}.h5ad")
        obs = read.obs[["donor_id", "sample_id"]].astype(str).assign(truth="")
        yield name, ad.AnnData(sparse.csr_matrix(read.X), obs, read.var[[]])


def coarse(term: str) -> str:
    if not term.startswith("CL:"):
        return term
    return next((above for above in COARSE if covers(above, term)), term)


def joined(data: Path) -> ad.AnnData:
    """Cells of two people of OneK1K as one sample: the first carries HLA-DRB5, the second not."""
    read = ad.read_h5ad(data / "onek1k_au_40.h5ad")
    own = read[read.obs["donor_id"].astype(str).isin(["SAMP12", "SAMP21"])]
    return ad.AnnData(sparse.csr_matrix(own.X), own.obs[[]], own.var[[]])


def answer(path: Path, truth: pd.Series, reference: object) -> str:
    try:
        adata, files = read_people([path])
        found = pm.map(adata, reference)
    except PmcellError as error:
        return f"refused: {getattr(error, 'reason', '') or 'say more'} | - | - | -"
    cells = found.cells[found.cells["passes_qc"]]
    own = truth.reindex(cells["cell_id"]).fillna("").to_numpy(str)
    told = cells["cell_type_ontology_term_id"].to_numpy(str)
    has_label = told != "unknown"
    wrong = [
        a and kind != "" and (kind == NONE or not covers(label, kind))
        and (kind == NONE or coarse(label) != coarse(kind))
        for a, label, kind in zip(has_label, told, own, strict=True)
    ]  # fmt: skip
    placed = sum(visit.stratum.status == ASSIGNED for visit in found.visits)
    rate = "-" if "" in own else f"{np.mean(wrong):.3f}"
    two = any(visit.n_cells_of_another for visit in found.visits)
    said = "; two people told" * two + "; taken as one person told" * bool(files[0].notes)
    return f"mapped{said} | {has_label.mean():.3f} | {rate} | {placed} of {len(found.visits)}"


def hostile(cells: ad.AnnData, release: Path, reference: object) -> None:
    """What becomes of samples that should be refused, or answered with care."""
    import tempfile

    made = ad.read_h5ad(release / "cells" / "liu_b3.h5ad", backed="r")
    symbols = made.raw.var["symbol"].astype(str).to_numpy()
    judged: dict[str, int] = {"right": 0, "refused though it need not": 0, "too sure": 0}
    print("| should be | sample | answer | labelled | wrong, coarse | with a stratum | verdict |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        samples = hostile_samples(cells, symbols, Path(folder) / "sample.h5ad")
        for name, expected, path, truth in samples:
            found = answer(path, truth, reference)
            verdict = verdict_of(expected, found)
            judged[verdict] += 1
            print(f"| {expected} | {name} | {found} | {verdict} |", flush=True)
    print(judged)


def verdict_of(expected: str, found: str) -> str:
    """Whether an answer is what should become of a sample."""
    said, _, wrong, placed = (part.strip() for part in found.split("|"))
    if said.startswith("refused"):
        return "right" if expected != MAY_BE_PLACED else "refused though it need not"
    is_wrong = wrong not in ("-", "") and float(wrong) > 0.03
    n_placed = int(placed.split(" ")[0])
    too_sure = expected == REFUSED or is_wrong or (expected == NO_STRATUM and n_placed > 0)
    return "too sure" if too_sure else "right"


def written(query: ad.AnnData, path: Path) -> pd.Series:
    """Write a query; the type of each of its cells, by the name that mapping gives it."""
    truth = query.obs.pop("truth").astype(str)
    query.write_h5ad(path)
    truth.index = [
        name if name.startswith(f"{sample}:") else f"{sample}:{name}"
        for name, sample in zip(query.obs_names, query.obs["sample_id"], strict=True)
    ]
    return truth


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["changed", "strange", "hostile"], default="changed")
    args = parser.parse_args()
    reference = pm.open_reference(args.release)
    cells = cells_of_release(args.release, "liu_b3", 4)
    if args.part == "hostile":
        hostile(cells, args.release, reference)
        return
    print("| file | answer | labelled | wrong, coarse | visits with a stratum |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if args.part == "strange":
            for name, path, truth in strange_files(cells, joined(args.data), Path(folder)):
                print(f"| {name} | {answer(path, truth, reference)} |", flush=True)
            return
        queries = [(name, changed(cells, change)) for name, change in CHANGES.items()]
        for name, query in (*queries, *made(cells), *others(args.data)):
            path = Path(folder) / "query.h5ad"
            truth = written(query, path)
            print(f"| {name} | {answer(path, truth, reference)} |", flush=True)


if __name__ == "__main__":
    main()
