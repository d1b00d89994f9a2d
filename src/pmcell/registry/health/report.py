"""A health report of one submitted file, without any registration; reads inside the sandbox."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.submitted import sandbox
from pmcell.io.submitted.readers import detect_format, inspect
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import COHORT_FILE, ONLY_A_PERSON, TODO, key
from pmcell.registry.cohorts.registration import Matrix
from pmcell.registry.draft.columns import Columns, guess_columns
from pmcell.registry.draft.draft import Draft, draft_registration
from pmcell.registry.draft.left_out import status_columns
from pmcell.registry.draft.options import reworded, with_options
from pmcell.registry.health.counts import counted_faults
from pmcell.registry.health.design import confounding
from pmcell.registry.health.people import alike_people, identifying
from pmcell.registry.intake.check import CohortCheck
from pmcell.registry.intake.matrix_check import check_matrix
from pmcell.registry.terms.genes import share_known

LACKING = {
    "donor_id": "who the donors are",
    "sample_id": "which sample a cell is of",
    "batch_id": "processing batches",
    "cell_type": "the source's cell types",
    "sex": "sex",
    "age": "age",
    "disease": "disease",
    "tissue": "tissue",
    "assay": "assay",
}
"""What a submission says of cells beside counts, and how it is called here."""
TIME_SECONDS = 1800


def file_health(file: Path, *, fmt: str | None = None, is_deep: bool = False) -> CohortCheck:
    """Everything that can be said of a file on its own; faults and numbers, never an exception.

    Parameters
    ----------
    file
        The file or folder; it is read in a sandbox and not changed.
    fmt
        As in cohort.yaml; told from the file by default.
    is_deep
        Whether all counts of a large file are read, to find cells that stand twice and people of
        another sex than stated; of files up to 20 million stored values they are in any case.
    """
    try:
        report = sandbox.run(
            "pmcell.registry.health.report:health_of",
            {
                "file": str(file.absolute()),
                "fmt": fmt or detect_format(file),
                "is_deep": is_deep,
            },
            time_seconds=TIME_SECONDS,
        )
    except DataError as error:
        told = with_options(error)
        faults = told.faults if isinstance(told, FaultsError) else (told.fault(file.name),)
        return CohortCheck(file.name, faults, {})
    faults = tuple(Fault(**fault) for fault in report["faults"])
    return CohortCheck(file.name, faults, report["metrics"])


def health_of(file: str, fmt: str, is_deep: bool) -> dict[str, Any]:
    """Faults and numbers of a file, as JSON values; what runs inside the sandbox."""
    submission = inspect(file, fmt, looks_like_genes=share_known)
    draft = draft_registration(submission, "cohort")
    # What says of cells that they are nobody's is no sample or donor of its own.
    obs = submission.obs.drop(columns=status_columns(submission.obs))
    columns = guess_columns(obs, "cohort")
    name = submission.path.name
    metrics: dict[str, Any] = {}
    faults: list[Fault] = []
    if not submission.obs.index.is_unique:
        n = int(submission.obs.index.duplicated().sum())
        must = "each cell must have a barcode of its own"
        fix = "Make them unique where the file came from, with the sample's name before each."
        faults.append(Fault(name, must, f"{n} repeat", fix, column="obs", reason="barcodes"))
    faults += identifying(submission.obs, columns, name)
    faults += alike_people(submission.obs, columns, name)
    faults += confounding(submission.obs, columns, name)
    matrix = _matrix(submission, draft)
    faults += check_matrix(matrix, submission, metrics)
    if matrix.counts in submission.layers:
        try:
            faults += counted_faults(
                submission, matrix.counts, matrix.gene_column, columns, metrics, is_deep=is_deep
            )
        except DataError as error:
            faults.append(error.fault(name))
    metrics |= _seen(submission, draft, columns)
    told = dict.fromkeys(_own(fault, name) for fault in faults)
    return {"faults": [asdict(fault) for fault in told], "metrics": metrics}


def _matrix(submission: Submission, draft: Draft) -> Matrix:
    def get(name: str, default: str = "") -> str:
        return draft.settings.get(f"matrix.{name}", default)

    features = (get("keep_features.column"), get("keep_features.value"))
    return Matrix(
        path=submission.path,
        format=submission.format,
        counts=get("counts"),
        gene_column=get("gene_column", "index"),
        gene_namespace=get("gene_namespace", "auto"),
        orientation=get("orientation", "auto"),
        keep_features=features if all(features) else None,
    )


def _own(fault: Fault, name: str) -> Fault:
    """A fault of cohort.yaml as one of the file: there is no cohort.yaml yet."""
    fault = replace(fault, fix=reworded(fault.fix))
    return replace(fault, file=name, row=None) if fault.file == COHORT_FILE else fault


def _seen(submission: Submission, draft: Draft, columns: Columns) -> dict[str, Any]:
    """What the file is, which column tells what, and what a submission would lack."""
    known = {*columns.roles}
    known |= {"age"} if "age_group" in known else set()
    for column in columns.terms:
        short = column.replace("_ontology_term_id", "").replace("self_reported_", "")
        known.add({"development_stage": "age"}.get(short, short))
    if not columns.sample_rule.startswith("constant:"):
        known.add("sample_id")
    return {
        "counts_in": draft.settings["matrix.counts"].replace(TODO, ""),
        "counts_are": draft.comments["matrix.counts"],
        "gene_column": draft.settings["matrix.gene_column"],
        "species": draft.comments["organism_ontology_term_id"],
        "n_donors": len({row["donor_id"] for row in draft.donors if row["donor_id"] != TODO}),
        "n_samples": len(draft.samples),
        "told_by": dict(columns.roles) | {"sample_id": columns.sample_rule},
        "lacks": [words for role, words in LACKING.items() if role not in known],
        "to_be_said": {
            path: key(path).prose for path in ONLY_A_PERSON if path not in draft.settings
        },
        "unused": list(draft.unused),
        "notes": draft.notes,
    }
