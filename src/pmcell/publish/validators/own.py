"""pmcell's own check, as one verdict among those of the others."""

from __future__ import annotations

from pathlib import Path

from pmcell.io.atomic import sha256_file
from pmcell.publish.validators.run import FAIL, PASS, Check, Verdict
from pmcell.publish.validators.table import OWN
from pmcell.release.manifest import MANIFEST
from pmcell.release.verify import verify_release
from pmcell.version import __version__


def own_verdict(release: Path) -> Verdict:
    """Digests, schema, keys, cells and what must be withheld: `pmcell verify`."""
    findings = tuple(
        {"message": f"{fault.must}; found {fault.found}", "where": fault.file}
        for fault in verify_release(release)
    )
    reason = f"{findings[0]['where']}: {findings[0]['message']}" if findings else ""
    check = Check("every file", "digests and keys", FAIL if findings else PASS, reason, findings)
    path = release / MANIFEST
    inputs = {"every file": sha256_file(path)} if path.is_file() else {}
    return Verdict(OWN, __version__, (check,), int(bool(findings)), list(findings), inputs)
