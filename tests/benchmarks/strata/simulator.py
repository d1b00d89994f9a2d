"""Cells of donors whose strata are known: the worlds in which the stratification is judged.

A cell lies at its type's mean, moved by its donor, its stratum and its batch,
with standard normal noise. Strata move the means of some types and the shares
of some types (the planted ones); without strata, donors differ at random, along
a line, or along a few factors with normal or heavy tails. More worlds than
`pmcell.simulate` offers, none of which pmcell was fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anndata as ad
import numpy as np
import pandas as pd

Floats = np.ndarray

TYPE_SD = 3.0
FACTORS = 4


@dataclass(frozen=True)
class World:
    """How donors differ. Lengths are in units of the spread of a type's cells.

    `between`: `strata`, `nothing` (each type of each donor at random), `line` (donors evenly along
    one direction), `factors` (donors along four directions, scores normal or, with `df`, t).
    `state` and `composition`: sd of what a stratum adds to the mean (each dimension) and to the
    logit share of a planted type; `n_state`, `n_composition`: how many types are planted.
    `outliers`: share of donors of no kind: every type shifted by `outlier_sd`.
    `n_cells` a donor, or from it to `most_cells`, evenly on the log scale.
    `confounding`: share of donors whose stratum follows from their batch (1: nested).
    `sizes`: relative sizes of the strata, equal by default. `donor_df`: with it, what is a donor's
    own in all types and shares is multiplied by one scale a donor, so that it is t distributed.
    """

    between: str = "strata"
    n_donors: int = 40
    n_strata: int = 3
    n_types: int = 12
    n_dims: int = 20
    n_cells: int = 500
    most_cells: int = 0
    state: float = 0.35
    n_state: int = 4
    composition: float = 1.0
    n_composition: int = 5
    donor_sd: float = 0.25
    donor_composition: float = 0.3
    n_batches: int = 3
    batch_sd: float = 0.0
    confounding: float = 0.0
    factor_sd: float = 0.25
    df: float = float("inf")
    outliers: float = 0.0
    outlier_sd: float = 1.0
    sizes: tuple[float, ...] = ()
    donor_df: float = float("inf")


STANDARD = World()
SCENARIOS = {
    "both": STANDARD,
    "both, batch": replace(STANDARD, batch_sd=0.6),
    "composition": replace(STANDARD, state=0.0),
    "few cells": replace(STANDARD, n_cells=120),
    "state": replace(STANDARD, composition=0.0),
}
"""The five scenarios: 40 donors, 3 strata, 12 types, 20 dimensions, donor sd 0.25."""

NULL = replace(STANDARD, between="nothing")
FACTOR_NULL = replace(STANDARD, between="factors")
WITHOUT_STRATA = {
    "nothing": NULL,
    "nothing, few cells": replace(NULL, n_cells=120),
    "nothing, batch": replace(NULL, batch_sd=0.6),
    "line": replace(STANDARD, between="line"),
    "line, batch": replace(STANDARD, between="line", batch_sd=0.6),
    "factors": FACTOR_NULL,
    "factors, t3": replace(FACTOR_NULL, df=3.0),
    "factors, 5 % outliers": replace(FACTOR_NULL, outliers=0.05),
    "nothing, 5 % outliers": replace(NULL, outliers=0.05),
}
CONFOUNDED = {
    f"confounding {share:g}": replace(STANDARD, batch_sd=0.6, confounding=share)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0)
} | {
    "confounding 1, state": replace(STANDARD, composition=0.0, batch_sd=0.6, confounding=1.0),
    "nested batches": replace(STANDARD, batch_sd=0.6, confounding=1.0, n_batches=6),
    "four batches, weak": replace(
        STANDARD, n_donors=30, n_batches=4, batch_sd=0.4, state=0.2, composition=0.5
    ),
    "four batches, weaker": replace(
        STANDARD, n_donors=30, n_batches=4, batch_sd=0.4, state=0.15, composition=0.4
    ),
}
DEPTH = {
    "nothing, 120 to 2000 cells": replace(NULL, n_cells=120, most_cells=2000),
    "both, 120 to 2000 cells": replace(STANDARD, n_cells=120, most_cells=2000),
    "nothing, 30 cells": replace(NULL, n_cells=30),
    "nothing, 10 to 300 cells": replace(NULL, n_cells=10, most_cells=300),
    "factors, 30 cells": replace(FACTOR_NULL, n_cells=30),
    "factors, 10 to 300 cells": replace(FACTOR_NULL, n_cells=10, most_cells=300),
    "both, 10 to 300 cells": replace(STANDARD, n_cells=10, most_cells=300),
}
WORLDS = SCENARIOS | WITHOUT_STRATA | CONFOUNDED | DEPTH


@dataclass(frozen=True)
class Truth:
    """Per donor: `stratum` (-1 without strata); planted types of each channel."""

    donor_id: np.ndarray
    stratum: np.ndarray
    state_types: tuple[str, ...]
    composition_types: tuple[str, ...]


def simulate(world: World, seed: int) -> tuple[ad.AnnData, Truth]:
    """Cells with obs donor_id, visit, batch_id, cell_type and obsm X_integrated, and the truth."""
    rng = np.random.default_rng(seed)
    n_donors, n_types, n_dims = world.n_donors, world.n_types, world.n_dims
    batch = np.arange(n_donors) % world.n_batches
    stratum = rng.permutation(_strata_in_turn(world))
    bound = rng.permutation(n_donors) < round(world.confounding * n_donors)
    stratum = np.where(bound, batch % world.n_strata, stratum)
    planted_state = rng.permutation(n_types)[: world.n_state]
    planted_share = rng.permutation(n_types)[: world.n_composition]

    mean, logit = _between_donors(world, stratum, planted_state, planted_share, rng)
    far = np.ones(n_donors)
    if np.isfinite(world.donor_df):
        far = np.sqrt(world.donor_df / rng.chisquare(world.donor_df, n_donors))
    own = far[:, None, None] * rng.standard_normal((n_donors, n_types, n_dims))
    mean += world.donor_sd * own
    own_logit = far[:, None] * rng.standard_normal((n_donors, n_types))
    logit += world.donor_composition * own_logit
    logit += np.linspace(1.0, -1.0, n_types)
    odd = rng.permutation(n_donors)[: round(world.outliers * n_donors)]
    mean[odd] += world.outlier_sd * rng.standard_normal((odd.size, n_types, n_dims))
    mean += (world.batch_sd * rng.standard_normal((world.n_batches, n_dims)))[batch][:, None]
    mean += TYPE_SD * rng.standard_normal((n_types, n_dims))

    share = np.exp(logit)
    share /= share.sum(axis=1, keepdims=True)
    n_cells = np.full(n_donors, world.n_cells)
    if world.most_cells:
        ends = np.log([world.n_cells, world.most_cells])
        n_cells = np.exp(rng.uniform(*ends, n_donors)).astype(int)
    n = np.stack([rng.multinomial(cells, row) for cells, row in zip(n_cells, share, strict=True)])
    donor_of = np.repeat(np.arange(n_donors), n_cells)
    type_of = np.concatenate([np.repeat(np.arange(n_types), row) for row in n])
    x = rng.standard_normal((donor_of.size, n_dims), dtype=np.float32)
    x += mean[donor_of, type_of].astype(np.float32)

    types = np.array([f"type_{number + 1:02d}" for number in range(n_types)], object)
    donors = np.array([f"D{number + 1:04d}" for number in range(n_donors)], object)
    obs = pd.DataFrame(
        {
            "donor_id": pd.Categorical.from_codes(donor_of, donors),
            "visit": pd.Categorical.from_codes(np.zeros_like(donor_of), ["T0"]),
            "batch_id": pd.Categorical.from_codes(
                batch[donor_of], [f"site_{number + 1}" for number in range(world.n_batches)]
            ),
            "cell_type": pd.Categorical.from_codes(type_of, types),
        },
        index=pd.Index([f"cell_{number}" for number in range(donor_of.size)], dtype=object),
    )
    has_strata = world.between == "strata"
    truth = Truth(
        donors,
        stratum if has_strata else np.full(n_donors, -1),
        tuple(types[planted_state]) if has_strata and world.state else (),
        tuple(types[planted_share]) if has_strata and world.composition else (),
    )
    return ad.AnnData(obs=obs, obsm={"X_integrated": x}), truth


def _strata_in_turn(world: World) -> np.ndarray:
    """The stratum of each donor before they are mixed: evenly in turn, or by `sizes`."""
    if not world.sizes:
        return np.arange(world.n_donors) % world.n_strata
    ends = np.cumsum(world.sizes) / sum(world.sizes)
    return np.searchsorted(ends, (np.arange(world.n_donors) + 0.5) / world.n_donors)


def _between_donors(
    world: World,
    stratum: np.ndarray,
    planted_state: np.ndarray,
    planted_share: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """What donors add to means (donors, types, dims) and logits (donors, types)."""
    n_donors, n_types, n_dims = world.n_donors, world.n_types, world.n_dims
    mean, logit = np.zeros((n_donors, n_types, n_dims)), np.zeros((n_donors, n_types))
    if world.between == "strata":
        size = (world.n_strata, planted_state.size, n_dims)
        mean[:, planted_state] = (world.state * rng.standard_normal(size))[stratum]
        size = (world.n_strata, planted_share.size)
        logit[:, planted_share] = (world.composition * rng.standard_normal(size))[stratum]
    elif world.between == "line":
        # As far as strata are apart, and evenly in between.
        place = np.sqrt(12.0) * (rng.permutation(n_donors) + 0.5) / n_donors - np.sqrt(3.0)
        mean[:, planted_state] = world.state * np.multiply.outer(
            place, rng.standard_normal((planted_state.size, n_dims))
        )
        logit[:, planted_share] = world.composition * np.multiply.outer(
            place, rng.standard_normal(planted_share.size)
        )
    elif world.between == "factors":
        scores = rng.standard_normal((n_donors, FACTORS))
        if np.isfinite(world.df):
            scores *= np.sqrt(world.df / rng.chisquare(world.df, (n_donors, 1)))
        loading = rng.standard_normal((FACTORS, n_types, n_dims))
        mean += world.factor_sd * np.einsum("df,ftk->dtk", scores, loading)
        logit += world.donor_composition * scores @ rng.standard_normal((FACTORS, n_types))
    elif world.between != "nothing":
        raise ValueError(f"between must be strata, nothing, line or factors, got {world.between!r}")
    return mean, logit
