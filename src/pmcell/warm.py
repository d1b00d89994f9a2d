"""Compile what the steps compile, once.

`pmcell fetch` calls it. Compiled code lies in numba's cache, so jobs find it there.
"""

from __future__ import annotations


def warm_up() -> None:
    """Run the steps that compile on a few made-up cells."""
    from pmcell import tl
    from pmcell.core.warm import warm_kernels
    from pmcell.pp.qc import qc
    from pmcell.simulate import simulate, simulate_latent

    warm_kernels()
    cells = simulate(n_cohorts=1, n_donors=1, cells_per_sample=120, n_genes=150)
    qc(cells)
    points = simulate_latent(n_donors=2, cells_per_donor=60)
    tl.neighbors(points, n_neighbors=15)
    tl.umap(points)
