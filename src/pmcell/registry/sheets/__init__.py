"""Texts that people wrote into tables: lines and cells of TSV, sheets of Excel, dates."""
