"""How well the label head of a reference labels cells of batches and of types that it lacks.

python tests/benchmarks/person/labels.py --results RESULTS [--part batches|types|vetoes|genes]
    [--half development|judgement] [--peers] [--packages NAME ... --environments FOLDER]

RESULTS is the results folder of the demo (`pmcell demo`): the embedded Liu cohorts, whose types
were told from surface proteins. Each batch is left out of the head, its calibration and its
vetoes; the principal components stay those of all batches, which helps all methods alike. A
donor belongs to development or judgement by a hash of its id: thresholds were chosen on the
development donors of B1 and B2, tables are of the judgement donors.

--packages are peers of others, run by `packages.py` in an environment of their own below FOLDER,
which uv makes where it is not there (`requirements.txt`, for scANVI `requirements_deep.txt`).
Intervals draw the donors of the batch left out anew, 2,000 times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from pmcell.io.counts.open import open_counts
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
from pmcell.publish.content.cell_model import _expression, _training_cells
from pmcell.publish.facts import load_facts
from pmcell.schema.text import text_array

HERE = Path(__file__).parent
PACKAGES = {
    "celltypist": "requirements.txt",
    "symphonypy": "requirements.txt",
    "scanvi": "requirements_deep.txt",
}
"""Peers of others that `packages.py` runs, and what their environment is made of."""
N_DRAWS = 2_000

Answer = tuple[str, np.ndarray, np.ndarray, float]
"""Name of a method, most probable type of each cell, its probability, and processor seconds."""

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
        self.cohorts = [one for one in load_facts(results).cohorts if one.accepted]
        atlas = load_atlas(results)
        chosen = _training_cells(atlas)
        x, self.space = _expression(results, self.cohorts, atlas, chosen)
        cells = atlas.cells.iloc[chosen]
        self.ids = text_array(cells.index)
        ((_, self.basis),) = read_bases(results / "atlas" / "basis.npz").items()
        self.cells = LabelledCells(
            x.toarray(),
            text_array(cells["cell_type"]),
            text_array(cells["batch_id"]),
            text_array(cells["donor_id"]),
        )
        named = cells.drop_duplicates("cell_type").set_index("cell_type")
        self.term = {str(k): str(v) for k, v in named["cell_type_ontology_term_id"].items()}
        self.symbols = text_array(self.space.feature_symbols)
        halves = [zlib.crc32(str(name).encode()) % 2 == 0 for name in self.cells.donor]
        self.is_development = np.array(halves, bool)

    def counts(self) -> np.ndarray:
        """Raw counts of the cells in the genes of the model."""
        out = np.zeros(self.cells.x.shape, np.int32)
        place = {str(name): row for row, name in enumerate(self.ids)}
        for cohort in self.cohorts:
            own = open_counts(cohort.folder / "intake.h5ad")
            rows = np.array([place.get(str(name), -1) for name in own.cell_ids], np.int64)
            here = np.flatnonzero(rows >= 0)
            columns = pd.Index(text_array(own.gene_ids)).get_indexer(self.space.features)
            there = np.flatnonzero(columns >= 0)
            read = own.read_rows(here)[:, columns[there]].toarray()
            out[np.ix_(rows[here], there)] = read
        return out

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


def peers(data: Data, training: np.ndarray, held: np.ndarray) -> Iterator[Answer]:
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
    data: Data, training: np.ndarray, held: np.ndarray, names: Sequence[str], environments: Path
) -> Iterator[Answer]:
    """The same by packages of others."""
    for name in names:
        yield from run_package(
            name,
            environments,
            x=data.cells.x,
            counts=data.counts(),
            genes=data.space.features,
            types=data.cells.types,
            batch=data.cells.batch,
            training=training,
            held=held,
        )


def run_package(name: str, environments: Path, **cells: np.ndarray) -> Iterator[Answer]:
    """Have a package label cells, in a process and environment of its own (`packages.Cells`)."""
    with tempfile.TemporaryDirectory() as folder:
        source, answers = Path(folder) / "cells.npz", Path(folder) / "answers.npz"
        np.savez(source, **cells)
        python = environment(environments, PACKAGES[name])
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        alone |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        command = [python, HERE / "packages.py", name, source, answers]
        # What packages say of their progress is no row of the table.
        subprocess.run(command, check=True, cwd=folder, env=alone, stdout=sys.stderr)
        with np.load(answers) as found:
            kept = [found[key] for key in ("names", "best", "p", "seconds")]
    yield from zip(kept[0].tolist(), kept[1], kept[2], kept[3].tolist(), strict=True)


def environment(folder: Path, requirements: str) -> Path:
    """The interpreter of an environment that holds what a file of requirements locks."""
    made = folder / Path(requirements).stem
    python = made / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--python", "3.11", made], check=True)
        wanted = ["--requirement", HERE / requirements]
        subprocess.run(["uv", "pip", "install", "--python", python, *wanted], check=True)
    return python.absolute()


@dataclass(frozen=True)
class Drawn:
    """Macro-F1 and the share confident and wrong: of all cells first, then of donors drawn anew."""

    macro_f1: np.ndarray
    confident_wrong: np.ndarray

    @classmethod
    def of(cls, donor: np.ndarray, truth: np.ndarray, best: np.ndarray, wrong: np.ndarray) -> Drawn:
        """The same donors are drawn for the same cells, whatever the method."""
        names, at = np.unique(donor, return_inverse=True)
        even = np.full(names.size, 1 / names.size)
        drawn = np.random.default_rng(0).multinomial(names.size, even, N_DRAWS)
        weight = np.concatenate([np.ones((1, names.size)), drawn])
        kinds, code = np.unique(np.concatenate([truth, best]), return_inverse=True)
        confusion = np.zeros((names.size, kinds.size, kinds.size))
        np.add.at(confusion, (at, code[: truth.size], code[truth.size :]), 1.0)
        total = np.tensordot(weight, confusion, 1)
        real, given = total.sum(axis=2), total.sum(axis=1)
        f1 = 2 * np.diagonal(total, axis1=1, axis2=2) / np.maximum(real + given, 1e-12)
        share = (weight @ np.bincount(at, wrong)) / (weight @ np.bincount(at))
        return cls((f1 * (real > 0)).sum(axis=1) / (real > 0).sum(axis=1), share)

    def columns(self, product: Drawn | None = None) -> dict[str, float]:
        """Ends of the 95 % intervals; how far the product is ahead, and its interval."""
        told: dict[str, float] = {}
        for name, values in vars(self).items():
            low, high = np.quantile(values[1:], [0.025, 0.975])
            told |= {f"{name}_low": float(low), f"{name}_high": float(high)}
            if product is not None:
                more = vars(product)[name] - values
                low, high = np.quantile(more[1:], [0.025, 0.975])
                told |= {
                    f"product_{name}_more": float(more[0]),
                    f"product_{name}_more_low": float(low),
                    f"product_{name}_more_high": float(high),
                }
        return told


def part_batches(data: Data, half: np.ndarray, args: argparse.Namespace) -> None:
    for batch in np.unique(data.cells.batch):
        held = data.cells.batch == batch
        judged = held & half
        truth, donor = data.cells.types[judged], data.cells.donor[judged]
        start = time.process_time()
        model = Model(data, ~held)
        spent = time.process_time() - start
        everywhere = np.ones(data.basis.means.size, bool)
        told, _ = model.label(data.cells.x[judged], everywhere)
        known = np.isin(truth, model.names)
        wrong = confident_wrong(data, told, truth)
        best = model.names[told.best]
        product = Drawn.of(donor[known], truth[known], best[known], wrong[known])
        show(f"{batch} pmcell", scores(data, model, told, truth) | product.columns(), spent)
        agreed = judged & ~data.contradicted()
        told, _ = model.label(data.cells.x[agreed], everywhere)
        line = scores(data, model, told, data.cells.types[agreed])
        show(f"{batch} pmcell, cells whose genes do not contradict their source", line, 0.0)
        own = np.array([data.coarse(data.term[str(name)]) for name in truth])
        others = chain(
            peers(data, ~held, judged) if args.peers else (),
            packages(data, ~held, judged, args.packages, args.environments),
        )
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
            wrong = sure & (best != truth)
            drawn = Drawn.of(donor[known], truth[known], best[known], wrong[known])
            show(f"{batch} {name}", line | drawn.columns(product), seconds)


def confident_wrong(data: Data, told: Any, truth: np.ndarray) -> np.ndarray:
    """Cells that have a label which is neither their type nor one above it."""
    terms = [data.term[str(name)] for name in truth]
    right = np.array([covers(str(a), b) for a, b in zip(told.term, terms, strict=True)])
    return (told.term != "unknown") & ~right


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
    parser.add_argument("--packages", nargs="+", default=(), choices=list(PACKAGES))
    parser.add_argument("--environments", type=Path, help="folder of the packages' environments")
    args = parser.parse_args()
    if args.packages and args.environments is None:
        parser.error("--packages needs --environments FOLDER")
    data = Data(args.results)
    half = data.is_development if args.half == "development" else ~data.is_development
    with threadpool_limits(1):
        PARTS[args.part](data, half, *[args] * (args.part == "batches"))


if __name__ == "__main__":
    main()
