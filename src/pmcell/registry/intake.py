"""Take a cohort in: check the submitted file in a sandbox and rewrite it canonically.

The verdict is a result, not a crash: a cohort that breaks the contract is
quarantined, with empty outputs and an `intake.json` that says why. Everything
is first written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io import sandbox
from pmcell.io.atomic import read_json, write_json
from pmcell.io.canonical import CanonicalWriter
from pmcell.registry.intake_tables import write_empty_tables
from pmcell.schema import UNKNOWN
from pmcell.settings.cohort import IntakeSettings

OUTPUTS = {
    "counts": "intake.h5ad",
    "gene_ledger": "gene_ledger.parquet",
    "donors": "donors.parquet",
    "visits": "visits.parquet",
    "samples": "samples.parquet",
    "report": "intake.json",
}
STATE = "state.json"
"""What the reader knew when it stopped; lives only while it runs."""
STAGING = ".intake-"
EMPTY_METRICS: Mapping[str, Any] = {
    "n_cells_submitted": 0,
    "n_genes_submitted": 0,
    "n_genes": 0,
    "share_umis_lost": 0.0,
}
WITHHELD = "withheld, as the cohort is not open; run `pmcell check` where the file is"
NAMING_REASONS = (
    "ambiguous_orientation",
    "not_counts",
    "other_columns",
    "reader_failed",
    "shape_mismatch",
    "too_few_genes",
    "transposed",
    "truncated",
    "umis_lost",
    "unreadable",
)
"""Reasons whose message can hold a barcode or a value of the file."""


def intake_cohort(
    folder: Path | str,
    out_dir: Path | str,
    *,
    config: IntakeSettings | None = None,
    memory_mb: int = sandbox.MEMORY_MB,
) -> dict[str, Any]:
    """Write all `OUTPUTS` of a cohort folder into `out_dir`; return the report (`intake.json`).

    Where the reader failed in a way that nobody foresaw, the places in its code go
    to the log (stderr, unless logging says otherwise).

    The report has cohort_id, status (ok, warned, quarantined), reason,
    message, faults, metrics, registration and inputs (sha256 of what was
    read). `UsageError` when the folder or the pseudonym key is missing: that
    is the operator's mistake, not the cohort's. `memory_mb` bounds the reader.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    if not folder.is_dir():
        raise UsageError(
            f"--cohort-dir must be a folder with cohort.yaml; there is none at {folder}"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    for left in out_dir.glob(f"{STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out_dir))
    try:
        report = _read(folder, staging, config or IntakeSettings(), memory_mb)
        write_json(staging / OUTPUTS["report"], report)
        # The report goes last: where it stands, the other outputs stand too.
        for name in OUTPUTS.values():
            os.replace(staging / name, out_dir / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return report


def _read(folder: Path, staging: Path, config: IntakeSettings, memory_mb: int) -> dict[str, Any]:
    arguments = {
        "folder": str(folder.absolute()),
        "out_dir": str(staging.absolute()),
        "config": config.model_dump(),
    }
    try:
        report: dict[str, Any] = sandbox.run(
            "pmcell.registry.intake_read:read_cohort", arguments, memory_mb=memory_mb
        )
    except DataError as error:
        report = _quarantine(folder, staging, error)
        if isinstance(error, sandbox.ReaderFailedError):
            # The text of an exception may quote the file.
            is_open = report["registration"]["access"] == "open"
            logging.getLogger(__name__).error("\n".join(error.log_lines(with_text=is_open)))
    if report["registration"]["access"] != "open":
        withhold(report)
    return report


def _quarantine(folder: Path, staging: Path, error: DataError) -> dict[str, Any]:
    """Replace whatever the reader left by empty outputs, and report why."""
    faults: Sequence[Fault] = error.faults if isinstance(error, FaultsError) else ()
    known: Mapping[str, Any] = {}
    if (staging / STATE).exists():
        known = read_json(staging / STATE)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    paths = {name: staging / file for name, file in OUTPUTS.items()}
    write_empty_tables(paths)
    write_empty_counts(paths["counts"])
    return {
        "cohort_id": folder.name,
        "status": "quarantined",
        "reason": error.reason,
        "message": f"{faults[0]}{more}" if faults else str(error),
        "faults": [asdict(fault) for fault in faults],
        "metrics": {**EMPTY_METRICS, **known.get("metrics", {})},
        # Nothing is known when the reader died on cohort.yaml itself.
        "registration": known.get("registration", {"cohort_id": folder.name, "access": UNKNOWN}),
        "inputs": known.get("inputs", {}),
    }


def write_empty_counts(path: Path) -> None:
    """Write the canonical file of a quarantined cohort: 0 cells × 0 genes, all columns."""
    import numpy as np
    import pandas as pd

    from pmcell.registry.intake_cells import OBS_COLUMNS

    empty = np.zeros(0, dtype=object)
    obs = pd.DataFrame(dict.fromkeys(OBS_COLUMNS, empty), index=pd.Index(empty))
    var = pd.DataFrame({"symbol": empty}, index=pd.Index(empty))
    with CanonicalWriter(path, obs, var):
        pass


def withhold(report: dict[str, Any]) -> None:
    """Take out of the report of a cohort that is not open what could name a person or a cell.

    Kept are what must hold, where it does not, and the reason.
    """
    faults = report["faults"]
    for fault in faults:
        fault["found"] = WITHHELD
        fault["fix"] = fault["fix"].split("Did you mean")[0].strip()
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        report["message"] = f"{Fault(**faults[0])}{more}"
    elif report["reason"] in NAMING_REASONS:
        report["message"] = f"{report['reason']}: details {WITHHELD}"
