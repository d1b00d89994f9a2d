"""Data sets of benchmarks: files that are named with their columns, else the embedded cohorts."""

from __future__ import annotations

from collections.abc import Iterator

import anndata

from pmcell import bundle


def data_sets(files: list[str]) -> Iterator[tuple[str, anndata.AnnData, str, str]]:
    """Name, counts, and the columns of batch and label of each `FILE:BATCH:LABEL`."""
    if files:
        for item in files:
            path, batch, label = item.rsplit(":", 2)
            yield path.rsplit("/", 1)[-1], anndata.read_h5ad(path), batch, label
        return
    folder = bundle.bundle_folder() / "config" / "cohorts"
    parts = [anndata.read_h5ad(folder / name / "counts.h5ad") for name in bundle.EMBEDDED_COHORTS]
    yield "embedded", anndata.concat(parts), "Batch", "mergedcelltype"
