"""Neighbours of cells, the graph of them, its communities and its layout."""
