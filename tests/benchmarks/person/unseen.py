"""Is what a release says of a site never seen too good?

`--part simulated`: six sites make a reference, six others are drawn from the same law. Compared are
the printed figure (head, calibration and vetoes without each site; genes and components of all),
the same with genes and components chosen without the site too, and what the whole reference is
worth at the six others.

`--part studies --results RESULTS --without COHORT=RESULTS…`: RESULTS of a finished study, and of
studies run whole without one cohort each, onto whose release that cohort is mapped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import pmcell as pm
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.pca.gram import Basis, basis, gram
from pmcell.io.counts.open import open_counts
from pmcell.mapping.calibration import LabelledCells
from pmcell.mapping.expression import GeneSpace, log_expression
from pmcell.mapping.labels import covers
from pmcell.mapping.reference import LabelModel, fit_labels, label_expression
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content.cell_model import _training_cells
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text, text_array

N_SITES = 6
SEEDS = range(40, 44)
WORLDS = {
    "batch effect 0.2": (0.2, 800.0),
    "batch effect 0.5": (0.5, 800.0),
    "batch effect 0.8": (0.8, 800.0),
    "batch effect 0.5, 100 counts": (0.5, 100.0),
}
"""Standard deviation of what a batch does to log expression, and median counts of a cell."""
TERMS = (
    *("CL:0000624", "CL:0000625", "CL:0000236", "CL:0000860"),
    *("CL:0000623", "CL:0000784", "CL:0000451", "CL:0000233"),
)
FIGURES = ("label_accuracy", "label_coverage", "answered", "answered_accuracy", "confident_wrong")


def simulated() -> None:
    """One row a world: mean over sites and seeds."""
    print(f"| world | figure | {' | '.join(FIGURES)} |\n|---|---|{'---|' * len(FIGURES)}")
    for world, (effect, depth) in WORLDS.items():
        found: dict[str, list[list[float]]] = {}
        for seed in SEEDS:
            made = pm.simulate.simulate(
                n_cohorts=2 * N_SITES,
                n_donors=8 * N_SITES,
                cells_per_sample=120,
                n_genes=800,
                n_cell_types=len(TERMS),
                batch_effect=effect,
                real_genes=True,
                library_size=depth,
                seed=seed,
            )
            sites = np.unique(as_text(made.obs["batch_id"]))
            known = np.isin(as_text(made.obs["batch_id"]), sites[:N_SITES])
            learned, new = made[known].copy(), made[~known].copy()
            model, space, components = fit(learned)
            printed = [getattr(model.unseen, name) for name in FIGURES]
            found.setdefault("printed", []).append([float(np.mean(one)) for one in printed])
            without = []
            for site in sites[:N_SITES]:
                held = (learned.obs["batch_id"] == site).to_numpy()
                again = fit(learned[~held].copy())
                without.append(judge(learned[held].copy(), *again))
            found.setdefault("everything refitted", []).append(np.mean(without, axis=0).tolist())
            others = [
                judge(
                    new[(new.obs["batch_id"] == site).to_numpy()].copy(), model, space, components
                )
                for site in sites[N_SITES:]
            ]
            found.setdefault("true, other sites", []).append(np.mean(others, axis=0).tolist())
        for name, values in found.items():
            shown = " | ".join(f"{value:.3f}" for value in np.mean(values, axis=0))
            print(f"| {world} | {name} | {shown} |", flush=True)


def fit(cells: ad.AnnData) -> tuple[LabelModel, GeneSpace, Basis]:
    """Genes, components and label model of some cells."""
    pm.pp.highly_variable_genes(cells, n_top=300)
    counts, genes = cells.X.tocsr(), text_array(cells.var_names)
    order = np.argsort(genes)
    share = np.asarray(counts.sum(axis=0), float).ravel()[order]
    chosen = np.flatnonzero(cells.var["is_highly_variable"].to_numpy(bool)[order]).astype(np.int64)
    symbols = text_array(cells.var["symbol"])[order]
    space = GeneSpace(genes[order], symbols, share / share.sum(), chosen)
    place = {name: at for at, name in enumerate(space.features.tolist())}
    of_gene = np.array([place.get(name, -1) for name in genes.tolist()], np.int64)
    sums = gram(MatrixCounts(counts), of_gene, chosen.size, np.ones(cells.n_obs, bool))
    components = basis([sums], 30, "pareto")
    types, batch, donor = (
        text_array(as_text(cells.obs[name])) for name in ("cell_type", "batch_id", "donor_id")
    )
    training = LabelledCells(log_expression(counts, genes, space), types, batch, donor)
    terms = dict(zip(np.unique(types).tolist(), TERMS, strict=True))
    names = {name: name for name in terms}
    return fit_labels(training, components, terms, names, space.feature_symbols), space, components


def judge(
    cells: ad.AnnData, model: LabelModel, space: GeneSpace, components: Basis
) -> tuple[float, ...]:
    """`FIGURES` of a site that the model does not know."""
    x = log_expression(cells.X.tocsr(), text_array(cells.var_names), space)
    told = label_expression(x, model, components, np.ones(space.model.size, bool))
    kind = np.searchsorted(model.head.types, text_array(as_text(cells.obs["cell_type"])))
    return figures(
        told.best == kind,
        told.sets[np.arange(kind.size), kind],
        told.term,
        model.terms[kind],
    )


def figures(best: Any, inside: Any, label: Any, truth: Any) -> tuple[float, ...]:
    """`FIGURES` from whether the most probable type and the set are right, and from labels."""
    answered = np.asarray(label != UNKNOWN, bool)
    right = np.array([covers(str(a), str(b)) for a, b in zip(label, truth, strict=True)])
    wrong = answered & ~right
    return tuple(
        float(value)
        for value in (
            np.mean(best),
            np.mean(inside),
            answered.mean(),
            right[answered].mean() if answered.any() else np.nan,
            wrong.mean(),
        )
    )


def studies(results: Path, without: dict[str, Path]) -> None:
    """One row a cohort: as printed, and mapped onto the release of a study without it."""
    atlas = load_atlas(results)
    judged = atlas.cells.iloc[_training_cells(atlas)]
    record = json.loads((results / "release" / "reference" / "reference.json").read_text())
    printed = record["unseen_site"]
    print(f"| cohort | cells | figure | {' | '.join(FIGURES)} |")
    print(f"|---|---|---|{'---|' * len(FIGURES)}")
    for cohort, folder in without.items():
        counts = open_counts(results / "cohorts" / cohort / "intake.h5ad")
        obs = counts.read_obs()
        obs.index = list(counts.cell_ids)
        own = judged[as_text(judged["cohort_id"]) == cohort]
        genes = list(map(str, counts.gene_ids))
        cells = ad.AnnData(counts.read_rows(np.arange(counts.n_cells)), obs)
        cells.var_names = genes
        mapping = pm.map(cells, folder / "release")
        told = mapping.cells.set_index("cell_id")
        told = told[told["passes_qc"]].reindex(own.index).dropna(subset=["cell_type"])
        own = own.loc[told.index]
        types = pm.open_reference(folder / "release").labels.head.types
        is_known = np.isin(as_text(own["cell_type"]), types)
        told, own = told[is_known], own[is_known]
        truth = as_text(own["cell_type_ontology_term_id"]).to_numpy()
        inside = [term in found for term, found in zip(truth, told["cell_type_set"], strict=True)]
        best = as_text(told["nearest_cell_type"]).to_numpy() == as_text(own["cell_type"]).to_numpy()
        value = figures(best, inside, told["cell_type_ontology_term_id"].to_numpy(), truth)
        batches = set(as_text(own["batch_id"]))
        at = [place for place, name in enumerate(printed["group"]) if name in batches]
        weight = np.array([printed["n_cells"][place] for place in at], float)
        said = [
            np.average([printed[name][place] for place in at], weights=weight) for name in FIGURES
        ]
        for name, row in (("printed", said), ("the study run without it", value)):
            shown = " | ".join(f"{item:.3f}" for item in row)
            print(f"| {cohort} | {len(own)} | {name} | {shown} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("simulated", "studies"), required=True)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    args = parser.parse_args()
    if args.part == "simulated":
        simulated()
    else:
        pairs = (item.split("=", 1) for item in args.without)
        studies(args.results, {name: Path(folder) for name, folder in pairs})


if __name__ == "__main__":
    main()
