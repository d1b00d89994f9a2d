"""The calls of the system that every write of pmcell passes, and at which of them tests stop."""

from __future__ import annotations

import os

CALLS = ("open", "mkdir", "link", "symlink", "chmod", "fsync", "rename", "replace")
EVERY = os.environ.get("STOPPED_AT") == "every"
"""Whether tests stop at every call, not at some."""
