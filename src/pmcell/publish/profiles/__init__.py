"""Profiles of others that a published cohort can be brought into."""
