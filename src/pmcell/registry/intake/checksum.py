"""Compare a submitted file with its sender's digest; say where no damage would show."""

from __future__ import annotations

import re
from pathlib import Path

from pmcell.errors import Fault
from pmcell.io.atomic import sha256_file
from pmcell.io.submitted.readers import Submission, is_compressed
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.registration import Matrix

KEY = "matrix.sha256"


def checksum_faults(matrix: Matrix) -> list[Fault]:
    """The error that the file is not the one that its sender states, if so."""
    # A digest of another form is a fault of cohort.yaml, named there.
    if not re.fullmatch(r"[0-9a-f]{64}", matrix.sha256) or not matrix.path.exists():
        return []
    if matrix.path.is_dir():
        must = "is the digest of one file; a folder has none"
        fix = "Leave it out, or pack the store into a zip file."
        return [Fault(COHORT_FILE, must, matrix.path.name, fix, column=KEY, reason="checksum")]
    found = sha256_file(matrix.path)
    if found == matrix.sha256:
        return []
    return [
        Fault(
            matrix.path.name,
            f"the file must have the SHA-256 that cohort.yaml states, {matrix.sha256}",
            found,
            f"The copy is damaged, or of another version: copy it again, or correct {KEY}.",
            column=KEY,
            reason="checksum",
        )
    ]


def files_now(matrix: Path) -> list[tuple[str, int, int, int]]:
    """Name, size, time and inode of the file, or of each of a folder: what a writer changes."""
    files = sorted(matrix.rglob("*")) if matrix.is_dir() else [matrix]
    # A desktop writes its own files into a folder that somebody looks at.
    own = (file for file in files if not file.name.startswith(("._", ".DS_Store")))
    stats = [(str(file), file.stat()) for file in own if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats]


def unprotected(matrix: Matrix, submission: Submission) -> list[Fault]:
    """A warning for a file that is stored plain and has no stated digest: damage would not show."""
    if matrix.sha256 or is_compressed(submission, matrix.counts):
        return []
    how = {
        "10x_mtx": "gzip matrix.mtx",
        "csv": f"gzip {matrix.path.name}",
        "tsv": f"gzip {matrix.path.name}",
    }.get(matrix.format, "compression='gzip'")
    fix = f"The run goes on without it. To have copies checked, ask the sender to pack it ({how})"
    if not matrix.path.is_dir():
        fix += (
            f", or for what `sha256sum {matrix.path.name}` prints there, and give it: pmcell "
            f"register --id COHORT --set {KEY}=…"
        )
    fix += "."
    return [
        Fault(
            matrix.path.name,
            "should be stored compressed, or its sender's SHA-256 be stated: else a damaged copy "
            "is taken for other counts",
            "counts stored plain",
            fix,
            column=KEY,
            severity="warning",
            reason="no_checksum",
        )
    ]
