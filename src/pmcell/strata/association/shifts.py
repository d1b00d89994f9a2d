"""Which cell types a group of donors has more or less of, as ratios to a typical type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.core.donors.permanova import dummies
from pmcell.schema.text import as_text
from pmcell.schema.verdict import STRATA
from pmcell.strata.explanation.contrasts import STRATUM, contrasts_of, is_comparable, levels_of
from pmcell.strata.explanation.groups import (
    compared_units,
    design_of,
    group_of,
    units_of,
    with_correlation,
)
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.moderated import Blocks, Tested, moderated_tests, within_blocks
from pmcell.strata.statistics.pairing import CORRELATED

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Floats = NDArray[np.float64]

PSEUDO = 0.5
"""Cells added to each count, so that a type that a donor lacks has a logarithm."""
LN2 = float(np.log(2))
MIN_BEYOND = 0.05
"""Least share of the variance of the logs that is not laid to counting."""


def composition_shifts(
    donors: AnnData,
    *,
    contrasts: Sequence[str] | None = None,
    candidates: bool = False,
) -> pd.DataFrame:
    """Ratio of each type's share in a group of donors to that in the others, over a typical type's.

    Shares sum to 1: where one type grows all others shrink, and differences of
    shares, so also the contributions of `drivers`, cannot say which one moved.
    Here the logarithms of cell counts, centred in each donor (CLR; Aitchison 1982,
    doi:10.1111/j.2517-6161.1982.tb01195.x), are compared between the group's
    donors and the others, within batch where both occur in a batch, and the
    median type is taken as not moved (as LinDA takes the mode: Zhou 2022,
    doi:10.1186/s13059-022-02655-5, section "Methods"). That holds while fewer
    than half of the types move in one direction. Intervals and p are of moderated t, in which
    types of few cells weigh less and the median type is uncertain too.

    `contrasts` are `stratum` or columns of the donors. Strata are compared in the discovery visits
    from which they were made, so they describe and do not test: they have no p. Other columns are
    compared over all visits with enough cells: visits of a donor with one level are added up, and
    donors with several levels are compared with themselves as `differential_expression` does.

    Parameters
    ----------
    donors
        Donors after `existence`.
    contrasts
        What is compared, by default strata and conditions, or visits where these alone differ; a
        name that is no column, or has not 2 to 8 known values, has no rows.
    candidates
        Whether strata that are not published are compared as well.

    Returns
    -------
    DataFrame
        The columns of schema.COMPOSITION_SHIFTS. No rows for a level where too few donors
        are left for a variance, or that cannot be told from batch.

    Examples
    --------
    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_types=3)
    >>> donors = pm.strata.profile(cells)
    >>> pm.strata.distances(donors), pm.strata.cluster(donors), pm.strata.existence(donors)
    (None, None, None)
    >>> composition_shifts(donors)["contrast"].unique().tolist()  # no strata are published
    ['condition']
    """
    require(donors, "existence", "existence")
    import pandas as pd

    from pmcell.schema import COMPOSITION_SHIFTS

    frames = []
    for name in contrasts_of(donors) if contrasts is None else contrasts:
        own = _of_strata(donors, candidates) if name == STRATUM else _of_column(donors, name)
        frames += [_frame(found, as_text(donors.var_names)) for found in own]
    columns = COMPOSITION_SHIFTS.columns
    if not frames:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    return pd.concat(frames, ignore_index=True)[columns]


@dataclass(frozen=True)
class _Found:
    """Shifts of one level: `n` (rows × types) cells, `inside` the rows of the level."""

    contrast: str
    level: str
    reference: str
    n: Floats
    inside: NDArray[np.bool_]
    donors: NDArray[np.object_]
    test: Tested
    is_within: bool


def _of_strata(donors: AnnData, candidates: bool) -> Iterator[_Found]:
    label = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy(object)
    used = donors.obs[slots.DISCOVERY].to_numpy(bool) & (label != "")
    if not (candidates or donors.uns["existence"]["decision"] == STRATA):
        return
    label, n = label[used], np.asarray(donors.X, np.float64)[used]
    batch = np.unique(as_text(donors.obs["batch_id"]).to_numpy()[used], return_inverse=True)
    people = as_text(donors.obs["donor_id"]).to_numpy(object)[used]
    names = sorted(set(label))
    for name in names:
        found = _test(label == name, n, batch[1])
        if found is not None:
            others = "; ".join(other for other in names if other != name)
            yield _Found(STRATUM, name, others, n, label == name, people, *found)


def _of_column(donors: AnnData, contrast: str) -> Iterator[_Found]:
    """Shifts between the levels of a column of the donors."""
    enough = np.flatnonzero(donors.obs[slots.ENOUGH].to_numpy(bool))
    if contrast not in donors.obs or not enough.size:
        return
    rows, code, levels = levels_of(donors, contrast, enough)
    if not is_comparable(levels):
        return
    visits = group_of(donors.obs.iloc[rows], code, ())
    units, n = units_of(visits, np.asarray(donors.X, np.float64)[rows])
    chosen = compared_units(units, len(units.rows) < len(rows), len(levels), levels)
    if isinstance(chosen, str):
        return
    used, pairing = chosen
    units, n = units.of(used), n[used]
    design = design_of(units, len(levels), pairing)
    if isinstance(design, str):
        return
    logs = _centred_logs(n)
    weights = _precision(n, logs, design.matrix, design.blocks)
    if pairing.kind == CORRELATED:
        design = with_correlation(design, logs, weights)
    tests = moderated_tests(logs, design.matrix, design.contrasts, weights, design.blocks)
    for (level, others), test in zip(design.pairs, tests, strict=True):
        reference = "; ".join(levels[other] for other in others)
        inside = units.level == level
        yield _Found(contrast, levels[level], reference, n, inside, units.donors, test, True)


def _frame(found: _Found, types: pd.Index) -> pd.DataFrame:
    import pandas as pd

    test = _against_typical(found.test)
    low, high = test.interval()
    share = found.n / np.maximum(found.n.sum(axis=1, keepdims=True), 1.0)
    inside = found.inside
    p = q = np.full(len(types), np.nan)
    if found.contrast != STRATUM:
        p = test.p
        q = benjamini_hochberg(p)
    return pd.DataFrame(
        {
            "contrast": found.contrast,
            "level": found.level,
            "reference": found.reference,
            "cell_type": np.asarray(types, object),
            "mean_share": share[inside].mean(axis=0),
            "mean_share_others": share[~inside].mean(axis=0),
            "log2_ratio": test.effect,
            "ratio_low": low,
            "ratio_high": high,
            "p_value": p,
            "q_value": q,
            "within_batch": found.is_within,
            "n_donors": len(set(found.donors[inside])),
            "n_donors_others": len(set(found.donors[~inside])),
            "n_donors_paired": len(set(found.donors[inside]) & set(found.donors[~inside])),
        }
    )


def _centred_logs(n: Floats) -> Floats:
    logs = np.log2(n + PSEUDO)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def _precision(n: Floats, logs: Floats, design: Floats, blocks: Blocks | None = None) -> Floats:
    """Weights (rows × types) by what counting so many cells leaves uncertain.

    Types share their variance in the moderated t, which a type of few cells must not: its
    logarithms vary by the counting alone, about 1/(x + ½) in squared nats at x cells (Gart &
    Zweifel 1967, doi:10.1093/biomet/54.1-2.181). What is beyond it is taken as common to all types.
    """
    x = design
    if blocks is not None and blocks.correlation is None:
        logs, x = within_blocks(logs, blocks.code), within_blocks(design, blocks.code)
    coefficients, *_ = np.linalg.lstsq(x, logs, rcond=None)
    df = len(logs) - design.shape[1] - (blocks.n_levels if blocks else 0)
    spread = ((logs - x @ coefficients) ** 2).sum(axis=0) / df
    expected = n.sum(axis=1, keepdims=True) * n.sum(axis=0) / max(n.sum(), 1.0)
    counting = 1 / (expected + PSEUDO) / LN2**2
    beyond = max(float((spread - counting.mean(axis=0)).mean()), MIN_BEYOND * float(spread.mean()))
    return np.asarray(1 / np.maximum(beyond + counting, 1e-300))


def _against_typical(test: Tested) -> Tested:
    """The differences from the median type, whose own uncertainty is added to theirs.

    Effects of centred logs are differences from the mean of all types. Against the median they
    vary by (π/2 - 1)/types of a type's variance more, as the median of so many normal values does.
    """
    more = (np.pi / 2 - 1) * float((test.error**2).mean()) / test.effect.size
    error = np.sqrt(test.error**2 + more)
    return replace(test, error=error).about(float(np.median(test.effect)))


def _test(
    inside: NDArray[np.bool_], n: Floats, batch: NDArray[np.int64]
) -> tuple[Tested, bool] | None:
    """Differences of centred log counts, within batch if that can be told; None without donors."""
    logs = _centred_logs(n)
    member = inside.astype(np.float64)[:, None]
    for base, is_within in ((dummies(batch), True), (np.ones_like(member), False)):
        design = np.column_stack([base, member])
        width = design.shape[1]
        if len(n) > width and np.linalg.matrix_rank(design) == width:
            contrast = np.append(np.zeros(width - 1), 1.0)[None, :]
            weights = _precision(n, logs, design)
            return moderated_tests(logs, design, contrast, weights)[0], is_within
    return None
