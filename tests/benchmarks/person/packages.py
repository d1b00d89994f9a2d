"""Labels by packages of others, in the packages' own environment; `labels.py --packages` calls it.

python tests/benchmarks/person/packages.py celltypist|symphonypy|scanvi CELLS.npz ANSWERS.npz

CELLS.npz has log-normalised expression `x`, raw `counts`, `genes`, `types` and `batch` of all
cells, and which of them are learned from (`training`) and labelled (`held`). ANSWERS.npz gets for
each way of labelling its name, the type of each held cell, its probability, and the seconds of
processor time. Everything is the package's default or its tutorial's; nothing was tuned here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

import anndata as ad
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Cells:
    """What CELLS.npz holds."""

    x: np.ndarray
    counts: np.ndarray
    genes: np.ndarray
    types: np.ndarray
    batch: np.ndarray
    training: np.ndarray
    held: np.ndarray

    def part(self, rows: np.ndarray, values: np.ndarray) -> ad.AnnData:
        """Some of the cells, with `batch` and `cell_type`."""
        obs = pd.DataFrame({"batch": self.batch[rows], "cell_type": self.types[rows]})
        obs.index = [f"cell{row}" for row in np.flatnonzero(rows)]
        x = values[rows].astype(np.float32)
        return ad.AnnData(x, obs, pd.DataFrame(index=self.genes))


Answer = tuple[str, np.ndarray, np.ndarray, float]


def celltypist(cells: Cells) -> Iterator[Answer]:
    """Its default logistic regression, one type against the rest; then with majority voting.

    A probability is that of the type alone, as in its `prob match`: above 0.9 a cell may have two.
    """
    import celltypist

    start = time.process_time()
    training = cells.x[cells.training]
    model = celltypist.train(
        training, labels=cells.types[cells.training], genes=cells.genes, check_expression=False
    )
    query = cells.part(cells.held, cells.x)
    found = celltypist.annotate(query, model=model)
    p = found.probability_matrix
    name = f"CellTypist {version('celltypist')}"
    several = float(((p.to_numpy() > 0.9).sum(axis=1) > 1).mean())
    print(f"{name}: {several:.4f} of the cells have several types above 0.9", flush=True)
    best = found.predicted_labels["predicted_labels"].to_numpy(str)
    yield name, best, p.to_numpy().max(axis=1), time.process_time() - start
    voted = celltypist.annotate(query, model=model, majority_voting=True)
    best = voted.predicted_labels["majority_voting"].to_numpy(str)
    column = voted.probability_matrix.columns.get_indexer(best)
    own = voted.probability_matrix.to_numpy()[np.arange(best.size), column]
    yield f"{name}, majority voting", best, own, time.process_time() - start


def symphonypy(cells: Cells) -> Iterator[Answer]:
    """As in its tutorial: 30 components, Harmony over batches, 5 neighbours; then 15.

    All genes count as highly variable, since the study chose them.
    """
    import scanpy as sc
    import symphonypy as sp
    from sklearn.neighbors import KNeighborsClassifier

    start = time.process_time()
    reference, query = (cells.part(rows, cells.counts) for rows in (cells.training, cells.held))
    for part in (reference, query):
        sc.pp.normalize_total(part, target_sum=1e5)
        sc.pp.log1p(part)
    reference.var["highly_variable"] = True
    sc.pp.scale(reference, max_value=10)
    sc.pp.pca(reference, n_comps=30)
    sp.pp.harmony_integrate(reference, key="batch")
    sp.tl.map_embedding(query, reference, key="batch")
    spent = time.process_time() - start
    for k in (5, 15):
        start = time.process_time()
        sp.tl.transfer_labels_kNN(
            query, reference, "cell_type", query_labels=f"found_{k}", n_neighbors=k
        )
        votes = KNeighborsClassifier(k)
        votes.fit(reference.obsm["X_pca_harmony"], reference.obs["cell_type"])
        p = votes.predict_proba(query.obsm["X_pca_harmony"]).max(axis=1)
        name = f"symphonypy {version('symphonypy')}, {k} neighbours"
        yield name, query.obs[f"found_{k}"].to_numpy(str), p, spent + time.process_time() - start


def scanvi(cells: Cells) -> Iterator[Answer]:
    """scANVI with scArches, as in its tutorial, but for the epochs of scVI (`EPOCHS`)."""
    import scvi
    import torch

    torch.set_num_threads(1)
    scvi.settings.seed = 0
    start = time.process_time()
    reference, query = (cells.part(rows, cells.counts) for rows in (cells.training, cells.held))
    query.obs["cell_type"] = UNLABELLED
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
    scvi.model.SCVI.setup_anndata(reference, batch_key="batch", labels_key="cell_type")
    base = scvi.model.SCVI(
        reference,
        use_layer_norm="both",
        use_batch_norm="none",
        encode_covariates=True,
        dropout_rate=0.2,
        n_layers=2,
    )
    base.train(max_epochs=EPOCHS, **quiet)
    print(f"scVI: {time.process_time() - start:.0f} CPU s", flush=True)
    model = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category=UNLABELLED)
    model.train(max_epochs=20, n_samples_per_label=100, **quiet)
    print(f"scANVI: {time.process_time() - start:.0f} CPU s", flush=True)
    mapped = scvi.model.SCANVI.load_query_data(query, model)
    mapped.train(max_epochs=100, plan_kwargs={"weight_decay": 0.0}, **quiet)
    p = mapped.predict(soft=True)
    best = p.columns.to_numpy(str)[p.to_numpy().argmax(axis=1)]
    name = f"scANVI, scArches (scvi-tools {version('scvi-tools')}, {EPOCHS} epochs)"
    yield name, best, p.to_numpy().max(axis=1), time.process_time() - start


EPOCHS = 50
"""Epochs of scVI: what a processor without an accelerator carries in some minutes."""
UNLABELLED = "Unknown"

METHODS: dict[str, Callable[[Cells], Iterator[Answer]]] = {
    "celltypist": celltypist,
    "symphonypy": symphonypy,
    "scanvi": scanvi,
}


def main(method: str, source: str, target: str) -> None:
    """Label the held cells, and write what was found."""
    with np.load(source) as arrays:
        cells = Cells(**arrays)
    names, best, p, seconds = zip(*METHODS[method](cells), strict=True)
    np.savez(
        target,
        names=np.array(names),
        best=np.array(best, str),
        p=np.array(p, float),
        seconds=np.array(seconds),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
