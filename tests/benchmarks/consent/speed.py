"""How long a ledger takes to verify, and how fast a removal scan reads.

    python tests/benchmarks/consent/speed.py --entries 100000 --megabytes 20

Wall and CPU seconds: on a machine that does other work they differ.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.sparse import random

from pmcell.consent.entries import Entry, Policy
from pmcell.consent.ledger import begin_ledger, ledger_path, read_ledger
from pmcell.consent.removal.canaries import self_test
from pmcell.consent.removal.gene_sets import GeneSets
from pmcell.consent.removal.needles import Needles, cell_prints, donor_needles
from pmcell.consent.removal.scan import scan
from pmcell.io.crypt.chain import read_chain


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def ledgers(folder: Path, n: int) -> None:
    """Begin a ledger of `n` entries; verify its chain, then every entry."""
    key = Ed25519PrivateKey.generate()
    folder.mkdir()
    now = "2026-01-01T00:00:00.000000+00:00"
    entries = [
        Entry("give", f"{i:064x}", "2024-01-01", "p", now, purposes=("DUO:0000042",))
        for i in range(n)
    ]
    begin_ledger(folder, Policy("p", "consent", now), entries, key=key)
    signers, name = [key.public_key()], f"consent {folder.name}"
    chain = timed(lambda: read_chain(ledger_path(folder), chain=name, signers=signers))
    whole = timed(lambda: read_ledger(folder, signers=signers))
    print(f"chain of {n:,} entries verified: {chain[0]:.2f} s wall, {chain[1]:.2f} s CPU")
    print(f"and each entry checked:         {whole[0]:.2f} s wall, {whole[1]:.2f} s CPU")


def person() -> Needles:
    """What is looked for of a donor with 250 cells: ids, names, counts, and genes of each cell."""
    counts = random(250, 20_000, density=0.06, format="csr", random_state=5)
    counts.data = np.random.default_rng(1).geometric(0.3, counts.nnz)
    names = tuple(f"ENSG{n:011d} G{n}" for n in range(20_000))
    genes = GeneSets(names, counts.indptr.astype(np.int64), counts.indices.astype(np.int64))
    own = [("c1:P017", "donor"), ("P017", "donor"), ("c1:P017_T0", "sample")]
    own += [(f"c1:AAACCTGAGA{n:06d}-1", "cell name") for n in range(250)]
    prints = [mark for _, mark in cell_prints(counts.indptr, counts.data)]
    return donor_needles(own, (), prints, (), genes)


def write_files(folder: Path, size: int) -> None:
    """Files of the kinds that a study holds, each of about `size` bytes before it is packed."""
    draw = np.random.default_rng(0)
    line = "%d step ran in %f s, cell c2:AAACCTGAGA%06d-1\n"
    (folder / "lines.log").write_text("".join(line % (i, i / 7, i) for i in range(size // 64)))
    job = (
        "[Tue Dec  1 15:00:00 2026]\n\x1b[32mrule qc:\x1b[0m\n"
        "    input: results/cohorts/c{0}/x.h5ad\n"
        "    reason: Params have changed since last execution: before: '{1:064x}' now: '{2:064x}'\n"
        "    resources: tmpdir=/tmp, mem_mb={0}\n" + "=" * 80 + "\n{0} of 9999 steps (42%) done\n"
    )
    jobs = "".join(job.format(i, i * 7919**9, i * 104729**9) for i in range(size // 400))
    (folder / "snakemake.log").write_text(jobs)
    rows = "".join(f"c2:S{i % 99}\t{i / 7:.6f}\t{i % 9999}\n" for i in range(size // 24))
    (folder / "table.tsv").write_text(rows)
    item = '{"id": "c2:D%d", "title": "A title of \\u00e9 %d", "values": [%f, %d, null]},\n'
    (folder / "facts.json").write_text("".join(item % (i, i, i / 7, i) for i in range(size // 75)))
    image = base64.b64encode(draw.bytes(60_000)).decode()
    row = "<tr class='row'><td>%d</td><td>Cells &amp; donors of <b>c%d</b></td></tr>\n"
    page = "".join(row % (i, i % 9) for i in range(size // 140))
    (folder / "report.html").write_text(
        page + f"<img src='data:;base64,{image}'>" * (size // 160_000)
    )
    (folder / "random").write_bytes(draw.bytes(size))
    (folder / "packed.gz").write_bytes(gzip.compress(jobs.encode(), 5))
    cells = {
        "cell_id": [f"c2:AAACCTGAGA{i:08d}-1" for i in range(size // 40)],
        "x": draw.normal(size=size // 40).astype("f4"),
    }
    pd.DataFrame(cells).to_parquet(folder / "cells.parquet")
    with h5py.File(folder / "numbers.h5", "w") as file:
        file["a"] = draw.integers(0, 9, size // 4, dtype="i4")
        file.create_dataset("b", data=draw.poisson(0.2, (size // 8000, 2000)), compression="gzip")


def scans(folder: Path, megabytes: int) -> None:
    """Scan files one by one, then all together, for one donor."""
    folder.mkdir()
    write_files(folder, megabytes * 1_000_000)
    needles = person()
    # The first search of a process loads its compiled passes.
    self_test()
    scan([folder], person())
    for path in [*sorted(folder.iterdir()), folder]:
        wall, cpu = timed(lambda path=path: scan([path], needles))
        paths = folder.iterdir() if path == folder else [path]
        size = sum(item.stat().st_size for item in paths) / 1e6
        name = "all together" if path == folder else path.name
        print(
            f"{name:<14} {size:7.1f} MB {size / wall:6.1f} MB/s wall, "
            f"{size / cpu:6.1f} MB per CPU second"
        )


def main() -> None:
    """Measure both in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        ledgers(Path(place, "c1"), args.entries)
        scans(Path(place, "files"), args.megabytes)


if __name__ == "__main__":
    main()
