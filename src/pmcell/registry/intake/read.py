"""Read, check and rewrite one cohort: what runs inside the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, FaultsError
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.submitted.matrix_folder import folder_files
from pmcell.io.submitted.readers import Submission
from pmcell.io.submitted.sample_folders import files_of_samples
from pmcell.io.zarr_store import is_store, store_digest
from pmcell.registry.cohorts.cohort import load_registration, programmes_folder
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.intake.cell_table import open_matrix
from pmcell.registry.intake.cells import COHORT_COLUMNS, Scope, cell_table
from pmcell.registry.intake.checksum import checksum_faults, files_now
from pmcell.registry.intake.count_layers import whole_but_no_counts
from pmcell.registry.intake.facts import facts_at_least
from pmcell.registry.intake.gene_findings import (
    contradicting_names,
    heavy_duplicates,
    mixed_features,
)
from pmcell.registry.intake.genes import Genes, choose_genes
from pmcell.registry.intake.identified import Cells, identify_cells
from pmcell.registry.intake.intake import MATRIX, OUTPUTS, REGISTRATION, STATE
from pmcell.registry.intake.permitted import Days, permit
from pmcell.registry.intake.place import intake_place_faults
from pmcell.registry.intake.pseudonyms import load_key
from pmcell.registry.intake.tables import (
    write_gene_ledger,
    write_measurements,
    write_registration_tables,
)
from pmcell.registry.intake.time_limit import TABLE_SECONDS, cpu_limit
from pmcell.registry.intake.totals import Totals, check_totals, total_warnings, write_counts
from pmcell.schema.text import text_array
from pmcell.settings.cohort import IntakeSettings

if TYPE_CHECKING:
    import pandas as pd


class Known:
    """What is known of a cohort so far, kept in a file for the report of one that fails."""

    def __init__(self, path: Path, registration: Mapping[str, Any]) -> None:
        self._path = path
        self.facts: dict[str, Any] = {}
        self.add(registration=dict(registration))

    def add(self, **facts: Any) -> None:
        """Replace parts of the report."""
        self.facts |= facts
        write_json(self._path, self.facts)

    def measure(self, **metrics: Any) -> None:
        """Add to the metrics of the report."""
        self.add(metrics={**self.facts.get("metrics", {}), **metrics})


def read_cohort(
    folder: str,
    out_dir: str,
    config: Mapping[str, Any],
    allowed: Sequence[str] = (),
    permitted: Mapping[str, Days] | None = None,
) -> dict[str, Any]:
    """Write all outputs but the report into `out_dir`, return the report.

    With `permitted`, only donors are taken in who stand there (see `permitted.py`).

    What is known so far is left in `STATE`, for the report of a cohort that is
    quarantined (`DataError`) or whose reader crashes later on.
    """
    known = Known(Path(out_dir) / STATE, facts_at_least(Path(folder)))
    with cpu_limit(TABLE_SECONDS, "cohort.yaml, donors.tsv and samples.tsv"):
        registration = load_registration(folder)
    known.add(registration=registration.facts())
    limits = IntakeSettings(**config)
    others = None
    if permitted is not None:
        registration, others = permit(registration, permitted)
    places = [Path(place) for place in allowed]
    submission, before = _open(registration, places, known, is_whole=others is None)
    if others is None or not submission.n_cells:
        _check_size(submission, submission.n_cells, limits)
    genes = _genes(submission, registration, limits)
    known.measure(n_genes_submitted=len(genes.rows))
    cells = identify_cells(submission, registration, others)
    left_out = cells.left_out
    known.measure(
        n_cells_submitted=cells.n_submitted,
        n_cells_left_out=left_out.n_left_out,
        left_out=left_out.counts(),
    )
    _check_size(submission, len(cells.samples), limits)
    totals = _write(Path(out_dir), registration, submission, genes, cells, known, limits)
    if files_now(registration.matrix.path) != before:
        # Two copies in part would be one in the results, under the digest of neither.
        raise DataError(
            f"{submission.path.name}: the file must stay as it is while it is read; found another "
            "size or time after it. Run again once it is copied whole.",
            reason="changed",
        )
    warnings = [
        *registration.warnings,
        *cells.warnings,
        *total_warnings(registration, cells.samples, submission, totals, limits, left_out.keep),
        *heavy_duplicates(submission, genes, totals.projection.umis),
    ]
    return {
        "cohort_id": registration.cohort_id,
        "status": "warned" if warnings else "ok",
        "reason": warnings[0].reason if warnings else "",
        "message": str(warnings[0]) if warnings else "",
        "faults": [asdict(fault) for fault in warnings],
        **known.facts,
    }


def _open(
    registration: Registration, allowed: list[Path], known: Known, *, is_whole: bool
) -> tuple[Submission, list[tuple[str, int, int, int]]]:
    """Open the matrix, once its place and its digest are right; its files as they were before.

    `is_whole` says that everybody in it may be used.
    """
    matrix = registration.matrix
    refused = intake_place_faults(registration.folder, matrix, allowed) or checksum_faults(matrix)
    if refused:
        raise FaultsError(refused)
    before = files_now(matrix.path)
    submission = open_matrix(matrix)
    known.add(inputs=_digests(registration))
    known.measure(n_genes_submitted=len(submission.var_of(matrix.counts)))
    if is_whole:
        # Else nothing may tell how many cells those have who are not to be here.
        known.measure(n_cells_submitted=submission.n_cells)
    return submission, before


def _genes(submission: Submission, registration: Registration, limits: IntakeSettings) -> Genes:
    """The genes of the file; `FaultsError` where its values or names are not those of counts."""
    matrix = registration.matrix
    genes = choose_genes(submission, matrix, min_genes=limits.min_genes)
    for fault in (
        whole_but_no_counts(submission, matrix.counts),
        mixed_features(submission, matrix, genes),
        contradicting_names(submission, matrix, genes),
    ):
        if fault is not None:
            raise FaultsError([fault])
    return genes


def _write(
    out_dir: Path,
    registration: Registration,
    submission: Submission,
    genes: Genes,
    cells: Cells,
    known: Known,
    limits: IntakeSettings,
) -> Totals:
    """Write counts and tables; what the pass over the counts found."""
    paths = {name: out_dir / file for name, file in OUTPUTS.items()}
    scope, facts = _scope(registration), registration.facts()
    samples, donors = _frames(registration)
    obs = cell_table(
        cells.barcodes,
        cells.samples,
        samples,
        donors,
        {name: facts[name] for name in COHORT_COLUMNS},
        scope,
        cells.cell_types,
        registration.cell_types,
    )
    layer, keep = registration.matrix.counts, cells.left_out.keep
    inputs = known.facts["inputs"]
    totals = write_counts(paths["counts"], submission, layer, genes, obs, inputs, keep)
    known.measure(
        n_features_not_genes=genes.n_features - len(genes.rows),
        n_genes=len(totals.projection.gene_ids),
        n_cells_copied=totals.copies[0],
        n_cells_without_counts=int((totals.per_cell == 0).sum()),
        n_samples_registered=len(samples),
        n_samples_submitted=len(set(cells.samples)),
        share_umis_lost=totals.share_lost,
        umis=int(totals.projection.umis.sum()),
        genes=genes.mapping.counts(),
    )
    check_totals(totals, submission, layer, genes, limits)
    n_cells = dict(zip(*np.unique(text_array(cells.samples), return_counts=True), strict=True))
    write_registration_tables(paths, samples, donors, n_cells, scope)
    write_measurements(paths["measurements"], registration.measurements, scope)
    umis = totals.projection.umis[genes.rows]
    ledger = paths["gene_ledger"]
    write_gene_ledger(ledger, registration.cohort_id, genes.mapping, genes.rows, umis)
    return totals


def _scope(registration: Registration) -> Scope:
    key = None if registration.access == "open" else load_key()
    return Scope(registration.cohort_id, registration.access, key)


def _digests(registration: Registration) -> dict[str, str]:
    """SHA-256 of what was read, by path relative to the cohort's folder (or the name alone).

    Of a cohort that is not open the matrix is called `matrix`, its files by number.
    """
    matrix, is_open = registration.matrix.path, registration.access == "open"
    label = matrix.name if is_open else MATRIX
    if matrix.is_dir() and is_store(matrix):
        found = {label: store_digest(matrix)}
    elif matrix.is_dir():
        parts = files_of_samples(matrix) or [
            item for item in folder_files(matrix) if item.is_file()
        ]
        found = {
            f"{label}/{file.relative_to(matrix).as_posix() if is_open else number}": sha256_file(
                file
            )
            for number, file in enumerate(parts)
        }
    else:
        found = {label: sha256_file(matrix)} if matrix.is_file() else {}
    programme = programmes_folder(registration.folder) / f"{registration.programme}.yaml"
    tables = [*(registration.folder / name for name in REGISTRATION), programme]
    return found | {file.name: sha256_file(file) for file in tables if file.is_file()}


def _frames(registration: Registration) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    def frame(rows: Any, key: str) -> pd.DataFrame:
        records = [
            {name: value for name, value in asdict(row).items() if name != "extra"} for row in rows
        ]
        return pd.DataFrame.from_records(records).astype(object).set_index(key)

    samples = frame(registration.samples, "sample_id")
    for name in ("visit_day", "hours_to_processing"):
        samples[name] = samples[name].astype("float64")
    return samples, frame(registration.donors, "donor_id")


def _check_size(submission: Submission, n_cells: int, limits: IntakeSettings) -> None:
    """Refuse a cohort of which too few of the file's cells stay."""
    if n_cells >= limits.min_cells:
        return
    raise DataError(
        f"{submission.path.name}: a cohort must have at least {limits.min_cells} cells "
        f"(intake.min_cells); found {n_cells}. Submit the whole cohort, or join it to "
        "another.",
        reason="too_few_cells" if submission.n_cells else "empty",
    )
