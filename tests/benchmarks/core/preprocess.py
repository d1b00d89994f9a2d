"""Quality control and highly variable genes from disk, beside the time to decode the file.

Not part of the tests. The file is read once without doing anything, then by `pp.qc` (without
doublet scores) and `pp.highly_variable_genes`, each a pass; the normalisation is part of the
second. Runs are interleaved in one process after one that is not counted. Forms: the file as it
is, and as intake writes it (32-bit integers, gzip level 1, shuffled).

Example:
  python tests/benchmarks/core/preprocess.py --cells 200000
"""

from __future__ import annotations

import argparse
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba

PIPELINE = Path(__file__).with_name("pipeline.py")


def main() -> None:
    """Measure both forms, print the table."""
    args = parse()
    numba.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        file = args.file or runpy.run_path(str(PIPELINE))["make_counts"](
            Path(folder) / "cells.h5ad", args.cells
        )
        print(
            "| form | MB | decode: wall s | CPU s | QC + HVG: wall s | CPU s | ratio: wall | CPU |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for form, path in (("as it is", file), ("as intake writes", packed(file, Path(folder)))):
            decoded, prepared = [], []
            for round_ in range(args.runs + 1):
                figures = (
                    timed(lambda path=path: decode(path)),
                    timed(lambda path=path: preprocess(path)),
                )
                if round_:
                    decoded.append(figures[0])
                    prepared.append(figures[1])
            print(row(form, path, decoded, prepared), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="h5ad with counts in X (CSR)")
    parser.add_argument("--cells", type=int, default=50_000, help="cells to make without --file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def packed(file: Path, folder: Path) -> Path:
    """A copy whose counts are stored as intake stores them."""
    import h5py
    import numpy as np

    from pmcell.io.counts.canonical import STORAGE
    from pmcell.io.h5ad import CHUNK_VALUES

    path = folder / "packed.h5ad"
    with h5py.File(path, "w") as copy, h5py.File(file) as source:
        copy.attrs.update(source.attrs)
        for name in source:
            if name != "X":
                source.copy(name, copy)
        copy.create_group("X").attrs.update(source["X"].attrs)
        source.copy("X/indptr", copy["X"])
        for name in ("data", "indices"):
            given = source["X"][name]
            kept = copy["X"].create_dataset(
                name,
                given.shape,
                np.int32,
                chunks=(CHUNK_VALUES,),
                **STORAGE.matrix_options,
            )
            for low in range(0, given.size, 64 * CHUNK_VALUES):
                kept[low : low + 64 * CHUNK_VALUES] = given[low : low + 64 * CHUNK_VALUES]
    return path


def decode(path: Path) -> None:
    """Read every count."""
    import pmcell as pm

    for _ in pm.open_counts(path).iter_blocks():
        pass


def preprocess(path: Path) -> None:
    """Quality control and highly variable genes of the cells that pass."""
    import pmcell as pm
    from pmcell.pp.qc import QcOptions

    counts = pm.open_counts(path)
    adata = counts.read_cells()
    adata.obs["all"] = "all"
    pm.pp.qc(adata, sample="all", options=QcOptions(score_doublets=False), counts=counts)
    adata = adata[adata.obs["passes_qc"]].copy()
    pm.pp.highly_variable_genes(adata, batch="all", counts=counts)


def timed(job: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    begin = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def row(
    form: str,
    path: Path,
    decoded: list[tuple[float, float]],
    prepared: list[tuple[float, float]],
) -> str:
    """Medians, and the medians of the ratios of runs side by side."""
    columns = [[form, f"{path.stat().st_size / 2**20:.0f}"]]
    for runs in (decoded, prepared):
        columns.append([f"{statistics.median(run[at] for run in runs):.2f}" for at in (0, 1)])
    pairs = list(zip(decoded, prepared, strict=True))
    columns.append([f"{statistics.median(b[at] / a[at] for a, b in pairs):.2f}" for at in (0, 1)])
    return "| " + " | ".join(text for column in columns for text in column) + " |"


if __name__ == "__main__":
    main()
