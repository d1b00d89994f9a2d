"""Labels of other laboratories' cells on a release: Kang (lupus, half stimulated) and OneK1K.

python tests/benchmarks/person/transfer.py --release RELEASE --data FOLDER [--cells 5000 500 50]

RELEASE is that of the demo (embedded Liu cohorts); FOLDER holds kang_ifnb.h5ad and
onek1k_au_40.h5ad, public subsets with published labels. Their genes are subsets as well.
With --cells, so many cells of OneK1K are drawn (seed 0) and mapped, with the CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from within import TERMS

import pmcell as pm
from pmcell.errors import PmcellError
from pmcell.mapping.labels import covers
from pmcell.registry.draft.person import read_people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", type=int, nargs="*", default=[])
    args = parser.parse_args()
    start = time.process_time()
    reference = pm.open_reference(args.release)
    print(f"opened in {time.process_time() - start:.1f} CPU s")
    for name in ("kang_ifnb", "onek1k_au_40"):
        import anndata as ad

        path = args.data / f"{name}.h5ad"
        published = ad.read_h5ad(path).obs
        cells, _ = read_people([path])
        names = [cell.partition(":")[2] or cell for cell in cells.obs_names]
        truth = np.array([TERMS[name][str(published["cell_type"][cell])] for cell in names])
        found = pm.map(cells, reference)
        table = found.cells.set_index("cell_id").loc[list(cells.obs_names)]
        used = table["passes_qc"].to_numpy(bool)
        term = table["cell_type_ontology_term_id"].to_numpy(str)
        answered = used & (term != "unknown")
        agrees = np.array([covers(a, b) or covers(b, a) for a, b in zip(term, truth, strict=True)])
        share = found.genes.share_of_model
        print(
            f"{name}: {used.sum()} cells, {found.genes.n_shared} genes ({share:.0%} of the model); "
            f"answered {answered.sum() / used.sum():.3f}, of these right "
            f"{agrees[answered].mean():.3f}, confident and wrong "
            f"{(answered & ~agrees).sum() / used.sum():.4f}"
        )
        for one in np.unique(truth):
            own = used & (truth == one)
            print(
                f"  {one}: n {own.sum()}, answered {answered[own].mean():.3f}, "
                f"wrong {(answered & ~agrees)[own].mean():.3f}"
            )
        if name == "onek1k_au_40":
            for n in args.cells:
                rows = np.sort(np.random.default_rng(0).permutation(cells.n_obs)[:n])
                some = cells[rows].copy()
                some.obs["donor_id"] = some.obs["sample_id"] = "one"
                start = time.process_time()
                try:
                    again = pm.map(some, reference)
                except PmcellError as error:
                    print(f"{n} cells: {error}")
                    continue
                spent = time.process_time() - start
                told = again.cells[again.cells["passes_qc"]]
                print(
                    f"{n} cells of one sample: answered "
                    f"{(told['cell_type'] != 'unknown').mean():.3f}, {spent:.1f} CPU s"
                )


if __name__ == "__main__":
    main()
