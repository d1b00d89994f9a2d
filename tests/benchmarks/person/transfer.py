"""Labels of other laboratories' cells on a release: Kang (lupus, half stimulated) and OneK1K.

python tests/benchmarks/person/transfer.py --release RELEASE --data FOLDER [--cells 5000 500 50]
python tests/benchmarks/person/transfer.py --release RELEASE --onto OTHER
    [--packages NAME ... --environments FOLDER]

RELEASE is that of the demo (embedded Liu cohorts); FOLDER holds kang_ifnb.h5ad and
onek1k_au_40.h5ad, public subsets with published labels. Their genes are subsets as well.
With --cells, so many cells of OneK1K are drawn (seed 0) and mapped, with the CPU seconds.
With --onto the cells of RELEASE are mapped onto OTHER, the release of a study of Kang alone,
and judged by the labels that their sources gave them. Intervals draw donors anew. --packages are
those of `labels.py`; they learn from the cells of OTHER in the genes that both have.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from labels import PACKAGES, run_package
from scipy import sparse
from within import TERMS

import pmcell as pm
from pmcell.errors import PmcellError
from pmcell.mapping.labels import covers
from pmcell.mapping.reference import Reference
from pmcell.registry.draft.person import read_people
from pmcell.schema import UNKNOWN

SETS = ("kang_ifnb", "onek1k_au_40")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--onto", type=Path)
    parser.add_argument("--cells", type=int, nargs="*", default=[])
    parser.add_argument("--packages", nargs="+", default=(), choices=list(PACKAGES))
    parser.add_argument("--environments", type=Path, help="folder of the packages' environments")
    args = parser.parse_args()
    if args.packages and (args.environments is None or args.onto is None):
        parser.error("--packages needs --environments FOLDER and --onto OTHER")
    if (args.data is None) == (args.onto is None):
        parser.error("say --data FOLDER or --onto OTHER")
    start = time.process_time()
    reference = pm.open_reference(args.onto or args.release)
    print(f"opened in {time.process_time() - start:.1f} CPU s")
    queries = public(args.data) if args.data else released(args.release)
    for name, cells, truth in queries:
        judge(name, cells, truth, reference)
        for package in args.packages:
            compare(name, cells, truth, args.onto, package, args.environments)
        for n in args.cells if name == "onek1k_au_40" else ():
            map_some(cells, n, reference)


def public(folder: Path) -> Iterator[tuple[str, ad.AnnData, np.ndarray]]:
    """The public subsets with their published types."""
    for name in SETS:
        path = folder / f"{name}.h5ad"
        published = ad.read_h5ad(path).obs
        cells, _ = read_people([path])
        names = [cell.partition(":")[2] or cell for cell in cells.obs_names]
        truth = [TERMS[name][str(published["cell_type"][cell])] for cell in names]
        yield name, cells, np.array(truth)


def released(release: Path) -> Iterator[tuple[str, ad.AnnData, np.ndarray]]:
    """The cells of each cohort of a release with the types of their sources."""
    for path in sorted((release / "cells").glob("*.h5ad")):
        made = ad.read_h5ad(path)
        truth = made.obs["source_cell_type_ontology_term_id"].astype(str).to_numpy()
        made = made[truth != UNKNOWN]
        obs = made.obs[["donor_id", "sample_id", "visit", "batch_id"]].astype(str)
        counts = sparse.csr_matrix(made.raw.X, dtype=np.int64)
        var = pd.DataFrame(index=made.raw.var_names)
        yield path.stem, ad.AnnData(counts, obs, var), truth[truth != UNKNOWN]


def judge(name: str, cells: ad.AnnData, truth: np.ndarray, reference: Reference) -> None:
    """Print how many cells get a label, and how many a wrong one."""
    try:
        found = pm.map(cells, reference)
    except PmcellError as error:
        print(f"{name}: refused: {error}")
        return
    table = found.cells.set_index("cell_id").loc[list(cells.obs_names)]
    used = table["passes_qc"].to_numpy(bool)
    term = table["cell_type_ontology_term_id"].to_numpy(str)
    answered = used & (term != UNKNOWN)
    agrees = np.array([covers(a, b) or covers(b, a) for a, b in zip(term, truth, strict=True)])
    donor = cells.obs["donor_id"].astype(str).to_numpy()
    term_of = dict(zip(reference.labels.head.types, reference.labels.terms, strict=True))
    nearest = [term_of.get(best, UNKNOWN) for best in table["nearest_cell_type"]]
    is_near = np.array([covers(a, b) or covers(b, a) for a, b in zip(nearest, truth, strict=True)])
    shares = {
        "most probable right": share_of_donors(donor[used], is_near[used]),
        "answered": share_of_donors(donor[used], answered[used]),
        "of these right": share_of_donors(donor[answered], agrees[answered]),
        "confident and wrong": share_of_donors(donor[used], (answered & ~agrees)[used]),
    }
    said = ", ".join(f"{what} {share}" for what, share in shares.items())
    print(
        f"{name}: {used.sum()} cells, {found.genes.n_shared} genes "
        f"({found.genes.share_of_model:.0%} of the model); {said}"
    )
    for one in np.unique(truth):
        own = used & (truth == one)
        wrong = own & answered & ~agrees
        called, n = np.unique(table["cell_type"].to_numpy(str)[wrong], return_counts=True)
        most = ", ".join(f"{label} {k}" for k, label in sorted(zip(n, called, strict=True))[:-4:-1])
        print(
            f"  {one}: n {own.sum()}, answered {answered[own].mean():.3f}, "
            f"wrong {wrong[own].mean():.3f}  {most}"
        )


def compare(
    name: str, cells: ad.AnnData, truth: np.ndarray, onto: Path, package: str, environments: Path
) -> None:
    """Print the same of a package that learned from the cells of a release."""
    ((_, known, types),) = released(onto)
    genes = known.var_names.intersection(cells.var_names)
    parts = (known[:, genes], cells[:, genes])
    counts = np.concatenate([part.X.toarray() for part in parts])
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_held = np.repeat([False, True], [known.n_obs, cells.n_obs])
    batch = np.concatenate([part.obs["batch_id"].astype(str) for part in parts])
    answers = run_package(
        package,
        environments,
        x=np.log1p(1e4 * counts / total).astype(np.float32),
        counts=counts,
        genes=genes.to_numpy(str),
        types=np.concatenate([types, truth]).astype(str),
        batch=batch.astype(str),
        training=~is_held,
        held=is_held,
    )
    donor = cells.obs["donor_id"].astype(str).to_numpy()
    for method, best, p, seconds in answers:
        agrees = np.array([covers(a, b) or covers(b, a) for a, b in zip(best, truth, strict=True)])
        sure = p >= 0.9
        print(
            f"{name} {method}: {cells.n_obs} cells, {genes.size} genes; "
            f"most probable right {share_of_donors(donor, agrees)}, "
            f"answered {share_of_donors(donor, sure)}, of these right "
            f"{share_of_donors(donor[sure], agrees[sure])}, confident and wrong "
            f"{share_of_donors(donor, sure & ~agrees)}, {seconds:.1f} CPU s",
            flush=True,
        )


def share_of_donors(donor: np.ndarray, hit: np.ndarray) -> str:
    """Share of the cells, and its 95 % interval from drawing donors anew 2,000 times."""
    names, at = np.unique(donor, return_inverse=True)
    hits, cells = np.bincount(at, hit), np.bincount(at)
    drawn = np.random.default_rng(0).integers(0, names.size, (2000, names.size))
    shares = hits[drawn].sum(axis=1) / cells[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return f"{hits.sum() / cells.sum():.3f} ({low:.3f} to {high:.3f})"


def map_some(cells: ad.AnnData, n: int, reference: Reference) -> None:
    """Map some cells as those of one sample, and print the processor time."""
    rows = np.sort(np.random.default_rng(0).permutation(cells.n_obs)[:n])
    some = cells[rows].copy()
    some.obs["donor_id"] = some.obs["sample_id"] = "one"
    start = time.process_time()
    try:
        again = pm.map(some, reference)
    except PmcellError as error:
        print(f"{n} cells: {error}")
        return
    spent = time.process_time() - start
    told = again.cells[again.cells["passes_qc"]]
    print(
        f"{n} cells of one sample: answered "
        f"{(told['cell_type'] != UNKNOWN).mean():.3f}, {spent:.1f} CPU s"
    )


if __name__ == "__main__":
    main()
