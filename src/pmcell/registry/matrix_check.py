"""Compare a registration with the header of its submitted file; runs inside the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.submission import LayerSummary, Submission
from pmcell.io.submitted import inspect
from pmcell.registry.cells_check import check_cells
from pmcell.registry.cohort import load_registration, read_matrix
from pmcell.registry.genes import GeneMapping, share_known
from pmcell.registry.intake_genes import choose_genes
from pmcell.registry.keys import COHORT_FILE, TODO
from pmcell.registry.registration import Matrix, Registration
from pmcell.schema.text import as_text
from pmcell.settings.cohort import IntakeSettings

WARN_SHARE_MAPPED = 0.8
SAMPLED_NAMES = 2000


def matrix_report(folder: str, programmes_dir: str | None = None) -> dict[str, Any]:
    """Faults and numbers of the submitted file of a cohort, as JSON values.

    Where the registration has faults of its own (they are not repeated here),
    only what `matrix` of cohort.yaml says is checked: counts and genes.
    """
    faults: list[Fault] = []
    metrics: dict[str, Any] = {}
    registration: Registration | None = None
    matrix: Matrix | None = None
    try:
        registration = load_registration(folder, programmes_dir=programmes_dir)
        matrix = registration.matrix
    except FaultsError:
        matrix = read_matrix(folder)
    if matrix is not None and matrix.path.exists():
        try:
            submission = inspect(
                matrix.path,
                matrix.format,
                orientation=matrix.orientation,
                looks_like_genes=share_known,
            )
            faults += check_matrix(matrix, submission, metrics, registration)
        except FaultsError as error:
            faults += error.faults
        except DataError as error:
            faults.append(_of_error(error, matrix.path.name))
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
            faults.append(_of_error(error, submission.path.name))
    return faults


def describe_layer(summary: LayerSummary) -> str:
    """What a matrix looks like, in words: kind, whole or not, largest sampled value."""
    kinds = {
        "counts": "raw counts",
        "log1p": "ln(CPM+1)-like",
        "log2": "log2(CPM+1)-like",
        "scaled": "scaled (centred) values",
        "normalised": "normalised values",
        "empty": "all zero",
        "unknown": "not counts",
    }
    whole = "whole numbers" if summary.is_integer else f"{1 - summary.share_integer:.0%} not whole"
    span = f"from {summary.sampled_min:.4g} to {summary.sampled_max:.4g} in the sample"
    return f"{kinds[summary.looks_like]}: {whole}, {span}"


def _counts(matrix: Matrix, submission: Submission, metrics: dict[str, Any]) -> Iterator[Fault]:
    layer = matrix.counts
    seen = f"no matrix {layer!r}"
    if layer in submission.layers:
        summary = submission.summary_of(layer)
        seen = metrics["counts"] = describe_layer(summary)
        if summary.looks_like == "counts":
            return
    others = [name for name, other in submission.layers.items() if other.looks_like == "counts"]
    if others:
        fix = f"Set matrix.counts: {others[0]}, which looks like raw counts."
    else:
        rest = [
            f"{name} is {describe_layer(other)}"
            for name, other in submission.layers.items()
            if name != layer
        ]
        shown = f" ({'; '.join(rest)})" if rest else ""
        fix = (
            f"No matrix of this file looks like raw counts{shown}. "
            "Get the file with the counts from the source; pmcell does not undo logarithms."
        )
    found = f"{layer} of {submission.path.name}: {seen}"
    if layer.startswith(TODO):
        found = "none is chosen yet"
    must = "must name a matrix of raw counts"
    yield Fault(COHORT_FILE, must, found, fix, column="matrix.counts", reason="not_counts")


def _genes(matrix: Matrix, submission: Submission, metrics: dict[str, Any]) -> Iterator[Fault]:
    if matrix.counts not in submission.layers:
        return
    genes = choose_genes(submission, matrix, min_genes=IntakeSettings().min_genes)
    mapping = genes.mapping
    metrics.update(genes=mapping.counts(), share_genes_mapped=mapping.share_mapped)
    if mapping.share_mapped < WARN_SHARE_MAPPED:
        yield _lost_genes(mapping, matrix, submission)
    others = _other_features(submission, matrix)
    if others:
        column, seen = others
        must = "features that are not genes should be left out"
        fix = "Set matrix.keep_features: {column: " + column + ", value: Gene Expression}."
        where = "matrix.keep_features"
        yield Fault(COHORT_FILE, must, seen, fix, column=where, severity="warning")


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
        f"Set matrix.gene_column: {better[0]}." if better else "Check matrix.gene_column.",
        column="var",
        severity="warning",
        reason="genes_unknown",
    )


def _other_features(submission: Submission, matrix: Matrix) -> tuple[str, str] | None:
    """A column of var that tells genes from other features, when it is not used."""
    if matrix.keep_features is not None:
        return None
    var = submission.var_of(matrix.counts)
    for column in var.columns:
        values = Counter(as_text(var[column]))
        if "Gene Expression" in values and len(values) > 1:
            seen = ", ".join(f"{n} {value}" for value, n in values.most_common(4))
            return str(column), seen
    return None


def _of_error(error: DataError, file: str) -> Fault:
    """A reader's sentence as a fault; its first clause already names the file."""
    text = str(error).removeprefix(f"{file}: ")
    must, _, rest = text.partition("; ")
    found, _, fix = rest.partition(". ")
    return Fault(file, must, found or must, fix, reason=error.reason)


def faults_of(report: Mapping[str, Any]) -> list[Fault]:
    """The faults of a report that came back from the sandbox as JSON."""
    return [Fault(**fault) for fault in report["faults"]]
