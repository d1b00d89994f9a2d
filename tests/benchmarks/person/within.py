"""Labels of cells inside a run: a head for each cell beside the label of its cluster.

python tests/benchmarks/person/within.py --data FOLDER [--half development|judgement]
    [--study NAME ...] [--out TABLE.tsv]

Public labels of some cells are hidden, and told again from those that are left: of a whole
cohort, of 30 % of the donors, or of half of the cells (drawn by a hash of their names). Every
study is run by the library from counts on (QC, genes, components, Harmony, clusters), which never
see a label. Development: batches B1 and B2 of the embedded Liu cohorts, and the donors of OneK1K
with an even hash. Judgement: B3 of Liu, the other donors of OneK1K, Kang, childhood lupus, Xin.
FOLDER holds kang_ifnb.h5ad, onek1k_au_40.h5ad, csle_us_slim.h5ad and t2d_islet_xin.h5ad.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

import pmcell as pm
from pmcell.core.pca.gram import Basis
from pmcell.mapping.labels import covers
from pmcell.mapping.transfer import Run, label_run, transfer_labels
from pmcell.registry.draft.person import read_people
from pmcell.registry.terms.cell_types import JOINT
from pmcell.schema.halves import hash_cells
from pmcell.schema.text import text_array
from pmcell.tl.aggregate import aggregate, symbols_of
from pmcell.tl.annotate import annotate_clusters
from pmcell.tl.cell_types import label_cells as label_by_cluster
from pmcell.tl.cell_types import types_of

SOURCE = "source_cell_type_ontology_term_id"
UNKNOWN = "unknown"
LIU = Path(__file__).parents[3] / "config" / "cohorts"
TERMS = {
    "kang_ifnb": {
        "CD4 T cells": "CL:0000624",
        "CD8 T cells": "CL:0000625",
        "NK cells": "CL:0000623",
        "B cells": "CL:0000236",
        "CD14+ Monocytes": "CL:0000860",
        "FCGR3A+ Monocytes": "CL:0000875",
        "Dendritic cells": "CL:0000451",
        "Megakaryocytes": "CL:0000233",
    },
    "onek1k_au_40": {
        "cd4nc": "CL:0000624",
        "bmem": "CL:0000787",
        "monoc": "CL:0000860",
        "mononc": "CL:0000875",
    },
    "csle_us_slim": {"B": "CL:0000236", "CD4 memory": "CL:0000897", "Treg": "CL:0000815"},
    "t2d_islet_xin": {
        "alpha": "CL:0000171",
        "beta": "CL:0000169",
        "gamma": "CL:0002275",
        "delta": "CL:0000173",
    },
}
COARSE = {
    "T": "CL:0000084",
    "B": "CL:0000236",
    "NK": "CL:0000623",
    "monocyte": "CL:0000576",
}
HEADS = (("components", 0.0), ("integrated", 0.5), ("genes", 0.5))
"""Coordinates that other heads see, and the weight of their cluster's shares."""
MAX_OF_TYPE = 400
"""Cells of a type and batch that a head learns from."""


def is_even(name: str) -> bool:
    return zlib.crc32(name.encode()) % 2 == 0


def liu(batch: str) -> ad.AnnData:
    folder = LIU / f"liu_{batch.lower()}"
    told = yaml.safe_load((folder / "cohort.yaml").read_text())
    path = folder / told["matrix"]["path"]
    columns = {"donor_id": "Donor"}
    cells, _ = read_people([path], columns=columns)
    column = told["columns"]["cell_type"]
    values = told["values"]["cell_type"]
    return finish(cells, ad.read_h5ad(path).obs[column].astype(str).map(values), batch)


def public(data: Path, name: str) -> ad.AnnData:
    path = data / f"{name}.h5ad"
    published = ad.read_h5ad(path).obs
    cells, _ = read_people([path])
    return finish(cells, published["cell_type"].astype(str).map(TERMS[name]), name)


