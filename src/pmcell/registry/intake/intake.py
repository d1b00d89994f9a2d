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
from pmcell.io.atomic import read_json, write_json
from pmcell.io.modes import close_folder, current_umask, private_files
from pmcell.io.submitted import sandbox
from pmcell.registry.cohorts.keys import (
    CELLS_FILE,
    COHORT_FILE,
    COHORT_KEYS,
    DONOR_COLUMNS,
    DONORS_FILE,
    MEASUREMENTS_FILE,
    SAMPLE_COLUMNS,
    SAMPLES_FILE,
)
from pmcell.registry.cohorts.measurements import MEASUREMENT_COLUMNS
from pmcell.registry.intake.permitted import Permitted, read_view
from pmcell.registry.intake.tables import write_empty_tables
from pmcell.schema import UNKNOWN
from pmcell.settings.cohort import IntakeSettings

OUTPUTS = {
    "counts": "intake.h5ad",
    "gene_ledger": "gene_ledger.parquet",
    "donors": "donors.parquet",
    "visits": "visits.parquet",
    "samples": "samples.parquet",
    "measurements": "measurements.parquet",
    "report": "intake.json",
}
STATE = "state.json"
"""What the reader knew when it stopped; lives only while it runs."""
STAGING = ".intake-"
EMPTY_METRICS: Mapping[str, Any] = {
    "n_cells_submitted": 0,
    "n_cells_left_out": 0,
    "left_out": [],
    "n_genes_submitted": 0,
    "n_genes": 0,
    "share_umis_lost": 0.0,
}
WITHHELD = "withheld, as the cohort is not open; run `pmcell check` where the file is"
MATRIX = "matrix"
"""What the submitted file is called where its name is withheld."""
REGISTRATION = (COHORT_FILE, DONORS_FILE, SAMPLES_FILE, CELLS_FILE, MEASUREMENTS_FILE)
DECLARED = frozenset(
    [column.name for column in (*DONOR_COLUMNS, *SAMPLE_COLUMNS, *MEASUREMENT_COLUMNS)]
    + [declared.path for declared in COHORT_KEYS]
)
"""Columns and keys that are ours: any other is a name that the submission chose."""


def intake_cohort(
    folder: Path | str,
    out_dir: Path | str,
    *,
    config: IntakeSettings | None = None,
    memory_mb: int = sandbox.MEMORY_MB,
    allowed: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write all `OUTPUTS` of a cohort folder into `out_dir`; return the report (`intake.json`).

    Where the reader failed in a way that nobody foresaw, the places in its code go
    to the log (stderr, unless logging says otherwise).

    The report has cohort_id, status (ok, warned, quarantined), reason,
    message, faults, metrics, registration and inputs (sha256 of what was
    read). `UsageError` when the folder or the pseudonym key is missing: that
    is the operator's mistake, not the cohort's. `memory_mb` bounds the reader. The
    matrix must lie in the folder, or in one of the `allowed` places. Of a cohort with a consent
    ledger only those are taken in whom its view in `out_dir` permits.
    Outputs of a cohort that is not open are their owner's alone, and so is `out_dir`.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    if not folder.is_dir():
        raise UsageError(
            f"--cohort-dir must be a folder with cohort.yaml; there is none at {folder}"
        )
    permitted = read_view(folder, out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    for left in out_dir.glob(f"{STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out_dir))
    try:
        # Nobody else's until it is known whose they are.
        with private_files():
            report = _read(
                folder, staging, config or IntakeSettings(), memory_mb, allowed, permitted
            )
            if permitted is not None:
                report["consent"] = dict(permitted.facts)
            write_json(staging / OUTPUTS["report"], report)
            is_open = report["registration"]["access"] == "open"
            if not is_open:
                close_folder(out_dir)
        if is_open:
            for name in OUTPUTS.values():
                (staging / name).chmod(0o666 & ~current_umask())
        # The report goes last: where it stands, the other outputs stand too.
        for name in OUTPUTS.values():
            os.replace(staging / name, out_dir / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return report


def _read(
    folder: Path,
    staging: Path,
    config: IntakeSettings,
    memory_mb: int,
    allowed: Sequence[Path],
    permitted: Permitted | None,
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "folder": str(folder.absolute()),
        "out_dir": str(staging.absolute()),
        "config": config.model_dump(),
        "allowed": [str(path.absolute()) for path in allowed],
    }
    if permitted is not None:
        arguments["permitted"] = permitted.donors
    try:
        report: dict[str, Any] = sandbox.run(
            "pmcell.registry.intake.read:read_cohort", arguments, memory_mb=memory_mb
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

    from pmcell.io.counts.canonical import CanonicalWriter
    from pmcell.registry.intake.cells import OBS_COLUMNS

    empty = np.zeros(0, dtype=object)
    obs = pd.DataFrame(dict.fromkeys(OBS_COLUMNS, empty), index=pd.Index(empty))
    var = pd.DataFrame({"symbol": empty}, index=pd.Index(empty))
    with CanonicalWriter(path, obs, var):
        pass


def withhold(report: dict[str, Any]) -> None:
    """Take all free text of the submission out of the report of a cohort that is not open.

    Names of files, columns and values can name a person or a cell. Kept are the
    reason, which registration file it is in and its row; of what must hold and
    how to mend it only what is said of a registration file, without a guess.
    """
    faults = report["faults"]
    for fault in faults:
        is_table = fault["file"] in REGISTRATION
        if not is_table:
            fault["file"], fault["must"] = MATRIX, f"must hold ({fault['reason']})"
        if not is_table or fault["column"] not in DECLARED:
            fault["column"] = None
        fault["found"] = WITHHELD
        fault["fix"] = "Mend it there, then run again."
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        report["message"] = f"{Fault(**faults[0])}{more}"
    elif report["message"]:
        report["message"] = f"{report['reason']}: details {WITHHELD}"
