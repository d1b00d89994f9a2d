"""How well the label head of a reference labels cells of batches and of types that it lacks.

python tests/benchmarks/person/labels.py --results RESULTS [--part batches|types|vetoes|genes]
    [--half development|judgement] [--peers]

RESULTS is the results folder of the demo (`pmcell demo`): the embedded Liu cohorts, whose types
were told from surface proteins. Each batch is left out of the head, its calibration and its
vetoes; the principal components stay those of all batches, which helps all methods alike. A
donor belongs to development or judgement by a hash of its id: thresholds were chosen on the
development donors of B1 and B2, tables are of the judgement donors.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from pmcell.core.pca.project import projection_weights
from pmcell.io.counts.sums import read_bases
from pmcell.mapping.calibration import (
    LabelledCells,
    batch_folds,
    calibrate,
    donor_folds,
    leave_out,
)
from pmcell.mapping.head import fit_head
from pmcell.mapping.labels import covers, label_cells, nodes_above
from pmcell.mapping.vetoes import find_vetoes
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content.reference import _expression, _training_cells
from pmcell.publish.facts import load_facts
from pmcell.schema.text import text_array

COARSE = {
    "T": "CL:0000084",
    "B": "CL:0000236",
    "NK": "CL:0000623",
    "monocyte": "CL:0000576",
}

LINEAGE = {"T": ("CD3D", "CD3E", "CD3G"), "B": ("MS4A1", "CD79A", "CD79B", "BANK1")}
"""Genes of the receptors of T and B cells: two of the one and at most one of the other tell."""
NOT_AGAINST = {"T": ("T",), "B": ("B", "CL:0000980")}
"""Coarse labels that such genes do not contradict; plasma blasts are B cells."""


class Data:
    """Cells of the demo with their types."""

    def __init__(self, results: Path) -> None:
        facts = load_facts(results)
        atlas = load_atlas(results)
        chosen = _training_cells(atlas)
        x, self.space = _expression(facts, atlas, chosen)
        cells = atlas.cells.iloc[chosen]
        ((_, self.basis),) = read_bases(results / "atlas" / "basis.npz").items()
        self.cells = LabelledCells(
            x,
            text_array(cells["cell_type"]),
            text_array(cells["batch_id"]),
            text_array(cells["donor_id"]),
        )
        named = cells.drop_duplicates("cell_type").set_index("cell_type")
        self.term = {str(k): str(v) for k, v in named["cell_type_ontology_term_id"].items()}
        self.symbols = text_array(self.space.feature_symbols)
        halves = [zlib.crc32(str(name).encode()) % 2 == 0 for name in self.cells.donor]
        self.is_development = np.array(halves, bool)

    def contradicted(self) -> np.ndarray:
        """Cells whose genes say that they are T or B cells, and whose source says another."""
        n = {
            kind: (self.cells.x[:, np.isin(self.symbols, genes)] > 0).sum(axis=1)
            for kind, genes in LINEAGE.items()
        }
        own = np.array([self.coarse(self.term[str(name)]) for name in self.cells.types])
        out = np.zeros(own.size, bool)
        for kind, other in (("T", "B"), ("B", "T")):
            out |= (n[kind] >= 2) & (n[other] <= 1) & ~np.isin(own, NOT_AGAINST[kind])
        return out

    def coarse(self, term: str) -> str:
        """B, T, NK, monocyte, or the type itself."""
        found = [name for name, above in COARSE.items() if covers(above, term)]
        return found[0] if found else term


class Model:
    """Head, calibration and vetoes fitted on some cells."""

    def __init__(self, data: Data, training: np.ndarray) -> None:
        cells = data.cells.take(training)
        self.data, self.names = data, np.unique(cells.types)
        self.terms = np.array([data.term[str(name)] for name in self.names])
        code = np.unique(cells.batch, return_inverse=True)[1].astype(np.int64)
        self.head = fit_head(cells.x, cells.types, code, data.basis)
        by_batch = leave_out(cells, batch_folds(cells.batch), data.basis, self.names)
        by_donor = leave_out(cells, donor_folds(cells.donor), data.basis, self.names)
        self.calibration = calibrate(cells, self.names, by_batch, by_donor)
        self.vetoes = find_vetoes(cells.x, cells.types, self.names, self.terms, data.symbols)

    def label(self, x: np.ndarray, measured: np.ndarray) -> tuple[Any, np.ndarray]:
        p, d = self.head.judge(x, self.data.basis, measured)
        veto = self.vetoes.struck(x, p.argmax(axis=1).astype(np.int64), measured)
        return label_cells(p, d, self.calibration, self.names, self.terms, veto), p


def scores(data: Data, model: Model, told: Any, truth: np.ndarray) -> dict[str, float]:
    """Columns of the tables, over cells of types that the model knows."""
    known = np.isin(truth, model.names)
    terms = np.array([data.term[str(name)] for name in truth])
    best = model.names[told.best]
    present = np.unique(truth[known])
    answered = told.term != "unknown"
    right = np.array([covers(str(a), str(b)) for a, b in zip(told.term, terms, strict=True)])
    nodes = {node.term: node for node in nodes_above(tuple(model.names), tuple(model.terms))}
    kinds = {
        term: {data.coarse(str(model.terms[at])) for at in node.members}
        for term, node in nodes.items()
    }
    own = np.array([data.coarse(str(term)) for term in terms])
    group = [kinds.get(str(term), set()) for term in told.term]
    one = np.array([len(item) == 1 for item in group]) & answered
    hit = np.array([name in item for name, item in zip(own, group, strict=True)])
    at = np.searchsorted(model.names, truth[known])
    inside = told.sets[known][np.arange(known.sum()), np.minimum(at, model.names.size - 1)]
    out = {
        "n": float(known.sum()),
        "accuracy": float((best == truth)[known].mean()),
        "macro_f1": float(
            f1_score(truth[known], best[known], labels=present, average="macro", zero_division=0)
        ),
        "coverage": float(inside.mean()),
        "set_size": float(told.sets[known].sum(axis=1).mean()),
        "answered": float(answered[known].mean()),
        "accuracy_of_answered": float(right[known & answered].mean()),
        "confident_wrong": float((answered & ~right)[known].mean()),
        "coarse_answered": float(one[known].mean()),
        "coarse_accuracy_of_answered": float(hit[known & one].mean()),
        "coarse_confident_wrong": float((one & ~hit)[known].mean()),
    }
    if (~known).any():
        out["n_unseen_types"] = float((~known).sum())
        out["unseen_answered"] = float(answered[~known].mean())
        out["unseen_confident_wrong"] = float((answered & ~right)[~known].mean())
        out["unseen_coarse_confident_wrong"] = float((one & ~hit)[~known].mean())
    return out


def peers(
    data: Data, training: np.ndarray, held: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Most probable type and its probability by other methods, and their seconds."""
    cells, x = data.cells, data.cells.x
    mean, sd = x[training].mean(axis=0), x[training].std(axis=0) + 1e-9
    z = np.clip((x - mean) / sd, -10, 10)
    within = np.empty_like(z)
    for batch in np.unique(cells.batch):
        own = cells.batch == batch
        within[own] = np.clip((x[own] - x[own].mean(0)) / (x[own].std(0) + 1e-9), -10, 10)
    pcs = (x - data.basis.means) @ data.basis.loadings
    log_loss = {"loss": "log_loss", "alpha": 1e-4, "random_state": 0}
    methods: list[tuple[str, np.ndarray, Any]] = [
        ("logistic regression, genes", z, LogisticRegression(C=0.01, max_iter=300)),
        (
            "logistic regression, genes standardised within batch",
            within,
            LogisticRegression(C=0.01, max_iter=300),
        ),
        ("logistic regression, 50 PCs", pcs, LogisticRegression(C=1.0, max_iter=1000)),
        (
            "logistic regression, genes, types alike",
            z,
            LogisticRegression(C=0.01, max_iter=300, class_weight="balanced"),
        ),
        ("CellTypist-style (one-against-rest SGD, scaled genes)", z, SGDClassifier(**log_loss)),
        ("kNN (15), 50 PCs", pcs, KNeighborsClassifier(15)),
    ]
    for name, features, model in methods:
        start = time.process_time()
        model.fit(features[training], cells.types[training])
        p = model.predict_proba(features[held])
        yield name, model.classes_[p.argmax(axis=1)], p.max(axis=1), time.process_time() - start