def finish(cells: ad.AnnData, truth: pd.Series, cohort: str) -> ad.AnnData:
    barcode = [name.partition(":")[2] or name for name in cells.obs_names]
    cells.obs["truth"] = truth.reindex(barcode).fillna(UNKNOWN).to_numpy(object)
    cells.obs["cohort_id"] = cells.obs["batch_id"] = cohort
    cells.obs["donor_id"] = cohort + "/" + cells.obs["donor_id"].astype(str)
    cells.obs["sample_id"] = cohort + "/" + cells.obs["sample_id"].astype(str)
    return cells


def run_study(parts: list[ad.AnnData]) -> ad.AnnData:
    """Cells that pass QC with `X_pca`, `X_integrated` and clusters; no label is seen."""
    whole = ad.concat(parts, merge="first") if len(parts) > 1 else parts[0].copy()
    whole.obs["tissue_ontology_term_id"] = (
        "UBERON:0000006" if "xin" in str(whole.obs["cohort_id"].iloc[0]) else "UBERON:0000178"
    )
    pm.pp.qc(whole, sample="sample_id")
    whole = whole[whole.obs["passes_qc"].to_numpy(bool)].copy()
    pm.pp.highly_variable_genes(whole)
    pm.tl.pca(whole)
    pm.tl.integrate(whole)
    pm.tl.neighbors(whole)
    pm.tl.cluster(whole)
    return whole


@dataclass(frozen=True)
class Case:
    """Cells of a study whose labels are hidden, and in which of them answers are judged."""

    name: str
    hidden: np.ndarray


def by_donor(adata: ad.AnnData, share: float) -> np.ndarray:
    """Cells of a share of the donors of each cohort."""
    hidden = np.zeros(adata.n_obs, bool)
    for _, own in adata.obs.groupby("cohort_id", observed=True):
        donors = sorted(set(own["donor_id"]), key=lambda name: zlib.crc32(f"hide {name}".encode()))
        chosen = donors[: max(1, round(share * len(donors)))]
        hidden |= adata.obs["donor_id"].isin(chosen).to_numpy()
    return hidden


def by_cell(adata: ad.AnnData, share: float) -> np.ndarray:
    names = text_array([f"hide {name}" for name in adata.obs_names])
    order = np.argsort(np.argsort(hash_cells(names), kind="stable"))
    return order < share * adata.n_obs


def studies(
    data: Path, half: str, wanted: list[str]
) -> Iterator[tuple[str, ad.AnnData, list[Case]]]:
    def own_donors(cells: ad.AnnData) -> ad.AnnData:
        even = np.array([is_even(str(name)) for name in cells.obs["donor_id"]])
        return cells[even if half == "development" else ~even].copy()

    def one(name: str) -> tuple[str, ad.AnnData, list[Case]]:
        if name == "liu":
            batches = ["B1", "B2"] if half == "development" else ["B1", "B2", "B3"]
            cells = run_study([liu(batch) for batch in batches])
            last = (cells.obs["cohort_id"] == batches[-1]).to_numpy()
            return (
                name,
                cells,
                [
                    Case(f"cohort {batches[-1]}", last),
                    Case(f"30 % of the donors of {batches[-1]}", last & by_donor(cells, 0.3)),
                    Case(f"half of the cells of {batches[-1]}", last & by_cell(cells, 0.5)),
                ],
            )
        if name in ("onek1k", "xin"):
            cells = public(data, {"onek1k": "onek1k_au_40", "xin": "t2d_islet_xin"}[name])
            cells = run_study([own_donors(cells) if name == "onek1k" else cells])
            return (
                name,
                cells,
                [
                    Case("30 % of the donors", by_donor(cells, 0.3)),
                    Case("half of the cells", by_cell(cells, 0.5)),
                ],
            )
        names = ["kang_ifnb", "onek1k_au_40", "csle_us_slim"]
        parts = [public(data, item) for item in names]
        parts[1] = own_donors(parts[1])
        cells = run_study(parts)
        cases = [
            Case(f"cohort {item}", (cells.obs["cohort_id"] == item).to_numpy()) for item in names
        ]
        cases.append(Case("30 % of the donors", by_donor(cells, 0.3)))
        cases.append(Case("half of the cells", by_cell(cells, 0.5)))
        return name, cells, cases

    known = ["liu", "onek1k"] if half == "development" else ["liu", "onek1k", "blood", "xin"]
    for name in wanted or known:
        yield one(name)


