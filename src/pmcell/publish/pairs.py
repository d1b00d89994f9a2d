"""Pairs of donors as tables: their distances in each channel, and how often runs joined them.

Both tell of single people, so both hold only donors whose rows may be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.publish.stratification import is_shown

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

FUSED, PREFIX = "distance", "distance_"
PAIRS_OF_A_CHUNK = 100_000


def iter_distances(facts: Facts, atlas: Atlas) -> Iterator[pd.DataFrame]:
    """Rows of donor_distances: pairs of shown visits with enough cells, in the table's order."""
    import pandas as pd

    donors = _donors(facts)
    obs = donors.obs[["donor_id", "visit"]].astype(str).reset_index(drop=True)
    enough = donors.obs["enough_cells"].to_numpy(bool) if "enough_cells" in donors.obs else True
    obs = obs[_shown(facts, donors) & enough].sort_values(["donor_id", "visit"], kind="stable")
    names = sorted(key for key in donors.obsp if key == FUSED or key.startswith(PREFIX))
    matrices = {
        "fused" if key == FUSED else key.removeprefix(PREFIX): np.asarray(donors.obsp[key])
        for key in names
    }
    order = obs.index.to_numpy()
    donor, visit = obs["donor_id"].to_numpy(object), obs["visit"].to_numpy(object)
    step = max(PAIRS_OF_A_CHUNK // max(order.size * len(matrices), 1), 1)
    for start in range(0, order.size, step):
        first, second = _pairs(range(start, min(start + step, order.size)), order.size)
        parts = [
            pd.DataFrame(
                {
                    "donor_id": donor[first],
                    "visit": visit[first],
                    "other_donor_id": donor[second],
                    "other_visit": visit[second],
                    "channel": name,
                    "squared_distance": matrix[order[first], order[second]].astype(float),
                }
            )
            for name, matrix in matrices.items()
        ]
        if parts:
            yield pd.concat(parts, ignore_index=True).dropna(subset=["squared_distance"])


def consensus_frame(facts: Facts) -> pd.DataFrame:
    """Rows of consensus: pairs of shown donors; none where strata are withheld."""
    import pandas as pd

    columns = ["donor_id", "other_donor_id", "consensus"]
    donors = _donors(facts) if facts.has_strata else None
    found = {} if donors is None else donors.uns.get("clustering", {}).get("consensus", {})
    k = "" if donors is None else str(donors.uns.get("existence", {}).get("k"))
    if donors is None or k not in found:
        return pd.DataFrame(columns=columns).astype({"consensus": float})
    chosen = donors.obs["discovery"].to_numpy(bool)
    matrix = np.asarray(found[k])
    donor = donors.obs["donor_id"].astype(str).to_numpy(object)[chosen]
    shown = np.flatnonzero(_shown(facts, donors)[chosen])
    order = shown[np.argsort(donor[shown], kind="stable")]
    first, second = _pairs(range(order.size), order.size)
    return pd.DataFrame(
        {
            "donor_id": donor[order[first]],
            "other_donor_id": donor[order[second]],
            "consensus": matrix[order[first], order[second]].astype(float),
        }
    ).dropna(subset=["consensus"])


def _pairs(first: range, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Each of `first` with every later row."""
    left = np.repeat(np.array(first, np.int64), [n - 1 - row for row in first])
    right = [np.arange(row + 1, n) for row in first]
    return left, np.concatenate([np.zeros(0, np.int64), *right])


def _donors(facts: Facts) -> AnnData:
    import anndata as ad

    return ad.read_h5ad(facts.results / "strata" / "donors.h5ad")


def _shown(facts: Facts, donors: AnnData) -> np.ndarray:
    return np.array([is_shown(facts, str(donor)) for donor in donors.obs["donor_id"]], dtype=bool)
