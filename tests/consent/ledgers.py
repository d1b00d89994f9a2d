"""Ledgers in memory and small studies, for the tests of consent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.sparse import csr_matrix

from cohorts_on_disk import symbols
from pmcell.consent.entries import Entry, Policy
from pmcell.consent.ledger import Ledger
from pmcell.io.crypt.chain_form import Head

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = COMMITTEE = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DAY = date(2026, 3, 1)


def entry(act: str, effective_from: str, *, number: int = 0, **fields) -> Entry:
    """An entry of one person; recorded in the order of `number`."""
    if act in ("give", "narrow"):
        fields.setdefault("purposes", ("DUO:0000042",))
    fields = {"subject": "s", "policy": "p", **fields}
    recorded = f"2026-01-01T00:00:00.{number:06d}+00:00"
    return Entry(act, effective_from=effective_from, recorded_at=recorded, **fields)


def ledger_of(entries: Sequence[Entry], *, basis: str = "consent") -> Ledger:
    """A ledger that holds them, as if it had been read."""
    by_subject: dict[str, tuple[Entry, ...]] = {}
    for item in entries:
        by_subject[item.subject] = (*by_subject.get(item.subject, ()), item)
    policy = Policy("p", basis, "2020-01-01T00:00:00.000000+00:00")
    return Ledger("c", Head("consent c", 0, 0, "", ""), {"p": policy}, "p", by_subject)


COHORT = """\
schema_version: "1"
id: {cohort}
title: A cohort
description: Made for a test.
source: {{doi: unknown, accession: unknown, url: unknown}}
steward: {{name: A, email: unknown, organisation: B}}
publisher: {{name: A, url: unknown}}
license: CC0-1.0
region: ITC4
programme: healthy
organism_ontology_term_id: NCBITaxon:9606
access: open
data_use: {data_use}
legal_basis: unknown
purpose: Tests
retention: unknown
withdrawal_policy: unknown
matrix: {{path: counts.h5ad, format: h5ad, counts: X, gene_column: index, gene_namespace: symbol}}
columns: {{barcode: index, sample_id: sample_id}}
defaults:
  assay_ontology_term_id: EFO:0009922
  tissue_ontology_term_id: UBERON:0000178
  tissue_type: tissue
  suspension_type: cell
"""


def make_cohort(
    folder: Path, donors: Sequence[str], *, data_use: str = "[unknown]", days: bool = False
) -> Path:
    """A cohort folder with 40 cells a sample; with `days` two visits a donor, on day 0 and 90."""
    folder.mkdir(parents=True)
    (folder / "cohort.yaml").write_text(COHORT.format(cohort=folder.name, data_use=data_use))
    visits = [("T0", "0"), ("T1", "90")] if days else [("T0", "")]
    (folder / "donors.tsv").write_text(
        "donor_id\tsex_ontology_term_id\n" + "".join(f"{d}\tunknown\n" for d in donors)
    )
    rows = [(f"{d}_{v}", d, v, day) for d in donors for v, day in visits]
    (folder / "samples.tsv").write_text(
        "sample_id\tdonor_id\tvisit\tvisit_day\n" + "".join("\t".join(r) + "\n" for r in rows)
    )
    write_counts(folder / "counts.h5ad", [row[0] for row in rows])
    return folder


def write_counts(path: Path, samples: Sequence[str]) -> None:
    """40 cells of each sample; a sample has the same cells in whatever file it is."""
    names = symbols(120)
    blocks, obs = [], []
    for sample in samples:
        draw = np.random.default_rng(list(sample.encode()))
        blocks.append(draw.negative_binomial(1, 0.2, size=(40, len(names))))
        obs += [(f"{sample}-{n:04d}", sample) for n in range(40)]
    index = pd.Index([name for name, _ in obs])
    frame = pd.DataFrame({"sample_id": [sample for _, sample in obs]}, index=index)
    counts = csr_matrix(np.vstack(blocks).astype(np.float32))
    AnnData(counts, frame, pd.DataFrame(index=pd.Index(names))).write_h5ad(path)
