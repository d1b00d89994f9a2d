"""The form of the ids of cohorts, donors and samples."""

from __future__ import annotations

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""Such an id may name a folder, and be part of an id in a table."""
