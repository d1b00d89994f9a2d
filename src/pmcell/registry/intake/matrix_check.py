"""Compare a registration with the header of its submitted file; runs inside the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.submitted.readers import sample_umis
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.cohort import load_registration, read_matrix
from pmcell.registry.cohorts.registration import Matrix, Registration
from pmcell.registry.intake.cell_table import open_matrix
from pmcell.registry.intake.cells_check import check_cells
from pmcell.registry.intake.checksum import checksum_faults, unprotected
from pmcell.registry.intake.count_layers import counts_fault, describe_layer
from pmcell.registry.intake.gene_findings import (
    contradicting_names,
    heavy_duplicates,
    lost_counts,
    mixed_features,
    old_names,
    other_features,
    spreadsheet_names,
)
from pmcell.registry.intake.genes import choose_genes, how_to_name
from pmcell.registry.terms.genes import GeneMapping, share_known
from pmcell.schema.text import as_text
from pmcell.settings.cohort import IntakeSettings

MAX_NARROW = 2
"""Bytes of a number: in more, no count of a gene in a cell reaches the end."""
WARN_SHARE_MAPPED = 0.8
SAMPLED_NAMES = 2000


def matrix_report(folder: str) -> dict[str, Any]:
    """Faults and numbers of the submitted file of a cohort, as JSON values.

    Where the registration has faults of its own (they are not repeated here),
    only what `matrix` of cohort.yaml says is checked: counts and genes.
    """
    faults: list[Fault] = []
    metrics: dict[str, Any] = {}
    registration: Registration | None = None
    matrix: Matrix | None = None
    try:
        registration = load_registration(folder)
        matrix = registration.matrix
    except FaultsError:
        matrix = read_matrix(folder)
    if matrix is not None and matrix.path.exists():
        faults += checksum_faults(matrix)
        try:
            submission = open_matrix(matrix)
            faults += check_matrix(matrix, submission, metrics, registration)
        except FaultsError as error:
            faults += error.faults
        except DataError as error:
            faults.append(error.fault(matrix.path.name))
    return {"faults": [asdict(fault) for fault in faults], "metrics": metrics}


def check_matrix(
    matrix: Matrix,
    submission: Submission,
    metrics: dict[str, Any],
    registration: Registration | None = None,
) -> list[Fault]:
    """Faults of counts and genes, and of cells where there is a `registration` to compare with.

    Numbers go into `metrics`.
    """
    metrics.update(n_cells=submission.n_cells, n_genes=submission.n_genes)
    parts: list[Callable[[], Iterator[Fault]]] = [
        lambda: _counts(matrix, submission, metrics),
        lambda: _genes(matrix, submission, metrics),
        lambda: _storage(matrix, submission),
    ]
    if registration is not None:
        whole = registration
        parts.append(lambda: check_cells(whole, submission, metrics))
    faults: list[Fault] = []
    for part in parts:
        try:
            faults += part()
        except FaultsError as error:
            faults += error.faults
        except DataError as error:
            faults.append(error.fault(submission.path.name))
    # Two parts that read the same cells name the same fault.
    return list(dict.fromkeys(faults))


def _counts(matrix: Matrix, submission: Submission, metrics: dict[str, Any]) -> Iterator[Fault]:
    if matrix.counts in submission.layers:
        metrics["counts"] = describe_layer(submission.summary_of(matrix.counts))
    fault = counts_fault(submission, matrix.counts)
    if fault is not None:
        yield fault
    elif (narrow := _narrow(submission, matrix)) is not None:
        yield narrow


def _narrow(submission: Submission, matrix: Matrix) -> Fault | None:
    """Counts in a type whose end they reach: what is beyond it was cut off, or began at 0 again."""
    summary = submission.summary_of(matrix.counts)
    kind = np.dtype(summary.dtype)
    if kind.kind not in "iu" or kind.itemsize > MAX_NARROW:
        return None
    highest = int(np.iinfo(kind).max)
    if summary.sampled_max <= highest / 2:
        return None
    return Fault(
        submission.path.name,
        "counts should stand in a type that holds the largest of them",
        f"{kind}, which ends at {highest:,}, and values up to {summary.sampled_max:,.0f}: larger "
        "counts would have been cut off, or begun at 0 again, without a word",
        "Compare a gene with many counts, such as MALAT1, with the file that these were made "
        "from; write them as 32 bits (X.astype('int32')) from there.",
        column=matrix.counts,
        severity="warning",
        reason="narrow_type",
    )


def _genes(matrix: Matrix, submission: Submission, metrics: dict[str, Any]) -> Iterator[Fault]:
    if matrix.counts not in submission.layers:
        return
    limits = IntakeSettings()
    genes = choose_genes(submission, matrix, min_genes=limits.min_genes)
    mapping = genes.mapping
    metrics.update(genes=mapping.counts(), share_genes_mapped=mapping.share_mapped)
    if mapping.share_mapped < WARN_SHARE_MAPPED:
        yield _lost_genes(mapping, matrix, submission)
    umis = None
    if submission.summary_of(matrix.counts).looks_like == "counts":
        umis = sample_umis(submission, matrix.counts)
    seen = "" if umis is None else " in a sample of cells"
    mixed = mixed_features(submission, matrix, genes)
    if mixed is not None:
        yield mixed
    contradicting = contradicting_names(submission, matrix, genes)
    if contradicting is not None:
        yield contradicting
    yield from other_features(submission, matrix, genes, umis)
    yield from old_names(submission, genes, umis, seen)
    yield from spreadsheet_names(submission, genes, umis)
    yield from lost_counts(
        submission,
        matrix,
        genes,
        umis,
        warn_share=limits.warn_share_umis_lost,
        max_share=limits.max_share_umis_lost,
    )
    if umis is not None and mixed is None:
        yield from heavy_duplicates(submission, genes, umis, seen)


def _storage(matrix: Matrix, submission: Submission) -> Iterator[Fault]:
    if matrix.counts in submission.layers:
        yield from unprotected(matrix, submission)


def _lost_genes(mapping: GeneMapping, matrix: Matrix, submission: Submission) -> Fault:
    lost = [
        f"{name!r} ({why})"
        for name, gene_id, why in zip(mapping.source, mapping.gene_id, mapping.why, strict=True)
        if gene_id is None
    ]
    var = submission.var_of(matrix.counts)
    better = [
        str(column)
        for column in var.columns
        if column != matrix.gene_column
        and share_known(as_text(var[column]).tolist()[:SAMPLED_NAMES]) > WARN_SHARE_MAPPED
    ]
    return Fault(
        submission.path.name,
        f"at least {WARN_SHARE_MAPPED:.0%} of gene names should lead to one current human gene",
        f"{mapping.share_mapped:.1%} of {len(mapping.source)}; not {'; '.join(lost[:3])}",
        f"Set matrix.gene_column: {better[0]}." if better else how_to_name(list(mapping.source)),
        column="var",
        severity="warning",
        reason="genes_unknown",
    )


def faults_of(report: Mapping[str, Any]) -> list[Fault]:
    """The faults of a report that came back from the sandbox as JSON."""
    return [Fault(**fault) for fault in report["faults"]]
