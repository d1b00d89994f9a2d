"""From cells to strata of donors: profiles, distances, clusters, the existence test, drivers.

The donor is the unit: everything is fitted on one row a donor, and the other
visits are placed on the result. All functions work on the AnnData that
`profile` returns, in this order: `profile`, `add_genes`, `distances`, `cluster`,
`existence`, `place`, `generalise`, `associate`, `drivers`, `composition_shifts`,
`movement`, `followup`, `stratum_steps`. Research use only.
"""

from __future__ import annotations

from pmcell.strata.association.associate import associate
from pmcell.strata.association.mixed import mixed_models
from pmcell.strata.association.movement import movement
from pmcell.strata.association.permanova import permanova
from pmcell.strata.association.shifts import composition_shifts
from pmcell.strata.association.survival import survival
from pmcell.strata.discovery.adjusted import adjusted_strata
from pmcell.strata.discovery.cluster import cluster
from pmcell.strata.discovery.distances import distances
from pmcell.strata.discovery.existence import existence
from pmcell.strata.discovery.generalise import generalise
from pmcell.strata.discovery.knn_kl import knn_kl
from pmcell.strata.discovery.uncertainty import place
from pmcell.strata.explanation.drivers import drivers
from pmcell.strata.explanation.expression import differential_expression
from pmcell.strata.explanation.gene_drivers import donor_gene_drivers, gene_drivers
from pmcell.strata.explanation.pathways import pathways
from pmcell.strata.followup.changes import Followed, followup
from pmcell.strata.followup.stratum_steps import stratum_steps
from pmcell.strata.profiles.composition import composition
from pmcell.strata.profiles.genes import add_genes
from pmcell.strata.profiles.profile import profile
from pmcell.strata.profiles.pseudobulk import pseudobulk
from pmcell.strata.tables import assignments, strata_table, summary, verdict

__all__ = [
    "Followed",
    "add_genes",
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
    "followup",
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
    "stratum_steps",
    "summary",
    "survival",
    "verdict",
]
