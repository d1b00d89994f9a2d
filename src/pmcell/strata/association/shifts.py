"""Which cell types a stratum has more or less of, as ratios that do not move one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.permanova import dummies
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.moderated import Tested, moderated_tests

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

PSEUDO = 0.5
"""Cells added to each count, so that a type that a donor lacks has a logarithm."""


def composition_shifts(donors: AnnData, *, candidates: bool = False) -> pd.DataFrame:
    """Ratio of each type's share in a stratum to that in the other donors, against a typical type.

    Shares sum to 1: where one type grows all others shrink, and differences of
    shares, so also the contributions of `drivers`, cannot say which one moved.
    Here the logarithms of cell counts, centred in each donor (CLR; Aitchison 1982,
    doi:10.1111/j.2517-6161.1982.tb01195.x), are compared between the stratum's
    donors and the others, within batch where both occur in a batch, and the
    median type is taken as not moved (as LinDA takes the mode: Zhou 2022,
    doi:10.1186/s13059-022-02655-5, section "Methods"). That holds while fewer
    than half of the types move in one direction. Intervals are of moderated t,
    given the reference and the strata: the strata were sought in these data, so
    they describe and do not test.

    Returns the columns of schema.COMPOSITION_SHIFTS; no rows unless strata are
    published or `candidates` asks for the withheld ones, and none for a stratum
    where too few donors are left for a variance.

    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> len(composition_shifts(donors))
    0
    """
    require(donors, "existence", "existence")
    import pandas as pd

    from pmcell.schema import COMPOSITION_SHIFTS

    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)
    used = donors.obs[slots.DISCOVERY].to_numpy(bool) & (label != "")
    frames = []
    if candidates or donors.uns["existence"]["decision"] == STRATA:
        label, n = label[used], np.asarray(donors.X, np.float64)[used]
        batch = np.unique(as_text(donors.obs["batch_id"]).to_numpy()[used], return_inverse=True)
        for name in sorted(set(label)):
            frames += _of_stratum(name, label == name, n, batch[1], as_text(donors.var_names))
    columns = [field.name for field in COMPOSITION_SHIFTS.fields]
    if not frames:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    return pd.concat(frames, ignore_index=True)[columns]


def _of_stratum(
    name: str, inside: NDArray[np.bool_], n: Floats, batch: NDArray[np.int64], types: pd.Index
) -> list[pd.DataFrame]:
    import pandas as pd

    found = _test(inside, n, batch)
    if found is None:
        return []
    tested, is_within = found
    typical = np.median(tested.effect)
    low, high = tested.interval()
    share = n / np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    return [
        pd.DataFrame(
            {
                "stratum": name,
                "cell_type": np.asarray(types, object),
                "mean_share": share[inside].mean(axis=0),
                "mean_share_others": share[~inside].mean(axis=0),
                "log2_ratio": tested.effect - typical,
                "ratio_low": low - typical,
                "ratio_high": high - typical,
                "within_batch": is_within,
                "n_donors": int(inside.sum()),
                "n_donors_others": int((~inside).sum()),
            }
        )
    ]


def _test(
    inside: NDArray[np.bool_], n: Floats, batch: NDArray[np.int64]
) -> tuple[Tested, bool] | None:
    """Differences of centred log counts, within batch if that can be told; None without donors."""
    logs = np.log2(n + PSEUDO)
    logs -= logs.mean(axis=1, keepdims=True)
    member = inside.astype(np.float64)[:, None]
    for base, is_within in ((dummies(batch), True), (np.ones_like(member), False)):
        design = np.column_stack([base, member])
        width = design.shape[1]
        if len(n) > width and np.linalg.matrix_rank(design) == width:
            contrast = np.append(np.zeros(width - 1), 1.0)[None, :]
            return moderated_tests(logs, design, contrast)[0], is_within
    return None
