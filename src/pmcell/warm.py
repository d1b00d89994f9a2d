"""Compile what the steps compile, once.

`pmcell fetch` calls it. Compiled code lies in numba's cache, so jobs find it there.
"""

from __future__ import annotations


def warm_up() -> None:
    """Run the steps that compile on a few made-up cells."""
    import numpy as np

    from pmcell import tl
    from pmcell.core.warm import warm_kernels
    from pmcell.pp.qc import QcOptions, doublet_scores
    from pmcell.simulate import simulate, simulate_latent

    warm_kernels()
    cells = simulate(n_cohorts=1, n_donors=1, cells_per_sample=120, n_genes=150)
    samples = np.zeros(cells.n_obs, "U1")
    doublet_scores([("", cells.X)], samples, QcOptions())
    points = simulate_latent(n_donors=2, cells_per_donor=60)
    tl.neighbors(points, n_neighbors=15)
    tl.umap(points)
