"""The pass over all counts of a cohort: rewrite them, and judge what they sum to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.submitted.readers import Submission, iter_counts
from pmcell.registry.cohorts.registration import Registration
from pmcell.registry.intake.copies import Fingerprints
from pmcell.registry.intake.counts import (
    EXACT_FLOATS,
    Projection,
    check_counts,
    empty_droplets,
    row_totals,
)
from pmcell.registry.intake.genes import Genes
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
    share_lost: float
    """Share of counts on genes without a canonical id."""


def write_counts(
    path: Path,
    submission: Submission,
    layer: str,
    genes: Genes,
    obs: pd.DataFrame,
    inputs: Mapping[str, str],
    keep: np.ndarray,
) -> Totals:
    """Write the counts of the cells in `keep` on canonical genes; what they sum to."""
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
    held = projection.umis[genes.rows]
    share_lost = int(held[genes.is_lost()].sum()) / max(int(held.sum()), 1)
    per_cell_all = np.concatenate(per_cell)
    return Totals(projection, per_cell_all, largest, fingerprints.copies(), share_lost)


def _without(block: Any, is_gene: np.ndarray) -> Any:
    """The block without values of features that are not genes; the columns stay."""
    import scipy.sparse as sp

    inside = is_gene[block.indices]
    n_before = np.concatenate([[0], np.cumsum(inside)])
    return sp.csr_matrix(
        (block.data[inside], block.indices[inside], n_before[block.indptr]), shape=block.shape
    )


def check_totals(
    totals: Totals, submission: Submission, layer: str, genes: Genes, limits: IntakeSettings
) -> None:
    """Refuse counts that are all zero, of too many empty droplets, or on too many lost genes."""
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
    umis[~genes.is_lost()] = 0
    order = np.argsort(-umis, kind="stable")[:3]
    return "; ".join(f"{genes.mapping.source[row]!r} ({genes.mapping.why[row]})" for row in order)


def total_warnings(
    registration: Registration,
    sample_ids: np.ndarray,
    submission: Submission,
    totals: Totals,
    limits: IntakeSettings,
    keep: np.ndarray,
) -> Iterator[Fault]:
    """What is strange in the counts of a cohort that is taken in."""
    file = submission.path.name
    n_copied, pair = totals.copies
    if pair is not None:
        kept_rows = np.flatnonzero(keep) + 1
        must = "no two cells should have the same counts of every gene"
        found = f"{n_copied} cells are copies; row {kept_rows[pair[1]]} is row {kept_rows[pair[0]]}"
        fix = "Leave the copies out where the file came from, or with exclude in cohort.yaml."
        yield _warning("copies", file, must, found, fix)
    yield from _sample_warnings(registration, sample_ids, totals, file)
    if totals.share_lost > limits.warn_share_umis_lost:
        must = (
            f"at most {limits.warn_share_umis_lost:.0%} of the counts should fall on genes "
            "without a canonical id"
        )
        fix = "See gene_ledger.parquet for every gene and why."
        yield _warning("umis_lost", file, must, f"{totals.share_lost:.1%}", fix)
    dtype = np.dtype(submission.summary_of(registration.matrix.counts).dtype).name
    exact = EXACT_FLOATS.get(dtype)
    if exact is not None and totals.largest >= exact:
        must = f"counts from {exact} on should not be stored as {dtype}, which rounds them"
        found = f"{totals.largest:.0f}"
        yield _warning("inexact_counts", file, must, found, "Store them as integers.")


def _sample_warnings(
    registration: Registration, sample_ids: np.ndarray, totals: Totals, file: str
) -> Iterator[Fault]:
    """Samples without cells, or without counts."""
    there = sorted(set(sample_ids))
    absent = [sample.sample_id for sample in registration.samples if sample.sample_id not in there]
    if absent:
        must = "each sample of samples.tsv should have cells in the matrix"
        found = f"{len(absent)} without, the first {absent[0]!r}"
        fix = "Remove the row, or submit the sample's cells."
        yield _warning("sample_absent", "samples.tsv", must, found, fix)
    for name in there:
        if not totals.per_cell[sample_ids == name].any():
            must, found = "each sample should have counts", f"only zeros in sample {name!r}"
            yield _warning("sample_without_counts", file, must, found, "Submit its counts.")


def _warning(reason: str, where: str, must: str, found: str, fix: str) -> Fault:
    return Fault(where, must, found, fix, severity="warning", reason=reason)
