"""What places each donor: exact parts of the distance difference between strata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.channels import (
    CLUSTER_FREE,
    COMPOSITION,
    GENES,
    STATE,
    distance_parts,
    require_genes,
)
from pmcell.core.donors.genes import GeneChannel, gene_distance_parts
from pmcell.errors import UsageError
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata._threads import single_thread
from pmcell.strata.discovery.cluster import distance_to_members
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import pool_names, require

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = ["donor_id", "visit", "channel", "cell_type", "contribution", "flips_without"]


@single_thread
def drivers(donors: AnnData, *, candidates: bool = False) -> pd.DataFrame:
    """Parts by channel and cell type that sum to D²(row, nearest other) - D²(row, own stratum).

    The squared distance is a sum over channels and types, and so is the squared
    distance to the mean of a stratum's members, so the parts are exact: no
    sampling, no model. Positive parts pull the row towards its own stratum,
    negative parts towards the other. A member does not count itself. `flips_without`
    marks the cell types without which, in every channel, a row that is nearest
    to its own stratum would be nearest to another.

    Without published strata there is nothing to explain and the table is empty,
    unless `candidates` asks for the withheld ones.

    Returns the columns of schema.DRIVERS.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(drivers(donors))
    0
    """
    require(donors, "existence", "existence")
    import pandas as pd

    column = slots.CANDIDATE if candidates else slots.STRATUM
    if not candidates and donors.uns["existence"]["decision"] != STRATA:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in COLUMNS})
    # Rows near a border have no published label and still have a nearest stratum: explain them too.
    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy()
    if not candidates and not (as_text(donors.obs[column], missing="") != "").any():
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in COLUMNS})
    names = sorted(set(label) - {""})
    if len(names) < 2:
        raise UsageError("there are no candidate strata to explain: existence found no k")
    rows = np.flatnonzero(label != "")
    parts, keys = _parts(donors, label, names)
    total = parts.sum(axis=0)
    own = np.array([names.index(value) for value in label[rows]])
    others = total[:, rows].T.copy()
    others[np.arange(rows.size), own] = np.inf
    near = others.argmin(axis=1)
    flips = {
        name: _flips(total, parts[[key[1] == name for key in keys]].sum(axis=0), rows, own)
        for name in {key[1] for key in keys}
    }
    frames = []
    for index, (channel, cell_type) in enumerate(keys):
        difference = parts[index][near, rows] - parts[index][own, rows]
        frames.append(
            pd.DataFrame(
                {
                    "donor_id": as_text(donors.obs["donor_id"]).to_numpy()[rows],
                    "visit": as_text(donors.obs["visit"]).to_numpy()[rows],
                    "channel": channel,
                    "cell_type": cell_type,
                    "contribution": difference,
                    "flips_without": flips[cell_type],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _flips(total: Floats, part: Floats, rows: Ints, own: Ints) -> NDArray[np.bool_]:
    """Rows that are nearest to their own stratum with a part of the distance, and not without."""
    stays = (total - part)[:, rows].argmin(axis=0) == own
    return np.asarray((total[:, rows].argmin(axis=0) == own) & ~stays)


def _parts(
    donors: AnnData, label: NDArray[np.object_], names: list[str]
) -> tuple[Floats, list[tuple[str, str]]]:
    """Squared distance of each row to each stratum's mean, part by part (parts × strata × rows)."""
    opened = fitted(donors)
    members = [opened.rows[label[opened.rows] == name] for name in names]
    total_weight = sum(opened.settings.weights.values())
    blocks_of = {
        COMPOSITION: [str(name) for name in donors.var_names],
        STATE: pool_names(donors),
        GENES: [str(name) for name in donors.var_names],
        CLUSTER_FREE: [slots.ALL_CELLS],
    }
    parts, keys = [], []
    for channel, placed in zip(opened.channels, opened.features, strict=True):
        factor = opened.settings.weights[channel.name] / total_weight
        blocks = blocks_of[channel.name]
        if isinstance(channel, GeneChannel):
            genes = require_genes(opened.sums)
            each = gene_distance_parts(channel, genes, opened.batch)
        else:
            each = distance_parts(channel, placed)
        for block, part in zip(blocks, each, strict=True):
            parts.append([distance_to_members(factor * part, own) for own in members])
            keys.append((channel.name, block))
    return np.array(parts), keys
