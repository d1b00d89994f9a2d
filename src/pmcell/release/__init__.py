"""A release that was written: opened once, for users, report, catalogue, diff and verification."""

from __future__ import annotations

from pmcell.release.folder import ReleaseFolder
from pmcell.release.reader import Release, open_release
from pmcell.release.verify import verify_release

__all__ = ["Release", "ReleaseFolder", "open_release", "verify_release"]
