"""Look through the cohorts, as intake left them, for people twice and for swapped samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.core.counts.cell_metrics import block_metrics
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import read_table
from pmcell.registry.duplicates.match import Cells, Match, match_donors, richest
from pmcell.registry.duplicates.sex import FEMALE, MALE, XIST, Y_GENES, SexConflict, sex_conflicts
from pmcell.schema import DUPLICATES
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pandas as pd

SHARED_CELLS, SEX_CONFLICT = "shared_cells", "sex_conflict"
TO_DO = {
    SHARED_CELLS: "Ask both stewards whether this is one person. If so, leave one out (exclude in "
    "cohort.yaml): they were not merged, and count as two.",
    SEX_CONFLICT: "Compare the sample sheet with the laboratory's list: samples may be exchanged, "
    "or the entry wrong. It may also be true of the person.",
}


def find_duplicates(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Return table `duplicates` from the results folders of cohorts by id.

    Raises
    ------
    DataError
        A count file is damaged.
    """
    import pandas as pd

    cells: list[Cells] = []
    conflicts: list[SexConflict] = []
    sex: dict[str, str] = {}
    for _, folder in sorted(folders.items()):
        counts = open_counts(folder / "intake.h5ad")
        if not counts.n_cells:
            continue
        donors = read_table(folder / "donors.parquet", ["donor_id", "sex_ontology_term_id"])
        registered = dict(zip(*(donors[name] for name in donors.columns), strict=True))
        sex |= registered
        own, samples = _compared(counts, registered)
        cells.append(own)
        conflicts += sex_conflicts(samples)
    rows = [*(_pair(match, sex) for match in match_donors(cells)), *map(_conflict, conflicts)]
    return pd.DataFrame(rows, columns=DUPLICATES.columns)


def _compared(counts: CountsFile, sex: Mapping[str, str]) -> tuple[Cells, pd.DataFrame]:
    """The cells that are compared of each donor, and what each sample has of sex-linked genes."""
    import pandas as pd

    obs = counts.read_obs()
    donors = text_array(obs["donor_id"]).astype(object)
    samples = text_array(obs["sample_id"]).astype(object)
    genes = np.asarray(counts.gene_ids, dtype=object)
    linked = {"xist": np.isin(genes, list(XIST)), "y": np.isin(genes, list(Y_GENES))}
    sums = {name: np.zeros(counts.n_cells) for name in ("total", *linked)}
    for block in counts.iter_blocks():
        for name, is_gene in linked.items():
            total, _, of_genes = block_metrics(block, is_gene).T
            sums["total"][block.rows], sums[name][block.rows] = total, of_genes
    by_sample = pd.DataFrame({"donor_id": donors, "sample_id": samples, **sums})
    frame = by_sample.groupby(["donor_id", "sample_id"], as_index=False, sort=True).sum()
    frame["sex"] = frame["donor_id"].map(sex)
    for name, is_gene in linked.items():
        if not is_gene.any():
            frame[name] = np.nan
    rows = richest(sums["total"].astype(np.int64), donors)
    return Cells(counts.read_rows(rows).astype(np.float64), genes, donors[rows]), frame


def _pair(match: Match, sex: Mapping[str, str]) -> dict[str, object]:
    known = {sex.get(name) for name in (match.one, match.other)} & {FEMALE, MALE}
    note = " They are registered with different sex." if len(known) == 2 else ""
    return {
        "donor_id": match.one,
        "other_donor_id": match.other,
        "kind": SHARED_CELLS,
        "n_found": match.n_matched,
        "n_compared": match.n_compared,
        "similarity": round(match.similarity, 3),
        "what_to_do": TO_DO[SHARED_CELLS] + note,
    }


def _conflict(conflict: SexConflict) -> dict[str, object]:
    return {
        "donor_id": conflict.donor_id,
        "other_donor_id": conflict.donor_id,
        "kind": SEX_CONFLICT,
        "n_found": conflict.n_conflicts,
        "n_compared": conflict.n_samples,
        "similarity": None,
        "what_to_do": TO_DO[SEX_CONFLICT],
    }
