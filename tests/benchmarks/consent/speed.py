"""How long a ledger takes to verify, and how fast a removal scan reads.

    python tests/benchmarks/consent/speed.py --entries 100000 --megabytes 100

Wall and CPU seconds: on a machine that does other work they differ.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pmcell.consent.entries import Entry, Policy
from pmcell.consent.ledger import begin_ledger, ledger_path, read_ledger
from pmcell.consent.removal.canaries import self_test
from pmcell.consent.removal.needles import Needles
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


def scans(folder: Path, megabytes: int) -> None:
    """Scan a log, random bytes and numbers in HDF5 for the names of one donor's 250 cells."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    names = {f"c1:AAACCTGAGA{i:06d}-1": "cell name" for i in range(250)}
    line = b"%d step ran in %f s, cell c2:AAACCTGAGA%06d-1\n"
    n_lines = megabytes * 1_000_000 // 64
    (folder / "log").write_bytes(b"".join(line % (i, i / 7, i) for i in range(n_lines)))
    (folder / "bytes").write_bytes(draw.bytes(megabytes * 1_000_000))
    with h5py.File(folder / "numbers.h5", "w") as file:
        file["a"] = draw.integers(0, 9, megabytes * 250_000, dtype="i4")
    # The first search of a process loads its compiled passes.
    self_test()
    for path in sorted(folder.iterdir()):
        wall, cpu = timed(lambda path=path: scan([path], Needles(names)))
        size = path.stat().st_size / 1e6
        print(f"{path.name:<12} {size / wall:6.1f} MB/s wall, {size / cpu:6.1f} MB per CPU second")


def main() -> None:
    """Measure both in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        ledgers(Path(place, "c1"), args.entries)
        scans(Path(place, "files"), args.megabytes)


if __name__ == "__main__":
    main()
