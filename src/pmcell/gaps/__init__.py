"""Gaps: who is missing from the cohorts, what that costs in power, and whom to recruit next."""
