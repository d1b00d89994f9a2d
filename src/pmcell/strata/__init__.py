"""From cells to strata of donors: profiles, distances, clusters, the existence test, drivers.

The donor is the unit: everything is fitted on one row a donor, and the other
visits are placed on the result. All functions work on the AnnData that
`profile` returns, in this order: `profile`, `distances`, `cluster`,
`existence`, `place`, `generalise`, `associate`, `drivers`, `composition_shifts`,
`movement`. Research use only.
"""

from __future__ import annotations

from pmcell.strata.adjusted import adjusted_strata
from pmcell.strata.associate import associate
from pmcell.strata.cluster import cluster
from pmcell.strata.distances import distances
from pmcell.strata.drivers import drivers
from pmcell.strata.existence import existence
from pmcell.strata.expression import differential_expression
from pmcell.strata.gene_drivers import donor_gene_drivers, gene_drivers
from pmcell.strata.generalise import generalise
from pmcell.strata.knn_kl import knn_kl
from pmcell.strata.mixed import mixed_models
from pmcell.strata.movement import movement
from pmcell.strata.pathways import pathways
from pmcell.strata.permanova import permanova
from pmcell.strata.profile import composition, profile
from pmcell.strata.pseudobulk import pseudobulk
from pmcell.strata.shifts import composition_shifts
from pmcell.strata.survival import survival
from pmcell.strata.tables import assignments, strata_table, summary, verdict
from pmcell.strata.uncertainty import place

__all__ = [
    "adjusted_strata",
    "assignments",
    "associate",
    "cluster",
    "composition",
    "composition_shifts",
    "differential_expression",
    "distances",
    "donor_gene_drivers",
    "drivers",
    "existence",
    "gene_drivers",
    "generalise",
    "knn_kl",
    "mixed_models",
    "movement",
    "pathways",
    "permanova",
    "place",
    "profile",
    "pseudobulk",
    "strata_table",
    "summary",
    "survival",
    "verdict",
]
