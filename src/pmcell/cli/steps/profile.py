"""Profile donors: one row a donor and visit, from the embedding, the cell types and gene sums.

Example:
  pmcell profile --embedding results/atlas/embedding.h5ad \\
    --clusters results/atlas/clusters.parquet \\
    --cell-types results/atlas/cell_types.parquet --cohort a results/cohorts/a \\
    --cohort b results/cohorts/b --out results/strata/profiles.h5ad \\
    --composition-out results/strata/composition.parquet
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pmcell.cli._job.atlas import cohort_sums
from pmcell.cli._settings import step_settings
from pmcell.schema.text import as_text
from pmcell.settings.donors import ProfileSettings

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def run(args: argparse.Namespace) -> int:
    """Write profiles.h5ad and composition.parquet."""
    from pmcell import strata
    from pmcell.io.h5ad import write_h5ad
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import COMPOSITION
    from pmcell.strata.profiles import slots
    from pmcell.strata.profiles.model import pool_names
    from pmcell.tl.cell_types import type_of_cells

    settings = step_settings(args, ProfileSettings)
    donors = _profiled(args, settings)
    aggregates, visits = cohort_sums(args.cohort)
    strata.add_genes(
        donors,
        aggregates=aggregates,
        visits=visits,
        cell_types=type_of_cells(read_table(args.cell_types)),
        n_genes=settings.n_genes,
    )
    write_h5ad(args.out, donors)
    write_table(args.composition_out, strata.composition(donors), COMPOSITION)
    enough = int(donors.obs[slots.ENOUGH].sum())
    told = donors.uns[slots.GENES]
    genes = f"{len(told['gene_ids'])} genes" if not told["why"] else f"no genes: {told['why']}"
    print(
        f"{donors.obs['donor_id'].nunique()} donors, {donors.n_obs} visits ({enough} with enough "
        f"cells), {donors.n_vars} cell types ({len(pool_names(donors))} for state, rare ones "
        f"pooled), {genes} -> {args.out}"
    )
    print(_limits_sentence(donors))
    return 0


def _profiled(args: argparse.Namespace, settings: ProfileSettings) -> AnnData:
    """The profiles without genes; the cells are let go of before sums of genes are read."""
    from pmcell import strata
    from pmcell.io.h5ad import read_h5ad

    atlas = read_h5ad(args.embedding)
    atlas.obs["cell_type"] = _cell_types(atlas.obs, args)
    return strata.profile(atlas, **settings.model_dump(exclude={"n_genes"}))


def _limits_sentence(donors: AnnData) -> str:
    """The limits in use, and every visit below them with its cells."""
    from pmcell.strata.profiles import slots

    used = donors.uns["profile"]
    few = donors.obs[~donors.obs[slots.ENOUGH].to_numpy(bool)]
    limits = (
        f"{used['min_cells_donor']} cells are needed of a visit, {used['min_cells_type']} of a "
        "type in it"
    )
    if few.empty:
        return f"{limits}: no donor is left out"
    n_without = donors.obs["donor_id"].nunique() - int(donors.obs[slots.DISCOVERY].sum())
    names = ", ".join(f"{row.donor_id} at {row.visit} ({row.n_cells})" for row in few.itertuples())
    return (
        f"{limits}: {n_without} of {donors.obs['donor_id'].nunique()} donors are left out; visits "
        f"with fewer cells: {names}"
    )


def _cell_types(cells: pd.DataFrame, args: argparse.Namespace) -> pd.Series[str]:
    """The type under which each cell counts."""
    from pmcell.errors import DataError
    from pmcell.io.tables import read_table
    from pmcell.io.transferred import with_transferred
    from pmcell.tl.cell_types import types_of

    clusters = read_table(args.clusters, ["cell_id", "cluster"]).set_index("cell_id")["cluster"]
    cluster = clusters.reindex(as_text(cells.index)).set_axis(cells.index)
    if cluster.isna().any():
        raise DataError(
            f"every cell of {args.embedding} must have a cluster in {args.clusters}; "
            f"{int(cluster.isna().sum())} have none, the first is "
            f"{cells.index[cluster.isna().to_numpy()][0]!r}. "
            "Run the cluster step again.",
            reason="stale_input",
        )
    cells = with_transferred(cells.assign(cluster=cluster), args.labels)
    return types_of(read_table(args.cell_types), cells)["profile_cell_type"]
