"""Pairs of donors as tables: their distances in each channel, and how often runs joined them.

Both tell of single people, so both hold only donors whose rows may be shown. Above 2,000
rows they hold pairs of near ones only: all pairs would grow with the square of the donors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.facts import Facts
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

FUSED, PREFIX = "distance", "distance_"
PAIRS_OF_A_CHUNK = 100_000
ALL_PAIRS_UP_TO = 2000
"""Visits (or donors) of which every pair is written; of more, each one's nearest."""
NEAREST = 50


def iter_distances(facts: Facts, atlas: Atlas) -> Iterator[pd.DataFrame]:
    """Rows of donor_distances: pairs of shown visits with enough cells, in the table's order."""
    import pandas as pd

    donors = _donors(facts)
    obs = as_text(donors.obs[["donor_id", "visit"]]).reset_index(drop=True)
    enough = donors.obs["enough_cells"].to_numpy(bool) if "enough_cells" in donors.obs else True
    obs = obs[_shown(facts, donors) & enough].sort_values(["donor_id", "visit"], kind="stable")
    names = sorted(key for key in donors.obsp if key == FUSED or key.startswith(PREFIX))
    matrices = {
        "fused" if key == FUSED else key.removeprefix(PREFIX): np.asarray(donors.obsp[key])
        for key in names
    }
    order = obs.index.to_numpy()
    donor, visit = obs["donor_id"].to_numpy(object), obs["visit"].to_numpy(object)
    first, second = _pairs(matrices.get("fused"), order)
    ends = np.append(np.flatnonzero(np.diff(first)) + 1, first.size)
    step = max(PAIRS_OF_A_CHUNK // max(len(matrices), 1), 1)
    start = 0
    while start < first.size:
        # All pairs of a visit are in one chunk, so that the channels stay in the table's order.
        stop = int(ends[min(int(np.searchsorted(ends, start + step)), ends.size - 1)])
        one, other = first[start:stop], second[start:stop]
        parts = [
            pd.DataFrame(
                {
                    "donor_id": donor[one],
                    "visit": visit[one],
                    "other_donor_id": donor[other],
                    "other_visit": visit[other],
                    "channel": name,
                    "squared_distance": matrix[order[one], order[other]].astype(float),
                }
            )
            for name, matrix in matrices.items()
        ]
        if parts:
            yield pd.concat(parts, ignore_index=True).dropna(subset=["squared_distance"])
        start = stop


def consensus_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """Rows of consensus: pairs of shown donors, for the chosen number of strata."""
    import pandas as pd

    columns = ["donor_id", "other_donor_id", "consensus"]
    donors = _donors(facts)
    found = donors.uns.get("clustering", {}).get("consensus", {})
    k = str(donors.uns.get("existence", {}).get("k"))
    if k not in found:
        return pd.DataFrame(columns=columns).astype({"consensus": float})
    chosen = donors.obs["discovery"].to_numpy(bool)
    matrix = np.asarray(found[k])
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)[chosen]
    shown = np.flatnonzero(_shown(facts, donors)[chosen])
    order = shown[np.argsort(donor[shown], kind="stable")]
    fused = np.asarray(donors.obsp[FUSED]) if FUSED in donors.obsp else None
    rows = np.flatnonzero(chosen)
    first, second = _pairs(fused, rows[order])
    return pd.DataFrame(
        {
            "donor_id": donor[order[first]],
            "other_donor_id": donor[order[second]],
            "consensus": matrix[order[first], order[second]].astype(float),
        }
    ).dropna(subset=["consensus"])


def _pairs(fused: np.ndarray | None, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in `rows`, each with later ones: all, or of many rows those near to one another.

    A pair is near if either is among the other's 50 nearest of these rows, so that
    rows which are not shown have no part in it.
    """
    n = rows.size
    if n <= ALL_PAIRS_UP_TO or fused is None:
        left, right = np.triu_indices(n, 1)
        return left, right
    left = np.repeat(np.arange(n), NEAREST)
    right = np.empty(left.size, np.int64)
    for place, row in enumerate(rows):
        squared = np.where(np.isfinite(fused[row, rows]), fused[row, rows], np.inf)
        squared[place] = np.inf
        near = np.argsort(squared, kind="stable")[:NEAREST]
        right[place * NEAREST : (place + 1) * NEAREST] = near
    both = np.unique(np.minimum(left, right) * n + np.maximum(left, right))
    return both // n, both % n


def _donors(facts: Facts) -> AnnData:
    import anndata as ad

    return ad.read_h5ad(facts.results / "strata" / "donors.h5ad")


def _shown(facts: Facts, donors: AnnData) -> np.ndarray:
    """Which rows may be shown: the others have no part in which pairs are near."""
    return Policy(facts).shown(donors.obs["donor_id"])
