"""Settings of the steps across cohorts, from the selected genes to the labels of clusters."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pmcell.settings.model import Settings, count, seed, setting, share


class HvgSettings(Settings):
    """Which genes and cohorts make the atlas."""

    n_top: int = count(2000, "highly variable genes that are selected in each tissue", unit="genes")
    min_cohort_share: float = share(
        0.5,
        "a gene is a candidate in a tissue when this share of the tissue's cohorts measured it, "
        "and at least two where it has several; 0 admits genes that one cohort measured",
    )
    min_shared_genes: int = count(
        50,
        "a cohort that shares fewer of the selected genes with the others of its tissue is "
        "quarantined; where no cohort stands out the run fails",
        unit="genes",
        at_least=0,
    )
    warn_shared_genes: int = count(
        200,
        "a cohort that measured fewer of them is warned: its place rests on few genes",
        unit="genes",
        at_least=0,
    )
    min_cohorts: int = count(
        1, "the run fails when fewer cohorts are accepted", unit="cohorts", at_least=0
    )


class PcaSettings(Settings):
    """Principal components of the selected genes."""

    n_components: int = count(50, "principal components", unit="components")
    scaling: Literal["none", "pareto", "unit"] = setting(
        "pareto",
        "what each gene is divided by: nothing (`none`), the square root of its standard deviation "
        "(`pareto`) or that itself (`unit`)",
    )


class IntegrateSettings(Settings):
    """Removal of batch effects with Harmony."""

    theta: float = setting(
        2.0,
        "Harmony's diversity penalty; higher mixes the batches more, 0 lets each cluster of cells "
        "keep its own",
        ge=0,
    )
    seed: int = seed("seed of Harmony's first clusters")


class NeighborsSettings(Settings):
    """The k-nearest-neighbour graph of the cells."""

    n_neighbors: int = count(15, "neighbours of a cell", unit="cells", at_least=2)
    exact_below: int = count(
        10_000, "cells from which the search is approximate", unit="cells", at_least=0
    )
    recall: float = share(
        0.99, "share of the true neighbours that an approximate search must find", gt=0
    )
    weights: Literal["umap", "snn"] = setting(
        "umap",
        "weights of the graph: `umap` by distance, `snn` by shared neighbours (Jaccard index)",
    )
    seed: int = seed("seed of the lists of an approximate search")


class ClusterSettings(Settings):
    """Leiden clusters of the graph."""

    resolution: float = setting(
        1.0, "resolution of Leiden; higher gives more clusters", gt=0, le=10**6
    )
    objective: Literal["modularity", "cpm"] = setting(
        "modularity",
        "what Leiden maximises: `modularity`, or `cpm`, the constant Potts model, whose resolution "
        "is a density",
    )
    seed: int = seed("seed of the order in which cells are moved")


class LabelTransferSettings(Settings):
    """Labels of cells whose source gave none."""

    by: Literal["cell", "cluster"] = setting(
        "cell",
        "what decides the label of a cell whose source gave none, where other cells have labels: "
        "the `cell` itself, by a model of the labelled cells, or its `cluster` alone",
    )


class UmapSettings(Settings):
    """The two-dimensional map, for looking at."""

    min_dist: float = setting(
        0.5, "how near to each other neighbours may lie on the map; not above `spread`", ge=0
    )
    spread: float = setting(1.0, "scale of the map's distances, with `min_dist`", ge=0.5, le=5)
    seed: int = seed("seed of the map's layout")

    @model_validator(mode="after")
    def _min_dist_is_not_above_spread(self) -> UmapSettings:
        if self.min_dist > self.spread:
            raise ValueError(
                f"min_dist must not be above spread; found min_dist {self.min_dist:g} with "
                f"spread {self.spread:g}"
            )
        return self


class MarkersSettings(Settings):
    """Marker genes of the clusters."""

    top: int = count(100, "marker genes listed for a cluster", unit="genes")
    method: Literal["t-test", "wilcoxon"] = setting(
        "t-test",
        "statistic that ranks them: `t-test` (Welch), or `wilcoxon`, which makes the rank-sum test "
        "for all genes, not only for those listed",
    )


class AnnotateSettings(Settings):
    """Cell types of the clusters."""

    seed: int = seed("seed of the resampled markers")
