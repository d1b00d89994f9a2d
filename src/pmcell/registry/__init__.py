"""Cohorts, donors, samples, terms and genes: what a steward registers, and its checks."""
