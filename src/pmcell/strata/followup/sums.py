"""What follow-up takes from the sums of each cohort: cells of each sample, scores of signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.counts.aggregate import (
    Aggregate,
    TypeOfCells,
    groups_of,
    positions,
    type_of_groups,
)
from pmcell.core.counts.sums import COUNTS
from pmcell.registry.terms.genes import map_genes
from pmcell.registry.terms.ontology import exact, is_under
from pmcell.schema.text import as_text
from pmcell.strata.followup.values import COLUMNS, DIFFERENCE, place_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.settings.programme import Signature

Floats = NDArray[np.float64]

SIGNATURE = "signature"
MIN_SHARE_GENES = 0.5
"""Share of a signature's genes that a cohort must have measured."""
MIN_CELLS = 10
"""Cells of a signature's type that a visit needs."""


def sample_counts(
    aggregates: Sequence[Aggregate], visits: Mapping[str, str], cell_types: TypeOfCells
) -> pd.DataFrame:
    """Cells of each type in each sample (index `sample_id`), with `donor_id` and `visit`."""
    import pandas as pd

    frames = []
    for part in groups_of(aggregates):
        if not part.group_sample.size:
            continue
        kind = type_of_groups(part, cell_types)
        table = pd.crosstab(
            part.group_sample, kind, values=part.group_n_cells, aggfunc="sum", dropna=False
        )
        at = table.index.to_numpy(int)
        table.index = pd.Index([str(part.sample_ids[i]) for i in at], name="sample_id")
        table.insert(0, "donor_id", [str(part.sample_donors[i]) for i in at])
        table.insert(1, "visit", [str(visits.get(name, "unknown")) for name in table.index])
        frames.append(table)
    if not frames:
        return pd.DataFrame(columns=["donor_id", "visit"])
    whole = pd.concat(frames)
    types = sorted(set(whole.columns) - {"donor_id", "visit"})
    return whole[["donor_id", "visit", *types]].fillna(dict.fromkeys(types, 0))


def terms_of(types: Sequence[str]) -> dict[str, str]:
    """Cell Ontology term of each type whose label the ontology has; others are left out."""
    found = {name: exact(name, "CL") for name in types}
    return {name: item.term_id for name, item in found.items() if item is not None}


def types_under(term: str, types: Sequence[str]) -> list[str]:
    """The types that are a Cell Ontology term or below it."""
    return sorted(name for name, own in terms_of(types).items() if is_under(own, (term,)))


def signature_values(
    donors: AnnData,
    signatures: Mapping[str, Signature],
    *,
    aggregates: Sequence[Aggregate],
    visits: Mapping[str, str],
    cell_types: TypeOfCells,
) -> pd.DataFrame:
    """Score of each signature at each visit: mean log2(1 + counts per million) of its genes.

    The mean of the genes that are lower in the state is taken off. Read in the cells of the
    signature's type, or in all cells. A cohort that measured fewer than half of the genes, and a
    visit with fewer than 10 such cells, has no score.

    Returns
    -------
    Rows with `pmcell.strata.followup.values.COLUMNS`.
    """
    import pandas as pd

    key = zip(as_text(donors.obs["donor_id"]), as_text(donors.obs["visit"]), strict=True)
    at = {pair: place for place, pair in enumerate(key)}
    day = donors.obs["visit_day"].to_numpy(float) if "visit_day" in donors.obs else None
    day = np.full(donors.n_obs, np.nan) if day is None else day
    names = as_text(donors.obs["donor_id"]).to_numpy(object)
    place = place_of(names, day)
    scores = {name: np.full(donors.n_obs, np.nan) for name in signatures}
    for part in aggregates if signatures else ():
        for name, signature in signatures.items():
            rows, own = _scores(part, signature, at, visits, cell_types)
            scores[name][rows] = own
    frames = []
    for name, score in scores.items():
        kept = np.flatnonzero(np.isfinite(score))
        obs = donors.obs.iloc[kept]
        frames.append(
            pd.DataFrame(
                {
                    "donor_id": names[kept],
                    "visit": as_text(obs["visit"]).to_numpy(object),
                    "place": place[kept],
                    "day": day[kept],
                    "kind": SIGNATURE,
                    "quantity": name,
                    "unit": "{score}",
                    "change_unit": DIFFERENCE,
                    "value": score[kept],
                    "x": score[kept],
                    "sampling": 0.0,
                    "batch_id": as_text(obs["batch_id"]).to_numpy(object),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _scores(
    part: Aggregate,
    signature: Signature,
    at: Mapping[tuple[str, str], int],
    visits: Mapping[str, str],
    cell_types: TypeOfCells,
) -> tuple[NDArray[np.int64], Floats]:
    """Rows of the donors that a cohort has, and their scores."""
    nothing = np.zeros(0, np.int64), np.zeros(0)
    up, down = (_columns(part, genes) for genes in (signature.genes, signature.lower_genes))
    wanted = len(signature.genes) + len(signature.lower_genes)
    if not up.size or up.size + down.size < MIN_SHARE_GENES * wanted or not part.group_sample.size:
        return nothing
    row_of_sample = np.array(
        [
            at.get((str(donor), str(visits.get(str(sample)))), -1)
            for sample, donor in zip(part.sample_ids, part.sample_donors, strict=True)
        ],
        np.int64,
    )
    row = row_of_sample[part.group_sample]
    used = row >= 0
    if signature.cell_type:
        kind = type_of_groups(part, cell_types)
        used &= np.isin(kind, types_under(signature.cell_type, sorted(set(kind))))
    if not used.any():
        return nothing
    rows, code = np.unique(row[used], return_inverse=True)
    counts = part.sums.matrix(COUNTS)[np.flatnonzero(used)]
    cells = np.bincount(code, part.group_n_cells[used], rows.size)
    total = np.bincount(code, np.asarray(counts.sum(axis=1)).ravel(), rows.size)

    def mean_of(columns: NDArray[np.int64]) -> Floats:
        if not columns.size:
            return np.zeros(rows.size)
        dense = counts[:, columns].toarray()
        summed = np.zeros((rows.size, columns.size))
        np.add.at(summed, code, dense)
        per_million = summed / np.maximum(total, 1)[:, None] * 1e6
        return np.asarray(np.log2(1 + per_million).mean(axis=1))

    score = np.where((cells >= MIN_CELLS) & (total > 0), mean_of(up) - mean_of(down), np.nan)
    return rows, score


def _columns(part: Aggregate, genes: Sequence[str]) -> NDArray[np.int64]:
    """Places of the genes that the cohort measured."""
    if not genes:
        return np.zeros(0, np.int64)
    ids = {gene for gene in map_genes(list(genes)).gene_id if gene}
    there = np.array(sorted(ids & set(map(str, part.gene_ids))), object)
    return positions(part.gene_ids, there).astype(np.int64)
