"""Counts as pmcell stores them: written canonically, read in blocks."""
