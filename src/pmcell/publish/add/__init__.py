"""Add cohorts to a release: their people are placed on what it says, and nothing of it moves."""