def today(adata: ad.AnnData, hidden: np.ndarray, sums: list) -> np.ndarray:
    """Term of each cell by its cluster."""
    cells = adata.obs.copy()
    cells[SOURCE] = np.where(hidden, UNKNOWN, cells["truth"])
    table = annotate_clusters(cells, sums, symbols=symbols_of(adata))
    told = types_of(label_by_cluster(cells, table), cells)
    return told["cell_type_ontology_term_id"].to_numpy(str)


def transferred(adata: ad.AnnData, hidden: np.ndarray) -> pd.DataFrame:
    """What the step label_transfer says of the hidden cells, in their order."""
    cells = adata.obs.copy()
    cells[SOURCE] = np.where(hidden, UNKNOWN, cells["truth"])
    table = transfer_labels(cells, adata.obsm["X_pca"]).set_index("cell_id")
    return table.loc[list(adata.obs_names[hidden])]


def learned(adata: ad.AnnData, hidden: np.ndarray) -> np.ndarray:
    """Cells to learn from: labelled, at most so many of a type and batch, by hash."""
    truth = adata.obs["truth"].to_numpy(str)
    known = np.flatnonzero(~hidden & (truth != UNKNOWN))
    order = known[np.argsort(hash_cells(text_array(adata.obs_names[known])), kind="stable")]
    frame = pd.DataFrame({"t": truth[order], "b": adata.obs["batch_id"].to_numpy(str)[order]})
    rows = np.sort(order[(frame.groupby(["t", "b"]).cumcount() < MAX_OF_TYPE).to_numpy()])
    sizes = pd.Series(truth[rows]).value_counts()
    return rows[sizes.reindex(truth[rows]).to_numpy() >= 10]


