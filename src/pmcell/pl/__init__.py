"""Plots: each takes an AnnData or a table of the release and gives a matplotlib `Figure`.

They touch neither files nor matplotlib's global state; in a notebook the
figure shows itself, elsewhere use `figure.savefig(…)` or `to_svg`.
"""

from __future__ import annotations

from pmcell.pl.composition import composition
from pmcell.pl.donors import consensus, donor_map, existence, selection
from pmcell.pl.effects import effects
from pmcell.pl.flow import Exits, Stage, flow
from pmcell.pl.markers import dotplot
from pmcell.pl.matrix import matrix
from pmcell.pl.qc import qc
from pmcell.pl.style import palette
from pmcell.pl.survival import survival
from pmcell.pl.svg import to_svg
from pmcell.pl.umap import umap

__all__ = [
    "Exits",
    "Stage",
    "composition",
    "consensus",
    "donor_map",
    "dotplot",
    "effects",
    "existence",
    "flow",
    "matrix",
    "palette",
    "qc",
    "selection",
    "survival",
    "to_svg",
    "umap",
]
