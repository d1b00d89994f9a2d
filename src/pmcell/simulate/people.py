"""Who is simulated: donors with their group, stratum and position, and their samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

REGIONS = ("NL2", "BE2", "ITH5", "ES51", "SE11", "FR10")
"""NUTS codes that simulated cohorts take in turn."""

DAYS_BETWEEN_VISITS = 28


@dataclass(frozen=True)
class People:
    """One row a donor: `group` (cohort or batch), `stratum` (from 0), `position` from 0 to 1.

    With strata the position is the stratum's; in a continuum it is spread
    evenly and the stratum is only the slice that the position falls into.
    """

    group: NDArray[np.int64]
    stratum: NDArray[np.int64]
    position: NDArray[np.float64]


def recruit(
    rng: np.random.Generator,
    *,
    n_donors: int,
    n_groups: int,
    n_strata: int,
    confounding: float,
    continuum: bool,
) -> People:
    """Spread donors evenly over groups, and strata over donors.

    `confounding` is the share of donors whose stratum follows from their group;
    the others get strata at random, in equal numbers.
    """
    group = np.arange(n_donors) % n_groups
    position = rng.permutation((np.arange(n_donors) + 0.5) / n_donors)
    free = rng.permutation(np.arange(n_donors) % n_strata)
    if continuum:
        free = np.floor(position * n_strata).astype(np.int64)
    bound = rng.permutation(n_donors) < round(confounding * n_donors)
    stratum = np.where(bound, group % n_strata, free)
    if not continuum:
        position = stratum / max(n_strata - 1, 1)
    return People(group, stratum, position)


def strata_shifts(
    rng: np.random.Generator, people: People, shape: tuple[int, ...], *, continuum: bool
) -> NDArray[np.float64]:
    """Standard normal shift of each donor: one draw a stratum, or a line through the continuum."""
    if continuum:
        axis = rng.standard_normal(shape)
        # Positions are uniform on [0, 1]; sqrt(12) gives the line unit variance.
        place: NDArray[np.float64] = np.sqrt(12.0) * (people.position - 0.5)
        return place.reshape(-1, *[1] * len(shape)) * axis
    draws = rng.standard_normal((int(people.stratum.max()) + 1, *shape))
    return draws[people.stratum]


def samples_frame(
    people: People,
    *,
    cohort_ids: list[str],
    batch_ids: list[str],
    n_visits: int,
) -> pd.DataFrame:
    """One row a sample, donors and visits in order, with the registration's columns."""
    import pandas as pd

    rows = []
    for donor in range(len(people.group)):
        group = int(people.group[donor])
        cohort = group % len(cohort_ids)
        for visit in range(n_visits):
            rows.append(
                {
                    "cohort_id": cohort_ids[cohort],
                    "donor_id": f"D{donor + 1:04d}",
                    "sample_id": f"D{donor + 1:04d}_T{visit}",
                    "visit": f"T{visit}",
                    "visit_day": float(visit * DAYS_BETWEEN_VISITS),
                    "batch_id": batch_ids[group],
                    "stratum": f"S{people.stratum[donor] + 1}",
                    "region": REGIONS[cohort % len(REGIONS)],
                    "condition": "case" if people.stratum[donor] else "control",
                    "donor": donor,
                }
            )
    return pd.DataFrame(rows)


def cells_frame(samples: pd.DataFrame, cells_per_sample: int) -> pd.DataFrame:
    """Repeat each sample's row for its cells, indexed by cell id; text columns are categories."""
    import pandas as pd

    obs = samples.drop(columns="donor").loc[samples.index.repeat(cells_per_sample)]
    number = np.tile(np.arange(cells_per_sample), len(samples))
    names = [f"{sample}_{cell + 1:05d}" for sample, cell in zip(obs.sample_id, number, strict=True)]
    obs.index = pd.Index(names, dtype=object)
    for name in obs.columns.drop("visit_day"):
        obs[name] = pd.Categorical(obs[name].astype(object))
    return obs


def draw_types(
    rng: np.random.Generator, logits: NDArray[np.float64], n_cells: int
) -> NDArray[np.int64]:
    """Type of each of `n_cells` cells, at the proportions softmax(`logits`)."""
    cumulative = np.cumsum(np.exp(logits - logits.max()))
    uniform = rng.random(n_cells) * cumulative[-1]
    return np.asarray(np.searchsorted(cumulative, uniform, side="right"), dtype=np.int64)


def check_counts(**counts: int) -> None:
    """Raise `UsageError` unless every argument is at least 1."""
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")


def check_sizes(**sizes: float) -> None:
    """Raise `UsageError` unless every argument is finite and at least 0."""
    for name, value in sizes.items():
        if not 0 <= value < np.inf:
            raise UsageError(f"{name} must be at least 0, got {value}")


def check_share(**shares: float) -> None:
    """Raise `UsageError` unless every argument is from 0 to 1."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise UsageError(f"{name} must be from 0 to 1, got {value}")
