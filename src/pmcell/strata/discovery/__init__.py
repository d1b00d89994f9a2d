"""Distances of donors, strata, and whether there are any."""