def packages(
    data: Data, training: np.ndarray, held: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """The same by CellTypist and symphonypy themselves, where they are installed."""
    cells = data.cells
    if find_spec("celltypist"):
        import celltypist

        # Its other solver asks scikit-learn for `multi_class`, which 1.9 does not have.
        start = time.process_time()
        model = celltypist.train(
            cells.x[training],
            labels=cells.types[training],
            genes=data.symbols,
            n_jobs=1,
            use_SGD=True,
            check_expression=False,
        )
        z = np.minimum((cells.x[held] - model.scaler.mean_) / model.scaler.scale_, 10)
        _, p, _ = model.predict_labels_and_prob(z, mode="best match")
        p = np.asarray(p)
        best = model.classifier.classes_[p.argmax(axis=1)]
        yield "CellTypist 1.7.1 (SGD)", best, p.max(axis=1), time.process_time() - start
    if find_spec("symphonypy"):
        import anndata as ad
        import scanpy as sc
        import symphonypy as sp

        start = time.process_time()
        obs = pd.DataFrame({"batch": cells.batch, "cell_type": cells.types})
        whole = ad.AnnData(cells.x, obs, pd.DataFrame(index=data.symbols))
        whole.var_names_make_unique()
        reference, query = whole[training].copy(), whole[held].copy()
        reference.obs_names_make_unique()
        reference.var["highly_variable"] = True
        reference.var["mean"] = reference.X.mean(axis=0)
        reference.var["std"] = reference.X.std(axis=0)
        sc.pp.scale(reference, max_value=10)
        sc.tl.pca(reference, n_comps=50, zero_center=False, random_state=0)
        sp.pp.harmony_integrate(reference, key="batch", max_iter_harmony=10, verbose=False)
        sp.tl.map_embedding(query, reference, key="batch")
        sp.tl.transfer_labels_kNN(query, reference, "cell_type", n_neighbors=15)
        found = KNeighborsClassifier(15).fit(
            reference.obsm["X_pca_harmony"], reference.obs["cell_type"]
        )
        p = found.predict_proba(query.obsm["X_pca_harmony"])
        best = query.obs["cell_type"].to_numpy(str)
        yield "symphonypy 0.2, kNN (15)", best, p.max(axis=1), time.process_time() - start


def part_batches(data: Data, half: np.ndarray, with_peers: bool) -> None:
    for batch in np.unique(data.cells.batch):
        held = data.cells.batch == batch
        judged = held & half
        start = time.process_time()
        model = Model(data, ~held)
        spent = time.process_time() - start
        everywhere = np.ones(data.basis.means.size, bool)
        told, _ = model.label(data.cells.x[judged], everywhere)
        show(f"{batch} pmcell", scores(data, model, told, data.cells.types[judged]), spent)
        agreed = judged & ~data.contradicted()
        told, _ = model.label(data.cells.x[agreed], everywhere)
        line = scores(data, model, told, data.cells.types[agreed])
        show(f"{batch} pmcell, cells whose genes do not contradict their source", line, 0.0)
        if not with_peers:
            continue
        truth = data.cells.types[judged]
        known = np.isin(truth, model.names)
        own = np.array([data.coarse(data.term[str(name)]) for name in truth])
        others = chain(peers(data, ~held, judged), packages(data, ~held, judged))
        for name, best, p, seconds in others:
            guess = np.array([data.coarse(data.term[str(one)]) for one in best])
            sure = p >= 0.9
            line = {
                "n": float(known.sum()),
                "accuracy": float((best == truth)[known].mean()),
                "macro_f1": float(
                    f1_score(
                        truth[known],
                        best[known],
                        labels=np.unique(truth[known]),
                        average="macro",
                        zero_division=0,
                    )
                ),
                "answered": float(sure[known].mean()),
                "accuracy_of_answered": float((best == truth)[known & sure].mean()),
                "confident_wrong": float((sure & (best != truth))[known].mean()),
                "coarse_answered": float(sure[known].mean()),
                "coarse_accuracy_of_answered": float((guess == own)[known & sure].mean()),
                "coarse_confident_wrong": float((sure & (guess != own))[known].mean()),
            }
            if (~known).any():
                line["unseen_answered"] = float(sure[~known].mean())
                line["unseen_coarse_confident_wrong"] = float(
                    (sure & (guess != own))[~known].mean()
                )
            show(f"{batch} {name}", line, seconds)


def part_types(data: Data, half: np.ndarray) -> None:
    """A type, or all T, B, … cells, left out besides the batch."""
    groups = {name: above for name, above in COARSE.items() if name != "T"}
    groups |= {"CD4 T (siblings remain)": "CL:0000624", "plasmablast (sibling of B)": "CL:0000980"}
    groups |= {"platelet": "CL:0000233", "erythrocyte": "CL:0000232"}
    everywhere = np.ones(data.basis.means.size, bool)
    for batch in np.unique(data.cells.batch):
        held = data.cells.batch == batch
        for name, above in groups.items():
            gone = np.array([covers(above, data.term[str(one)]) for one in data.cells.types])
            judged = held & half & gone
            if judged.sum() < 20:
                continue
            model = Model(data, ~held & ~gone)
            told, _ = model.label(data.cells.x[judged], everywhere)
            answered = told.term != "unknown"
            terms = [data.term[str(one)] for one in data.cells.types[judged]]
            right = np.array([covers(str(a), b) for a, b in zip(told.term, terms, strict=True)])
            line = {
                "n": float(judged.sum()),
                "unlike": float(told.unlike.mean()),
                "no_label": float((~answered).mean()),
                "right_ancestor": float((answered & right).mean()),
                "confident_wrong": float((answered & ~right).mean()),
            }
            names, n = np.unique(told.label[answered & ~right].astype(str), return_counts=True)
            most = ", ".join(f"{k} {v}" for v, k in sorted(zip(n, names, strict=True))[::-1][:3])
            show(f"{batch} without {name}", line, 0.0, most)


def part_vetoes(data: Data, half: np.ndarray) -> None:
    """Composition of each donor where a struck cell counts as its next type, beside as it is."""
    everywhere = np.ones(data.basis.means.size, bool)
    draw = np.random.default_rng(0)
    for batch in np.unique(data.cells.batch):
        held = data.cells.batch == batch
        model = Model(data, ~held)
        own = data.cells.take(held & half & np.isin(data.cells.types, model.names))
        told, p = model.label(own.x, everywhere)
        rest = p.copy()
        rest[np.arange(told.best.size), told.best] = -1.0
        kinds = np.searchsorted(model.names, own.types), told.best
        kinds = *kinds, np.where(told.veto != "", rest.argmax(axis=1), told.best)
        errors = []
        for donor in np.unique(own.donor):
            n = [np.bincount(kind[own.donor == donor], minlength=p.shape[1]) for kind in kinds]
            truth, *others = (counts / counts.sum() for counts in n)
            errors.append([abs(other - truth).sum() / 2 for other in others])
        plain, with_vetoes = np.array(errors).T
        more = with_vetoes - plain
        drawn = more[draw.integers(0, more.size, (2000, more.size))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        line = {"n": float(more.size), "error": plain.mean(), "more_with_vetoes": more.mean()}
        show(f"{batch} vetoes", line | {"low": low, "high": high}, 0.0)


def part_genes(data: Data, half: np.ndarray) -> None:
    """Genes dropped at random, the same for all cells (seed 0)."""
    order = np.random.default_rng(0).permutation(data.basis.means.size)
    for batch in np.unique(data.cells.batch):
        held = data.cells.batch == batch
        model = Model(data, ~held)
        judged = held & half
        for share in (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
            measured = np.ones(order.size, bool)
            measured[order[: int(share * order.size)]] = False
            # Counts are divided by what the measured genes are expected to have.
            x = np.where(measured, data.cells.x[judged], 0.0).astype(np.float32)
            told, _ = model.label(x, measured)
            weights = projection_weights(data.basis, measured)
            line = scores(data, model, told, data.cells.types[judged])
            line["rank"] = float(np.linalg.matrix_rank(weights))
            show(f"{batch} {share:.0%} of genes dropped", line, 0.0)


def show(name: str, line: dict[str, float], seconds: float, more: str = "") -> None:
    told = "  ".join(f"{key} {value:.3f}" for key, value in line.items())
    print(f"{name:60s} {told}  cpu {seconds:.1f} s  {more}", flush=True)


PARTS = {"batches": part_batches, "types": part_types, "vetoes": part_vetoes, "genes": part_genes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--part", default="batches", choices=list(PARTS))
    parser.add_argument("--half", default="judgement", choices=["development", "judgement"])
    parser.add_argument("--peers", action="store_true")
    args = parser.parse_args()
    data = Data(args.results)
    half = data.is_development if args.half == "development" else ~data.is_development
    with threadpool_limits(1):
        PARTS[args.part](data, half, *[args.peers] * (args.part == "batches"))


if __name__ == "__main__":
    main()
