"""Add the Gram matrices of all cohorts and find their principal components.

Example:
  pmcell pca --gram results/cohorts/liu_b1/gram.npz --gram results/cohorts/liu_b2/gram.npz \\
    --features results/atlas/features.parquet --out results/atlas/basis.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.cli._common import add_step_options, use_threads
from pmcell.cli._settings import step_settings
from pmcell.schema.text import text_array
from pmcell.settings.atlas import PcaSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--gram", type=Path, action="append", required=True, help="gram.npz of a cohort; repeat"
    )
    parser.add_argument(
        "--features", type=Path, required=True, help="features.parquet of the atlas"
    )
    parser.add_argument("--out", type=Path, required=True, help="basis.npz to write")
    add_step_options(parser, PcaSettings)


def run(args: argparse.Namespace) -> int:
    """Write basis.npz."""
    from pmcell.core.pca.gram import basis
    from pmcell.io.counts.sums import read_gram, write_basis
    from pmcell.io.tables import read_table

    use_threads(args.threads)
    settings = step_settings(args, PcaSettings)
    genes = read_table(args.features, ["gene_id", "is_highly_variable"])
    features = text_array(genes.loc[genes["is_highly_variable"], "gene_id"])
    grams = [read_gram(path) for path in args.gram]
    found = basis([item for item in grams if item.n_cells], **settings.model_dump())
    write_basis(args.out, features, found)
    share = found.variances.sum() / found.total_variance
    print(
        f"{found.components.shape[1]} components of {features.size} genes, "
        f"{share:.0%} of their variance -> {args.out}"
    )
    return 0
