"""Tools on AnnData: components, integration, neighbours, clusters, maps."""

from pmcell.tl.cluster import cluster
from pmcell.tl.integrate import integrate
from pmcell.tl.neighbors import neighbors
from pmcell.tl.pca import pca
from pmcell.tl.umap import umap

__all__ = ["cluster", "integrate", "neighbors", "pca", "umap"]
