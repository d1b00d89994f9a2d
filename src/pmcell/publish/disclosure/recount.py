"""Tables over all cells, made again from published cohorts where another one is withheld.

Values of thousands of genes give away membership at any number of donors that a cohort
has (Homer et al. 2008, doi:10.1371/journal.pgen.1000167), so no threshold on donors would do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.sums import N_DETECTED
from pmcell.io.counts.aggregates import open_aggregates, read_aggregate
from pmcell.io.counts.clustered import open_clustered
from pmcell.io.tables import read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure.policy import Policy
from pmcell.settings.atlas import MarkersSettings
from pmcell.settings.load import checked_section

if TYPE_CHECKING:
    import pandas as pd


def genes(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Genes, with cells counted over published cohorts only."""
    import pandas as pd

    if not policy.is_mixed:
        return frame
    total = pd.Series(0, index=pd.Index(frame["gene_id"]), dtype="int64")
    for cohort in policy.facts.published:
        aggregate = read_aggregate(cohort.folder / "aggregate.npz")
        detected = np.asarray(aggregate.sums.matrix(N_DETECTED).sum(axis=0)).ravel()
        total = total.add(pd.Series(detected, index=aggregate.gene_ids), fill_value=0)
    # The choice over all batches is a vector over genes that withheld cells enter.
    return frame.assign(
        n_cells_detected=total.reindex(frame["gene_id"], fill_value=0).astype("int64").to_numpy(),
        hvg_rank=np.nan,
        is_highly_variable=pd.array([pd.NA] * len(frame), "boolean"),
        highly_variable_in=None,
    )


def markers(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Markers of the clusters, found again in the cells of published cohorts."""
    from pmcell.tl.markers import find_markers

    if not policy.is_mixed:
        return frame
    facts = policy.facts
    features = read_table(facts.results / "atlas" / "features.parquet", ["gene_id", "symbol"])
    symbols = dict(zip(features["gene_id"], features["symbol"], strict=True))
    settings = checked_section(MarkersSettings, facts.parameters.get("markers"))
    sums = open_aggregates([cohort.folder / "aggregate.npz" for cohort in facts.published])
    cells = facts.results / "atlas" / "clusters.parquet"
    return find_markers(
        sums,
        counts=[open_clustered(cohort.folder, cells) for cohort in facts.published],
        symbols=symbols,
        method=settings.method,
        n_top=settings.top,
    )


def clusters(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Clusters, with cells, donors and mixing counted over published cohorts only."""
    if not policy.is_mixed:
        return frame
    if policy.atlas is None:
        return frame.iloc[:0]
    cells = policy.atlas.cells
    shown = cells[cells["cohort_id"].isin(policy.published_cohorts)]
    grouped = shown.groupby("cluster", observed=True)
    names = frame["cluster"]
    n_donors = grouped["donor_id"].nunique().reindex(names, fill_value=0)
    overall = _entropy(shown["batch_id"])
    within = grouped["batch_id"].apply(_entropy).reindex(names, fill_value=0.0).to_numpy(float)
    exposed = names.isin(_exposed(policy, policy.atlas))
    return frame.assign(
        n_cells=grouped.size().reindex(names, fill_value=0).to_numpy("int64"),
        n_donors=n_donors.to_numpy("int64"),
        batch_entropy=within / overall if overall > 0 else 1.0,
        label_evidence=frame["label_evidence"].mask(
            exposed, "withheld: too few donors of a cohort without open access"
        ),
    )


def _exposed(policy: Policy, atlas: Atlas) -> list[str]:
    """Clusters whose label rests on 1 to min_donors - 1 donors of cohorts without open access.

    A cluster is compared with all other cells, so too few such donors in the
    whole atlas expose every cluster.
    """
    withheld = [cohort.cohort_id for cohort in policy.facts.withheld]
    cells = atlas.cells[atlas.cells["cohort_id"].isin(withheld)]
    least = policy.rules.strictest
    if 0 < cells["donor_id"].nunique() < least:
        return sorted(atlas.annotation["cluster"])
    donors = cells.groupby("cluster", observed=True)["donor_id"].nunique()
    return sorted(donors[donors < least].index)


def _entropy(labels: pd.Series[str]) -> float:
    shares = labels.value_counts(normalize=True).to_numpy(float)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
