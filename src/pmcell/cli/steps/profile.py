"""Profile donors: one row a donor and visit, from the integrated embedding and the cell types.

Example:
  pmcell profile --embedding results/atlas/embedding.h5ad \\
    --clusters results/atlas/clusters.parquet \\
    --annotation results/atlas/annotation.parquet --out results/strata/profiles.h5ad \\
    --composition-out results/strata/composition.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.cli._common import add_step_options, use_threads
from pmcell.cli._settings import step_settings
from pmcell.schema.text import as_text
from pmcell.settings.donors import ProfileSettings

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--embedding", type=Path, required=True, help="embedding.h5ad of the atlas")
    parser.add_argument("--clusters", type=Path, required=True, help="clusters.parquet")
    parser.add_argument("--annotation", type=Path, required=True, help="annotation.parquet")
    parser.add_argument("--out", type=Path, required=True, help="profiles.h5ad to write")
    parser.add_argument(
        "--composition-out", type=Path, required=True, help="composition.parquet to write"
    )
    add_step_options(parser, ProfileSettings)


def run(args: argparse.Namespace) -> int:
    """Write profiles.h5ad and composition.parquet."""
    from pmcell import strata
    from pmcell.io.h5ad import read_h5ad, write_h5ad
    from pmcell.io.tables import read_table, write_table
    from pmcell.schema import COMPOSITION
    from pmcell.strata.profiles import slots
    from pmcell.strata.profiles.model import pool_names

    use_threads(args.threads)
    settings = step_settings(args, ProfileSettings)
    atlas = read_h5ad(args.embedding)
    atlas.obs["cell_type"] = _cell_types(
        atlas.obs_names, read_table(args.clusters), read_table(args.annotation), args
    )
    donors = strata.profile(atlas, **settings.model_dump())
    write_h5ad(args.out, donors)
    write_table(args.composition_out, strata.composition(donors), COMPOSITION)
    enough = int(donors.obs[slots.ENOUGH].sum())
    print(
        f"{donors.obs['donor_id'].nunique()} donors, {donors.n_obs} visits ({enough} with enough "
        f"cells), {donors.n_vars} cell types ({len(pool_names(donors))} for state, rare ones "
        f"pooled) -> {args.out}"
    )
    print(_limits_sentence(donors))
    return 0


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


def _cell_types(
    cells: pd.Index, clusters: pd.DataFrame, annotation: pd.DataFrame, args: argparse.Namespace
) -> list[str]:
    """The label of each cell's cluster."""
    from pmcell.errors import DataError

    cluster = clusters.set_index("cell_id")["cluster"].reindex(as_text(cells))
    if cluster.isna().any():
        raise DataError(
            f"every cell of {args.embedding} must have a cluster in {args.clusters}; "
            f"{int(cluster.isna().sum())} have none, the first is "
            f"{cells[cluster.isna().to_numpy()][0]!r}. "
            "Run the cluster step again.",
            reason="stale_input",
        )
    label = as_text(cluster).map(
        annotation.astype({"cluster": str}).set_index("cluster")["cell_type"]
    )
    if label.isna().any():
        missing = sorted(set(as_text(cluster[label.isna()])))
        raise DataError(
            f"every cluster must have a row in {args.annotation}; {missing} have none. "
            "Run the annotate step again.",
            reason="stale_input",
        )
    return [str(value) for value in label]
