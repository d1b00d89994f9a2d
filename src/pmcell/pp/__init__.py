"""Preprocessing on AnnData: quality control and gene selection."""

from pmcell.pp.features import highly_variable_genes
from pmcell.pp.qc import QcOptions, qc

__all__ = ["QcOptions", "highly_variable_genes", "qc"]
