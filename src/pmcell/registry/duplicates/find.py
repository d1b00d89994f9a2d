"""Look through the cohorts, as intake left them, for people twice and for swapped samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.blocks import Block
from pmcell.core.counts.cell_metrics import block_metrics
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import read_table
from pmcell.registry.duplicates.match import Cells, Match, match_donors, richest
from pmcell.registry.duplicates.sex import FEMALE, MALE, sex_conflicts
from pmcell.registry.duplicates.two_people import SEX_PAIR, PairCounts, TwoPeople
from pmcell.schema import DUPLICATES
from pmcell.schema.text import text_array

if TYPE_CHECKING:
    import pandas as pd

SHARED_CELLS, SEX_CONFLICT, TWO_PEOPLE = "shared_cells", "sex_conflict", "two_people"
TO_DO = {
    SHARED_CELLS: "Ask both stewards whether this is one person. If so, leave one out (exclude in "
    "cohort.yaml): they were not merged, and count as two.",
    SEX_CONFLICT: "Compare the sample sheet with the laboratory's list: samples may be exchanged, "
    "or the entry wrong. It may also be true of the person.",
    TWO_PEOPLE: "Ask the laboratory whether samples were pooled or exchanged: some cells are of "
    "another person. It is true of who was given another's blood stem cells.",
}

DOUBTS = {
    TWO_PEOPLE: "Some of this person's cells are of another person than the rest, by genes that "
    "people have in different shares.",
    SEX_CONFLICT: "Samples of this person express genes of another sex than is registered: samples "
    "may be exchanged, or the entry wrong. It may also be true of the person.",
    SHARED_CELLS: "Cells of this person stand under another donor too: both may be one person, or "
    "samples exchanged.",
}
"""Why cells may not be the person's, without a word on who else."""


def find_duplicates(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Return table `duplicates` from the results folders of cohorts by id.

    Raises
    ------
    DataError
        A count file is damaged.
    """
    import pandas as pd

    cells: list[Cells] = []
    alone: list[dict[str, object]] = []
    sex: dict[str, str] = {}
    for _, folder in sorted(folders.items()):
        counts = open_counts(folder / "intake.h5ad")
        if not counts.n_cells:
            continue
        donors = read_table(folder / "donors.parquet", ["donor_id", "sex_ontology_term_id"])
        registered = dict(zip(*(donors[name] for name in donors.columns), strict=True))
        sex |= registered
        own, samples, two = _compared(counts, registered)
        cells.append(own)
        alone += [_alone(SEX_CONFLICT, *astuple(item)) for item in sex_conflicts(samples)]
        alone += [_alone(TWO_PEOPLE, name, t.n_fewer, t.n_cells) for name, t in two.items()]
    rows = [*(_pair(match, sex) for match in match_donors(cells)), *alone]
    return pd.DataFrame(rows, columns=DUPLICATES.columns)


def _compared(
    counts: CountsFile, sex: Mapping[str, str]
) -> tuple[Cells, pd.DataFrame, dict[str, TwoPeople]]:
    """The cells that are compared of each donor, what each sample has of sex-linked genes, and
    the donors whose cells are of two people."""
    import pandas as pd

    obs = counts.read_obs()
    donors = text_array(obs["donor_id"]).astype(object)
    samples = text_array(obs["sample_id"]).astype(object)
    genes = np.asarray(counts.gene_ids, dtype=object)
    pairs, total = PairCounts(text_array(genes), counts.n_cells), np.zeros(counts.n_cells)
    none = np.zeros(genes.size, bool)
    for block in counts.iter_blocks():
        total[block.rows] = block_metrics(block, none)[:, 0]
        pairs.add(block.rows, partial(_gene_sums, block))
    of_y, of_xist = (np.nan if own is None else own for own in pairs.counts(SEX_PAIR))
    by_sample = pd.DataFrame(
        {"donor_id": donors, "sample_id": samples, "total": total, "xist": of_xist, "y": of_y}
    )
    by_sample = by_sample.groupby(["donor_id", "sample_id"], as_index=False, sort=True)
    frame = by_sample.sum(min_count=1)
    frame["sex"] = frame["donor_id"].map(sex)
    found = {name: pairs.two_people(donors == name) for name in np.unique(donors)}
    mixed = {str(name): told for name, told in found.items() if told is not None}
    rows = richest(total.astype(np.int64), donors)
    return Cells(counts.read_rows(rows).astype(np.float64), genes, donors[rows]), frame, mixed


def _gene_sums(block: Block, is_gene: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(block_metrics(block, is_gene)[:, 2])


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


def _alone(kind: str, donor_id: str, n_found: int, n_compared: int) -> dict[str, object]:
    """A row about one donor."""
    return {
        "donor_id": donor_id,
        "other_donor_id": donor_id,
        "kind": kind,
        "n_found": n_found,
        "n_compared": n_compared,
        "similarity": None,
        "what_to_do": TO_DO[kind],
    }
