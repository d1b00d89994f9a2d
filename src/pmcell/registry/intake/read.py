"""Read, check and rewrite one cohort: what runs inside the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.submitted.matrix_folder import folder_files
from pmcell.io.submitted.readers import Submission, iter_counts
from pmcell.io.zarr_store import is_store, store_digest
from pmcell.registry.cohorts.cohort import load_registration, programmes_folder
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.intake.cell_table import open_matrix
from pmcell.registry.intake.cells import Scope, cell_table
from pmcell.registry.intake.checksum import checksum_faults, files_now
from pmcell.registry.intake.copies import Fingerprints
from pmcell.registry.intake.count_layers import whole_but_no_counts
from pmcell.registry.intake.counts import (
    EXACT_FLOATS,
    Projection,
    check_counts,
    empty_droplets,
    row_totals,
)
from pmcell.registry.intake.facts import facts_at_least
from pmcell.registry.intake.gene_findings import (
    contradicting_names,
    heavy_duplicates,
    mixed_features,
)
from pmcell.registry.intake.genes import Genes, choose_genes
from pmcell.registry.intake.identified import identify_cells
from pmcell.registry.intake.intake import MATRIX, OUTPUTS, REGISTRATION, STATE
from pmcell.registry.intake.permitted import Days, permit_cells
from pmcell.registry.intake.place import intake_place_faults
from pmcell.registry.intake.pseudonyms import load_key
from pmcell.registry.intake.tables import (
    write_gene_ledger,
    write_measurements,
    write_registration_tables,
)
from pmcell.registry.intake.time_limit import TABLE_SECONDS, cpu_limit
from pmcell.schema.text import text_array
from pmcell.settings.cohort import IntakeSettings
from pmcell.version import __version__

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Totals:
    """What the pass over all counts found."""

    projection: Projection
    per_cell: np.ndarray
    largest: float
    copies: tuple[int, tuple[int, int] | None]

    @property
    def share_lost(self) -> float:
        """Share of counts on genes without a canonical id."""
        in_all = int(self.projection.umis.sum())
        return self.projection.umis_lost / in_all if in_all else 0.0


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
    paths = {name: Path(out_dir) / file for name, file in OUTPUTS.items()}
    state = Path(out_dir) / STATE
    known: dict[str, Any] = {"registration": facts_at_least(Path(folder))}
    write_json(state, known)
    with cpu_limit(TABLE_SECONDS, "cohort.yaml, donors.tsv and samples.tsv"):
        registration = load_registration(folder)
    known["registration"] = facts = registration.facts()
    write_json(state, known)
    scope = _scope(registration)
    matrix = registration.matrix
    places = [Path(place) for place in allowed]
    refused = intake_place_faults(Path(folder), matrix, places) or checksum_faults(matrix)
    if refused:
        raise FaultsError(refused)
    before = files_now(matrix.path)
    submission = open_matrix(matrix)
    known["inputs"] = _digests(registration)
    known["metrics"] = {
        "n_cells_submitted": submission.n_cells,
        "n_genes_submitted": len(submission.var_of(matrix.counts)),
    }
    write_json(state, known)
    limits = IntakeSettings(**config)
    _check_size(submission, submission.n_cells, limits)
    genes = choose_genes(submission, matrix, min_genes=limits.min_genes)
    for fault in (
        whole_but_no_counts(submission, matrix.counts),
        mixed_features(submission, matrix, genes),
        contradicting_names(submission, matrix, genes),
    ):
        if fault is not None:
            raise FaultsError([fault])
    known["metrics"]["n_genes_submitted"] = len(genes.rows)
    write_json(state, known)

    cells = identify_cells(submission, registration)
    if permitted is not None:
        registration, cells, n_dropped = permit_cells(registration, cells, permitted)
        # Nothing may tell how many cells those had who are not here.
        known["metrics"]["n_cells_submitted"] -= n_dropped
    samples, donors = _frames(registration)
    sample_ids, keep = cells.samples, cells.left_out.keep
    known["metrics"] |= {
        "n_cells_left_out": sum(cells.left_out.n_cells),
        "left_out": cells.left_out.counts(),
    }
    write_json(state, known)
    _check_size(submission, len(sample_ids), limits)
    obs = cell_table(
        cells.barcodes,
        sample_ids,
        samples,
        donors,
        {name: facts[name] for name in ("programme", "organism_ontology_term_id")},
        scope,
        cells.cell_types,
        registration.cell_types,
    )
    totals = _write_counts(
        paths["counts"], submission, matrix.counts, genes, obs, known["inputs"], keep
    )
    if files_now(matrix.path) != before:
        # Two copies in part would be one in the results, under the digest of neither.
        raise DataError(
            f"{matrix.path.name}: the file must stay as it is while it is read; found another size "
            "or time after it. Run again once it is copied whole.",
            reason="changed",
        )
    known["metrics"] |= {
        "n_features_not_genes": genes.n_features - len(genes.rows),
        "n_genes": len(totals.projection.gene_ids),
        "n_cells_copied": totals.copies[0],
        "n_cells_without_counts": int((totals.per_cell == 0).sum()),
        "n_samples_registered": len(samples),
        "n_samples_submitted": len(set(sample_ids)),
        "share_umis_lost": totals.share_lost,
        "umis": int(totals.projection.umis.sum()),
        "genes": genes.mapping.counts(),
    }
    write_json(state, known)
    _check_totals(totals, submission, matrix.counts, genes, limits)
    n_cells = dict(zip(*np.unique(text_array(sample_ids), return_counts=True), strict=True))
    write_registration_tables(paths, samples, donors, n_cells, scope)
    write_measurements(paths["measurements"], registration.measurements, scope)
    write_gene_ledger(
        paths["gene_ledger"],
        registration.cohort_id,
        genes.mapping,
        genes.rows,
        totals.projection.umis[genes.rows],
    )
    warnings = [
        *registration.warnings,
        *cells.warnings,
        *_warnings(registration, samples, sample_ids, submission, totals, limits, keep),
        *heavy_duplicates(submission, genes, totals.projection.umis),
    ]
    return {
        "cohort_id": registration.cohort_id,
        "status": "warned" if warnings else "ok",
        "reason": warnings[0].reason if warnings else "",
        "message": str(warnings[0]) if warnings else "",
        "faults": [asdict(fault) for fault in warnings],
        **known,
    }


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
        parts = folder_files(matrix)
        found = {
            f"{label}/{file.name if is_open else number}": sha256_file(file)
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


def _write_counts(
    path: Path,
    submission: Submission,
    layer: str,
    genes: Genes,
    obs: pd.DataFrame,
    inputs: Mapping[str, str],
    keep: np.ndarray,
) -> Totals:
    import pandas as pd

    projection = Projection(genes.targets())
    symbols = genes.symbols()
    var = pd.DataFrame(
        {"symbol": [symbols[gene_id] for gene_id in projection.gene_ids]},
        index=pd.Index(projection.gene_ids, dtype=object),
    )
    provenance = {"step": "intake", "version": __version__, "inputs": dict(inputs), "counts": layer}
    per_cell, largest, fingerprints = [], 0.0, Fingerprints(projection.gene_ids)
    is_gene = np.zeros(genes.n_features, dtype=bool)
    is_gene[genes.rows] = True
    with CanonicalWriter(path, obs, var, provenance=provenance) as writer:
        for start, block in iter_counts(submission, layer):
            if not is_gene.all():
                block = _without(block, is_gene)
            block = check_counts(block, start, submission, layer)
            stays = keep[start : start + block.shape[0]]
            if not stays.all():
                block = block[stays]
            largest = max(largest, float(block.data.max(initial=0)))
            kept = projection.apply(block)
            fingerprints.add(kept)
            per_cell.append(row_totals(kept.indptr, kept.data))
            writer.append(kept)
    return Totals(projection, np.concatenate(per_cell), largest, fingerprints.copies())


def _without(block: Any, is_gene: np.ndarray) -> Any:
    """The block without values of features that are not genes; the columns stay."""
    import scipy.sparse as sp

    inside = is_gene[block.indices]
    n_before = np.concatenate([[0], np.cumsum(inside)])
    return sp.csr_matrix(
        (block.data[inside], block.indices[inside], n_before[block.indptr]), shape=block.shape
    )


def _check_totals(
    totals: Totals, submission: Submission, layer: str, genes: Genes, limits: IntakeSettings
) -> None:
    file = submission.path.name
    if not totals.projection.umis.any():
        raise DataError(
            f"{file}: {layer} must hold counts; all values are zero. Set matrix.counts to the "
            "matrix "
            f"that holds them; the file has {', '.join(submission.layers)}.",
            reason="no_counts",
        )
    empty = empty_droplets(totals.per_cell, file, limits.max_share_empty)
    if empty is not None:
        raise FaultsError([empty])
    if totals.share_lost > limits.max_share_umis_lost:
        raise DataError(
            f"{file}: at most {limits.max_share_umis_lost:.0%} of the counts may fall on genes "
            "without "
            f"a canonical id (intake.max_share_umis_lost); {totals.share_lost:.0%} do. The "
            "largest are "
            f"{_largest_lost(totals, genes)}. Set matrix.gene_column and matrix.gene_namespace "
            "in cohort.yaml to what the file holds.",
            reason="umis_lost",
        )


def _largest_lost(totals: Totals, genes: Genes) -> str:
    umis = totals.projection.umis[genes.rows].copy()
    umis[[gene_id is not None for gene_id in genes.mapping.gene_id]] = 0
    order = np.argsort(-umis, kind="stable")[:3]
    return "; ".join(f"{genes.mapping.source[row]!r} ({genes.mapping.why[row]})" for row in order)


def _warnings(
    registration: Registration,
    samples: pd.DataFrame,
    sample_ids: np.ndarray,
    submission: Submission,
    totals: Totals,
    limits: IntakeSettings,
    keep: np.ndarray,
) -> list[Fault]:
    file = submission.path.name

    def warning(reason: str, must: str, found: str, fix: str, where: str = file) -> Fault:
        return Fault(where, must, found, fix, severity="warning", reason=reason)

    warnings = []
    n_copied, pair = totals.copies
    if pair is not None:
        kept_rows = np.flatnonzero(keep) + 1
        must = "no two cells should have the same counts of every gene"
        found = f"{n_copied} cells are copies; row {kept_rows[pair[1]]} is row {kept_rows[pair[0]]}"
        fix = "Leave the copies out where the file came from, or with exclude in cohort.yaml."
        warnings.append(warning("copies", must, found, fix))
    absent = [name for name in samples.index if name not in set(sample_ids)]
    if absent:
        must = "each sample of samples.tsv should have cells in the matrix"
        found = f"{len(absent)} without, the first {absent[0]!r}"
        fix = "Remove the row, or submit the sample's cells."
        warnings.append(warning("sample_absent", must, found, fix, "samples.tsv"))
    for name in sorted(set(sample_ids)):
        if not totals.per_cell[sample_ids == name].any():
            must, found = "each sample should have counts", f"only zeros in sample {name!r}"
            warnings.append(warning("sample_without_counts", must, found, "Submit its counts."))
    if totals.share_lost > limits.warn_share_umis_lost:
        must = (
            f"at most {limits.warn_share_umis_lost:.0%} of the counts should fall on genes "
            "without a canonical id"
        )
        fix = "See gene_ledger.parquet for every gene and why."
        warnings.append(warning("umis_lost", must, f"{totals.share_lost:.1%}", fix))
    dtype = np.dtype(submission.summary_of(registration.matrix.counts).dtype).name
    exact = EXACT_FLOATS.get(dtype)
    if exact is not None and totals.largest >= exact:
        must = f"counts from {exact} on should not be stored as {dtype}, which rounds them"
        found = f"{totals.largest:.0f}"
        warnings.append(warning("inexact_counts", must, found, "Store them as integers."))
    return warnings
