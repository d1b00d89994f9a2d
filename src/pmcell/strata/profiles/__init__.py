"""Profiles of donors from their cells."""
