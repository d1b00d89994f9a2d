"""Add the Gram matrices of all cohorts and find the principal components of each tissue.

Example:
  pmcell pca --gram results/cohorts/liu_b1/gram.npz --gram results/cohorts/liu_b2/gram.npz \\
    --features results/atlas/features.parquet --out results/atlas/basis.npz
"""

from __future__ import annotations

import argparse

from pmcell.cli._settings import step_settings
from pmcell.settings.atlas import PcaSettings


def run(args: argparse.Namespace) -> int:
    """Write basis.npz."""
    from pmcell.cli._job.atlas import read_features
    from pmcell.core.pca.gram import Gram, basis
    from pmcell.io.counts.sums import read_grams, write_bases
    from pmcell.registry.terms.tissues import tissue_label

    settings = step_settings(args, PcaSettings)
    grams: dict[str, list[Gram]] = {}
    for path in args.gram:
        for tissue, found in read_grams(path).items():
            grams.setdefault(tissue, []).append(found)
    features = {tissue: read_features(args.features, tissue) for tissue in sorted(grams)}
    bases = {tissue: basis(grams.pop(tissue), **settings.model_dump()) for tissue in features}
    write_bases(args.out, features, bases)
    for tissue, own in bases.items():
        share = own.variances.sum() / own.total_variance
        print(
            f"{tissue_label(tissue)}: {own.components.shape[1]} components of "
            f"{features[tissue].size} genes, {share:.0%} of their variance -> {args.out}"
        )
    return 0
