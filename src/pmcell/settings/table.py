"""The sections of the configuration, in the order of the flow, each with its model."""

from __future__ import annotations

from collections.abc import Mapping

from pmcell.settings import atlas, cohort, donors
from pmcell.settings.model import Settings
from pmcell.settings.release import ReleaseSettings
from pmcell.settings.study import SealSettings
from pmcell.steps import OLD_NAMES

SETTINGS: Mapping[str, type[Settings]] = {
    "intake": cohort.IntakeSettings,
    "qc": cohort.QcSettings,
    "gene_stats": cohort.GeneStatsSettings,
    "hvg": atlas.HvgSettings,
    "covariance": cohort.CovarianceSettings,
    "pca": atlas.PcaSettings,
    "pca_scores": cohort.PcaScoresSettings,
    "integrate": atlas.IntegrateSettings,
    "neighbors": atlas.NeighborsSettings,
    "cluster": atlas.ClusterSettings,
    "umap": atlas.UmapSettings,
    "aggregate": cohort.AggregateSettings,
    "markers": atlas.MarkersSettings,
    "annotate": atlas.AnnotateSettings,
    "profile": donors.ProfileSettings,
    "strata": donors.StrataSettings,
    "differential_expression": donors.DifferentialExpressionSettings,
    "release": ReleaseSettings,
    "seal": SealSettings,
}
"""The model of each section; a step's section has the step's name."""

ALIASES: Mapping[str, str] = OLD_NAMES
"""Sections by the names they once had, which are still read, and the names they have now."""


def section_of(model: type[Settings]) -> str:
    """Return the name of the section that a model describes."""
    return next(name for name, item in SETTINGS.items() if item is model)
