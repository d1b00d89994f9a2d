"""Publish: write the release folder and verify it; one standard a file.

To add a standard, write one module with a function that takes the facts and
the folder, and call it in `release.py` before the digests are taken.
"""

from __future__ import annotations

from pmcell.publish.release import write_release
from pmcell.release.verify import verify_release

__all__ = ["verify_release", "write_release"]