def with_head(
    adata: ad.AnnData, hidden: np.ndarray, x: np.ndarray, basis: Basis | None, vote: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Term, most probable term, and share of sets with the truth."""
    rows, asked = learned(adata, hidden), np.flatnonzero(hidden)
    truth = text_array(adata.obs["truth"])
    names = np.unique(truth[rows])
    # Every labelled cell votes in its cluster, not only those learned from.
    voters = np.flatnonzero(~hidden & np.isin(truth, names))
    columns = (
        text_array(adata.obs[name].astype(str)) for name in ("cluster", "batch_id", "donor_id")
    )
    run = Run(x, truth, *columns)
    told, _ = label_run(run, asked, rows, voters, names, basis=basis, vote=vote)
    own = np.minimum(np.searchsorted(names, truth[asked]), names.size - 1)
    known = names[own] == truth[asked]
    coverage = float(told.sets[np.arange(asked.size), own][known].mean()) if known.any() else np.nan
    return told.term.astype(str), names[told.best], coverage


def knn(adata: ad.AnnData, hidden: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth = adata.obs["truth"].to_numpy(str)
    rows = np.flatnonzero(~hidden & (truth != UNKNOWN))
    model = KNeighborsClassifier(30).fit(x[rows], truth[rows])
    p = model.predict_proba(x[hidden])
    best = model.classes_[p.argmax(axis=1)]
    return np.where(p.max(axis=1) >= 0.8, best, UNKNOWN), best


def coarse(term: str) -> str:
    """B, T, NK, monocyte, or the term itself; 'unknown' where it may be of several."""
    if term in JOINT or term == UNKNOWN:
        return UNKNOWN
    found = [name for name, above in COARSE.items() if covers(above, term)]
    return found[0] if found else term


def shared_levels(adata: ad.AnnData, answers: np.ndarray) -> dict[str, str]:
    """The most general published term of the study at or above each term, as profiles count it."""
    known = sorted(set(adata.obs["truth"]) - {UNKNOWN})
    found = {}
    for term in {*known, *map(str, answers)} - {UNKNOWN}:
        above = [level for level in known if covers(level, term)]
        found[term] = next(
            (level for level in above if all(covers(level, other) for other in above)), term
        )
    return found


def scores(
    answer: np.ndarray,
    best: np.ndarray,
    truth: np.ndarray,
    donor: np.ndarray,
    levels: dict[str, str],
) -> dict:
    """Figures over hidden cells; intervals of 95 % by drawing donors anew (200 times, seed 0).

    What cells count as (`best`) is compared at the level that all labels of the study share.
    """
    cells = pd.DataFrame({"donor": donor, "answer": answer, "best": best, "truth": truth})
    cells = cells[cells["truth"] != UNKNOWN]
    pairs = cells[["answer", "truth"]].drop_duplicates()
    agree = {
        (a, t): covers(a, t) or covers(t, a)
        for a, t in zip(pairs["answer"], pairs["truth"], strict=True)
    }
    keys = list(zip(cells["answer"], cells["truth"], strict=True))
    cells["answered"] = cells["answer"] != UNKNOWN
    cells["right"] = [agree[key] for key in keys]
    cells["wrong"] = cells["answered"] & ~cells["right"]
    cells["exact"] = cells["answer"] == cells["truth"]
    cells["counted"] = cells["best"].map(levels).fillna(UNKNOWN)
    cells["level"] = cells["truth"].map(levels)
    cells["best_exact"] = cells["counted"] == cells["level"]
    answer_c, truth_c = cells["answer"].map(coarse), cells["truth"].map(coarse)
    # An ancestor above the groups is no coarse answer, and not a wrong one.
    above = cells["right"] & (answer_c != truth_c)
    cells["coarse"] = (answer_c != UNKNOWN) & ~above
    cells["coarse_right"] = cells["coarse"] & (answer_c == truth_c)
    cells["coarse_wrong"] = cells["coarse"] & (answer_c != truth_c)
    places = {name: np.flatnonzero(cells["donor"] == name) for name in cells["donor"].unique()}
    distance: dict[str, dict[str, float]] = {"answer": {}, "counted": {}}
    for column, found in distance.items():
        real = "truth" if column == "answer" else "level"
        for name, own in places.items():
            one, other = (
                cells[item].iloc[own].value_counts(normalize=True) for item in (real, column)
            )
            found[name] = 0.5 * float(one.sub(other, fill_value=0.0).abs().sum())
    names = list(places)
    flags = ("exact", "best_exact", "answered", "right", "wrong")
    flags += ("coarse", "coarse_right", "coarse_wrong")
    table = {
        flag: np.array([cells[flag].to_numpy(float)[places[name]].sum() for name in names])
        for flag in flags
    }
    n = np.array([places[name].size for name in names], float)
    tv = {key: np.array([found[name] for name in names]) for key, found in distance.items()}
    types, code = np.unique(cells[["answer", "truth"]].to_numpy(str), return_inverse=True)
    code = code.reshape(-1, 2)
    confusion = np.zeros((len(names), types.size, types.size))
    for at, name in enumerate(names):
        np.add.at(confusion[at], tuple(code[places[name]].T), 1.0)
    present = np.isin(types, cells["truth"].unique())

    def figures(w: np.ndarray) -> dict[str, float]:
        total = float((w * n).sum())
        share = {flag: float((w * values).sum()) / total for flag, values in table.items()}
        matrix = np.tensordot(w, confusion, 1)
        hit, given, real = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        f1 = 2 * hit / np.maximum(given + real, 1e-12)
        return {
            "answered": share["answered"],
            "right_of_answered": share["right"] / max(share["answered"], 1e-12),
            "wrong": share["wrong"],
            "exact": share["exact"],
            "best_exact": share["best_exact"],
            "macro_f1": float(f1[present & (real > 0)].mean()),
            "coarse_answered": share["coarse"],
            "coarse_right_of_answered": share["coarse_right"] / max(share["coarse"], 1e-12),
            "coarse_wrong": share["coarse_wrong"],
            "composition_error": float((w * tv["answer"]).sum() / w.sum()),
            "composition_error_best": float((w * tv["counted"]).sum() / w.sum()),
        }

    rng = np.random.default_rng(0)
    drawn = [
        figures(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)))
        for _ in range(200)
    ]
    out = {"n_cells": len(cells), "n_donors": len(names)}
    for key, value in figures(np.ones(len(names))).items():
        low, high = np.quantile([item[key] for item in drawn], [0.025, 0.975])
        out |= {key: value, f"{key}_low": low, f"{key}_high": high}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", default="judgement", choices=["development", "judgement"])
    parser.add_argument("--study", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    with threadpool_limits(1):
        for study, adata, cases in studies(args.data, args.half, args.study):
            total = np.asarray(adata.X.sum(axis=1)).reshape(-1, 1)
            genes = adata.var["is_highly_variable"].to_numpy(bool)
            x = adata.X[:, genes].multiply(1e4 / total).toarray()
            x = np.log1p(x).astype(np.float32)
            moved = adata.obsm["X_integrated"].astype(np.float64)
            for case in cases:
                shown = adata.copy()
                shown.obs[SOURCE] = np.where(case.hidden, UNKNOWN, shown.obs["truth"])
                sums = [aggregate(shown)]
                truth = adata.obs["truth"].to_numpy(str)[case.hidden]
                donor = adata.obs["donor_id"].to_numpy(str)[case.hidden]
                for name, found in methods(adata, case.hidden, sums, x, moved):
                    answer, best, coverage, spent = found
                    line = {"study": study, "case": case.name, "method": name}
                    levels = shared_levels(adata, np.concatenate([answer, best]))
                    line |= scores(answer, best, truth, donor, levels)
                    line |= {"coverage": coverage, "cpu_s": round(spent, 1)}
                    rows.append(line)
                    told = "  ".join(
                        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
                        for key, value in line.items()
                        if not key.endswith(("_low", "_high"))
                    )
                    print(told, flush=True)
            if args.out:
                pd.DataFrame(rows).to_csv(args.out, sep="\t", index=False, float_format="%.4f")


def methods(
    adata: ad.AnnData, hidden: np.ndarray, sums: list, x: np.ndarray, moved: np.ndarray
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray, float, float]]]:
    start = time.process_time()
    term = today(adata, hidden, sums)[hidden]
    yield "cluster", (term, term, np.nan, time.process_time() - start)
    start = time.process_time()
    table = transferred(adata, hidden)
    answer = table["cell_type_ontology_term_id"].to_numpy(str)
    best = table["nearest_cell_type_ontology_term_id"].to_numpy(str)
    truth = adata.obs["truth"].to_numpy(str)[hidden]
    known = truth != UNKNOWN
    inside = [own in told for own, told in zip(truth, table["cell_type_set"], strict=True)]
    spent = time.process_time() - start
    yield "pmcell label_transfer", (answer, best, float(np.mean(np.array(inside)[known])), spent)
    # What a study counts: cells without a label have that of their cluster.
    filled = np.where(answer == UNKNOWN, term, answer)
    counted = np.where(answer == UNKNOWN, term, best)
    yield "pmcell, else cluster", (filled, counted, np.nan, spent)
    start = time.process_time()
    answer, best = knn(adata, hidden, moved)
    yield "kNN", (answer, best, np.nan, time.process_time() - start)
    scores_of = adata.obsm["X_pca"].astype(np.float64)
    spaces = {
        "components": (scores_of, None),
        "integrated": (moved, None),
        "genes": (x.astype(np.float64), gene_basis(adata)),
    }
    for space, weight in HEADS:
        start = time.process_time()
        answer, best, coverage = with_head(adata, hidden, *spaces[space], weight)
        spent = time.process_time() - start
        yield f"head, {space}, vote {weight}", (answer, best, coverage, spent)


def gene_basis(adata: ad.AnnData) -> Basis:
    """Orthogonal directions of the study's components, for distances only."""
    genes = adata.var["is_highly_variable"].to_numpy(bool)
    loadings = adata.varm["PCs"][genes]
    q, _ = np.linalg.qr(loadings)
    n = loadings.shape[0]
    return Basis(np.zeros(n), np.ones(n), q, np.ones(q.shape[1]), float(q.shape[1]))


if __name__ == "__main__":
    main()
