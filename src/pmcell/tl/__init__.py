"""Tools on AnnData: components, integration, neighbours, clusters, maps, markers, cell types."""

from pmcell.tl.aggregate import aggregate
from pmcell.tl.annotate import annotate
from pmcell.tl.cluster import cluster, cluster_stability
from pmcell.tl.integrate import integrate
from pmcell.tl.markers import markers
from pmcell.tl.neighbors import neighbors
from pmcell.tl.pca import pca
from pmcell.tl.tissues import tissue_groups
from pmcell.tl.umap import umap

__all__ = [
    "aggregate",
    "annotate",
    "cluster",
    "cluster_stability",
    "integrate",
    "markers",
    "neighbors",
    "pca",
    "tissue_groups",
    "umap",
]
